"""Vectors: the precision that losses compute in, the direction of embeddings, layer normalization of targets."""

import keras
from keras import ops


def precise(x):
    """`x` in float32; float64 stays."""
    x = ops.convert_to_tensor(x)
    return x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")


def unit(x):
    """`x / |x|` along the last axis, in float32 (float64 stays); 0 where x is 0, with gradient 0 there.

    A predictor whose few hidden units are all off gives exactly 0, where `ops.normalize` has a gradient of 1e12, or
    not a number under XLA. What is not a number stays so: a run that diverged must be seen.
    """
    x = precise(x)
    square = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return ops.where(square == 0, 0.0, x * ops.rsqrt(ops.where(square == 0, 1.0, square)))


def layer_norm(x, epsilon=1e-5):
    """`(x - mean) / sqrt(variance + epsilon)` along the last axis, without weights, in float32 (float64 stays)."""
    x = precise(x)
    x = x - ops.mean(x, axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + epsilon)
