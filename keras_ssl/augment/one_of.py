"""One of: a layer by chance for each sample."""

import keras
from keras import ops

from keras_ssl.augment.layer import Augmentation, per_sample
from keras_ssl.augment.random import choose, split, uniform
from keras_ssl.augment.view import common, gives_one, is_list_of


@keras.saving.register_keras_serializable("keras_ssl")
class OneOf(Augmentation):
    """One of several layers for each sample, all equally likely.

    All of them are computed for the whole batch. They must leave the size of a sample alone.

    Args:
        layers: list of augmentation layers of this package, all for one kind of data.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: the layers are no such layers, or make samples of unequal columns or sizes.

    Example:
        >>> import numpy as np
        >>> layer = OneOf([ColorJitter(0.4, 0.4), Grayscale(1.0)])
        >>> layer(np.zeros((4, 8, 8, 3), "uint8")).shape
        TensorShape([4, 8, 8, 3])
    """

    def __init__(self, layers, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not is_list_of(layers, Augmentation):
            raise ValueError(f"layers must be a list of augmentation layers, at least one. Received: layers={layers}")
        self.layers = list(layers)
        self.kind = common("layers", self.layers)

    @property
    def separable(self):
        return all(gives_one(layer) for layer in self.layers)

    def transform(self, sample, seeds):
        *own, last = split(seeds, range(len(self.layers) + 1))
        size = self.extents(sample)
        made = [layer.transform(sample, **layer.draw(one, size)) for layer, one in zip(self.layers, own, strict=True)]
        chosen = choose(uniform(last, 1)[:, 0], len(made) - 1)
        for other in made[1:]:
            try:
                keras.tree.assert_same_structure(made[0], other)
            except (TypeError, ValueError):
                raise ValueError(
                    "The layers of OneOf must make samples of the same columns: give the data its masks. Received: "
                    f"{[type(layer).__name__ for layer in self.layers]}"
                ) from None
        return keras.tree.map_structure(lambda *parts: pick(chosen, parts), *made)

    def resized(self, size):
        sizes = {tuple(layer.resized(size)) for layer in self.layers}
        if len(sizes) > 1:
            raise ValueError(f"The layers of OneOf must make samples of one size. Received: {sorted(sizes)}")
        return sizes.pop()

    def get_config(self):
        return {**super().get_config(), "layers": [keras.saving.serialize_keras_object(x) for x in self.layers]}

    @classmethod
    def from_config(cls, config):
        layers = [keras.saving.deserialize_keras_object(x) for x in config["layers"]]
        return cls(**{**config, "layers": layers})


def pick(chosen, parts):
    """For each sample one of several tensors, by its number."""
    found = parts[0]
    for number, part in enumerate(parts[1:], 1):
        found = ops.where(per_sample(chosen == number, part), part, found)
    return found
