"""Augmentation: what every augmentation layer shares, of any kind of data: the seeds, the sample and its checks."""

import keras
from keras import ops

from keras_ssl import distribute
from keras_ssl.augment.random import fold
from keras_ssl.checks import is_int, is_number
from keras_ssl.inputs import AUDIO, check_beside, kind_of, static_shape


class Augmentation(keras.layers.Layer):
    """Base of layers that change every sample of a batch by draws of its own.

    All draws are pure functions of a seed per sample. With the pipeline's seeds a sample therefore gets the same
    change in `tf.data`, in eager mode, in a compiled model, alone or in a batch. Without seeds the layer draws them
    itself, other ones at each call and on each replica.

    The layer computes in float32 under every dtype policy; ints that are no amounts (tokens, labels of nodes, edges)
    stay ints. Outside of training (`training=False`) it returns the sample as it is; a layer that changes the size
    of a sample, or makes several tensors of it, then raises an error.

    A subclass says which `kind` of data it takes, and implements `transform(sample, seeds)` with int32 seeds
    `(batch, 2)`. The sample is a tensor, or a dict of tensors where the data has masks or edges. A layer whose draws
    are worth sharing out, or replaying, also implements `draw(seeds, size)`: from the seeds and the size of the
    samples (a tuple of the kind's extents: height and width of images, the length of a series) to a dict of tensors
    `(batch, ...)`, which `transform` then gets as keyword arguments in place of the seeds. One that changes the size
    says so in `resized(size)`.

    Attributes:
        kind: `keras_ssl.inputs.Kind`, the kind of data that the layer takes; None for any.

    Call arguments:
        inputs: a batch of samples (images are uint8 or float from 0 to 255), or the pipeline's dict with the column
            of the kind and, where there is one, `"seed"`.
        seeds: int32 tensor `(batch, 2)`, or None.
        training: False for the sample as it is.

    Args:
        seed: int, where the layer's own seeds start, or None for another start at each run. It has no part in calls
            with seeds.
        name: str, the name of the layer.
    """

    kind = None

    def __init__(self, seed=None, name=None, **kwargs):
        super().__init__(name=name, dtype="float32", autocast=False, **kwargs)
        if seed is not None and not is_int(seed, -(2**31)):
            raise ValueError(f"seed must be an int of 32 bits or None. Received: seed={seed!r}")
        self.seed = seed
        # JAX keeps the seed in 32 bits without a sign.
        self.generator = keras.random.SeedGenerator(None if seed is None else seed % 2**32)
        self.built = True

    def call(self, inputs, seeds=None, training=True):
        if isinstance(inputs, dict):
            seeds = inputs.get("seed", seeds)
        sample = self.prepare(inputs)
        if training is False:
            return self.rest(sample)
        seeds = self.own_seeds(rows(sample)) if seeds is None else ops.cast(seeds, "int32")
        return self.transform(sample, **self.draw(seeds, self.extents(sample)))

    def prepare(self, columns):
        """The sample out of the pipeline's dict, or a bare one: checked, and float32 where it holds amounts."""
        kind = self.kind or (kind_of(columns) if isinstance(columns, dict) else None)
        if not isinstance(columns, dict):
            return amounts(kind, checked(self, kind, columns))
        if kind is None or kind.column not in columns:
            raise ValueError(
                f"{type(self).__name__} needs the column {repr(kind.column) if kind else 'of the samples'}. Received: "
                f"a dict with {sorted(columns)}"
            )
        sample = kind.sample(columns)
        if not isinstance(sample, dict):
            return amounts(kind, checked(self, kind, sample))
        checked(self, kind, sample[kind.column])
        check_beside(kind, sample)
        return {
            name: amounts(kind, part) if name == kind.column else ops.cast(part, "bool" if "mask" in name else "int32")
            for name, part in sample.items()
        }

    def extents(self, sample):
        """The size of the samples: a tuple of the kind's extents, ints where they are static."""
        kind = self.kind or (kind_of(sample) if isinstance(sample, dict) else None)
        return kind.size(sample) if kind else ops.shape(sample)[1:-1]

    @property
    def separable(self):
        """Whether every sample can be transformed by itself, given its draws."""
        return True

    def draw(self, seeds, size):
        return {"seeds": seeds}

    def transform(self, sample, seeds):
        raise NotImplementedError(f"{type(self).__name__} must implement transform(sample, seeds).")

    def rest(self, sample):
        """What the layer gives outside of training."""
        size = self.extents(sample)
        if not self.separable or tuple(self.resized(size)) != tuple(size):
            raise ValueError(
                f"{type(self).__name__} was called with training=False. Outside of training a layer returns the "
                "sample as it is, but this one changes its size or makes several tensors of it: leave it out there, "
                "or call it with training=True."
            )
        return sample

    def resized(self, size):
        return size

    def each(self):
        """The layers that make the views, one after the other."""
        return [self]

    def split(self, seeds):
        """The seeds of the layers or views that this one is made of, as a list."""
        return [seeds]

    def shares(self, seeds, size):
        """What makes the views, one after the other: pairs of a layer and its draws."""
        return [(self, self.draw(seeds, size))]

    def own_seeds(self, batch):
        """Seeds `(batch, 2)` of the layer's own, by its state, the row and the replica."""
        # The state counts up by one a call: hash it before the row and the replica come in, or the second replica
        # of a call repeats the first of the next one.
        state = fold(ops.cast(self.generator.next(), "int32")[None, :], 0)
        rows = ops.arange(batch, dtype="int32")
        replica = ops.zeros_like(rows) + ops.cast(distribute.replica(), "int32")
        return fold(ops.bitwise_xor(state, ops.stack([rows, replica], axis=1)), 1)

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        return {**config, "seed": self.seed}


def rows(sample):
    """The number of samples of a batch, int where it is static."""
    return ops.shape(keras.tree.flatten(sample)[0])[0]


def amounts(kind, tensor):
    """The tensor of a kind's own column as float32, where it holds amounts; tokens and labels of nodes are ints."""
    if kind is not None and "int" in keras.backend.standardize_dtype(tensor.dtype):
        if kind.ints or kind.axes[-1] == "(features)":
            return ops.cast(tensor, "int32")
    return ops.cast(tensor, "float32")


def per_sample(x, like):
    """`(batch,)` as `(batch, 1, ...)`, to meet a tensor of the rank of `like`."""
    return ops.reshape(x, (-1, *[1] * (len(like.shape) - 1)))


def change(sample, chosen, how):
    """`how(sample)` where `chosen`, a bool tensor `(batch,)`, is true, and the sample itself elsewhere.

    A batch is computed whole, as accelerators like it. A single sample is computed only if it is chosen.
    """
    if chosen.shape[0] == 1:
        return ops.cond(chosen[0], lambda: how(sample), lambda: sample)
    return keras.tree.map_structure(lambda x, y: ops.where(per_sample(chosen, x), x, y), how(sample), sample)


# What the layers of several kinds check.


def checked(layer, kind, tensor):
    """The tensor of a kind's own column; an error where it is not one, of another rank or dtype, or empty."""
    dtype = getattr(tensor, "dtype", type(tensor).__name__)
    dtype = str(getattr(dtype, "name", dtype)).removeprefix("torch.")
    name = type(layer).__name__
    wanted = ("uint", "int") if kind and kind.ints else ("uint", "int", "float", "bfloat", "bool")
    if not dtype.startswith(wanted) or not hasattr(tensor, "shape"):
        what = "numbers" if kind is None else "images, numbers from 0 to 255" if kind.pixels else f"{kind.column}, "
        what += "" if kind is None or kind.pixels else "ints" if kind.ints else "numbers"
        raise TypeError(f"{name} expects {what}. Received: {dtype}")
    if kind is not None and len(tensor.shape) not in kind.ranks:
        raise ValueError(
            f"{name} expects a batch of {PLURALS.get(kind.name, kind.name)} of shape {kind.shape}. "
            f"Received: shape={tuple(tensor.shape)}"
        )
    if kind is AUDIO and "int" in dtype:
        raise TypeError(f"{name} expects sounds as floats, from -1 to 1. Received: {dtype}. Divide 16 bits by 32768.")
    if 0 in (static_shape(tensor) or ()):
        what = PLURALS.get(kind.name, kind.name) if kind else "samples"
        what = what if tensor.shape[0] == 0 else "values"
        raise ValueError(f"{name} got a batch without {what}. Received: shape={tuple(tensor.shape)}")
    return tensor


PLURALS = {"image": "images", "video": "videos", "graph": "graphs"}


def check_probability(name, value):
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a probability from 0 to 1. Received: {name}={value!r}")


def check_range(name, value, least=0.0):
    """The pair of numbers `value` as a tuple; an error where it is no pair, not increasing or starts below `least`."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or not all(map(is_number, pair)) or not least < pair[0] <= pair[1]:
        raise ValueError(f"{name} must be a pair (low, high) with {least:g} < low <= high. Received: {name}={value!r}")
    return pair
