"""Unlabeled: labeled samples, and several unlabeled ones beside each of them, in one batch."""

import copy

import tensorflow as tf

from keras_ssl import inputs
from keras_ssl.data.order import Order
from keras_ssl.data.pipeline import Content, Pipeline


def with_unlabeled(labeled, unlabeled):
    """Batches of labeled images with unlabeled ones beside each: what semi-supervised methods are trained on.

    A pass, an epoch of `fit`, is one over the unlabeled images. (Papers often count passes over the labeled ones, which
    are shorter: labeled images / B steps.) The few labeled ones come again and again in it, each time in another order
    and with other seeds; where their order begins anew in a batch, it goes on there. Like every pipeline of this
    package the result is a function of seed and epoch: `epoch` and `start` of the unlabeled pipeline say where it goes
    on, and those of the labeled one must be left at 0.

    Args:
        labeled: pipeline of `keras_ssl.data` with `"label"`, of the batch size of a step (B). A label of -1 is of an
            image whose class is not known. Where it has fewer samples than a batch, make it with
            `drop_remainder=False`.
        unlabeled: pipeline of `keras_ssl.data` of the same kind and size of samples, of a batch size of `ratio * B`
            (a ratio of 7 in FixMatch). It should hold the labeled samples, too; its labels are left out.

    Returns:
        `tf.data.Dataset` of dicts: the columns of the labeled samples with `"seed"` and `"label"`, and `"unlabeled"`
        `(B, ratio, ...)` with `"unlabeled_seed"` int32 `(B, ratio, 2)`; with `"unlabeled_index"` where the unlabeled
        pipeline has `"index"`.

    Raises:
        TypeError: an argument is no pipeline of this package.
        ValueError: the labeled one has no labels; the samples differ in kind or shape, or the unlabeled ones have masks
            or edges, which have no place beside the labeled ones'; a batch size is no multiple of the other, or of the
            number of hosts, or a last batch is smaller; or the labeled pipeline does not begin at its start.

    Example:
        ```python
        few = keras_ssl.data.class_balanced(labels, 250)
        labeled = keras_ssl.data.arrays(images[few], 64, labels=labels[few])
        unlabeled = keras_ssl.data.arrays(images, 7 * 64)
        data = keras_ssl.data.with_unlabeled(labeled, unlabeled)
        ```
    """
    kind, ratio = checked(labeled, unlabeled)
    beside = {"seed": "unlabeled_seed", "index": "unlabeled_index", kind.column: "unlabeled"}

    def join(few, many):
        rows = few["label"].shape[0]
        columns = {new: many[name] for name, new in beside.items() if name in many}
        columns = {name: tf.reshape(x, (rows, ratio, *x.shape[1:])) for name, x in columns.items()}
        # The seeds of the labeled pipeline are those of its pass, and a batch may hold an image of two passes.
        return few | columns | {"seed": tf.bitwise.invert(columns["unlabeled_seed"][:, 0])}

    def make(order):
        if order.batch_size != unlabeled.order.batch_size:
            raise ValueError(
                "Batches of labeled and unlabeled samples have the sizes that both pipelines were made with. Make them "
                f"anew for others. Received: batches of {order.batch_size} unlabeled samples"
            )
        if labeled.order.batch_size % order.hosts:
            raise ValueError(
                f"The batch size of labeled must be a multiple of the number of hosts, {order.hosts}. Received: "
                f"batch_size={labeled.order.batch_size}, the number of labeled samples of all hosts together."
            )
        if order.used % order.batch_size:
            raise ValueError(
                f"The last batch of {order.used} unlabeled samples would be smaller than {order.batch_size}: make the "
                "pipeline with drop_remainder=True. It cannot give all samples in their order, either."
            )

        def one_pass(epoch):
            few = remade(labeled, Again(labeled.order, order, epoch))
            return tf.data.Dataset.zip((few, remade(unlabeled, at(order, epoch))))

        return order.passes().flat_map(one_pass).map(join, num_parallel_calls=tf.data.AUTOTUNE)

    content = Content([labeled.content.digest, unlabeled.content.digest])
    names = {"class_names": labeled.class_names} if hasattr(labeled, "class_names") else {}
    return Pipeline(make, unlabeled.order, content=content, **names)


def checked(labeled, unlabeled):
    """The kind of the samples, and how many unlabeled ones come with each labeled one."""
    for name, one in {"labeled": labeled, "unlabeled": unlabeled}.items():
        if not isinstance(one, Pipeline) or not one.can_share:
            raise TypeError(
                f"{name} must be a pipeline of keras_ssl.data whose batches are those that it was made with, such as "
                f"keras_ssl.data.arrays(images, batch_size). Received: {type(one).__name__}"
            )
    spec, other = labeled.element_spec, unlabeled.element_spec
    if "label" not in spec:
        raise ValueError(f"labeled must have labels: pass labels= to its pipeline. Received: columns {sorted(spec)}")
    kind = inputs.kind_of(spec)
    if kind is None or kind is not inputs.kind_of(other) or spec[kind.column].shape[1:] != other[kind.column].shape[1:]:
        raise ValueError(
            "labeled and unlabeled must hold samples of one kind and shape. Received: "
            f"{ {name: tuple(one.shape) for name, one in spec.items()} } and "
            f"{ {name: tuple(one.shape) for name, one in other.items()} }"
        )
    further = [name for name in kind.also if name in other]
    if further:
        raise ValueError(
            f"unlabeled {kind.words} cannot have {', '.join(further)}: there is no column for it beside 'unlabeled'. "
            f"Make all samples of one size. Received: columns {sorted(other)}"
        )
    few, many = labeled.order, unlabeled.order
    if many.batch_size % few.batch_size:
        raise ValueError(
            "The batch size of unlabeled must be a multiple of that of labeled, the ratio of the two. Received: "
            f"{many.batch_size} and {few.batch_size}"
        )
    if few.start or few.first:
        raise ValueError(
            "Where a run goes on is said by the unlabeled pipeline: leave out epoch and start of the labeled one. "
            f"Received: epoch={few.first}, start={few.start}"
        )
    return kind, many.batch_size // few.batch_size


def remade(pipeline, order):
    """A pipeline in another order, with what was mapped over it."""
    made = pipeline.make(order)
    for name, options in pipeline.steps:
        made = getattr(made, name)(**options)
    return made


def at(order, epoch):
    """The same order, of the pass `epoch` alone, an int64 scalar, which may be a tensor."""
    one = copy.copy(order)
    one.passes = lambda: tf.data.Dataset.from_tensors(epoch)
    return one


class Again(Order):
    """The order of a few samples that are repeated for as long as a pass over many others takes.

    Positions are counted through the whole run: position p is one of pass p // n over the n samples.

    Args:
        few: `Order` of the few samples.
        many: `Order` of the others.
        epoch: int64 scalar, the pass over the others.
    """

    def __init__(self, few, many, epoch):
        vars(self).update(vars(few))
        self.few, self.many, self.now = few, many, epoch
        self.first, self.start, self.host, self.hosts = many.first, many.start, many.host, many.hosts
        self.drop_remainder, self.used = True, many.full * few.batch_size

    @property
    def full(self):
        return self.many.full

    @property
    def last(self):
        return 0, 0

    def passes(self):
        return tf.data.Dataset.from_tensors(self.now)

    def one_pass(self, epoch, extra=0):
        def draw(place):
            return tf.fill(tf.shape(place), epoch), place, self.index(epoch, self.position(place))

        return tf.data.Dataset.range(self.skipped(epoch), self.places + extra).batch(1024).map(draw).unbatch()

    def read(self, epoch, source):
        begin = epoch * self.used
        passes = tf.data.Dataset.range(begin // self.count, (begin + self.used - 1) // self.count + 1)
        return passes.flat_map(source).skip(begin % self.count)

    def index(self, epoch, position):
        """Numbers of the samples at `position`, int64 `(positions,)` or a scalar, of the pass `epoch` of the others."""
        through = epoch * self.used + tf.cast(position, tf.int64)
        own, place = through // self.count, through % self.count

        def of(one, found):
            return one + 1, tf.where(own == one, self.few.index(one, place), found)

        last = tf.reduce_max(own)
        return tf.while_loop(lambda one, _: one <= last, of, (tf.reduce_min(own), tf.zeros_like(place)))[1]
