"""Memory: a first-in first-out queue of keys, and a bank with one entry per sample."""

import keras
from keras import ops

from keras_ssl import distribute
from keras_ssl.checks import check_ints, is_number


@keras.saving.register_keras_serializable("keras_ssl")
class Queue(keras.layers.Layer):
    """The last `size` keys, oldest overwritten first (MoCo, arXiv 1911.05722).

    It starts with random unit vectors. `push` wraps around, so `size` need not be a multiple of the batch. Under
    `tf.distribute` the keys of all replicas enter, in the order of the replicas, and every replica holds the same
    queue. It stays float32 in half precision.

    Args:
        size: int, number of keys (K, 65536).
        dim: int, size of a key.
    """

    def __init__(self, size, dim, name=None):
        super().__init__(name=name, dtype="float32", trainable=False)
        check_ints(size=size, dim=dim)
        self.size, self.dim = size, dim
        self.entries = self.add_weight(
            shape=(size, dim), initializer=unit_vectors, trainable=False, autocast=False, name="entries"
        )
        self.pointer = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, autocast=False, name="pointer"
        )
        self.built = True

    def read(self, keys=None):
        """The keys `(size, dim)`, float32, as a copy: on PyTorch a later `push` would change the tensor itself.

        With `keys` `(batch, dim)` those that it will hold after `push(keys)`: a loss can compare with the keys of its
        own batch, too.
        """
        entries = self.entries if keys is None else self.after(keys)[0]
        return ops.stop_gradient(entries + 0.0)

    def nearest(self, embeddings, count=None):
        """The keys of the largest dot product with each embedding; of equal ones the first. No gradient.

        Args:
            embeddings: `(batch, dim)`, of any length, which does not matter; float32 inside.
            count: int, how many of the nearest, the nearest first; None for the nearest alone.

        Returns:
            float32 `(batch, dim)`, or `(batch, count, dim)`.
        """
        entries = self.read()
        embeddings = ops.stop_gradient(ops.cast(embeddings, entries.dtype))
        similarity = ops.matmul(embeddings, ops.transpose(entries))  # (batch, size)
        found = ops.argmax(similarity, axis=1) if count is None else ops.top_k(similarity, count)[1]
        return ops.take(entries, found, axis=0)

    def push(self, keys):
        """Writes the keys `(batch, dim)` of all replicas over the oldest ones. For `after_step`."""
        entries, pointer = self.after(keys)
        self.entries.assign(entries)
        self.pointer.assign(pointer)

    def after(self, keys):
        """Entries and pointer as `push` leaves them."""
        keys = ops.cast(distribute.gather(keys, gradient=False), "float32")
        rows = ops.shape(keys)[0]
        if isinstance(rows, int) and rows > self.size:
            raise ValueError(
                f"A queue of size={self.size} cannot take a batch of {rows} keys. Make the queue at least as large "
                "as the global batch, or the batch smaller."
            )
        positions = ops.mod(self.pointer + ops.arange(rows, dtype="int32"), self.size)[-self.size :]
        keys = keys[-self.size :]  # a batch whose size is known at run time only may be too large: the last keys stay
        entries = ops.scatter_update(self.entries, positions[:, None], keys)
        return entries, ops.mod(self.pointer + rows, self.size)

    def get_config(self):
        return {"name": self.name, "size": self.size, "dim": self.dim}


@keras.saving.register_keras_serializable("keras_ssl")
class Bank(keras.layers.Layer):
    """One entry for every sample of the data set (InstDisc, arXiv 1805.01978).

    It starts with random unit vectors. `write` moves an entry towards the new value and normalizes it. Under
    `tf.distribute` the entries of all replicas are written, and every replica holds the same bank. Of a sample that is
    twice in the global batch, the first value counts.

    Args:
        size: int, number of samples of the data set.
        dim: int, size of an entry.
        momentum: float in [0, 1), share of the old entry that is kept (0.5).
    """

    def __init__(self, size, dim, momentum=0.5, name=None):
        super().__init__(name=name, dtype="float32", trainable=False)
        check_ints(size=size, dim=dim)
        if not is_number(momentum) or not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1). Received: momentum={momentum!r}")
        self.size, self.dim, self.momentum = size, dim, momentum
        self.entries = self.add_weight(
            shape=(size, dim), initializer=unit_vectors, trainable=False, autocast=False, name="entries"
        )
        self.built = True

    def read(self, index):
        """The entries `(..., dim)` of the samples `index`, int `(...)`."""
        return ops.stop_gradient(ops.take(self.entries, index, axis=0))

    def write(self, index, values):
        """Updates the entries of the samples `index` `(batch,)` with `values` `(batch, dim)`. For `after_step`.

        Of equal indices, on all replicas, the first counts.
        """
        index = distribute.gather(index, gradient=False)
        values = ops.cast(distribute.gather(values, gradient=False), "float32")
        old = ops.take(self.entries, index, axis=0)
        values = ops.normalize(self.momentum * old + (1.0 - self.momentum) * values, axis=-1)
        # Which of several rows a scatter leaves is not defined on all devices: equal indices write equal rows.
        values = ops.take(values, first_of_each(index), axis=0)
        self.entries.assign(ops.scatter_update(self.entries, index[:, None], values))

    def get_config(self):
        return {"name": self.name, "size": self.size, "dim": self.dim, "momentum": self.momentum}


def first_of_each(index):
    """For each element of `index` `(batch,)` the position of the first that equals it, int32 `(batch,)`."""
    rows = ops.shape(index)[0]
    positions = ops.arange(rows, dtype="int32")
    # Not an argmax, which may return any of several largest elements.
    return ops.min(ops.where(index[:, None] == index[None, :], positions, rows), axis=1)


def unit_vectors(shape, dtype=None):
    return ops.normalize(keras.random.normal(shape, dtype=dtype), axis=-1)
