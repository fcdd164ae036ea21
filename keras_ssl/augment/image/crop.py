"""Random resized crop and flip, with a place of its own for every image."""

import math

import keras
from keras import ops

from keras_ssl.augment.image.layer import ImageLayer
from keras_ssl.augment.layer import change, check_probability, check_range
from keras_ssl.augment.random import choose, uniform
from keras_ssl.pixels import check_size

TRIES = 10


@keras.saving.register_keras_serializable("keras_ssl")
class RandomResizedCrop(ImageLayer):
    """A box of random area, shape and place is cut out of each image and resized to one size.

    The box follows the definition of the field (Inception's, as torchvision draws it): the area is uniform, the
    aspect ratio log-uniform, of ten tries the first that fits into the image counts, else the largest centered box
    of an allowed shape. The resampling is bilinear, with the triangle widened where the box shrinks (antialiased).

    Args:
        size: int or pair of ints (height, width), the size of the output in pixels.
        scale: pair of floats, the range of the area as a part of the image's.
        ratio: pair of floats, the range of width / height.
        flip: float, the probability to mirror left and right, which costs nothing here.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an invalid size, range or probability.

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

    def draw(self, seeds, size):
        top, left, height, width, flipped = self.place(seeds, size)
        return {"top": top, "left": left, "height": height, "width": width, "flipped": flipped}

    def transform(self, images, top, left, height, width, flipped):
        size = ops.shape(images)[1:3]
        new_height, new_width = self.resized(size)
        rows = resampling(top, height, size[0], new_height)
        columns = resampling(left, width, size[1], new_width, flipped)
        return resample(images, rows, columns)

    def resized(self, size):
        return check_size("size", self.size)

    def place(self, seeds, size):
        """Where each image is cut, for whoever needs to know: methods that compare places, decoders of files.

        Args:
            seeds: int32 `(batch, 2)`.
            size: (height, width) of the images.

        Returns:
            Top, left, height and width of the boxes in whole pixels, float32 `(batch, 1)` each, and which are
            mirrored, bool `(batch,)`.
        """
        draws = uniform(seeds, 2 * TRIES + 3)
        return *self.boxes(draws, *size), draws[:, -1] < self.flip

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
class RandomFlip(ImageLayer):
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

    def draw(self, seeds, size):
        return {"chosen": uniform(seeds, 1)[:, 0] < self.p}

    def transform(self, images, chosen):
        return change(images, chosen, lambda images: ops.flip(images, axis=2))

    def get_config(self):
        return {**super().get_config(), "p": self.p}


def resampling(start, length, side, size, flipped=None):
    """How the pixels [start, start + length) of a side are resized to `size` pixels.

    Pixels outside of the box have no part in the result, as if the box had been cut out before. A pixel of the result
    depends on few of the side. So the matrix of the resampling is cut into blocks of its rows, and of each block only
    the columns are kept that can be other than zero.

    Returns:
        The first column of each block, int32 `(batch, blocks)`, and the blocks `(batch, blocks, size / blocks,
        columns)`.
    """
    rows, columns = block(side, size)
    step = length / size
    center = (ops.arange(size, dtype="float32") + 0.5)[None, :]
    if flipped is not None:
        center = ops.where(flipped[:, None], size - center, center)
    support = ops.maximum(step, 1)
    center = ops.reshape(start + center * step, (-1, size // rows, rows))
    first = ops.clip(ops.floor(ops.min(center, axis=2) - support + 0.5), 0, ops.cast(side - columns, "float32"))
    pixel = first[:, :, None] + ops.arange(columns, dtype="float32") + 0.5
    inside = (pixel > start[:, :, None]) & (pixel < (start + length)[:, :, None])
    distance = ops.abs(pixel[:, :, None, :] - center[:, :, :, None])
    weight = ops.relu(1 - distance / support[:, :, None, None]) * ops.cast(inside, "float32")[:, :, None, :]
    return ops.cast(first, "int32"), weight / ops.sum(weight, axis=3, keepdims=True)


def block(side, size):
    """Rows and columns of the blocks, for a box as large as the side, which needs most."""
    rows = block_rows(size)
    if rows == size or not isinstance(side, int):
        return size, side
    step = side / size
    return rows, min(side, math.ceil((rows - 1) * step + 2 * max(step, 1)) + 1)


def block_rows(size):
    """The rows of a block: few enough to leave out much, and as many as a processor multiplies at full speed."""
    return next((rows for rows in (32, 28, 24, 20, 16) if size % rows == 0 and size > 2 * rows), size)


def resample(images, rows, columns):
    """Images `(batch, h, w, c)`, resized per image by the `resampling` of their rows and of their columns."""
    _, height, width, channels = ops.shape(images)
    new_height, new_width = (blocks.shape[1] * blocks.shape[2] for _, blocks in (rows, columns))
    images = multiply(rows, ops.reshape(images, (-1, height, width * channels)))
    images = ops.transpose(ops.reshape(images, (-1, new_height, width, channels)), (0, 2, 1, 3))
    images = multiply(columns, ops.reshape(images, (-1, width, new_height * channels)))
    return ops.transpose(ops.reshape(images, (-1, new_width, new_height, channels)), (0, 2, 1, 3))


def multiply(matrix, images):
    """Images `(batch, h, n)` from the left by the matrix in blocks."""
    first, blocks = matrix
    _, count, size, columns = blocks.shape
    _, height, width = images.shape
    if count == 1:
        return ops.matmul(blocks[:, 0], images)
    # The rows of all images in one list, to take those that the blocks need.
    start = ops.arange(ops.shape(images)[0], dtype="int32")[:, None, None] * height + first[:, :, None]
    needed = ops.reshape(start + ops.arange(columns, dtype="int32"), (-1,))
    parts = ops.take(ops.reshape(images, (-1, width)), needed, axis=0)
    parts = ops.reshape(parts, (-1, count, columns, width))
    return ops.reshape(ops.matmul(blocks, parts), (-1, count * size, width))
