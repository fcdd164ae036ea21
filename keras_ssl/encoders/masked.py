"""Masked: pooling and batch normalization that see of padded samples what is real, so that no padding counts."""

import keras
from keras import layers, ops

from keras_ssl import distribute


@keras.saving.register_keras_serializable("keras_ssl")
class MaskedBatchNormalization(layers.BatchNormalization):
    """Batch normalization whose statistics are those of the real places of the batch.

    Keras's layer takes a mask too, but does not share the statistics of masked places between replicas where it is
    `synchronized`; this one does. Without a mask, and at inference, it is Keras's layer.

    Call arguments:
        inputs: `(batch, ..., channels)`.
        mask: bool `(batch, ...)`, True where real, or None.

    Args:
        **kwargs: arguments of `keras.layers.BatchNormalization`; the axis must be the last.

    Example:
    ```python
    layer = keras_ssl.encoders.MaskedBatchNormalization(momentum=0.9)
    y = layer(np.random.rand(2, 5, 3), training=True, mask=np.array([[True] * 5, [True] * 2 + [False] * 3]))
    ```
    """

    def _moments(self, inputs, mask):
        if mask is None:
            return super()._moments(inputs, mask)
        total = distribute.total if self.synchronized else lambda x: x
        real, axes = ops.expand_dims(ops.cast(mask, "bool"), -1), tuple(range(len(inputs.shape) - 1))
        count = ops.maximum(total(ops.sum(ops.cast(real, inputs.dtype))), 1.0)
        mean = total(ops.sum(ops.where(real, inputs, 0.0), axis=axes)) / count
        variance = total(ops.sum(ops.where(real, ops.square(inputs - mean), 0.0), axis=axes)) / count
        return mean, variance


def masked_pool(x, mask, pooling):
    """One vector per sample out of the real places.

    Args:
        x: `(batch, places, channels)`.
        mask: bool `(batch, places)`, True where real, or None: all are.
        pooling: `"avg"`, `"max"` or `"sum"`.

    Returns:
        `(batch, channels)` of the dtype of `x`; zeros where no place is real. Sums are made in float32.
    """
    if mask is None:
        return {"avg": ops.mean, "max": ops.max, "sum": ops.sum}[pooling](x, axis=1)
    real = ops.expand_dims(ops.cast(mask, "bool"), -1)  # (batch, places, 1)
    if pooling == "max":
        largest = ops.max(ops.where(real, x, ops.cast(-3e38 if x.dtype != "float16" else -6e4, x.dtype)), axis=1)
        return ops.where(ops.any(real, axis=1), largest, ops.zeros_like(largest))
    found = ops.sum(ops.where(real, ops.cast(x, "float32"), 0.0), axis=1)
    if pooling == "avg":
        found = found / ops.maximum(ops.sum(ops.cast(real, "float32"), axis=1), 1.0)
    return ops.cast(found, x.dtype)
