"""Gaussian blur with a width of its own for every image."""

import keras
import numpy as np
from keras import ops

from keras_ssl.augment.image.crop import block_rows, resample
from keras_ssl.augment.image.layer import ImageLayer
from keras_ssl.augment.layer import change, check_probability, check_range
from keras_ssl.augment.random import uniform
from keras_ssl.checks import is_int


@keras.saving.register_keras_serializable("keras_ssl")
class GaussianBlur(ImageLayer):
    """Images are blurred by a Gaussian of random width; borders are mirrored (without the border pixel itself).

    Args:
        kernel: odd int, the side of the kernel in pixels, or None for a tenth of the image's shorter side, at least 3
            (23 at 224 pixels).
        sigma: pair of floats, the range of the standard deviation in pixels.
        p: float, the probability of an image to be changed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an even kernel, and for one too large for the image.
    """

    def __init__(self, kernel=None, sigma=(0.1, 2.0), p=0.5, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if kernel is not None and not (is_int(kernel, 1) and kernel % 2):
            raise ValueError(f"kernel must be an odd positive int or None. Received: kernel={kernel}")
        check_probability("p", p)
        self.kernel = kernel
        self.sigma = check_range("sigma", sigma)
        self.p = p

    def draw(self, seeds, size):
        draws = uniform(seeds, 2)
        low, high = self.sigma
        return {"chosen": draws[:, 0] < self.p, "sigma": low + (high - low) * draws[:, 1]}

    def transform(self, images, chosen, sigma):
        height, width = images.shape[1:3]
        if height is None or width is None:
            raise ValueError(
                f"{type(self).__name__} needs images of a known size: put it behind the crop. "
                f"Received: images.shape={tuple(images.shape)}"
            )
        radius = (self.kernel or max(3, min(height, width) // 10)) // 2
        if radius >= min(height, width):
            raise ValueError(
                f"kernel must be smaller than twice the image's shorter side. Received: kernel={self.kernel} and "
                f"images.shape={tuple(images.shape)}"
            )
        blur = by_shifts if images.shape[0] == 1 else by_matrices
        return change(images, chosen, lambda images: blur(images, gaussian(sigma, radius)))

    def get_config(self):
        return {**super().get_config(), "kernel": self.kernel, "sigma": self.sigma, "p": self.p}


def gaussian(sigma, radius):
    """The taps `(batch, 2 radius + 1)`, which sum to 1."""
    distance = ops.arange(-radius, radius + 1, dtype="float32")
    taps = ops.exp(-0.5 * (distance / sigma[:, None]) ** 2)
    return taps / ops.sum(taps, axis=1, keepdims=True)


def by_shifts(image, taps):
    """One image, as a sum of shifted ones: a compiler makes one loop of it that stays in the cache."""
    radius = taps.shape[1] // 2
    weights = ops.unstack(taps[0])[radius:]
    planes = ops.transpose(image, (0, 3, 1, 2))
    for axis in (2, 3):
        side = planes.shape[axis]
        borders = [(0, 0)] * 4
        borders[axis] = (radius, radius)
        padded = ops.pad(planes, borders, mode="reflect")

        def shifted(by):
            window = [slice(None)] * 4
            window[axis] = slice(radius + by, radius + by + side)
            return padded[tuple(window)]

        planes = shifted(0) * weights[0]
        for by in range(1, radius + 1):
            planes = planes + (shifted(by) + shifted(-by)) * weights[by]
    return ops.transpose(planes, (0, 2, 3, 1))


def by_matrices(images, taps):
    """A batch of images, as products with a matrix per image."""
    radius = taps.shape[1] // 2
    height, width = images.shape[1:3]
    rows = banded(taps, height)
    columns = rows if height == width else banded(taps, width)
    padded = ops.pad(images, [(0, 0), (radius, radius), (radius, radius), (0, 0)], mode="reflect")
    return resample(padded, rows, columns)


def banded(taps, side):
    """The taps as matrices in blocks, see `crop.resampling`, for a padded side."""
    count = taps.shape[1]
    rows = block_rows(side)
    place = np.arange(rows + count - 1)[None, :] - np.arange(rows)[:, None]
    place = np.where((place >= 0) & (place < count), place, count).astype("int32")
    matrix = ops.take(ops.pad(taps, [(0, 0), (0, 1)]), place, axis=1)  # (batch, rows, rows + count - 1)
    first = ops.zeros_like(taps[:, :1], dtype="int32") + ops.arange(0, side, rows, dtype="int32")
    return first, ops.repeat(matrix[:, None], side // rows, axis=1)
