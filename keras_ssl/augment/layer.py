"""Augmentation: what every augmentation layer shares, the seeds and the pixels."""

import keras
from keras import ops

from keras_ssl import distribute
from keras_ssl.augment.random import fold
from keras_ssl.checks import is_int, is_number


class Augmentation(keras.layers.Layer):
    """Base of layers that change every image of a batch by draws of its own.

    All draws are pure functions of a seed per image. With the pipeline's seeds an image therefore gets the same
    change in `tf.data`, in eager mode, in a compiled model, alone or in a batch. Without seeds the layer draws them
    itself, other ones at each call and on each replica.

    The layer augments at every call: call it in training only. It computes in float32 under every dtype policy.

    A subclass implements `transform(images, seeds)` with float32 images `(batch, height, width, channels)` from 0 to
    255 and int32 seeds `(batch, 2)`. One whose draws are worth sharing out, or replaying, also implements
    `draw(seeds, size)`: from the seeds and the images' (height, width) to a dict of tensors `(batch, ...)`, which
    `transform` then gets as keyword arguments in place of the seeds. One that changes the images' size says so in
    `resized(size)`.

    Call arguments:
        images: uint8 or float tensor `(batch, height, width, channels)` from 0 to 255, or the pipeline's dict with
            `"image"` and, where there is one, `"seed"`.
        seeds: int32 tensor `(batch, 2)`, or None.

    Args:
        seed: int, where the layer's own seeds start, or None for another start at each run. It has no part in calls
            with seeds.
        name: str, the name of the layer.
    """

    def __init__(self, seed=None, name=None, **kwargs):
        super().__init__(name=name, dtype="float32", autocast=False, **kwargs)
        if seed is not None and not is_int(seed, -(2**31)):
            raise ValueError(f"seed must be an int of 32 bits or None. Received: seed={seed!r}")
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, images, seeds=None):
        if isinstance(images, dict):
            check_column(self, images)
            images, seeds = images["image"], images.get("seed", seeds)
        check_dtype(self, images)
        if len(images.shape) != 4:
            raise ValueError(
                f"{type(self).__name__} expects a batch of images of shape (batch, height, width, channels). "
                f"Received: images.shape={tuple(images.shape)}"
            )
        if images.shape[0] == 0:
            raise ValueError(f"{type(self).__name__} got a batch without images. Received: images.shape={images.shape}")
        images = ops.cast(images, "float32")
        seeds = self.own_seeds(ops.shape(images)[0]) if seeds is None else ops.cast(seeds, "int32")
        return self.transform(images, **self.draw(seeds, ops.shape(images)[1:3]))

    @property
    def separable(self):
        """Whether every image can be transformed by itself, given its draws."""
        return True

    def draw(self, seeds, size):
        return {"seeds": seeds}

    def transform(self, images, seeds):
        raise NotImplementedError(f"{type(self).__name__} must implement transform(images, seeds).")

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


def per_image(x):
    """`(batch,)` as `(batch, 1, 1, 1)`, to meet images."""
    return ops.reshape(x, (-1, 1, 1, 1))


def change(images, chosen, how):
    """`how(images)` where `chosen`, a bool tensor `(batch,)`, is true, and the images themselves elsewhere.

    A batch is computed whole, as accelerators like it. A single image is computed only if it is chosen.
    """
    if images.shape[0] == 1:
        return ops.cond(chosen[0], lambda: how(images), lambda: images)
    return ops.where(per_image(chosen), how(images), images)


def check_column(layer, columns):
    if "image" not in columns:
        raise ValueError(f"{type(layer).__name__} needs the column 'image'. Received: a dict with {sorted(columns)}")


def check_dtype(layer, images):
    kind = getattr(images, "dtype", type(images).__name__)
    kind = str(getattr(kind, "name", kind)).removeprefix("torch.")
    if not kind.startswith(("uint", "int", "float", "bfloat", "bool")) or not hasattr(images, "shape"):
        raise TypeError(f"{type(layer).__name__} expects images, numbers from 0 to 255. Received: {kind}")


def check_probability(name, value):
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a probability from 0 to 1. Received: {name}={value!r}")


def check_range(name, value, least=0.0):
    """The pair of numbers `value` as a tuple; an error where it is none, is not increasing or starts below `least`."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or not all(map(is_number, pair)) or not least < pair[0] <= pair[1]:
        raise ValueError(f"{name} must be a pair (low, high) with {least:g} < low <= high. Received: {name}={value!r}")
    return pair


def check_size(name, value):
    """The size `value`, an int or a pair (height, width), as a pair."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(is_int(side, 1) for side in pair):
        raise ValueError(f"{name} must be a positive int or a pair of them. Received: {name}={value!r}")
    return pair


def check_fill(value, none=False):
    """The value of new pixels, a number or one a channel, as a number or a tuple."""
    numbers = value if isinstance(value, (tuple, list)) else (value,)
    if not (none and value is None) and not (numbers and all(map(is_number, numbers))):
        kinds = "a number, one a channel or None" if none else "a number or one a channel"
        raise ValueError(f"fill must be {kinds}. Received: fill={value!r}")
    return tuple(value) if isinstance(value, list) else value
