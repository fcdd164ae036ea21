"""Filters: layers that do the same to every image, without a draw."""

import keras
from keras import ops

from keras_ssl.augment.image.layer import ImageLayer
from keras_ssl.checks import check_flags, is_number


class Filter(ImageLayer):
    """Base of layers that do the same to every image: an `Augmentation` that draws no seeds.

    Such a layer may stand in a view, and as well at the start of an encoder.

    Args:
        name: str, the name of the layer.
    """

    def __init__(self, name=None, **kwargs):
        super().__init__(None, name, **kwargs)

    def own_seeds(self, batch):
        return None

    def draw(self, seeds, size):
        return {}

    def rest(self, sample):
        return self.transform(sample)

    def get_config(self):
        config = super().get_config()
        config.pop("seed")
        return config


@keras.saving.register_keras_serializable("keras_ssl")
class Sobel(Filter):
    """The horizontal and the vertical slope of the gray image: the input of DeepCluster, IIC and NAT.

    The gray value is the mean of all channels. The first channel of the output is its correlation with
    `[[1, 0, -1], [2, 0, -2], [1, 0, -1]]`, the second with the transpose; values go from -1020 to 1020. DeepCluster
    (https://arxiv.org/abs/1807.05520) filters normalized images in its network and pads with zeros, which is the
    mean color: `fill=115` comes close to it.

    Args:
        fill: float, the gray value around the image, or None to repeat its border, which makes no edge there.
        keep: whether the channels of the image follow the two slopes, as in IIC's option `include_rgb`.
        name: str, the name of the layer.

    Example:
        >>> import numpy as np
        >>> Sobel()(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 32, 32, 2])
    """

    def __init__(self, fill=None, keep=False, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        if fill is not None and not is_number(fill):
            raise ValueError(f"fill must be a number or None. Received: fill={fill!r}")
        check_flags(keep=keep)
        self.fill, self.keep = fill, keep

    def transform(self, images):
        gray = frame(ops.mean(images, axis=-1, keepdims=True), self.fill)
        across = gray[:, :, :-2] - gray[:, :, 2:]
        down = gray[:, :-2] - gray[:, 2:]
        horizontal = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
        vertical = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
        return ops.concatenate([horizontal, vertical, *([images] if self.keep else [])], axis=-1)

    def get_config(self):
        return {**super().get_config(), "fill": self.fill, "keep": self.keep}


def frame(images, fill):
    """The images with one pixel more on every side: `fill`, or the border again where it is None."""
    if fill is not None:
        return ops.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=fill)
    images = ops.concatenate([images[:, :1], images, images[:, -1:]], axis=1)
    return ops.concatenate([images[:, :, :1], images, images[:, :, -1:]], axis=2)
