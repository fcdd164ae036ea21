"""Color jitter, gray scale and solarization, with draws of their own for every image."""

import itertools

import keras
import numpy as np
from keras import ops

from keras_ssl.augment.image.layer import ImageLayer
from keras_ssl.augment.layer import change, check_probability
from keras_ssl.augment.random import uniform
from keras_ssl.checks import is_number

HUE = 3  # the number of the hue among the operations
LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601, with torchvision's digits


@keras.saving.register_keras_serializable("keras_ssl")
class ColorJitter(ImageLayer):
    """Brightness, contrast, saturation and hue change in random order and by random amounts, per image.

    Brightness, contrast and saturation mix the image with black, with the mean of its gray version and with its gray
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
            if not is_number(value, 0):
                raise ValueError(f"{what} must not be negative. Received: {what}={value!r}")
        if not is_number(hue) or not 0 <= hue <= 0.5:
            raise ValueError(f"hue must be from 0 to 0.5 turns. Received: hue={hue}")
        check_probability("p", p)
        self.brightness, self.contrast, self.saturation, self.hue, self.p = brightness, contrast, saturation, hue, p

    def draw(self, seeds, size):
        draws = uniform(seeds, 6)
        strengths = (self.brightness, self.contrast, self.saturation)
        factors = [
            max(0.0, 1 - strength) + (1 + strength - max(0.0, 1 - strength)) * draws[:, number]
            for number, strength in enumerate(strengths)
        ]
        operations = [number for number, strength in enumerate((*strengths, self.hue)) if strength]
        orders = np.array(list(itertools.permutations(operations)), "int32")  # (orders, operations)
        return {
            "chosen": draws[:, 5] < self.p,
            "order": ops.take(orders, choose(draws[:, 4], len(orders)), axis=0),
            "factors": ops.stack([*factors, (2 * draws[:, 3] - 1) * self.hue], axis=1),
        }

    def transform(self, images, chosen, order, factors):
        if self.saturation or self.hue:
            check_colors(self, images)
        if not order.shape[1]:
            return images
        jitter = in_turn if images.shape[0] == 1 else at_once
        return change(images, chosen, lambda images: jitter(images, order, factors, hue=bool(self.hue)))

    def get_config(self):
        config = {"brightness": self.brightness, "contrast": self.contrast, "saturation": self.saturation}
        return {**super().get_config(), **config, "hue": self.hue, "p": self.p}


@keras.saving.register_keras_serializable("keras_ssl")
class Grayscale(ImageLayer):
    """Images lose their colors and keep three equal channels.

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

    def draw(self, seeds, size):
        return {"chosen": uniform(seeds, 1)[:, 0] < self.p}

    def transform(self, images, chosen):
        check_colors(self, images)
        return change(images, chosen, lambda images: ops.stack([luma(ops.unstack(images, axis=-1))] * 3, axis=-1))

    def get_config(self):
        return {**super().get_config(), "p": self.p}


@keras.saving.register_keras_serializable("keras_ssl")
class Solarize(ImageLayer):
    """Bright pixels are inverted.

    Args:
        threshold: float from 0 to 255, values from here on become 255 minus themselves.
        p: float, the probability of an image to be changed.
        seed, name: see `Augmentation`.
    """

    def __init__(self, threshold=128, p=0.2, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        if not is_number(threshold) or not 0 <= threshold <= 255:
            raise ValueError(f"threshold must be a pixel value from 0 to 255. Received: threshold={threshold}")
        self.threshold, self.p = threshold, p

    def draw(self, seeds, size):
        return {"chosen": uniform(seeds, 1)[:, 0] < self.p}

    def transform(self, images, chosen):
        return change(images, chosen, lambda images: ops.where(images >= self.threshold, 255 - images, images))

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold, "p": self.p}


def check_colors(layer, images):
    if images.shape[-1] != 3:
        raise ValueError(
            f"{type(layer).__name__} needs images with 3 channels (red, green, blue) for saturation, hue and gray "
            f"scale. Received: images.shape={tuple(images.shape)}. Leave them out for other images; in a recipe: "
            "jitter=(brightness, contrast, 0, 0), grayscale_p=0."
        )


def choose(draw, count):
    return ops.minimum(ops.cast(draw * count, "int32"), count - 1)


def luma(planes):
    weights = LUMA if len(planes) == 3 else [1 / len(planes)] * len(planes)
    return sum(plane * weight for plane, weight in zip(planes, weights, strict=True))


def in_turn(image, order, factors, hue):
    """The operations of one image, one after the other in its own order."""
    planes = ops.unstack(image, axis=-1)
    brightness, contrast, saturation, shift = ops.unstack(factors, axis=1)
    branches = [
        lambda *planes: mix(planes, brightness),
        lambda *planes: mix(planes, contrast, ops.mean(luma(planes)) * (1 - contrast)),
        lambda *planes: mix(planes, saturation, luma(planes) * (1 - saturation)),
        lambda *planes: turn(planes, shift) if hue else list(planes),
    ]
    # A loop, and not one copy of all the branches for each slot, which would take long to compile.
    planes = ops.fori_loop(
        0, order.shape[1], lambda slot, planes: tuple(ops.switch(order[0, slot], branches, *planes)), tuple(planes)
    )
    return ops.stack(planes, axis=-1)


def at_once(images, order, factors, hue):
    """The operations of all images of a batch, each in its own order.

    The hue, the costly one, turns once for all images together. What an image has before that is done in the slots
    before, the rest in the slots behind; the other slots leave it as it is.
    """
    planes = ops.unstack(images, axis=-1)
    slots = order.shape[1]
    if not hue:
        for slot in range(slots):
            planes = mix_some(planes, order[:, slot], factors)
        return ops.stack(planes, axis=-1)
    place = ops.argmax(ops.cast(order == HUE, "int32"), axis=1)
    for slot in range(slots - 1):
        planes = mix_some(planes, ops.where(slot < place, order[:, slot], -1), factors)
    planes = turn(planes, factors[:, HUE])
    for slot in range(1, slots):
        planes = mix_some(planes, ops.where(slot > place, order[:, slot], -1), factors)
    return ops.stack(planes, axis=-1)


def mix_some(planes, what, factors):
    """Brightness (0), contrast (1) or saturation (2), per image, or nothing (-1)."""
    factor = ops.ones_like(factors[:, 0])
    for number in range(HUE):
        factor = ops.where(what == number, factors[:, number], factor)
    gray = luma(planes)
    mean = ops.mean(gray, axis=(1, 2))
    zero = ops.zeros_like(factor)
    of_gray = ops.where(what == 2, 1 - factor, zero)[:, None, None]
    constant = ops.where(what == 1, (1 - factor) * mean, zero)[:, None, None]
    return mix(planes, factor, gray * of_gray + constant)


def mix(planes, factor, rest=0.0):
    """The planes `(batch, h, w)` times `factor` `(batch,)` plus the rest, in the valid range."""
    return [ops.clip(plane * factor[:, None, None] + rest, 0, 255) for plane in planes]


def turn(planes, shift):
    """The colors turned in HSV space by `shift` turns `(batch,)`, at the same value and saturation."""
    _, lowest, chroma, parts = hues(planes, shift)
    return [lowest + chroma * part for part in parts]


def hues(planes, shift):
    """The value, the lowest channel, the chroma, and how much of it each channel gets after the turn."""
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
    # How much of the chroma a channel gets falls linearly with the distance of the hue from its color.
    parts = [ops.abs(hue - 3) - 1, 2 - ops.abs(hue - 2), 2 - ops.abs(hue - 4)]
    return highest, lowest, chroma, [ops.clip(part, 0, 1) for part in parts]
