"""View and Views: layers in a row, and several such rows side by side."""

import inspect

import keras
from keras import ops

from keras_ssl.augment.layer import Augmentation
from keras_ssl.augment.random import split
from keras_ssl.checks import is_int


@keras.saving.register_keras_serializable("keras_ssl")
class View(Augmentation):
    """Layers one after the other, each with seeds of its own.

    Args:
        layers: list of layers. Other Keras layers than this package's (`keras.layers`, `keras_cv.layers`) are called
            with float32 images from 0 to 255 and `training=True`, and get no seeds: give them
            `value_range=(0, 255)` where they ask for one.
        seed, name: see `Augmentation`.

    Example:
        >>> import numpy as np
        >>> view = View([RandomResizedCrop(32, flip=0.5), Grayscale(p=0.2)])
        >>> view(np.zeros((4, 48, 64, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, layers, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not is_list_of(layers, keras.layers.Layer):
            raise ValueError(f"layers must be a list of Keras layers, at least one. Received: layers={layers}")
        self.layers = list(layers)

    @property
    def separable(self):
        return all(gives_one(layer) for layer in self.layers)

    def draw(self, seeds, size):
        if not self.separable:  # a foreign layer may change the size: the draws wait until the images are there
            return {"seeds": seeds}
        drawn = []
        for layer, own in zip(self.layers, self.split(seeds), strict=True):
            drawn.append(layer.draw(own, size))
            size = layer.resized(size)
        return {"drawn": drawn}

    def transform(self, images, drawn=None, seeds=None):
        if drawn is None:
            drawn = self.split(seeds)
        for layer, own in zip(self.layers, drawn, strict=True):
            if isinstance(layer, Augmentation):
                own = own if isinstance(own, dict) else layer.draw(own, ops.shape(images)[1:3])
                images = layer.transform(images, **own)
            else:
                training = {"training": True} if "training" in inspect.signature(layer.call).parameters else {}
                images = ops.cast(layer(images, **training), "float32")
        return images

    def split(self, seeds):
        return split(seeds, range(len(self.layers)))

    def resized(self, size):
        for layer in self.layers:
            size = layer.resized(size)
        return size

    def get_config(self):
        return {**super().get_config(), "layers": [keras.saving.serialize_keras_object(x) for x in self.layers]}

    @classmethod
    def from_config(cls, config):
        layers = [keras.saving.deserialize_keras_object(x) for x in config["layers"]]
        return cls(**{**config, "layers": layers})


@keras.saving.register_keras_serializable("keras_ssl")
class Views(Augmentation):
    """Several views of each image, as a tuple of tensors.

    A tuple and not a list: `tf.data` stacks a list into one tensor.

    Args:
        views: list of views (`View`, or any augmentation layer), of one output size or of several; or one view, of
            which `count` independent draws are taken.
        count: int, the number of draws of a single view; None for a list of views.
        seed, name: see `Augmentation`.

    Example:
        >>> import numpy as np
        >>> views = Views(RandomResizedCrop(32), 2)
        >>> first, second = views(np.zeros((4, 48, 64, 3), "uint8"))
    """

    def __init__(self, views, count=None, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if isinstance(views, Augmentation):
            if not is_int(count, 1):
                raise ValueError(f"count must be a positive int beside a single view. Received: count={count}")
        elif not is_list_of(views, Augmentation):
            raise ValueError(f"views must be a list of augmentation layers, or one of them. Received: views={views}")
        elif count is not None:
            raise ValueError(f"count goes with a single view, not with a list of them. Received: count={count}")
        self.views = views if isinstance(views, Augmentation) else list(views)
        self.count = count

    @property
    def separable(self):
        return all(gives_one(view) for view in self.each())

    def each(self):
        return [self.views] * self.count if self.count else self.views

    def draw(self, seeds, size):
        return {"drawn": [drawn for _, drawn in self.shares(seeds, size)]}

    def transform(self, images, drawn):
        return tuple(view.transform(images, **own) for view, own in zip(self.each(), drawn, strict=True))

    def split(self, seeds):
        return split(seeds, range(len(self.each())))

    def shares(self, seeds, size):
        return [(view, view.draw(own, size)) for view, own in zip(self.each(), self.split(seeds), strict=True)]

    def get_config(self):
        return {**super().get_config(), "views": keras.saving.serialize_keras_object(self.views), "count": self.count}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "views": keras.saving.deserialize_keras_object(config["views"])})


def gives_one(layer):
    """Whether the layer makes one image of each image by itself."""
    return isinstance(layer, Augmentation) and layer.separable and not isinstance(layer, Views)


def is_list_of(values, kind):
    return isinstance(values, (list, tuple)) and len(values) > 0 and all(isinstance(value, kind) for value in values)
