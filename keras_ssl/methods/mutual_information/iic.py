r"""IIC: Invariant Information Clustering for Unsupervised Image Classification and Segmentation (Ji et al., 2018).

https://arxiv.org/abs/1807.06653

Objective:
    \mathcal{L} = - \sum_{i, j} P_{ij} \left( \log P_{ij} - \lambda \log P_i - \lambda \log P_j \right), \quad
    P = \frac{1}{2 N} \sum_{n} \left( p_n q_n^T + q_n p_n^T \right)
    where $p_n$ and $q_n$ are the cluster probabilities of the two views of pair $n$, and $P_i$, $P_j$ the sums of the
    rows and columns of $P$. It is the mean over the sub-heads, of the head and of the auxiliary one.

Flow:
    image -> encoder -> sub-heads -> joint distribution -> mutual information
    changed images -> encoder
    encoder -> auxiliary sub-heads -> joint distribution

Take it when clusters themselves are wanted, as many as there are classes: they are found end to end, without k-means.

Leave it when features are wanted, or the classes are far from equally large: it prefers clusters of one size.
"""

import keras
import numpy as np
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.encoders.multi_crop import multi_crop
from keras_ssl.losses import invariant_information
from keras_ssl.method import Method

MEMORY = 0.99  # of the running losses by which the best sub-head is chosen


@keras.saving.register_keras_serializable("keras_ssl")
class IIC(Method):
    """The clusters of an image and of its changed versions have as much mutual information as they can.

    The first view, the image itself, is paired with each of the others, and the joint distribution of their clusters is
    over all pairs of the global batch. There are two heads, that of the clusters and an auxiliary one of many more
    (over-clustering), which learns from what does not fit the few; each is several linear sub-heads that start apart
    from each other. `clusterer()` makes a model of the best one, by its loss: that needs no labels. Give it images as
    large as those of the views: where these were cut out and enlarged, the middle of an image, enlarged as much.

    For segmentation the loss alone is here: `keras_ssl.losses.invariant_information_of_maps`.

    The joint distribution has `clusters` x `clusters` entries: the batch times the number of changed views should be
    well above the number of auxiliary clusters.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`. The authors' starts with
            `keras_ssl.augment.Sobel`, which hides the colors that make trivial clusters.
        augment: layer from images to the image and its changed versions, two views or more.
        clusters: int, as many as there are classes (k).
        aux_clusters: int, of the auxiliary head (70 for CIFAR-10 and STL-10, 140 for CIFAR-20, 50 for MNIST); None for
            no such head.
        sub_heads: int, of each of the two (5).
        weight: float above 0, of the entropy of the clusters (lambda, 1).
        phase: int, steps of a pass over the data: the heads then train in turns, one pass after the other, as in the
            paper. None: both in each step.
        passes: pair of ints, how many passes of the auxiliary head come before how many of the other ((1, 1) for
            STL-10; (1, 2) for CIFAR).

    Example:

    >>> encoder = keras_ssl.encoders.resnet18((32, 32, 3))
    >>> crop = keras_ssl.augment.RandomResizedCrop(32, scale=(0.4, 0.4), ratio=(1.0, 1.0))
    >>> changed = [keras_ssl.augment.RandomFlip(), keras_ssl.augment.ColorJitter(0.4, 0.4, 0.4, 0.125, p=1.0)]
    >>> augment = keras_ssl.augment.Views([crop, *[keras_ssl.augment.View([crop, *changed])] * 3])
    >>> model = keras_ssl.IIC(encoder, augment, clusters=10)
    >>> model.compile(optimizer=keras.optimizers.Adam(1e-4))
    """

    terms = ("main", "auxiliary")
    view_counts = (2, None)
    least_batch = 2

    bounds = {
        "clusters": checks.ints(2),
        "aux_clusters": checks.ints(2, optional=True),
        "sub_heads": checks.ints(),
        "weight": checks.numbers(above=0),
        "phase": checks.ints(optional=True),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        clusters=10,
        aux_clusters=70,
        sub_heads=5,
        weight=1.0,
        phase=None,
        passes=(1, 1),
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.clusters, self.aux_clusters, self.sub_heads, self.weight = clusters, aux_clusters, sub_heads, weight
        self.phase, self.passes = phase, check_passes(passes)
        if phase is not None and aux_clusters is None:
            raise ValueError(
                f"phase needs an auxiliary head. Received: phase={phase}, aux_clusters=None: leave phase out, or set "
                "aux_clusters"
            )
        features = encoder.output_shape[-1]
        self.head = sub_heads_of(features, sub_heads, clusters, name="head")
        self.auxiliary = sub_heads_of(features, sub_heads, aux_clusters, "auxiliary") if aux_clusters else None
        self.recent = self.keep("recent", (sub_heads,))

    def objective(self, views):
        image = self.encoder(views[0], training=True)
        changed = multi_crop(self.encoder, views[1:], training=True)  # (others * batch, dim)
        main = self.information(self.head, image, changed, len(views) - 1)  # (sub_heads,)
        loss = ops.mean(main)
        outputs = {"main": loss, "auxiliary": ops.zeros_like(loss), "sub_heads": ops.stop_gradient(main)}
        if self.auxiliary is None:
            return {"loss": loss} | outputs
        auxiliary = ops.mean(self.information(self.auxiliary, image, changed, len(views) - 1))
        if self.phase is None:
            return {"loss": loss + auxiliary} | outputs | {"auxiliary": auxiliary}
        return {"loss": ops.where(self.auxiliary_turn(), auxiliary, loss)} | outputs | {"auxiliary": auxiliary}

    def information(self, head, image, changed, others):
        first, second = (self.probabilities(head, features) for features in (image, changed))
        return invariant_information(ops.concatenate([first] * others), second, self.weight)

    def probabilities(self, head, features):
        """`(batch, sub_heads, clusters)`, float32."""
        scores = ops.cast(head(features, training=True), "float32")
        return ops.softmax(ops.reshape(scores, (-1, self.sub_heads, scores.shape[-1] // self.sub_heads)), axis=-1)

    def auxiliary_turn(self):
        first, second = self.passes
        return (self.step // self.phase) % (first + second) < first

    def after_step(self, outputs):
        found = outputs["sub_heads"]
        self.recent.assign(ops.where(self.step == 0, found, MEMORY * self.recent + (1 - MEMORY) * found))

    def clusterer(self):
        """A `keras.Model` from images to the probabilities `(batch, clusters)` of the sub-head of the lowest loss."""
        best = int(np.argmin(ops.convert_to_numpy(self.recent)))
        own = slice(best * self.clusters, (best + 1) * self.clusters)
        kernel, bias = self.head.get_weights()
        last = heads.linear(kernel.shape[0], self.clusters)
        model = keras.Sequential([last, keras.layers.Softmax(dtype="float32")])
        last.set_weights([kernel[:, own], bias[own]])
        return heads.attach(self.encoder, model, name="clusterer")


def sub_heads_of(features, count, clusters, name):
    draw = keras.initializers.RandomNormal(stddev=0.01)
    return heads.linear(features, count * clusters, initializer=draw, name=name)


def check_passes(passes):
    pair = tuple(passes) if isinstance(passes, (tuple, list)) else ()
    if len(pair) != 2 or not all(checks.is_int(number, 1) for number in pair):
        raise ValueError(f"passes must be a pair of positive ints, such as (1, 2). Received: passes={passes!r}")
    return pair
