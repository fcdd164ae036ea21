"""Sometimes: a layer for a part of the samples."""

import keras

from keras_ssl.augment.layer import Augmentation, change, check_probability
from keras_ssl.augment.random import split, uniform
from keras_ssl.augment.view import gives_one


@keras.saving.register_keras_serializable("keras_ssl")
class Sometimes(Augmentation):
    """Another layer, for each sample with a probability; the others stay as they are.

    Args:
        layer: augmentation layer that makes one sample of each and keeps its size.
        p: float, the probability of a sample to be changed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a probability out of its range, or a layer that makes several views or another size.

    Example:
        >>> import numpy as np
        >>> Sometimes(ReverseSeries(), 0.5)(np.zeros((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def __init__(self, layer, p=0.5, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        if not gives_one(layer):
            raise ValueError(f"layer must be an augmentation layer that makes one view. Received: layer={layer}")
        self.layer, self.p, self.kind = layer, p, layer.kind

    def draw(self, seeds, size):
        if tuple(self.layer.resized(size)) != tuple(size):
            raise ValueError(f"layer must keep the size of the samples. Received: layer={self.layer}")
        own, chance = split(seeds, range(2))
        return {"chosen": uniform(chance, 1)[:, 0] < self.p, "drawn": self.layer.draw(own, size)}

    def transform(self, sample, chosen, drawn):
        return change(sample, chosen, lambda sample: self.layer.transform(sample, **drawn))

    def get_config(self):
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer), "p": self.p}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})
