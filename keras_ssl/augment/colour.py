"""Colour jitter, grey scale and solarisation, with draws of their own for every image."""

import itertools

import keras
import numpy as np
from keras import ops

from keras_ssl.augment.layer import Augmentation, check_probability, per_image
from keras_ssl.augment.random import uniform

LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601, with torchvision's digits


@keras.saving.register_keras_serializable("keras_ssl")
class ColorJitter(Augmentation):
    """Brightness, contrast, saturation and hue change in random order and by random amounts, per image.

    Brightness, contrast and saturation mix the image with black, with the mean of its grey version and with its grey
    version; the hue turns in HSV space. Values are clipped to the valid range after each operation, as torchvision
    does it.

    Args:
        brightness: float b, the factor is uniform in [max(0, 1 - b), 1 + b]. 0 leaves the operation out.
        contrast: float, as `brightness`.
        saturation: float, as `brightness`. Needs 3 channels.
        hue: float h from 0 to 0.5, the shift is uniform in [-h, h] turns. Needs 3 channels.
        p: float, the probability of an image to be changed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a negative strength, a hue above 0.5, and for saturation or hue of images without 3 channels.
    """

    def __init__(self, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, p=0.8, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        for what, value in [("brightness", brightness), ("contrast", contrast), ("saturation", saturation)]:
            if value < 0:
                raise ValueError(f"{what} must not be negative. Received: {what}={value}")
        if not 0 <= hue <= 0.5:
            raise ValueError(f"hue must be from 0 to 0.5 turns. Received: hue={hue}")
        check_probability("p", p)
        self.brightness, self.contrast, self.saturation, self.hue, self.p = brightness, contrast, saturation, hue, p

    def augment(self, images, seeds):
        if self.saturation or self.hue:
            check_colours(self, images)
        draws = uniform(seeds, 6)
        mixes = [what for what in range(3) if (self.brightness, self.contrast, self.saturation)[what]]
        if not mixes and not self.hue:
            return images

        # Every image has its own order. The hue turns once, for all images together; the mixes that an image has
        # before are done in the slots before, the others in the slots behind. The other slots leave it as it is.
        orders = np.array(list(itertools.permutations(mixes + [3] if self.hue else mixes)), "int32")
        order = ops.take(orders, choose(draws[:, 4], len(orders)), axis=0)  # (batch, operations)
        factors = [
            max(0.0, 1 - strength) + (1 + strength - max(0.0, 1 - strength)) * draws[:, number]
            for number, strength in enumerate((self.brightness, self.contrast, self.saturation))
        ]
        planes = ops.unstack(images, axis=-1)
        if self.hue:
            place = ops.argmax(ops.cast(order == 3, "int32"), axis=1)
            for slot in range(len(mixes)):
                planes = mix(planes, ops.where(slot < place, order[:, slot], -1), factors)
            planes = turn(planes, (2 * draws[:, 3] - 1) * self.hue)
            for slot in range(1, len(mixes) + 1):
                planes = mix(planes, ops.where(slot > place, order[:, slot], -1), factors)
        else:
            for slot in range(len(mixes)):
                planes = mix(planes, order[:, slot], factors)
        changed = ops.stack(planes, axis=-1)
        return changed if self.p == 1 else ops.where(per_image(draws[:, 5] < self.p), changed, images)

    def get_config(self):
        config = {"brightness": self.brightness, "contrast": self.contrast, "saturation": self.saturation}
        return {**super().get_config(), **config, "hue": self.hue, "p": self.p}


@keras.saving.register_keras_serializable("keras_ssl")
class Grayscale(Augmentation):
    """Images lose their colours and keep three equal channels.

    Args:
        p: float, the probability of an image to be changed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for images without 3 channels.
    """

    def __init__(self, p=0.2, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        self.p = p

    def augment(self, images, seeds):
        check_colours(self, images)
        gray = luma(ops.unstack(images, axis=-1))[..., None]
        return ops.where(per_image(uniform(seeds, 1) < self.p), gray, images)

    def get_config(self):
        return {**super().get_config(), "p": self.p}


@keras.saving.register_keras_serializable("keras_ssl")
class Solarize(Augmentation):
    """Bright pixels are inverted.

    Args:
        threshold: float from 0 to 255, values from here on become 255 minus themselves.
        p: float, the probability of an image to be changed.
        seed, name: see `Augmentation`.
    """

    def __init__(self, threshold=128, p=0.2, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        if not 0 <= threshold <= 255:
            raise ValueError(f"threshold must be a pixel value from 0 to 255. Received: threshold={threshold}")
        self.threshold, self.p = threshold, p

    def augment(self, images, seeds):
        chosen = per_image(uniform(seeds, 1) < self.p) & (images >= self.threshold)
        return ops.where(chosen, 255 - images, images)

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold, "p": self.p}


def check_colours(layer, images):
    if images.shape[-1] != 3:
        raise ValueError(
            f"{type(layer).__name__} needs images with 3 channels (red, green, blue) for saturation, hue and grey "
            f"scale. Received: images.shape={tuple(images.shape)}. Leave them out for other images."
        )


def choose(draw, count):
    return ops.minimum(ops.cast(draw * count, "int32"), count - 1)


def luma(planes):
    weights = LUMA if len(planes) == 3 else [1 / len(planes)] * len(planes)
    return sum(plane * weight for plane, weight in zip(planes, weights, strict=True))


def mix(planes, what, factors):
    """Brightness (0), contrast (1) or saturation (2) of the channels `(batch, h, w)`, per image, or nothing (-1)."""
    factor = ops.ones_like(factors[0])
    for number in range(3):
        factor = ops.where(what == number, factors[number], factor)
    zero = ops.zeros_like(factor)
    gray = luma(planes)
    mean = ops.mean(gray, axis=(1, 2))
    constant = ops.where(what == 1, (1 - factor) * mean, zero)[:, None, None]
    other = gray * ops.where(what == 2, 1 - factor, zero)[:, None, None] + constant
    return [ops.clip(plane * factor[:, None, None] + other, 0, 255) for plane in planes]


def turn(planes, shift):
    """The colours turned in HSV space by `shift` turns `(batch,)`, at the same value and saturation."""
    red, green, blue = planes
    highest = ops.maximum(ops.maximum(red, green), blue)
    lowest = ops.minimum(ops.minimum(red, green), blue)
    chroma = highest - lowest
    inverse = 1 / ops.maximum(chroma, 1e-6)
    hue = ops.where(
        highest == red,
        (green - blue) * inverse,
        ops.where(highest == green, (blue - red) * inverse + 2, (red - green) * inverse + 4),
    )  # in sixths of a turn
    hue = hue + (6 * shift)[:, None, None]
    hue = hue - 6 * ops.floor(hue / 6)
    # How much of the chroma a channel gets falls linearly with the distance of the hue from its colour.
    parts = [ops.abs(hue - 3) - 1, 2 - ops.abs(hue - 2), 2 - ops.abs(hue - 4)]
    return [lowest + chroma * ops.clip(part, 0, 1) for part in parts]
