"""Rows: seeds for the rows of the batch of all replicas, equal on any number of them."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.augment.random import fold


def local_seeds(generator, rows):
    """The next seeds of a generator, one for each of this replica's `rows`: those that one replica has for all.

    Args:
        generator: `keras.random.SeedGenerator`; it moves on by one call.
        rows: int or int32 scalar, how many rows this replica has.

    Returns:
        int32 tensor `(rows, 2)`, see `row_seeds`.
    """
    return row_seeds(generator, rows, distribute.first_row(rows))


def row_seeds(generator, rows, first=0):
    """The next seeds of a generator, one a row.

    All replicas hold the same state, and the seed of a row is a pure function of it and of the row's number. So two
    replicas that know the numbers of their rows draw for them what one draws for all: see `local_seeds`.

    Args:
        generator: `keras.random.SeedGenerator`; it moves on by one call.
        rows: int or int32 scalar, how many rows.
        first: int or int32 scalar, the number of the first row.

    Returns:
        int32 tensor `(rows, 2)`, for `keras_ssl.augment.random.uniform` and for augmentation layers.

    Example:
        >>> import keras
        >>> row_seeds(keras.random.SeedGenerator(0), 4).shape
        TensorShape([4, 2])
    """
    # The state counts up by one a call: hash it before the row comes in, or row 1 repeats row 0 of the next call.
    state = fold(ops.cast(generator.next(), "int32")[None, :], 0)
    numbers = ops.cast(first, "int32") + ops.arange(rows, dtype="int32")
    return fold(ops.bitwise_xor(state, ops.stack([numbers, ops.zeros_like(numbers)], axis=1)), 1)
