"""Reconstruction losses: the pixels of hidden patches, and how far a prediction is from them."""

import math

import numpy as np
from keras import ops

from keras_ssl import distribute, pixels
from keras_ssl.losses.vectors import precise, unit

NOISE = 1e-2  # slopes below it, in gray levels, are rounding: they would turn into directions


def standard_pixels(images):
    """`(images / 255 - mean) / std`, as the encoders see them.

    Args:
        images: `(batch, height, width, channels)` of 0..255, any dtype.

    Returns:
        float32 tensor of the same shape; mean and standard deviation are ImageNet's for 3 channels, 0.5 and 0.25 for
        any other number.

    Example:

    >>> float(standard_pixels(np.full((1, 2, 2, 1), 127.5))[0, 0, 0, 0])
    0.0
    """
    images = precise(images)
    mean, std = pixel_statistics(images)
    return (images / 255.0 - mean) / std


def plain_pixels(standard):
    """The images of which `standard_pixels` made these; what lies outside of 0..255 stays there.

    Args:
        standard: float tensor `(batch, height, width, channels)`.

    Returns:
        float32 tensor of the same shape.
    """
    standard = precise(standard)
    mean, std = pixel_statistics(standard)
    return (standard * std + mean) * 255.0


def patch_pixels(images, patch, normalize=False):
    """Images as rows of patches, patches as vectors of numbers: the target of MAE and its kin.

    Args:
        images: `(batch, height, width, channels)` of any dtype and scale; `standard_pixels` of them, as in the papers.
        patch: int, the side of a patch in pixels; it divides height and width.
        normalize: whether each patch becomes `(x - mean) / sqrt(variance + 1e-6)` over all its numbers, with the
            variance of n - 1. All-zero predictions then have a squared error of (n - 1) / n.

    Returns:
        float32 tensor `(batch, patches, patch * patch * channels)`, patches row by row; inside a patch by row, column
        and channel.

    Raises:
        ValueError: the patch does not divide the images.

    Reference: Masked Autoencoders Are Scalable Vision Learners (He, Chen, Xie, Li, Dollar, Girshick, 2021),
    https://arxiv.org/abs/2111.06377

    Example:

    >>> patch_pixels(np.zeros((2, 32, 32, 3), "uint8"), 4).shape
    TensorShape([2, 64, 48])
    """
    height, width = images.shape[1:3]
    if not isinstance(patch, int) or patch < 1 or height is None or width is None or height % patch or width % patch:
        raise ValueError(
            "patch must be a positive int that divides the height and the width of the images. Received: "
            f"patch={patch} and images of shape {tuple(images.shape)}"
        )
    patches = pixels.patchify(precise(images), patch)
    if not normalize:
        return patches
    mean, deviation = patch_statistics(patches)
    return (patches - mean) / deviation


def patch_statistics(patches):
    """What `patch_pixels` normalizes by, of patches that are not normalized.

    Args:
        patches: `(batch, patches, numbers)`.

    Returns:
        two float32 tensors `(batch, patches, 1)`: the mean, and `sqrt(variance + 1e-6)` with the variance of n - 1.
    """
    patches = precise(patches)
    mean = ops.mean(patches, axis=-1, keepdims=True)
    variance = ops.sum(ops.square(patches - mean), axis=-1, keepdims=True) / max(patches.shape[-1] - 1, 1)
    return mean, ops.sqrt(variance + 1e-6)


def masked_error(prediction, target, mask, power=2):
    """The error of the predictions where the mask is: `sum_i m_i * mean_d |p_id - t_id|^power / sum_i m_i`.

    Both sums run over the images and patches of the global batch: images that hide more count more. What the mask
    leaves out gets a gradient of exactly 0.

    Args:
        prediction: `(batch, patches, numbers)`; float32 inside.
        target: the same shape; it gets no gradient.
        mask: `(batch, patches)`, bool, True where hidden, or float weights from 0.
        power: 2 for the squared error (MAE), 1 for the absolute error (SimMIM).

    Returns:
        float32 scalar, 0 where nothing is hidden. Its mean over replicas is the loss of the global batch.

    Raises:
        ValueError: the shapes do not belong together, or another power.

    Reference: Masked Autoencoders Are Scalable Vision Learners (He, Chen, Xie, Li, Dollar, Girshick, 2021),
    https://arxiv.org/abs/2111.06377

    Example:

    >>> float(masked_error(np.zeros((1, 2, 3)), np.array([[[2.0] * 3, [9.0] * 3]]), np.array([[True, False]])))
    4.0
    """
    shapes = [tuple(x.shape) for x in (prediction, target, mask)]
    if power not in (1, 2):
        raise ValueError(f"power must be 1 or 2. Received: power={power}")
    if len(shapes[0]) != 3 or shapes[0][1:] != shapes[1][1:] or shapes[0][1:2] != shapes[2][1:]:
        raise ValueError(
            "prediction and target must be (batch, patches, numbers), and the mask (batch, patches). "
            f"Received: shapes {', '.join(map(str, shapes))}"
        )
    difference = precise(prediction) - ops.stop_gradient(precise(target))
    error = ops.mean(ops.square(difference) if power == 2 else ops.abs(difference), axis=-1)  # (batch, patches)
    return masked_mean(error, mask)


def masked_cosine(prediction, target, mask):
    """The squared distance of the directions where the mask is: `sum_i m_i * (2 - 2 cos(p_i, t_i)) / sum_i m_i`.

    Both sums run over the images and patches of the global batch.

    Args:
        prediction: `(batch, patches, dim)`; float32 inside.
        target: the same shape, features of a frozen model; it gets no gradient.
        mask: `(batch, patches)`, bool, or float weights from 0.

    Returns:
        float32 scalar from 0 to 4. Its mean over replicas is the loss of the global batch.

    Reference: DeepMIM: Deep Supervision for Masked Image Modeling (Ren, Wei, Albanie, Zhang, Hu, 2023),
    https://arxiv.org/abs/2303.08817

    Example:

    >>> float(masked_cosine(np.array([[[3.0, 0.0]]]), np.array([[[0.0, 1.0]]]), np.array([[True]])))
    2.0
    """
    cosine = ops.sum(unit(precise(prediction)) * ops.stop_gradient(unit(precise(target))), axis=-1)
    return masked_mean(2.0 - 2.0 * cosine, mask)


def masked_mean(values, mask):
    """The mean of the values where the mask is, over the global batch: `sum_i m_i * v_i / sum_i m_i`.

    Args:
        values: `(batch, patches)`; float32 inside.
        mask: `(batch, patches)`, bool, or float weights from 0.

    Returns:
        float32 scalar, 0 where the mask is nowhere. Its mean over replicas is that of the global batch.
    """
    values = precise(values)
    mask = ops.cast(mask, values.dtype)
    weight = distribute.total(ops.sum(mask)) / distribute.replicas()
    return ops.sum(mask * values) / ops.where(weight > 0, weight, 1.0)


def histograms_of_gradients(images, cells, bins=9, window=None):
    """Histograms of the directions of an image's slopes (HOG), in square cells of several sizes.

    Each channel by itself: Sobel's slopes with reflected borders, their directions without sign in `bins` equal parts
    of half a turn, the lengths averaged in the cell, and the histogram divided by its l2 norm. Slopes below 0.01 gray
    levels count as none.

    Args:
        images: `(batch, height, width, channels)` of 0..255, any dtype.
        cells: ints, sides of the cells in pixels; they divide height and width.
        bins: int, number of directions.
        window: int that divides height and width; None for none. The lengths are weighted by a Gaussian of this side
            and a deviation of half of it, repeated over the image, as in MaskFeat.

    Returns:
        list of float32 tensors `(batch, cells, channels * bins)`, cells row by row. All 0 where a channel is flat.

    Example:

    >>> [x.shape for x in histograms_of_gradients(np.zeros((2, 32, 32, 3), "uint8"), (8, 16))]
    [TensorShape([2, 16, 27]), TensorShape([2, 4, 27])]
    """
    height, width, channels = images.shape[1:]
    padded = ops.pad(ops.cast(images, "float32"), [(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect")
    top, middle, bottom = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
    columns, rows = top + 2.0 * middle + bottom, top - bottom
    across = columns[:, :, :-2] - columns[:, :, 2:]
    down = rows[:, :, :-2] + 2.0 * rows[:, :, 1:-1] + rows[:, :, 2:]
    across, down = (ops.where(ops.abs(slope) < NOISE, 0.0, slope) for slope in (across, down))
    length = ops.sqrt(ops.square(across) + ops.square(down))
    if window is not None:
        length = length * np.tile(gaussian_window(window), (height // window, width // window))[:, :, None]
    part = ops.floor(ops.arctan2(across, down) * (bins / math.pi))
    part = ops.mod(ops.cast(part, "int32"), bins)

    least = math.gcd(*cells)
    shape = (-1, height // least, least, width // least, least, channels)
    smallest = ops.stack(  # bin by bin: the whole would take the memory of `bins` batches
        [ops.mean(ops.reshape(ops.where(part == i, length, 0.0), shape), axis=(2, 4)) for i in range(bins)], axis=-1
    )
    found = []
    for cell in cells:
        factor = cell // least
        shape = (-1, height // cell, factor, width // cell, factor, channels, bins)
        histogram = ops.mean(ops.reshape(smallest, shape), axis=(2, 4))
        norm = ops.sqrt(ops.sum(ops.square(histogram), axis=-1, keepdims=True))
        histogram = histogram / ops.where(norm > 0, norm, 1.0)
        found.append(ops.reshape(histogram, (-1, (height // cell) * (width // cell), channels * bins)))
    return found


def gaussian_window(side):
    """float32 `(side, side)` that sums to 1, with a deviation of half the side."""
    places = np.arange(side) - (side - 1) / 2
    weights = np.exp(-(places[:, None] ** 2 + places**2) / (2 * (side / 2) ** 2))
    return (weights / weights.sum()).astype("float32")


def pixel_statistics(images):
    return [ops.convert_to_tensor(values, dtype=images.dtype) for values in pixels.statistics(images.shape[-1])]
