"""Channels: color spaces that part lightness from color, and views of single channels."""

import itertools

import keras
from keras import ops

from keras_ssl.augment.image.filters import Filter
from keras_ssl.checks import check_flags, is_int

# CIE XYZ of the primaries of sRGB (ITU-R BT.709) in rows, and of its white, D65 seen at 2 degrees.
XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
WHITE = (0.95047, 1.0, 1.08883)
# ITU-R BT.601: the weights of red, green and blue (from 0 to 1) and the offsets.
YCBCR = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
YCBCR_OFFSETS = (16.0, 128.0, 128.0)


@keras.saving.register_keras_serializable("keras_ssl")
class ToLab(Filter):
    """Red, green and blue (sRGB, 0 to 255) become CIE Lab: lightness L and the opponent colors a and b.

    The exact formulas, with the gamma of sRGB and the white D65: L from 0 to 100, a from -86 to 98, b from -108 to 94.

    Args:
        pixels: whether the result is moved to the range of pixels, as encoders expect it: 2.55 L, a + 128, b + 128.
        name: str, the name of the layer.

    Raises:
        ValueError: for images without 3 channels.

    Example:
        >>> import numpy as np
        >>> ToLab()(np.full((1, 1, 1, 3), 255, "uint8")).numpy().round(2).tolist()[0][0][0][0]
        100.0
    """

    def __init__(self, pixels=False, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        check_flags(pixels=pixels)
        self.pixels = pixels

    def transform(self, images):
        lightness, a, b = lab_of_rgb(rgb(self, images))
        return ops.stack([2.55 * lightness, a + 128, b + 128] if self.pixels else [lightness, a, b], axis=-1)

    def get_config(self):
        return {**super().get_config(), "pixels": self.pixels}


@keras.saving.register_keras_serializable("keras_ssl")
class ToYCbCr(Filter):
    """Red, green and blue (0 to 255) become lightness Y (16 to 235) and the differences Cb and Cr (16 to 240).

    The linear formula of ITU-R BT.601 for 8 bits. CMC's authors found it no worse than Lab.

    Args:
        name: str, the name of the layer.

    Raises:
        ValueError: for images without 3 channels.
    """

    def transform(self, images):
        values = weighted(ops.unstack(rgb(self, images) / 255, axis=-1), YCBCR)
        return ops.stack([value + offset for value, offset in zip(values, YCBCR_OFFSETS, strict=True)], axis=-1)


@keras.saving.register_keras_serializable("keras_ssl")
class SplitChannels(Filter):
    """Groups of channels become views of their own: lightness and color, color and depth, single bands.

    Args:
        sizes: ints, the numbers of channels of the views, in the order of the channels.
        name: str, the name of the layer.

    Raises:
        ValueError: where the sizes do not add up to the channels of the image.

    Example:
        >>> import numpy as np
        >>> lightness, color = SplitChannels((1, 2))(np.zeros((4, 32, 32, 3), "uint8"))
        >>> color.shape
        TensorShape([4, 32, 32, 2])
    """

    def __init__(self, sizes, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        if not isinstance(sizes, (list, tuple)) or not all(is_int(x, 1) for x in sizes) or not sizes:
            raise ValueError(f"sizes must be a list of positive ints. Received: sizes={sizes}")
        self.sizes = tuple(sizes)

    @property
    def separable(self):
        return False  # of one image it gives several

    def transform(self, images):
        if images.shape[-1] != sum(self.sizes):
            raise ValueError(
                f"sizes must add up to the channels of the images. Received: sizes={self.sizes} and "
                f"images.shape={tuple(images.shape)}"
            )
        ends = itertools.accumulate(self.sizes)
        return tuple(images[..., end - size : end] for size, end in zip(self.sizes, ends, strict=True))

    def get_config(self):
        return {**super().get_config(), "sizes": self.sizes}


def rgb(layer, images):
    if images.shape[-1] != 3:
        raise ValueError(
            f"{type(layer).__name__} needs images with 3 channels (red, green, blue). Received: "
            f"images.shape={tuple(images.shape)}. Leave it out for other images, or split their channels."
        )
    return images


def lab_of_rgb(images):
    """L, a and b of images of 0..255 with three channels, float32: three tensors `(batch, height, width)`."""
    colors = ops.unstack(images / 255, axis=-1)
    linear = [ops.where(c > 0.04045, ((ops.maximum(c, 0) + 0.055) / 1.055) ** 2.4, c / 12.92) for c in colors]
    x, y, z = (cube_root(value / white) for value, white in zip(weighted(linear, XYZ), WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def weighted(planes, matrix):
    return [sum(plane * weight for plane, weight in zip(planes, row, strict=True)) for row in matrix]


def cube_root(x):
    """The cube root, continued by its tangent below (6 / 29)^3, as Lab has it."""
    return ops.where(x > (6 / 29) ** 3, ops.maximum(x, 1e-6) ** (1 / 3), x * (29 / 6) ** 2 / 3 + 4 / 29)
