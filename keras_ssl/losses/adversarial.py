"""Adversarial: the small change of an image that changes a prediction most."""

import keras
from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.confident import divergence
from keras_ssl.losses.vectors import precise


def adversarial_direction(predict, x, logits, noise, xi=0.1, iterations=1):
    """The direction in which `KL(p(x + r) || p(x))` grows most, for each sample: its curvature's first eigenvector.

    One step of the power method: the gradient of the divergence at a small random change of the length `xi`. The
    divergence, as small as the square of the change, is divided by the root of its mean over the batch of all replicas,
    which changes no direction, and keeps gradients in the range of half precision.

    Args:
        predict: function from samples to logits `(batch, classes)`. It must change no state: see
            `keras_ssl.encoders.keeping_state`.
        x: samples, float32 `(batch, ...)`.
        logits: `predict(x)`. No gradient.
        noise: float32, of the shape of `x`: where the power method starts, such as normal numbers.
        xi: float > 0, the length of the small change, in the unit of `x`. As small as float32 can tell from nothing.
        iterations: int, steps of the power method.

    Returns:
        float32, of the shape of `x`: vectors of length 1, all axes of a sample together; 0 where the gradient is. No
        gradient.

    Reference: Virtual Adversarial Training (Miyato et al., 2017), https://arxiv.org/abs/1704.03976
    """
    logits, direction = ops.stop_gradient(precise(logits)), unit_samples(noise)

    def distance(r):
        each = divergence(predict(x + r), logits)
        mean = distribute.total(ops.stop_gradient(ops.mean(each))) / distribute.replicas()
        return ops.sum(each) * (64.0 * ops.rsqrt(ops.maximum(mean, 1e-10)))

    for _ in range(iterations):
        direction = unit_samples(slope(distance, xi * direction))
    return ops.stop_gradient(direction)


def unit_samples(x):
    """Each sample divided by its length, all axes but the first together."""
    axes = tuple(range(1, len(x.shape)))
    x = precise(x)
    x = x / ops.maximum(ops.max(ops.abs(x), axis=axes, keepdims=True), 1e-30)  # squares of small numbers are 0
    return x / ops.maximum(ops.sqrt(ops.sum(ops.square(x), axis=axes, keepdims=True)), 1e-12)


def slope(function, x):
    """The gradient of a scalar function at x, which is not differentiated further."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.stop_gradient(x)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            y = function(x)
        return tf.stop_gradient(tape.gradient(y, x))
    if keras.backend.backend() == "jax":
        import jax

        return jax.lax.stop_gradient(jax.grad(function)(jax.lax.stop_gradient(x)))
    import torch

    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x), x)[0].detach()
