"""View and Views: layers in a row, and several such rows side by side."""

import inspect

import keras

from keras_ssl.augment.layer import Augmentation, amounts
from keras_ssl.augment.random import split
from keras_ssl.checks import is_int
from keras_ssl.inputs import kind_of, static_shape


@keras.saving.register_keras_serializable("keras_ssl")
class View(Augmentation):
    """Layers one after the other, each with seeds of its own.

    Args:
        layers: list of layers, all for one kind of data. Other Keras layers than this package's (`keras.layers`,
            `keras_cv.layers`) are called with the tensor of the samples (images as float32 from 0 to 255) and
            `training=True`, and get no seeds: give them `value_range=(0, 255)` where they ask for one.
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
        self.kind = common("layers", self.layers)

    @property
    def separable(self):
        return all(gives_one(layer) for layer in self.layers)

    def draw(self, seeds, size):
        if not self.separable:  # a foreign layer may change the size: the draws wait until the samples are there
            return {"seeds": seeds}
        drawn = []
        for layer, own in zip(self.layers, self.split(seeds), strict=True):
            drawn.append(layer.draw(own, size))
            size = layer.resized(size)
        return {"drawn": drawn}

    def transform(self, sample, drawn=None, seeds=None):
        if drawn is None:
            drawn = self.split(seeds)
        for layer, own in zip(self.layers, drawn, strict=True):
            if isinstance(layer, Augmentation):
                own = own if isinstance(own, dict) else layer.draw(own, layer.extents(sample))
                sample = layer.transform(sample, **own)
            else:
                sample = foreign(layer, self.kind, sample, training=True)
        return sample

    def rest(self, sample):
        for layer in self.layers:
            own = isinstance(layer, Augmentation)
            sample = layer.rest(sample) if own else foreign(layer, self.kind, sample, training=False)
        return sample

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
    """Several views of each sample, as a tuple of tensors, or of dicts where the data has masks or edges.

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
        self.kind = common("views", self.each())

    @property
    def separable(self):
        return all(gives_one(view) for view in self.each())

    def each(self):
        return [self.views] * self.count if self.count else self.views

    def draw(self, seeds, size):
        return {"drawn": [drawn for _, drawn in self.shares(seeds, size)]}

    def transform(self, sample, drawn):
        return tuple(view.transform(sample, **own) for view, own in zip(self.each(), drawn, strict=True))

    def rest(self, sample):
        return tuple(view.rest(sample) for view in self.each())

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
    """Whether the layer makes one sample of each sample by itself."""
    return isinstance(layer, Augmentation) and layer.separable and not isinstance(layer, Views)


def common(name, layers):
    """The kind of data of layers, or None where none of them has one; an error where they are for several."""
    kinds = {layer.kind for layer in layers if isinstance(layer, Augmentation) and layer.kind}
    if len(kinds) > 1:
        columns = sorted(kind.column for kind in kinds)
        raise ValueError(f"{name} must all be for one kind of data. Received: {name} for {columns}")
    return kinds.pop() if kinds else None


def foreign(layer, kind, sample, training):
    """What a layer of another package makes of the tensor of the samples."""
    kind = kind or (kind_of(sample) if isinstance(sample, dict) else None)
    tensor = sample[kind.column] if isinstance(sample, dict) else sample
    training = {"training": training} if "training" in inspect.signature(layer.call).parameters else {}
    name = type(layer).__name__
    try:
        made = layer(tensor, **training)
    except Exception as error:
        if type(error).__name__ == "OperatorNotAllowedInGraphError":
            raise ValueError(
                f"The layer {name} asks for the value of a tensor, which a compiled model cannot tell. Give the "
                "augmentation to the pipeline, keras_ssl.data.views(dataset, augment), and the model augment=None."
            ) from error
        if isinstance(error, ValueError) and '"labels": labels' in str(error):  # as layers of KerasCV say it
            raise ValueError(
                f"The layer {name} mixes labels with the samples, and a view gets the samples alone. Take another "
                "layer: keras_ssl.augment.InputMix mixes images without labels, MixUp and CutMix of keras_ssl.augment "
                "say what was mixed."
            ) from error
        raise
    check_made(name, tensor, made)
    made = amounts(kind, made)
    return {**sample, kind.column: made} if isinstance(sample, dict) else made


def check_made(name, tensor, made):
    """Raises unless a layer of another package made one tensor, with a row for each sample."""
    if hasattr(made, "row_splits"):
        raise ValueError(
            f"The layer {name} gives samples of unequal sizes, which do not make a batch. Resize them in the same "
            "layer, or take another: keras_ssl.augment.RandomResizedCrop changes the aspect ratio, too."
        )
    if isinstance(made, (dict, list, tuple)) or not hasattr(made, "shape"):
        raise ValueError(f"The layer {name} must give one tensor of a tensor. Received: {type(made).__name__}")
    before, after = static_shape(tensor), static_shape(made)
    if before and after is not None and (not after or None not in (before[0], after[0]) and before[0] != after[0]):
        raise ValueError(
            f"The layer {name} must give one sample of each. Received: a batch of shape {after} of one of shape "
            f"{before}. For several views of each sample take keras_ssl.augment.Views."
        )


def is_list_of(values, kind):
    return isinstance(values, (list, tuple)) and len(values) > 0 and all(isinstance(value, kind) for value in values)
