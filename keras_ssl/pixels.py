"""Pixels: what images are made of: sizes, patches, the cubic kernel, and the statistics that encoders expect."""

import math
import warnings

import numpy as np
from keras import ops

from keras_ssl.checks import is_int

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pixels from 0 to 1
OTHER_MEAN, OTHER_STD = 0.5, 0.25  # where the number of channels is not 3


def statistics(channels):
    """Mean and standard deviation of pixels from 0 to 1, one per channel: ImageNet's for 3 channels.

    Args:
        channels: int.

    Returns:
        two tuples of floats.
    """
    return (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((OTHER_MEAN,) * channels, (OTHER_STD,) * channels)


def patchify(images, size):
    """Images as rows of flattened patches, those of the first row of patches first.

    Args:
        images: tensor `(batch, height, width, channels)`.
        size: int or pair of ints (height, width), the size of a patch in pixels; it divides the image's.

    Returns:
        tensor `(batch, patches, size * size * channels)`, inside a patch by row, column and channel.

    Raises:
        ValueError: for images that cannot be cut into patches of this size.

    Example:
        >>> import numpy as np
        >>> patchify(np.zeros((2, 32, 32, 3)), 4).shape
        TensorShape([2, 64, 48])
    """
    high, wide = check_size("size", size)
    height, width, channels = images.shape[1:]
    if height is None or width is None or height % high or width % wide:
        raise ValueError(
            f"size must divide the height and the width of the images. Received: size={size} and "
            f"images.shape={tuple(images.shape)}"
        )
    rows, columns = height // high, width // wide
    patches = ops.transpose(ops.reshape(images, (-1, rows, high, columns, wide, channels)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(patches, (-1, rows * columns, high * wide * channels))


def unpatchify(patches, size, grid=None):
    """The images of which `patchify` made the patches.

    Args:
        patches: tensor `(batch, patches, size * size * channels)`.
        size: int or pair of ints (height, width), the size of a patch in pixels.
        grid: int or pair of ints (rows, columns), the number of patches along the sides; None for a square.

    Returns:
        tensor `(batch, height, width, channels)`.

    Raises:
        ValueError: for patches that are not of this size, or not as many as the grid has.

    Example:
        >>> import numpy as np
        >>> unpatchify(np.zeros((2, 64, 48)), 4).shape
        TensorShape([2, 32, 32, 3])
    """
    high, wide = check_size("size", size)
    count, numbers = patches.shape[1:]
    rows, columns = check_size("grid", math.isqrt(count) if grid is None else grid)
    if rows * columns != count or numbers % (high * wide):
        raise ValueError(
            f"patches must be (batch, rows * columns, height * width * channels) of size={size} and grid={grid} "
            f"(None is a square). Received: patches.shape={tuple(patches.shape)}"
        )
    channels = numbers // (high * wide)
    images = ops.transpose(ops.reshape(patches, (-1, rows, columns, high, wide, channels)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(images, (-1, rows * high, columns * wide, channels))


def cubic(distance, a=-0.5):
    """Keys's cubic kernel: the weight of a pixel in an interpolation.

    Args:
        distance: array or tensor of distances from 0 in pixels.
        a: float, the slope at 1: -0.5 in Pillow and Keras, -0.75 in PyTorch.

    Returns:
        array or tensor of the same shape: 1 at 0, and 0 at 1 and from 2 on.
    """
    where = np.where if isinstance(distance, np.ndarray) else ops.where
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return where(distance < 1, near, where(distance < 2, far, 0.0))


def check_size(name, value):
    """The size `value`, an int or a pair (height, width), as a pair."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(is_int(side, 1) for side in pair):
        raise ValueError(f"{name} must be a positive int or a pair of them. Received: {name}={value!r}")
    return pair


def warn_of_small(images, what, stacklevel=2):
    """Warns where pixels look like 0..1, like those of 16 bits, or as after a normalization, in place of 0..255.

    What an interpolation puts a little below 0 or above 255 passes.

    Args:
        images: NumPy array of numbers.
        what: str, the images in the words of the warning: "The first images".
        stacklevel: int, see `warnings.warn`.

    Returns:
        bool, whether they do.
    """
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 255.0)
    if 0 < high <= 1 and low >= -1:
        advice = "multiply them."
    elif low < -64 or low < 0 and high < 16:
        advice = "leave out the normalization, which is the encoder's."
    elif high > 512:
        advice = "divide them."
    else:
        return False
    warnings.warn(
        f"{what} go from {low:.3g} to {high:.3g}. Pixels are expected in 0..255, by augmentations and encoders alike: "
        f"{advice}",
        stacklevel=stacklevel,
    )
    return True
