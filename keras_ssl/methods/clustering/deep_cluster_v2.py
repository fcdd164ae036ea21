r"""DeepCluster-v2: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (Caron et al., 2020).

https://arxiv.org/abs/2006.09882, appendix

Objective:
    \mathcal{L} = -\operatorname{mean}_h \operatorname{mean}_v \frac{1}{N} \sum_b \log \operatorname{softmax}
    \left( C_h z_{vb} / \tau \right)_{a_h(b)}
    where $z_{vb}$ is the embedding of view $v$ of image $b$, of length 1, and $a_h$ and the centers $C_h$ are those of
    the $h$-th clustering of the embeddings of the last epoch.

Flow:
    view 1 -> encoder -> projector -> centers -> cross-entropy
    view 2 -> encoder
    small views -> encoder
    projector ~bank~> k-means ~assignments~> cross-entropy

Take it when SwAV's assignments within a batch are too rough, and the data has many epochs to come.

Leave it when a row per image is too much memory, or images are seen once.
"""

import keras
import numpy as np
from keras import ops

from keras_ssl import checks, distribute, heads, memory
from keras_ssl.clustering import check_clusters, unit_rows
from keras_ssl.encoders.multi_crop import multi_crop
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class DeepClusterV2(Method):
    """The clusters of the embeddings of the last epoch are what all views of this epoch are classified into.

    The embeddings of the first views are kept while it trains, and the callback `keras_ssl.Recluster` clusters them
    before the next epoch, by spherical k-means, once for each head: no pass over the images is needed but the first
    one. The centers are the weights of the heads, and stay for an epoch. An image that the epoch left out has no label
    in the next.

    The first pass embeds images without augmentation, in inference mode; the authors' takes augmented ones. Until it
    was made there are no labels, and the loss is 0.

    With views of several sizes (multi-crop) the encoder must take them: `input_shape=(None, None, 3)`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to views, those that are kept first; `keras_ssl.augment.swav`.
        samples: int, number of images of the data set. The data must have their numbers from 0, as `"index"`.
        clusters: ints, the number of clusters of each head (3000, 3000, 3000).
        hidden: int, units of the projector's hidden layer (2048).
        dim: int, size of the embedding (128).
        temperature: float > 0 (tau, 0.1).
        assigned_views: int, how many of the views are kept (2). Head h clusters those of view h modulo this number.
        iterations: int, of k-means (10).

    Raises:
        ValueError: an argument is out of its range, or `clusters` are not ints from 1 to `samples`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18((None, None, 3), stem="cifar")
    >>> augment = keras_ssl.augment.swav_cifar(32)
    >>> model = keras_ssl.DeepClusterV2(encoder, augment, samples=50000, clusters=(500, 500, 500))
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.6, weight_decay=1e-6))
    >>> callback = keras_ssl.Recluster(np.zeros((50000, 32, 32, 3), "uint8"))
    """

    needs = ("index",)

    bounds = {
        "samples": checks.ints(),
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
        "assigned_views": checks.ints(),
        "iterations": checks.ints(0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        samples,
        clusters=(3000, 3000, 3000),
        hidden=2048,
        dim=128,
        temperature=0.1,
        assigned_views=2,
        iterations=10,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        clusters = check_clusters(clusters, samples)
        self.samples, self.clusters, self.hidden, self.dim = samples, clusters, hidden, dim
        self.temperature, self.assigned_views, self.iterations = temperature, assigned_views, iterations
        self.view_counts = (assigned_views, None)
        self.projector = heads.mlp(encoder.output_shape[-1], hidden, dim, output_bias=True, name="projector")
        self.banks = [memory.Bank(samples, dim, momentum=0.0) for _ in range(assigned_views)]
        self.seen = self.keep("seen", (samples,), dtype="int32")  # 1 for the images whose embeddings are in the banks
        self.centers = self.keep("centers", (sum(clusters), dim))  # of one head after the other
        self.assignments = self.keep("assignments", (len(clusters), samples), no_label, "int32")

    def limits(self):
        return {"index": self.samples}

    def objective(self, views, index):
        features = multi_crop(self.encoder, views, training=True)  # (views * batch, features)
        embeddings = unit(self.projector(features, training=True))  # (views * batch, dim)
        loss = sum(self.error(embeddings, head, index, len(views)) for head in range(len(self.clusters)))
        kept = ops.split(ops.stop_gradient(embeddings), len(views))[: self.assigned_views]
        return {"loss": loss / len(self.clusters), "embeddings": kept, "index": index}

    def error(self, embeddings, head, index, views):
        """The cross-entropy of one head, the mean over all views of the images that have a label."""
        start = sum(self.clusters[:head])
        centers = ops.stop_gradient(ops.convert_to_tensor(self.centers))[start:start + self.clusters[head]]
        logits = ops.matmul(embeddings, ops.transpose(centers)) / self.temperature  # (views * batch, clusters)
        labels = ops.tile(ops.take(self.assignments[head], index, axis=0), (views,))
        known = ops.cast(labels >= 0, logits.dtype)
        errors = ops.sparse_categorical_crossentropy(ops.maximum(labels, 0), logits, from_logits=True)
        everyone = distribute.total(ops.sum(known)) / distribute.replicas()  # per replica, on average
        return ops.sum(known * errors) / ops.maximum(everyone, 1.0 / distribute.replicas())

    def after_step(self, outputs):
        for bank, embeddings in zip(self.banks, outputs["embeddings"], strict=True):
            bank.write(outputs["index"], embeddings)
        index = distribute.gather(outputs["index"], gradient=False)
        self.seen.assign(ops.scatter_update(self.seen, index[:, None], ops.ones_like(index, dtype="int32")))

    def recluster(self, whole):
        if not ops.convert_to_numpy(self.seen).any():
            rows, index = whole.embed(heads.attach(self.encoder, self.projector), self.samples)
            rows = unit_rows(whole.everywhere(rows, index, self.samples)).astype("float32")
            for bank in self.banks:
                bank.entries.assign(rows)
            self.seen.assign(np.ones(self.samples, "int32"))
        there = np.flatnonzero(ops.convert_to_numpy(self.seen))
        own = whole.share(len(there))  # this host's, of those that are there
        centers, assignments = [], []
        for head, count in enumerate(self.clusters):
            rows = ops.convert_to_numpy(self.banks[head % self.assigned_views].entries)[there[own]]
            options = {"spherical": True, "iterations": self.iterations, "empty": "keep"}
            found = whole.kmeans(rows, min(count, len(there)), own, head, **options)
            labels = np.full(self.samples, -1, "int32")
            labels[there] = whole.everywhere(found.assignment, own, len(there))
            missing = np.zeros((count - len(found.centroids), self.dim), "float32")
            centers.append(np.concatenate([found.centroids, missing]))
            assignments.append(labels)
        self.centers.assign(np.concatenate(centers))
        self.assignments.assign(np.stack(assignments))
        self.seen.assign(np.zeros(self.samples, "int32"))


def no_label(shape, dtype=None):
    return -ops.ones(shape, dtype=dtype)
