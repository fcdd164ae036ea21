"""Optimizers and schedules of the papers that Keras lacks or defines differently."""

from keras_ssl.optimizers.adam import Adam
from keras_ssl.optimizers.adamw import AdamW
from keras_ssl.optimizers.lars import LARS
from keras_ssl.optimizers.layer_decay import layer_decay
from keras_ssl.optimizers.schedules import PartOfCosine, cosine, part_of_cosine, scale, warmup_cosine
from keras_ssl.optimizers.sgd import SGD

__all__ = [
    "Adam",
    "AdamW",
    "LARS",
    "PartOfCosine",
    "SGD",
    "cosine",
    "layer_decay",
    "part_of_cosine",
    "scale",
    "warmup_cosine",
]
