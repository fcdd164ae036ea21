"""Host: functions of Keras in a `tf.data` pipeline, whatever the backend that Keras computes with."""

import keras
import numpy as np
import tensorflow as tf


def on_host(function, compiled=True):
    """A function of tensors, made of `keras.ops`, for the `map` of a pipeline.

    On TensorFlow it is the function itself. JAX and PyTorch cannot compute inside a graph of TensorFlow: there the
    pipeline calls them, on the CPU, with the same result, as the draws of this package are pure functions of the seeds.

    Args:
        function: from nested tensors to nested tensors.
        compiled: whether JAX compiles it; a function with a state of its own cannot be.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return function
    run = {"jax": by_jax, "torch": by_torch}[backend](function, compiled)

    def call(*arguments):
        flat = tf.nest.flatten(arguments)
        trial = run(*tf.nest.pack_sequence_as(arguments, [zeros(tensor) for tensor in flat]))
        rows = flat[0].shape[0] if flat[0].shape.rank else None

        def compute(*tensors):
            return [np.asarray(x) for x in tf.nest.flatten(run(*tf.nest.pack_sequence_as(arguments, tensors)))]

        expected = [np.asarray(x) for x in tf.nest.flatten(trial)]
        made = tf.numpy_function(compute, flat, [x.dtype for x in expected])
        by_row = flat[0].shape.rank and flat[0].shape[0] is None  # then the trial had one row
        for number, x in enumerate(expected):
            made[number] = tf.ensure_shape(made[number], (rows, *x.shape[1:]) if by_row else x.shape)
        return tf.nest.pack_sequence_as(trial, made)

    return call


def zeros(tensor):
    return np.zeros([1 if side is None else side for side in tensor.shape], tensor.dtype.as_numpy_dtype)


def by_jax(function, compiled):
    import jax

    program = jax.jit(function) if compiled else function
    device = jax.local_devices(backend="cpu")[0]

    def run(*arguments):
        with jax.default_device(device):
            return jax.tree.map(np.asarray, program(*arguments))

    return run


def by_torch(function, compiled):
    import torch

    def run(*arguments):
        with torch.no_grad(), keras.device("cpu"):
            tensors = tf.nest.map_structure(lambda x: torch.from_numpy(np.array(x)), arguments)
            return tf.nest.map_structure(lambda x: x.numpy(), function(*tensors))

    return run
