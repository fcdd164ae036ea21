"""Drop: rectangles and channels that an image loses."""

import math

import keras
from keras import ops

from keras_ssl.augment.image.layer import ImageLayer, check_fill
from keras_ssl.augment.layer import change, check_probability, check_range
from keras_ssl.augment.random import fold, uniform
from keras_ssl.checks import is_int


@keras.saving.register_keras_serializable("keras_ssl")
class RandomErasing(ImageLayer):
    """Random Erasing Data Augmentation (Zhong et al., 2017), arXiv:1708.04896: a rectangle is painted over.

    The area is uniform, the aspect ratio log-uniform. A side that is longer than the image's is cut to it, where the
    paper draws again.

    Args:
        scale: pair of floats, the range of the area as a part of the image's (the paper's s_l and s_h).
        ratio: pair of floats, the range of height / width (the paper's r_1 and r_2).
        fill: float or one float per channel, the new pixel; None for uniform noise, which the paper found best.
        p: float, the probability of an image to be changed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an invalid range or probability.

    Example:
        >>> import numpy as np
        >>> RandomErasing(p=0.5)(np.zeros((4, 256, 128, 3), "uint8")).shape
        TensorShape([4, 256, 128, 3])
    """

    def __init__(self, scale=(0.02, 0.4), ratio=(0.3, 10 / 3), fill=None, p=0.5, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        self.scale = check_range("scale", scale)
        self.ratio = check_range("ratio", ratio)
        if self.scale[1] > 1:
            raise ValueError(f"scale is a part of the image's area, at most 1. Received: scale={scale}")
        self.fill = check_fill(fill, none=True)
        self.p = p

    def draw(self, seeds, size):
        height, width = (ops.cast(side, "float32") for side in size)
        draws = uniform(seeds, 5)
        (small, large), (flat, tall) = self.scale, self.ratio
        area = (small + (large - small) * draws[:, 0]) * height * width
        ratio = ops.exp(math.log(flat) + (math.log(tall) - math.log(flat)) * draws[:, 1])
        box_height = ops.clip(ops.round(ops.sqrt(area * ratio)), 1, height)
        box_width = ops.clip(ops.round(ops.sqrt(area / ratio)), 1, width)
        top = ops.floor(draws[:, 2] * (height - box_height + 1))
        left = ops.floor(draws[:, 3] * (width - box_width + 1))
        box = ops.stack([top, top + box_height, left, left + box_width], axis=1)
        return {"chosen": draws[:, 4] < self.p, "box": box, "seeds": seeds}

    def transform(self, images, chosen, box, seeds):
        top, bottom, left, right = (side[:, None] for side in ops.unstack(box, 4, axis=1))
        row, column = (ops.arange(side, dtype="float32")[None, :] for side in ops.shape(images)[1:3])
        inside = ((row >= top) & (row < bottom))[:, :, None] & ((column >= left) & (column < right))[:, None, :]
        painted = lambda images: ops.where(inside[..., None], paint(images, seeds, self.fill), images)
        return change(images, chosen, painted)

    def get_config(self):
        config = {"scale": self.scale, "ratio": self.ratio, "fill": self.fill, "p": self.p}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("keras_ssl")
class ChannelDrop(ImageLayer):
    """All channels but a few, chosen per image, are painted over: against cues of color and chromatic aberration.

    CPC v2 (https://arxiv.org/abs/1905.09272) and context prediction (https://arxiv.org/abs/1505.05192) keep one.

    Args:
        keep: int, how many channels an image keeps.
        fill: float or one float per channel, the value of the others; None for uniform noise.
        p: float, the probability of an image to be changed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: where an image has fewer channels than it should keep.
    """

    def __init__(self, keep=1, fill=None, p=1.0, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        if not is_int(keep, 1):
            raise ValueError(f"keep must be a positive int. Received: keep={keep!r}")
        self.keep, self.p = keep, p
        self.fill = check_fill(fill, none=True)

    def transform(self, images, seeds):
        channels = images.shape[-1]
        if channels < self.keep:
            raise ValueError(
                f"keep must be at most the number of channels. Received: keep={self.keep} and "
                f"images.shape={tuple(images.shape)}"
            )
        draws = uniform(seeds, channels + 1)
        order = draws[:, :channels]
        rank = ops.sum(ops.cast(order[:, None, :] < order[:, :, None], "int32"), axis=2)
        kept = (rank < self.keep) | (draws[:, channels:] >= self.p)
        return ops.where(kept[:, None, None, :], images, paint(images, seeds, self.fill))

    def get_config(self):
        return {**super().get_config(), "keep": self.keep, "fill": self.fill, "p": self.p}


def paint(images, seeds, fill):
    """What the lost pixels become: `fill`, or where it is None uniform noise, other noise for every pixel."""
    if fill is not None:
        return ops.cast(ops.convert_to_tensor(fill), "float32")
    height, width, channels = ops.shape(images)[1:]
    noise = ops.reshape(uniform(fold(seeds, 0), height * width * channels), (-1, height, width, channels))
    return 255 * noise
