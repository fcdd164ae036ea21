r"""SeLa: Self-labeling via simultaneous clustering and representation learning (Asano, Rupprecht, Vedaldi, 2019).

https://arxiv.org/abs/1911.05371

Objective:
    \mathcal{L} = -\operatorname{mean}_h \frac{1}{N} \sum_i \log p_h(l_h(i) \mid x_i), \qquad
    l_h(i) = \operatorname{argmax}_k \; r_k \, p_h(k \mid x_i)^\lambda
    where $r$ scales the matrix of all images so that each label has an equal share of them (Sinkhorn-Knopp).

Flow:
    view -> encoder -> heads -> cross-entropy
    all images ~Sinkhorn~> cross-entropy

Take it when clusters of equal size are what you expect, and labels for the whole data set are welcome.

Leave it when some classes are much larger than others.
"""

import keras
import numpy as np
from keras import ops

from keras_ssl import checks
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class SeLa(Method):
    """Labels that the network itself finds likely, under the constraint that each has as many images, are learned.

    The callback `keras_ssl.Recluster` makes the labels of all images, for each head its own; `label_steps` are the
    steps at which the authors do. It takes the images without augmentation, in inference mode, which is one of the
    authors' options. Until then the labels are random, as many images to each.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to one view; `keras_ssl.augment.moco_v1(size, count=1)` has the authors' crops,
            jitter and gray images.
        samples: int, number of images of the data set. The data must have their numbers from 0, as `"index"`.
        clusters: int, number of labels of a head (K, 3000; 128 on CIFAR).
        head_count: int, number of heads (10).
        power: float > 0, of the probabilities, the larger the closer to the best assignment (lambda, 25; 10 on CIFAR).
        tolerance: float > 0, where Sinkhorn ends (0.1), see `keras_ssl.clustering.assign_equally`.
        one_head: whether each time only one head gets new labels, in turn by the number of the epoch or step, as on
            CIFAR.

    Raises:
        ValueError: an argument is out of its range, or there are more labels than samples.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> augment = keras_ssl.augment.moco_v1(32, count=1)
    >>> model = keras_ssl.SeLa(encoder, augment, samples=50000, clusters=128, power=10.0)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=5e-4))
    >>> steps = keras_ssl.methods.clustering.sela.label_steps(400 * 390, times=400)
    >>> callback = keras_ssl.Recluster(np.zeros((50000, 32, 32, 3), "uint8"), at=steps)
    """

    needs = ("index",)
    view_counts = (1, 1)

    bounds = {
        "samples": checks.ints(),
        "clusters": checks.ints(),
        "head_count": checks.ints(),
        "power": checks.numbers(above=0),
        "tolerance": checks.numbers(above=0),
        "one_head": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        samples,
        clusters=3000,
        head_count=10,
        power=25.0,
        tolerance=0.1,
        one_head=False,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        if clusters > samples:
            raise ValueError(f"clusters must be at most samples={samples}. Received: clusters={clusters}")
        self.samples, self.clusters, self.head_count = samples, clusters, head_count
        self.power, self.tolerance, self.one_head = power, tolerance, one_head
        self.heads = keras.layers.Dense(head_count * clusters, dtype="float32", name="heads")
        self.heads.build((None, encoder.output_shape[-1]))
        self.assignments = self.keep("assignments", (head_count, samples), shuffled(clusters), "int32")

    def limits(self):
        return {"index": self.samples}

    def objective(self, views, index):
        (view,) = views
        logits = precise(self.heads(self.encoder(view, training=True)))
        logits = ops.reshape(logits, (-1, self.head_count, self.clusters))  # (batch, heads, clusters)
        labels = ops.transpose(ops.take(self.assignments, index, axis=1))  # (batch, heads)
        return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))

    def recluster(self, whole):
        features, index = whole.embed(self.encoder, self.samples)
        kernel, bias = (ops.convert_to_numpy(weight) for weight in self.heads.weights)
        labels = ops.convert_to_numpy(self.assignments).copy()
        for head in [whole.when % self.head_count] if self.one_head else range(self.head_count):
            own = slice(head * self.clusters, (head + 1) * self.clusters)
            found = whole.assign_equally(
                lambda block: log_softmax(features[block] @ kernel[:, own] + bias[own]),
                len(features), self.clusters, self.power, self.tolerance,
            )  # fmt: skip
            labels[head] = whole.everywhere(found, index, self.samples)
        self.assignments.assign(labels)


def label_steps(steps, times=100):
    """The steps before which the authors make new labels: often at first, at `steps * (j / times)^2`.

    Args:
        steps: int, of the whole run.
        times: int, how often (100 on ImageNet, 400 on CIFAR).

    Returns:
        int array, ascending, for `keras_ssl.Recluster(data, at=...)`.

    Example:

    >>> label_steps(1000, times=5)
    array([  0,  40, 160, 360, 640])
    """
    return np.unique(np.ceil(steps * (np.arange(times) / times) ** 2 - 1e-9).astype("int64"))


def log_softmax(logits):
    logits = logits.astype("float64")
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def shuffled(clusters):
    """An initializer: for each head, every label for as many images, at random."""

    def draw(shape, dtype=None):
        rows = [keras.random.shuffle(ops.arange(shape[1]) % clusters) for _ in range(shape[0])]
        return ops.cast(ops.stack(rows), dtype)

    return draw
