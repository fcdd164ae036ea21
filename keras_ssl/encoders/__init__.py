"""Encoders: `keras.Model`s from images to features."""

from keras_ssl.encoders.batch_norm import (
    GroupedBatchNormalization,
    with_grouped_batch_norm,
    with_plain_batch_norm,
    with_synchronized_batch_norm,
)
from keras_ssl.encoders.pooling import pool
from keras_ssl.encoders.resnet import resnet18, resnet34, resnet50

__all__ = [
    "GroupedBatchNormalization",
    "pool",
    "resnet18",
    "resnet34",
    "resnet50",
    "with_grouped_batch_norm",
    "with_plain_batch_norm",
    "with_synchronized_batch_norm",
]
