"""Order: which sample comes when, as a pure function of (seed, epoch, position).

A shuffle buffer holds images and cannot be resumed without being saved. Here only numbers are shuffled: position p
of epoch e is sample `index_shuffle(p)` under a key drawn from (seed, e), so any position is reached at once.
"""

import copy
import operator
import threading

import numpy as np
import tensorflow as tf


class Order:
    """The numbers of the samples of a run, pass after pass, and how they become batches.

    Args:
        count: number of samples, n.
        batch_size: samples in a batch.
        shuffle: whether every epoch has an order of its own, or the natural one.
        seed: int, the seed of the run.
        epoch: number of the first pass.
        start: batches of the first pass to leave out.
        drop_remainder: whether a last, smaller batch is left out; None: as `shuffle`.

    Raises:
        ValueError, TypeError: if a number is out of range, or no full batch exists.
    """

    def __init__(self, count, batch_size, *, shuffle=True, seed=0, epoch=0, start=0, drop_remainder=None):
        self.count = whole("count", count, 1)
        self.batch_size = whole("batch_size", batch_size, 1)
        self.shuffle = flag("shuffle", shuffle)
        self.seed = whole("seed", seed, None)
        self.first = whole("epoch", epoch, 0)
        self.drop_remainder = self.shuffle if drop_remainder is None else flag("drop_remainder", drop_remainder)
        if self.drop_remainder and self.batch_size > self.count:
            raise ValueError(
                f"batch_size={batch_size} is larger than the number of samples ({self.count}), so there is no full "
                "batch. Pass a smaller batch_size, or drop_remainder=False."
            )
        self.batches = self.count // self.batch_size if self.drop_remainder else -(-self.count // self.batch_size)
        self.used = min(self.batches * self.batch_size, self.count)
        self.start = whole("start", start, 0)
        if self.start >= self.batches:
            raise ValueError(
                f"start must be below the number of batches in an epoch, {self.batches}. Received: start={start}. "
                "After the last batch, go on with start=0 and the next epoch."
            )
        self.epoch = counter(self.first)
        self.host, self.hosts = 0, 1

    # The same samples otherwise

    def natural(self):
        """All samples in their order, none left out."""
        other = Order(self.count, self.batch_size, shuffle=False, seed=self.seed)
        other.host, other.hosts = self.host, self.hosts
        return other

    def of_host(self, host, hosts):
        """The rows of each batch of one of several hosts. It counts the passes together with this order."""
        whole("hosts", hosts, 1)
        if whole("host", host, 0) >= hosts:
            raise ValueError(f"host must be below hosts, {hosts}. Received: host={host}")
        if self.batch_size % hosts:
            raise ValueError(
                f"batch_size must be a multiple of the number of hosts, {hosts}. Received: batch_size="
                f"{self.batch_size}, the number of samples in a batch of all hosts together."
            )
        other = copy.copy(self)
        other.host, other.hosts = host, hosts
        return other

    # This host's samples are numbered, too: its place q in a pass is the position p in the pass of all hosts.

    @property
    def rows(self):
        """Samples in a full batch of this host."""
        return self.batch_size // self.hosts

    @property
    def full(self):
        """Full batches in a pass."""
        return self.used // self.batch_size

    @property
    def last(self):
        """Of a smaller last batch: where this host's rows begin in it, and how many there are."""
        each, more = divmod(self.used % self.batch_size, self.hosts)
        return self.host * each + min(self.host, more), each + (self.host < more)

    @property
    def places(self):
        """Samples of this host in a pass."""
        return self.full * self.rows + self.last[1]

    def position(self, place):
        """The position among the samples of all hosts, int64 as `place`."""
        batch, row = place // self.rows, place % self.rows
        begin = tf.where(batch < self.full, self.host * self.rows, self.last[0])
        return batch * self.batch_size + tf.cast(begin, tf.int64) + row

    def is_own(self, position):
        """Whether a position is one of this host's."""
        batch, row = position // self.batch_size, position % self.batch_size
        begin = tf.where(batch < self.full, self.host * self.rows, self.last[0])
        count = tf.where(batch < self.full, self.rows, self.last[1])
        row = tf.cast(row, tf.int32)
        return (row >= begin) & (row < begin + count)

    def passes(self):
        """A dataset of one number, that of the epoch, which grows with every pass over it."""

        def begin(_):
            now = self.epoch.read_value()
            with tf.control_dependencies([now]):
                self.epoch.assign_add(1)
            return now

        return tf.data.Dataset.range(1).map(begin)

    def samples(self, extra=0):
        """A dataset of (epoch, place, number of the sample), int64 scalars; `extra` places follow the last."""
        return self.passes().flat_map(lambda epoch: self.one_pass(epoch, extra))

    def read(self, epoch, source):
        """What is read in one pass of a source that can only be read from its head: `source(epoch)`."""
        return source(epoch)

    def one_pass(self, epoch, extra=0):
        """The samples of one pass."""

        def draw(place):  # a thousand at once, as an operation on one number costs as much
            number = self.index(epoch, tf.minimum(self.position(place), self.count - 1))
            return tf.fill(tf.shape(place), epoch), place, number

        return tf.data.Dataset.range(self.skipped(epoch), self.places + extra).batch(1024).map(draw).unbatch()

    def skipped(self, epoch):
        """Samples of this host that are left out at the start of a pass: int64 scalar."""
        return tf.where(tf.equal(epoch, self.first), tf.constant(self.start * self.rows, tf.int64), 0)

    def index(self, epoch, position):
        """Numbers of the samples at `position`, int64 of any shape, in the epoch `epoch`, int64 scalar."""
        if not self.shuffle:
            return position
        # The permutations of plain (seed, epoch) pairs are far from uniform (chi-square 8 times its mean), those of
        # drawn keys are not.
        key = tf.random.stateless_uniform((2,), self.key(epoch), None, None, tf.uint32)
        return tf.random.experimental.index_shuffle(position, key, tf.constant(self.count - 1, tf.int64))

    def key(self, epoch):
        """(seed, epoch) as int64 `(2,)`."""
        return tf.stack([tf.constant(self.seed, tf.int64), epoch])

    def seeds(self, epoch, index):
        """The samples' own seeds in this epoch, int32 `(..., 2)`: all distinct for 2^32 epochs."""
        run = tf.random.stateless_uniform((), self.key(tf.constant(-1, tf.int64)), None, None, tf.int32)
        # An odd factor makes the product a bijection of the 32-bit numbers: two epochs never share a first half.
        first = run + tf.cast(epoch, tf.int32) * tf.constant(-1640531527, tf.int32)
        index = tf.cast(index, tf.int32)
        return tf.stack([tf.broadcast_to(first, tf.shape(index)), index], axis=-1)

    def finish(self, batches):
        """The last steps of every pipeline: cardinality for Keras, prefetch, options."""
        if self.start == 0:
            batches = batches.apply(tf.data.experimental.assert_cardinality(self.full + (self.last[1] > 0)))
        options = tf.data.Options()
        options.deterministic = True
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def columns(order, epoch, sample, index, labels, with_index):
    """The dict of a batch: the columns of the samples, and their own. `labels` is None or their int32 labels."""
    outputs = {**sample, "seed": order.seeds(epoch, index)}
    if labels is not None:
        outputs["label"] = labels
    if with_index:
        outputs["index"] = tf.cast(index, tf.int32)
    return outputs


def whole(name, value, least):
    """`value` as an int that is at least `least`."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} must be an int. Received: {name}={value!r}")
    if least is not None and number < least:
        raise ValueError(f"{name} must be an int of at least {least}. Received: {name}={value!r}")
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{name} must fit into 64 bits. Received: {name}={value!r}")
    return number


def flag(name, value):
    """`value` as a bool, if it is one."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False. Received: {name}={value!r}")
    return bool(value)


def calls(parallel_calls):
    """`parallel_calls`, if it is a number of them, `tf.data.AUTOTUNE` or None."""
    if parallel_calls is not None and parallel_calls != tf.data.AUTOTUNE:
        whole("parallel_calls", parallel_calls, 1)
    return parallel_calls


def counter(value):
    """An int64 variable on the CPU, a plain one even inside a strategy's scope."""
    made = []

    def make():
        with tf.device("CPU:0"):
            made.append(tf.Variable(value, trainable=False, dtype=tf.int64, name="epoch"))

    # A scope of tf.distribute belongs to its thread. Inside it this would become one copy a replica, on devices that
    # the pipeline, which runs on the host, cannot read.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]
