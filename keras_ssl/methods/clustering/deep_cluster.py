r"""DeepCluster: Deep Clustering for Unsupervised Learning of Visual Features (Caron et al., 2018).

https://arxiv.org/abs/1807.05520

Objective:
    \mathcal{L} = \frac{1}{N} \sum_i w_i \left( -\log \operatorname{softmax}(W f(x_i))_{a_i} \right),
    \qquad w_i = \frac{M}{C \, n_{a_i}}
    where $a_i$ is the cluster of image $i$ in the last clustering of all $M$ images, $n_a$ the size of a cluster, and
    $C$ the number of clusters that are not empty.

Flow:
    view -> encoder -> trunk -> head -> cross-entropy
    all images ~k-means~> cross-entropy

Take it when you want labels of the whole data set to look at, and one plain classifier to train.

Leave it when the data does not fit a pass per epoch, or grows while you train.
"""

import keras
import numpy as np
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.clustering import mutual_information, unit_rows
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class DeepCluster(Method):
    """The clusters of all images are the classes that the network learns, and its features make the next clusters.

    The callback `keras_ssl.Recluster` makes the clusters before each epoch: features of the images without
    augmentation and dropout, whitened principal components, length 1, k-means. Then the last layer starts anew, as the
    clusters have new numbers, and so does what the optimizer keeps of it. Until the first clustering the labels are
    arbitrary.

    With `balanced`, images count by the inverse size of their cluster, which the paper calls equivalent to what the
    authors' code does: to draw the images so that each cluster is seen equally often (`uniform_order`). The authors
    train the last layer with an SGD of its own, which has no momentum; here it has that of the others.

    The paper's networks see slopes instead of colors: `keras_ssl.augment.Sobel`, in the encoder or in the views; what
    `Recluster` gets must have the channels that the encoder takes.

    Terms: `reassignment`, the normalized mutual information of the last two clusterings: it grows, and levels off
    below 1 in the paper.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to one view; `keras_ssl.augment.deepcluster`.
        samples: int, number of images of the data set. The data must have their numbers from 0, as `"index"`.
        clusters: int, number of clusters (k, 10000 on ImageNet); more than there are classes.
        hidden: int, units of the two layers of the trunk (4096); 0 for no trunk, as of a ResNet.
        dropout: float in [0, 1), before each layer of the trunk (0.5).
        components: int, principal components that are clustered (256), at most as many as the features have.
        iterations: int, of k-means (20).
        balanced: whether clusters count equally, instead of images.

    Raises:
        ValueError: an argument is out of its range, or there are more clusters than samples.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> augment = keras_ssl.augment.deepcluster(32, sobel=False)
    >>> model = keras_ssl.DeepCluster(encoder, augment, samples=50000, clusters=1000, hidden=0)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.05, momentum=0.9, weight_decay=1e-5))
    >>> callback = keras_ssl.Recluster(np.zeros((50000, 32, 32, 3), "uint8"))
    """

    terms = ("reassignment",)
    needs = ("index",)
    view_counts = (1, 1)

    bounds = {
        "samples": checks.ints(),
        "clusters": checks.ints(),
        "hidden": checks.ints(0),
        "dropout": checks.numbers(least=0, below=1),
        "components": checks.ints(),
        "iterations": checks.ints(0),
        "balanced": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        samples,
        clusters=10000,
        hidden=4096,
        dropout=0.5,
        components=256,
        iterations=20,
        balanced=True,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        if clusters > samples:
            raise ValueError(f"clusters must be at most samples={samples}. Received: clusters={clusters}")
        self.samples, self.clusters, self.hidden, self.dropout = samples, clusters, hidden, dropout
        self.components, self.iterations, self.balanced = components, iterations, balanced
        self.trunk = heads.attach(encoder, trunk_of(encoder, hidden, dropout)) if hidden else encoder
        self.head = head_of(self.trunk.output_shape[-1], clusters, hidden > 0)
        self.assignments = self.keep("assignments", (samples,), in_turn(clusters), "int32")
        self.importance = self.keep("importance", (clusters,), "ones")
        self.reassignment = self.keep("reassignment", (), "zeros")

    def limits(self):
        return {"index": self.samples}

    def objective(self, views, index):
        (view,) = views
        logits = precise(self.head(self.trunk(view, training=True), training=True))  # (batch, clusters)
        labels = ops.take(self.assignments, index, axis=0)  # (batch,)
        errors = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        importance = ops.stop_gradient(ops.take(self.importance, labels, axis=0))  # 1 on average over the data set
        loss = ops.mean(importance * errors if self.balanced else errors)
        return {"loss": loss, "reassignment": ops.convert_to_tensor(self.reassignment)}

    def recluster(self, whole):
        features, index = whole.embed(self.trunk, self.samples)
        features = unit_rows(whole.whiten(features, self.components))
        found = whole.kmeans(features, self.clusters, index, iterations=self.iterations)
        self.keep_clusters(whole.everywhere(found.assignment, index, self.samples))
        self.start_anew(whole.draw)

    def keep_clusters(self, assignments):
        """Takes over the clusters `(samples,)` of all images."""
        self.reassignment.assign(mutual_information(ops.convert_to_numpy(self.assignments), assignments))
        self.assignments.assign(assignments.astype("int32"))
        sizes = np.bincount(assignments, minlength=self.clusters)
        importance = self.samples / (np.maximum(sizes, 1) * np.count_nonzero(sizes))
        self.importance.assign(np.where(sizes > 0, importance, 0.0).astype("float32"))

    def start_anew(self, draw):
        """Another last layer, for clusters that have other numbers."""
        kernel, bias = self.head.layers[-1].weights
        kernel.assign(draw.normal(0.0, 0.01, kernel.shape).astype("float32"))
        bias.assign(np.zeros(bias.shape, "float32"))
        forget(getattr(self, "optimizer", None), (kernel, bias))


def uniform_order(assignments, draw):
    """The images of an epoch, each cluster as often as another: what the authors' code trains on, with
    `balanced=False`.

    Args:
        assignments: int array `(samples,)`, `model.assignments`.
        draw: `numpy.random.Generator`.

    Returns:
        int array `(samples,)`, numbers of images. Those of a large cluster are there once at most, those of a small
        one several times.
    """
    assignments = np.asarray(assignments)
    found = np.unique(assignments)
    each = len(assignments) // len(found) + 1
    order = []
    for cluster in found:
        members = np.flatnonzero(assignments == cluster)
        order.append(draw.choice(members, each, replace=len(members) < each))
    return draw.permutation(np.concatenate(order))[: len(assignments)]


def forget(optimizer, weights):
    """Sets to zero what an optimizer keeps of some weights: momentum, second moments."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if optimizer is None or not optimizer.built:
        return
    trained = [weight.path for weight in optimizer._trainable_variables]
    places = [trained.index(weight.path) for weight in weights]
    for slots in vars(optimizer).values():
        if isinstance(slots, list) and len(slots) == len(trained) and slots is not optimizer._trainable_variables:
            for slot in (slots[place] for place in places):
                if hasattr(slot, "assign") and slot.path not in trained:
                    slot.assign(ops.zeros_like(slot))


def trunk_of(encoder, hidden, dropout):
    """The two layers before the last one, without the last ReLU: their outputs are clustered."""
    layers = [keras.Input((encoder.output_shape[-1],))]
    for number in range(2):
        layers += [keras.layers.ReLU()] * number
        layers += [keras.layers.Dropout(dropout), keras.layers.Dense(hidden)]
    return keras.Sequential(layers, name="trunk")


def head_of(dim, clusters, relu):
    draw = keras.initializers.RandomNormal(stddev=0.01)
    last = keras.layers.Dense(clusters, kernel_initializer=draw, dtype="float32")
    return keras.Sequential([keras.Input((dim,)), *([keras.layers.ReLU()] if relu else []), last], name="head")


def in_turn(clusters):
    """An initializer: image i is in cluster i modulo the number of clusters."""
    return lambda shape, dtype=None: ops.cast(ops.arange(shape[0]) % clusters, dtype)
