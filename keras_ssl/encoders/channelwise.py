"""Channelwise: a dense layer over the places of a map, another one for each channel.

As in Context Encoders: Feature Learning by Inpainting (Pathak et al., 2016), https://arxiv.org/abs/1604.07379
"""

import keras
from keras import layers, ops

from keras_ssl.checks import check_ints


@keras.saving.register_keras_serializable("keras_ssl")
class ChannelwiseDense(layers.Layer):
    """Every place of a map gets what all places of its channel know: the channels stay apart.

    A dense layer over the whole map of m channels and n x n places has m^2 n^4 weights, this one m n^4, and no bias. A
    convolution has fewer, but what it knows of a place comes from around it.

    Call arguments:
        map: `(batch, rows, columns, channels)`.

    Args:
        shape: ints `(rows, columns, channels)`.
        name: str.

    Returns:
        tensor of the same shape.

    Example:
        >>> import numpy as np
        >>> ChannelwiseDense((6, 6, 256)).count_params()
        331776
    """

    def __init__(self, shape, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        rows, columns, channels = shape
        check_ints(rows=rows, columns=columns, channels=channels)
        self.shape = tuple(shape)
        self.build((None, *self.shape))

    def build(self, shape):
        if self.built:
            return
        rows, columns, channels = self.shape
        places = rows * columns
        # Each channel is a dense layer of its own, so that its fans are the places.
        draw = keras.initializers.RandomUniform(-((3 / places) ** 0.5), (3 / places) ** 0.5)
        self.kernel = self.add_weight((channels, places, places), initializer=draw, name="kernel")
        self.built = True

    def call(self, map):
        rows, columns, channels = self.shape
        x = ops.reshape(map, (-1, rows * columns, channels))
        x = ops.transpose(ops.matmul(ops.transpose(x, (2, 0, 1)), ops.cast(self.kernel, x.dtype)), (1, 2, 0))
        return ops.reshape(x, (-1, *self.shape))

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}
