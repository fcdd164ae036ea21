"""Exemplar: the transformations of Exemplar-CNN, and views from a fixed set for each image.

Discriminative Unsupervised Feature Learning with Exemplar Convolutional Neural Networks (Dosovitskiy et al., 2014),
arXiv:1406.6909.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_ssl.augment.image.color import check_colors, hues
from keras_ssl.augment.image.geometry import pick
from keras_ssl.augment.image.layer import ImageLayer
from keras_ssl.augment.layer import Augmentation, check_range, rows
from keras_ssl.augment.random import choose, fold, uniform
from keras_ssl.checks import check_ints, check_numbers

# Brightness, warm against cold, green against magenta: about the components of pixels of photos.
COMPONENTS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


@keras.saving.register_keras_serializable("keras_ssl")
class RandomAffine(ImageLayer):
    """Images are rotated, made larger or smaller and shifted at once, about their middle; bilinear.

    What comes in from outside is the border pixel. Exemplar-CNN takes patches out of larger images, which this layer
    does not see.

    Args:
        degrees: float, the largest rotation to either side.
        translate: float, the largest shift down and across, as a part of the side.
        scale: pair of floats, the range of how much larger things get.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a negative angle or shift, or an invalid range.

    Example:
        >>> import numpy as np
        >>> RandomAffine()(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, degrees=20.0, translate=0.2, scale=(0.7, 1.4), seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_numbers(least=0, degrees=degrees, translate=translate)
        self.degrees, self.translate = degrees, translate
        self.scale = check_range("scale", scale)

    def draw(self, seeds, size):
        draws = uniform(seeds, 4)
        low, high = self.scale
        return {
            "angle": (2 * draws[:, 0] - 1) * (self.degrees * math.pi / 180),
            "scale": low + (high - low) * draws[:, 1],
            "down": (2 * draws[:, 2] - 1) * self.translate,
            "across": (2 * draws[:, 3] - 1) * self.translate,
        }

    def transform(self, images, angle, scale, down, across):
        height, width = ops.shape(images)[1:3]
        angle, scale, down, across = (x[:, None, None] for x in (angle, scale, down, across))
        tall, wide = ops.cast(height, "float32"), ops.cast(width, "float32")
        # From the middle, where each pixel of the result comes from.
        y = ops.arange(height, dtype="float32")[None, :, None] - (tall - 1) / 2 - down * tall
        x = ops.arange(width, dtype="float32")[None, None, :] - (wide - 1) / 2 - across * wide
        cosine, sine = ops.cos(angle) / scale, ops.sin(angle) / scale
        row = ops.clip(cosine * y + sine * x + (tall - 1) / 2, 0, tall - 1)
        column = ops.clip(cosine * x - sine * y + (wide - 1) / 2, 0, wide - 1)
        above, before = ops.floor(row), ops.floor(column)
        made = 0.0
        for lower in (0, 1):
            for right in (0, 1):
                weight = (1 - ops.abs(row - above - lower)) * (1 - ops.abs(column - before - right))
                places = (ops.minimum(above + lower, tall - 1), ops.minimum(before + right, wide - 1))
                found = pick(images, *(ops.cast(place, "int32") for place in places))
                made = made + weight[..., None] * found
        return made

    def get_config(self):
        return {**super().get_config(), "degrees": self.degrees, "translate": self.translate, "scale": self.scale}


@keras.saving.register_keras_serializable("keras_ssl")
class ScaleComponents(ImageLayer):
    """The colors of an image are stretched or squeezed about their mean, along three axes, each by its own factor.

    The axes are brightness, warm against cold and green against magenta, about the principal components of the pixels
    of photos; the paper computes them from its data.

    Args:
        factors: pair of floats, the range of the factors; their logarithms are uniform.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an invalid range, and for images without 3 channels.

    Example:
        >>> import numpy as np
        >>> ScaleComponents()(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, factors=(0.5, 2.0), seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        self.factors = check_range("factors", factors)

    def draw(self, seeds, size):
        return {"factor": log_uniform(uniform(seeds, 3), self.factors)}

    def transform(self, images, factor):
        check_colors(self, images)
        axes = COMPONENTS.astype("float32")
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        along = ops.matmul(images - mean, axes.T) * factor[:, None, None, :]
        return ops.clip(mean + ops.matmul(along, axes), 0, 255)

    def get_config(self):
        return {**super().get_config(), "factors": self.factors}


@keras.saving.register_keras_serializable("keras_ssl")
class ChangeHSV(ImageLayer):
    """Saturation and value are raised to a power, multiplied and shifted, and the hue turns, alike for a whole image.

    Args:
        power: pair of floats, the range of the power; its logarithm is uniform.
        factor: pair of floats, the range of the factor.
        shift: float, the largest shift of saturation and value (which are from 0 to 1), to either side.
        hue: float, the largest turn of the hue, in turns.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for invalid ranges, and for images without 3 channels.

    Example:
        >>> import numpy as np
        >>> ChangeHSV()(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, power=(0.25, 4.0), factor=(0.7, 1.4), shift=0.1, hue=0.1, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        self.power, self.factor = check_range("power", power), check_range("factor", factor)
        check_numbers(least=0, shift=shift, hue=hue)
        self.shift, self.hue = shift, hue

    def draw(self, seeds, size):
        draws = uniform(seeds, 7)
        low, high = self.factor
        return {
            "power": log_uniform(draws[:, :2], self.power),
            "factor": low + (high - low) * draws[:, 2:4],
            "shift": (2 * draws[:, 4:6] - 1) * self.shift,
            "hue": (2 * draws[:, 6] - 1) * self.hue,
        }

    def transform(self, images, power, factor, shift, hue):
        check_colors(self, images)
        value, _, chroma, parts = hues(ops.unstack(images, axis=-1), hue)
        saturation = chroma / ops.maximum(value, 1e-6)

        def changed(x, number):
            exponent, times, plus = (part[:, number, None, None] for part in (power, factor, shift))
            return ops.clip(times * ops.power(ops.clip(x, 1e-6, 1), exponent) + plus, 0, 1)

        # Gray has no hue, and gets none.
        saturation = ops.where(chroma > 1e-3, changed(saturation, 0), 0.0)
        value = 255 * changed(value / 255, 1)
        return ops.stack([value * (1 - saturation * (1 - part)) for part in parts], axis=-1)

    def get_config(self):
        config = {"power": self.power, "factor": self.factor, "shift": self.shift, "hue": self.hue}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("keras_ssl")
class Copies(Augmentation):
    """Every sample has a fixed set of changed copies, the same ones in every epoch and run, and gets one of them.

    The copies are functions of the sample's `"index"` and the number of the copy, so nothing is stored. Exemplar-CNN
    has 100 to 150 of each patch.

    Args:
        view: augmentation layer that makes a copy, or several views of it.
        count: int, the number of copies of a sample.
        start: int, of another set of copies.
        seed, name: see `Augmentation`; they decide which copy a sample gets, not what the copies are.

    Raises:
        ValueError: for an invalid layer or number, and for data without `"index"`.

    Example:
        >>> import numpy as np
        >>> copies = Copies(RandomAffine(), count=100)
        >>> copies({"image": np.zeros((4, 32, 32, 3), "uint8"), "index": np.arange(4)}).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, view, count=100, start=0, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not isinstance(view, Augmentation):
            raise ValueError(f"view must be an augmentation layer of this package. Received: view={view}")
        check_ints(count=count)
        check_ints(0, start=start)
        self.view, self.count, self.start = view, count, start
        self.kind = view.kind

    @property
    def separable(self):
        return False  # it needs to know which sample it has

    def call(self, inputs, seeds=None, training=True):
        if training is False:
            return self.view(inputs, training=False)
        if not isinstance(inputs, dict) or "index" not in inputs:
            raise ValueError(
                "Copies needs the column 'index' of the data, to know which sample it has: the pipelines of "
                "keras_ssl.data make it with index=True."
            )
        index = ops.cast(inputs["index"], "int32")
        seeds = inputs.get("seed", seeds)
        seeds = self.own_seeds(rows(index)) if seeds is None else ops.cast(seeds, "int32")
        copy = ops.cast(choose(uniform(seeds, 1)[:, 0], self.count - 1), "int32")
        return self.view({**inputs, "seed": self.seeds_of(index, copy)})

    def seeds_of(self, index, copy):
        """The seeds of copies, int32 `(batch, 2)`."""
        return fold(ops.stack([index, ops.cast(copy, "int32")], axis=1), self.start)

    def get_config(self):
        view = keras.saving.serialize_keras_object(self.view)
        return {**super().get_config(), "view": view, "count": self.count, "start": self.start}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "view": keras.saving.deserialize_keras_object(config["view"])})


def log_uniform(draws, span):
    """Numbers of the range `span` whose logarithms are uniform."""
    low, high = map(math.log, span)
    return ops.exp(low + (high - low) * draws)
