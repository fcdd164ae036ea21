"""Pipeline: a `tf.data.Dataset` that knows how it was made, and so can be made again: in order, or for one host."""

import functools
import hashlib
import inspect
import os
import zlib

import numpy as np
import tensorflow as tf

from keras_ssl.data.order import Order

# What does the same on a host's rows of each global batch as on the whole batch.
STEPS = ("map", "prefetch", "with_options", "enumerate", "take", "skip", "repeat")
PARTS = ("take", "skip", "repeat")  # of these, what makes the samples others than one pass over all
REGROUPS = ("unbatch", "batch", "padded_batch", "ragged_batch", "rebatch", "shuffle", "cache")  # the same samples
CHANGES = ("filter", "shard", "concatenate", "flat_map", "interleave", "window")  # others


class Pipeline(tf.data.Dataset):
    """The data sets that this package makes. `map`, `batch`, `take`, `filter`, ... of one are pipelines, too.

    Attributes:
        epoch: `tf.Variable`, the number of the next pass; assign to it to go on elsewhere.
        shuffled: whether each pass has an order of its own.
        drops: whether samples are left out: the last batch of a pass where it is smaller, or the first ones by `start`.
        ordered: whether a pass is all samples in their order. What is predicted or evaluated has to be.
        samples: int, the number of samples.
        unsaved: name of the first step after which the position in the data is not known from the numbers of epoch and
            batch, such as "shuffle", or None: `keras_ssl.Checkpoint` then brings back the exact run.
        fingerprint: str, what the data is: the number of samples and a hash of the names of the files, or of shape,
            dtype and values of the arrays, and of the labels. It is equal for equal data wherever that lies. Of arrays
            above 8 GiB, or 1 GiB on the disk, 4,096 rows count.
        file_paths, class_names: where there are files and classes.
    """

    def __init__(self, make, order, *, content, made=None, steps=(), **attributes):
        self.make, self.order, self.content, self.steps, self.attributes = make, order, content, steps, attributes
        self.made = order.finish(make(order)) if made is None else made
        for name, value in {"epoch": order.epoch, **attributes}.items():
            setattr(self, name, value)
        super().__init__(tf.data.experimental.to_variant(self.made))

    def _inputs(self):  # this and `element_spec` are what tf.data asks of a data set
        return [self.made]

    @property
    def element_spec(self):
        return self.made.element_spec

    @property
    def samples(self):
        return self.order.count

    @property
    def shuffled(self):
        return self.order.shuffle or any(name == "shuffle" for name, _ in self.steps)

    @property
    def drops(self):
        short = any(options.get("drop_remainder") for _, options in self.steps)
        return short or self.order.used < self.order.count or self.order.start > 0

    @property
    def ordered(self):
        return not self.shuffled and not self.drops

    @property
    def unsaved(self):
        unknown = ("skip", "repeat", *REGROUPS, *CHANGES)
        return next((name for name, _ in self.steps if name in unknown), None)

    @property
    def can_share(self):
        """Whether `share` can tell the rows of each host."""
        return not any(name in (*REGROUPS, *CHANGES) for name, _ in self.steps)

    @property
    def fingerprint(self):
        changes = [name for name, _ in self.steps if name in CHANGES]
        return ", ".join([f"{self.samples} samples", self.content.digest, *changes])

    def __len__(self):
        """The number of batches of a whole pass, also where the first one is begun at a later batch."""
        if any(name in (*PARTS, *REGROUPS, *CHANGES) for name, _ in self.steps):
            return super().__len__()
        return self.order.batches

    def in_order(self):
        """All samples in their order, in one pass, none left out: what `predict` and evaluations need.

        What was mapped over the pipeline is kept, and so are `batch` and `filter`; `take`, `skip`, `repeat`, `shuffle`
        and `cache` are not.
        """
        return self.remade(self.order.natural(), leave_out=(*PARTS, "shuffle", "cache"), whole=True)

    def in_batches(self, batch_size, seed=0):
        """The samples in batches of another size, and in an order of its own for each pass: what a training needs.

        What was mapped over the pipeline is kept, and so is `filter`; what regroups or cuts it is not.
        """
        order = Order(self.samples, batch_size, seed=seed)
        return self.remade(order, leave_out=(*PARTS, *REGROUPS), whole=True)

    def share(self, host, hosts):
        """The rows of each batch that one of several hosts reads, decodes and augments; it does so with no others.

        `fit` calls it under `tf.distribute.MultiWorkerMirroredStrategy` and, on JAX, in several processes under
        `keras.distribution`: scripts are written as for one host, with the global batch size. Order, seeds and indices
        are those of the global batch, so a run may go on with another number of hosts. The shares of all hosts, one
        after the other, are the batch.

        Args:
            host: int, the number of this host, from 0.
            hosts: int, the number of hosts, which divides the batch size. Of a smaller last batch, the first hosts get
                one row more where it cannot be divided.

        Example:
            ```python
            images = keras_ssl.data.image_folder("photos/", 96, 256)
            half = images.share(0, 2)  # batches of 128
            ```
        """
        if not self.can_share:
            raise ValueError(
                f"Several hosts cannot share this pipeline, whose batches are no longer those that it was made with: "
                f"{[name for name, _ in self.steps]} came after. Make it with the batch size and the order that you "
                "need."
            )
        return self.remade(self.order.of_host(host, hosts))

    def remade(self, order, leave_out=(), whole=False):
        steps = [step for step in self.steps if step[0] not in leave_out]
        if whole:
            steps = [(name, {k: v for k, v in options.items() if k != "drop_remainder"}) for name, options in steps]
        made = order.finish(self.make(order))
        for name, options in steps:
            made = getattr(made, name)(**options)
        return Pipeline(self.make, order, content=self.content, made=made, steps=steps, **self.attributes)

    def named(self, **attributes):
        """The same pipeline with further attributes, such as `class_names`."""
        attributes = {**self.attributes, **attributes}
        return Pipeline(
            self.make, self.order, content=self.content, made=self.made, steps=self.steps, **attributes
        )


def step(name):
    """The method of `tf.data.Dataset` of this name, with a pipeline as its result."""
    plain = getattr(tf.data.Dataset, name)

    def derived(self, *arguments, **options):
        made = plain(self, *arguments, **options)
        given = inspect.signature(plain).bind(None, *arguments, **options).arguments
        steps = [*self.steps, (name, dict(list(given.items())[1:]))]
        return Pipeline(self.make, self.order, content=self.content, made=made, steps=steps, **self.attributes)

    derived.__name__, derived.__doc__ = name, plain.__doc__
    return derived


for _name in (*STEPS, *REGROUPS, *CHANGES):
    if hasattr(tf.data.Dataset, _name):
        setattr(Pipeline, _name, step(_name))


# What the data is


class Content:
    """What a pipeline reads.

    Args:
        parts: list of strings, arrays and None.

    Attributes:
        digest: 16 letters that stand for the parts, as good as never the same for two of them. Computed once: about a
            quarter of a second for each gigabyte.
    """

    def __init__(self, parts):
        self.parts = parts

    @functools.cached_property
    def digest(self):
        found = hashlib.sha256()
        for one in self.parts:
            if isinstance(one, np.ndarray):
                found.update(f"{one.shape} {one.dtype} {checksum(one)}".encode())
            else:
                found.update(os.fsencode(str(one)))
            found.update(b"\0")
        return found.hexdigest()[:16]


def checksum(array, most=None):
    """CRC-32 of the values of an array; of 4,096 of its rows where it has more than `most` bytes."""
    most = most or (2**30 if isinstance(array, np.memmap) else 2**33)
    rows = np.unique(np.linspace(0, len(array) - 1, 4096).astype(int)) if array.nbytes > most else None
    total = len(array) if rows is None else len(rows)
    step = max(1, 2**24 * len(array) // max(1, array.nbytes))  # 16 MiB at once: the array may be on the disk
    found = 0
    for start in range(0, total, step):
        part = slice(start, start + step)
        piece = np.ascontiguousarray(array[part] if rows is None else array[rows[part]])
        found = zlib.crc32(piece.reshape(-1).view("uint8"), found)
    return found


def shortened(paths):
    """The paths below the folder that they have in common: the same wherever that folder lies."""
    whole = [path if "://" in path else os.path.abspath(path) for path in paths]
    folder = os.path.commonprefix([os.path.dirname(path) + os.sep for path in whole]).rpartition(os.sep)[0]
    return [path[len(folder) :] for path in whole]
