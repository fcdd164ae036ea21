"""Gaussian blur with a width of its own for every image."""

import keras
from keras import ops

from keras_ssl.augment.crop import resample
from keras_ssl.augment.layer import Augmentation, check_probability, check_range, per_image
from keras_ssl.augment.random import uniform


@keras.saving.register_keras_serializable("keras_ssl")
class GaussianBlur(Augmentation):
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
        if kernel is not None and not (isinstance(kernel, int) and kernel > 0 and kernel % 2):
            raise ValueError(f"kernel must be an odd positive int or None. Received: kernel={kernel}")
        check_probability("p", p)
        self.kernel = kernel
        self.sigma = check_range("sigma", sigma)
        self.p = p

    def augment(self, images, seeds):
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
        draws = uniform(seeds, 2)
        low, high = self.sigma
        sigma = low + (high - low) * draws[:, 1]
        rows = blurring(sigma, radius, height)
        columns = rows if height == width else blurring(sigma, radius, width)
        blurred = resample(images, rows, columns)
        return blurred if self.p == 1 else ops.where(per_image(draws[:, 0] < self.p), blurred, images)

    def get_config(self):
        return {**super().get_config(), "kernel": self.kernel, "sigma": self.sigma, "p": self.p}


def blurring(sigma, radius, side):
    """Matrices `(batch, side, side)` that blur the pixels of a side."""
    sigma = sigma[:, None, None]
    to = ops.arange(side, dtype="float32")[None, :, None]
    of = ops.arange(side, dtype="float32")[None, None, :]
    taps = ops.arange(-radius, radius + 1, dtype="float32")[None, None, :]

    def gauss(distance):
        return ops.exp(-0.5 * (distance / sigma) ** 2)

    def within(distance, mirrored=True):
        return ops.where((distance <= radius) & mirrored, gauss(distance), 0.0)

    # A pixel gives directly, and by its mirror image at either border. Border pixels have none.
    weight = within(ops.abs(to - of)) + within(to + of, of > 0) + within(2 * (side - 1) - to - of, of < side - 1)
    return weight / ops.sum(gauss(taps), axis=2, keepdims=True)
