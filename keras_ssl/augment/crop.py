"""Random resized crop and flip, with a place of its own for every image."""

import math

import keras
from keras import ops

from keras_ssl.augment.layer import Augmentation, check_probability, check_range, check_size, per_image
from keras_ssl.augment.random import uniform

TRIES = 10


@keras.saving.register_keras_serializable("keras_ssl")
class RandomResizedCrop(Augmentation):
    """A box of random area, shape and place is cut out of each image and resized to one size.

    The box follows the definition of the field (Inception's, as torchvision draws it): the area is uniform, the
    aspect ratio log-uniform, of ten tries the first that fits into the image counts, else the largest centred box
    of an allowed shape. The resampling is bilinear, with the triangle widened where the box shrinks (antialiased).

    Args:
        size: int or pair of ints (height, width), the size of the output in pixels.
        scale: pair of floats, the range of the area as a part of the image's.
        ratio: pair of floats, the range of width / height.
        flip: float, the probability to mirror left and right, which costs nothing here.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a size, range or probability that is none.

    Example:
        >>> import numpy as np
        >>> RandomResizedCrop(32, flip=0.5)(np.zeros((4, 48, 64, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, size, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), flip=0.0, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_size("size", size)
        check_probability("flip", flip)
        self.size = tuple(size) if isinstance(size, list) else size
        self.scale = check_range("scale", scale)
        self.ratio = check_range("ratio", ratio)
        self.flip = flip
        if self.scale[1] > 1:
            raise ValueError(f"scale is a part of the image's area, at most 1. Received: scale={scale}")

    def augment(self, images, seeds):
        height, width = check_size("size", self.size)
        draws = uniform(seeds, 2 * TRIES + 3)
        box_top, box_left, box_height, box_width = self.boxes(draws, *ops.shape(images)[1:3])
        rows = resampling(box_top, box_height, ops.shape(images)[1], height)
        flipped = draws[:, -1] < self.flip if self.flip else None
        columns = resampling(box_left, box_width, ops.shape(images)[2], width, flipped)
        return resample(images, rows, columns)

    def boxes(self, draws, height, width):
        """Top, left, height and width of the boxes, in whole pixels: four float32 tensors `(batch, 1)`."""
        height, width = ops.cast(height, "float32"), ops.cast(width, "float32")
        (small, large), (narrow, wide) = self.scale, self.ratio
        area = (small + (large - small) * draws[:, :TRIES]) * height * width
        log_ratio = math.log(narrow) + (math.log(wide) - math.log(narrow)) * draws[:, TRIES : 2 * TRIES]
        box_width = ops.round(ops.sqrt(area * ops.exp(log_ratio)))
        box_height = ops.round(ops.sqrt(area * ops.exp(-log_ratio)))
        fits = (box_width >= 1) & (box_width <= width) & (box_height >= 1) & (box_height <= height)

        first = ops.argmax(ops.cast(fits, "int32"), axis=1)[:, None]
        found = ops.any(fits, axis=1, keepdims=True)
        box_width = ops.where(
            found, ops.take_along_axis(box_width, first, axis=1), ops.clip(ops.round(height * wide), 1, width)
        )
        box_height = ops.where(
            found, ops.take_along_axis(box_height, first, axis=1), ops.clip(ops.round(width / narrow), 1, height)
        )
        place = draws[:, 2 * TRIES : 2 * TRIES + 2]
        top = ops.where(found, choose(place[:, :1], height - box_height), ops.floor((height - box_height) / 2))
        left = ops.where(found, choose(place[:, 1:], width - box_width), ops.floor((width - box_width) / 2))
        return top, left, box_height, box_width

    def get_config(self):
        config = {"size": self.size, "scale": self.scale, "ratio": self.ratio, "flip": self.flip}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("keras_ssl")
class RandomFlip(Augmentation):
    """Images are mirrored left and right.

    In a view with a `RandomResizedCrop` its argument `flip` does the same for nothing.

    Args:
        p: float, the probability of an image to be mirrored.
        seed, name: see `Augmentation`.
    """

    def __init__(self, p=0.5, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        self.p = p

    def augment(self, images, seeds):
        return ops.where(per_image(uniform(seeds, 1) < self.p), ops.flip(images, axis=2), images)

    def get_config(self):
        return {**super().get_config(), "p": self.p}


def choose(draw, last):
    """A whole number from 0 to `last`, all equally likely."""
    return ops.minimum(ops.floor(draw * (last + 1)), last)  # the product may round up to last + 1


def resampling(start, length, side, size, flipped=None):
    """Matrices `(batch, size, side)` that resize the pixels [start, start + length) of a side to `size` pixels.

    Pixels outside of the box have no part in the result, as if the box had been cut out before.
    """
    step = length / size
    centre = (ops.arange(size, dtype="float32") + 0.5)[None, :]
    if flipped is not None:
        centre = ops.where(flipped[:, None], size - centre, centre)
    pixel = (ops.arange(side, dtype="float32") + 0.5)[None, :]
    inside = (pixel > start) & (pixel < start + length)
    distance = ops.abs(pixel[:, None, :] - (start + centre * step)[:, :, None])
    weight = ops.relu(1 - distance / ops.maximum(step, 1)[:, :, None]) * ops.cast(inside, "float32")[:, None, :]
    return weight / ops.sum(weight, axis=2, keepdims=True)


def resample(images, rows, columns):
    """Images `(batch, h, w, c)` times a matrix `(batch, height, h)` and a matrix `(batch, width, w)` per image."""
    _, height, width, channels = ops.shape(images)
    new_height, new_width = rows.shape[1], columns.shape[1]
    # einsum says the same, at twice the time.
    images = ops.matmul(rows, ops.reshape(images, (-1, height, width * channels)))
    images = ops.transpose(ops.reshape(images, (-1, new_height, width, channels)), (0, 2, 1, 3))
    images = ops.matmul(columns, ops.reshape(images, (-1, width, new_height * channels)))
    return ops.transpose(ops.reshape(images, (-1, new_width, new_height, channels)), (0, 2, 1, 3))
