"""tf.distribute in a few functions, which are the identity where nothing is distributed.

Under `tf.distribute` every replica is a Python thread that sees its own slice of the batch. A method that
compares samples with each other (negatives, a queue, prototypes) must see the slices of all replicas, or it
trains well and wrong. On JAX under `keras.distribution` the step is compiled for the global batch, so there
is nothing to gather.
"""

import keras
from keras import ops


def strategy():
    """The current `tf.distribute` strategy where it has more than one replica, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    current = tf.distribute.get_strategy()
    return current if current.num_replicas_in_sync > 1 else None


def context():
    """The replica context, or None where nothing is distributed or the code runs outside of a replica."""
    if strategy() is None:
        return None
    import tensorflow as tf

    return tf.distribute.get_replica_context()


def replicas():
    """Number of replicas that train in sync: a Python int, 1 where nothing is distributed."""
    current = strategy()
    return 1 if current is None else current.num_replicas_in_sync


def replica():
    """Number of the replica that runs this code, from 0: an int, or an int32 scalar inside a compiled step."""
    current = context()
    return 0 if current is None else current.replica_id_in_sync_group


def gather(x, gradient=True):
    """The rows of all replicas, in the order of the replicas.

    Args:
        x: tensor `(local batch, ...)`, of a float or integer dtype.
        gradient: whether the gradient flows back to the rows of each replica (embeddings of the network that is
            trained) or is stopped (keys, targets, bank entries). The gradient of a row is the sum of the
            gradients of all replicas' losses.

    Returns:
        tensor `(global batch, ...)`; `x` itself where nothing is distributed.
    """
    if not gradient:
        x = ops.stop_gradient(x)
    current = context()
    if current is None:
        return x
    dtype = x.dtype
    half = keras.backend.standardize_dtype(dtype) == "bfloat16"  # the CPU collectives have no bfloat16
    rows = current.all_gather(ops.cast(x, "float32") if half else x, axis=0)
    if x.shape[0] is not None:  # the static batch size is lost on the way
        rows = ops.reshape(rows, (x.shape[0] * replicas(), *x.shape[1:]))
    return ops.cast(rows, dtype) if half else rows


def first_row(rows):
    """Where the rows of this replica start among the gathered ones: an int, or an int32 scalar.

    Args:
        rows: the number of rows of this replica. Where it is known when the step is compiled, all replicas have as
            many; the last batch of an epoch may be uneven.
    """
    if context() is None:
        return 0
    if isinstance(rows, int):
        return replica() * rows
    counts = gather(ops.reshape(ops.cast(rows, "int32"), (1,)), gradient=False)
    return ops.sum(ops.where(ops.arange(replicas(), dtype="int32") < replica(), counts, 0))


def local(x, rows):
    """The rows of this replica out of a gathered tensor; the inverse of `gather`.

    Args:
        x: tensor `(global batch, ...)`.
        rows: the number of rows of this replica.

    Returns:
        tensor `(rows, ...)`.
    """
    if context() is None:
        return x
    start = [ops.cast(first_row(rows), "int32")] + [0] * (len(x.shape) - 1)
    return ops.slice(x, start, (rows, *x.shape[1:]))


def total(x):
    """The sum of `x` over the replicas; `x` itself where nothing is distributed."""
    current = context()
    return x if current is None else current.all_reduce("sum", x)
