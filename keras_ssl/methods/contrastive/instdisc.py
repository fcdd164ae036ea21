r"""InstDisc: Unsupervised Feature Learning via Non-Parametric Instance Discrimination (Wu, Xiong, Yu, Lin, 2018).

https://arxiv.org/abs/1805.01978

Objective:
    \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \left( \log h(v_i, b_i) + \sum_{k=1}^{K} \log(1 - h(v_i, b_k)) \right),
    \quad h(v, b) = \frac{P}{P + K / n}, \quad P = \frac{\exp(v \cdot b / \tau)}{Z}
    where $v$ are unit embeddings, $b$ entries of the bank, of the image itself and of $K$ others out of $n$, and $Z$
    is estimated from the first batch. With `negatives=0` it is a softmax over the whole bank.

Flow:
    view -> encoder -> linear head -> NCE
    bank of past embeddings ~> NCE
    linear head ~write~> bank of past embeddings

Take it when the set of images is fixed and steps must be cheap: there is one view per image.

Leave it when the set is large or a stream: the bank holds a vector for every image, and each is renewed once an
    epoch only.
"""

import math

import keras
from keras import ops

from keras_ssl import checks, heads, memory
from keras_ssl.augment.random import choose, fold, uniform

from keras_ssl.losses import log_normalizer, nce, similarities
from keras_ssl.losses.contrastive import cross_entropy
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class InstDisc(Method):
    """Every image is a class of its own, whose weight vector is the image's past embedding in a memory bank.

    The data must hold `"index"`, the number of each image: `index=True` in the pipelines of `keras_ssl.data`.

    The noise images of an image are drawn by its index and by a state of the model that moves on at every step. So they
    do not depend on the batch or the replica it is in: every replica has the whole bank, and draws from all of it. As
    in the authors' code they may contain the image itself. The entries start as random unit vectors; the authors'
    start near unit length.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to one view; `keras_ssl.augment.instdisc`.
        samples: int, number of images in the data set (n); their indices are 0 to n - 1.
        dim: int, size of the embedding (128).
        negatives: int, number of noise images of an image (m, 4096); 0 for one softmax over the whole bank, as the
            authors' code has it for CIFAR-10.
        temperature: float > 0 (tau, 0.07; 0.1 on CIFAR-10).
        momentum: float in [0, 1), share of the old entry that is kept (0.5).
        proximal: float, weight of the squared distance to the image's old entry (lambda; 30 in the paper, 0 in the
            authors' code).
        softmax: whether one softmax over the image and its noise images (InfoNCE) replaces NCE, as in
            the later version of the authors' code, with 65536 negatives.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> augment = keras_ssl.augment.moco_v1(32, count=1)
    >>> model = keras_ssl.InstDisc(encoder, augment, samples=50_000, negatives=0, temperature=0.1)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=5e-4))
    """

    needs = ("index",)
    view_counts = (1, 1)

    bounds = {
        "samples": checks.ints(),
        "negatives": checks.ints(0),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
        "momentum": checks.numbers(least=0, below=1),
        "proximal": checks.numbers(least=0),
        "softmax": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        samples,
        dim=128,
        negatives=4096,
        temperature=0.07,
        momentum=0.5,
        proximal=0.0,
        softmax=False,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.samples, self.dim, self.negatives, self.temperature = samples, dim, negatives, temperature
        self.momentum, self.proximal, self.softmax = momentum, proximal, softmax
        self.head = heads.linear(encoder.output_shape[-1], dim, name="head")
        self.bank = memory.Bank(samples, dim, momentum)
        self.noise = keras.random.SeedGenerator()
        self.log_z = [] if softmax or negatives == 0 else normalizers(self, 1)

    def limits(self):
        return {"index": self.samples}

    def objective(self, views, index):
        (view,) = views
        embedding = unit(self.head(self.encoder(view, training=True), training=True))  # (batch, dim)
        log_z = []
        if self.negatives == 0:
            logits = similarities(embedding, ops.convert_to_tensor(self.bank.entries), self.temperature)
            loss = cross_entropy(logits, index)
        else:
            entries = self.bank.read(candidates(index, self.noise, self.negatives, self.samples))
            logits = similarities(embedding, entries, self.temperature)  # (batch, 1 + negatives)
            loss, log_z = tell_apart(logits, self.log_z, self.samples)
        if self.proximal:
            distance = ops.sum(ops.square(embedding - self.bank.read(index)), axis=-1)
            loss = loss + self.proximal * ops.mean(distance)
        return {"loss": loss, "embedding": embedding, "index": index, "log_z": log_z}

    def after_step(self, outputs):
        self.bank.write(outputs["index"], outputs["embedding"])
        for weight, value in zip(self.log_z, outputs["log_z"], strict=True):
            weight.assign(value)


# What the methods with a bank share.


def normalizers(method, count):
    """`count` weights for log Z. They start at -inf, Z = 0, and the first step sets them for the rest of the run."""
    minus_infinity = keras.initializers.Constant(-math.inf)
    return [method.keep(f"log_z_{i}", initializer=minus_infinity) for i in range(count)]


def tell_apart(logits, log_z, size):
    """The loss of logits whose first column is the true sample's, and a list with the log Z that goes with it.

    log Z is the weight in the list `log_z`, or the estimate of this batch where that is not set yet; `after_step` keeps
    it. An empty list stands for the softmax, which has none.
    """
    if not log_z:
        return cross_entropy(logits, ops.zeros_like(logits[:, 0], dtype="int32")), []
    weight = ops.convert_to_tensor(log_z[0])
    constant = ops.where(ops.isinf(weight), ops.cast(log_normalizer(logits, size), "float32"), weight)
    return nce(logits, constant, size), [constant]


def candidates(index, generator, count, size):
    """Rows of the bank for each image, `(batch, 1 + count)`: its own, then `count` drawn from all `size`.

    The draws are a function of the generator's state, which all replicas share, and of the image's index.
    """
    index = ops.cast(index, "int32")
    state = fold(ops.cast(generator.next(), "int32")[None, :], 0)
    seeds = fold(ops.bitwise_xor(state, ops.stack([index, ops.zeros_like(index)], axis=1)), 1)
    noise = ops.cast(choose(uniform(seeds, count), size - 1), "int32")
    return ops.concatenate([index[:, None], noise], axis=1)
