r"""PCL: Prototypical Contrastive Learning of Unsupervised Representations (Li, Zhou, Xiong, Socher, Hoi, 2020).

https://arxiv.org/abs/2005.04966

Objective:
    \mathcal{L} = \ell(q, k, Q) - \frac{\lambda}{M} \sum_{m=1}^{M} \operatorname{mean}_i \log \frac{\exp(q_i \cdot
    c_{s} / \phi_{s})}{\sum_j \exp(q_i \cdot c_j / \phi_j)}
    where $\ell$ is the loss of MoCo, $c$ are the prototypes of one of $M$ clusterings, $s$ is the cluster of image
    $i$, and $\phi$ how concentrated a cluster is.

Flow:
    view 1 -> encoder -> head -> InfoNCE
    view 2 ~> key encoder ~> InfoNCE
    head -> ProtoNCE -> loss
    InfoNCE -> loss
    k-means of all images ~> ProtoNCE
    head ~EMA~> key encoder

Take it when the data has classes or groups of many sizes, and the whole set can be embedded once an epoch.

Leave it when the data is a stream, or epochs are so long that the clusters are out of date.
"""

import keras
import numpy as np
from keras import ops

from keras_ssl import checks, distribute
from keras_ssl.augment.random import uniform
from keras_ssl.augment.rows import row_seeds
from keras_ssl.clustering import check_clusters, unit_rows
from keras_ssl.losses import info_nce, proto_nce
from keras_ssl.methods.contrastive.moco_v1 import MoCoV1


@keras.saving.register_keras_serializable("keras_ssl")
class PCL(MoCoV1):
    """MoCo v2 whose queries also find the center of their cluster, in several clusterings of the whole data set.

    The callback `keras_ssl.Recluster` makes the clusters, between the epochs; the authors have a warmup of 20. Until
    it first has, and with `prototype_weight=0`, it is `MoCoV2`. The model keeps the clusters and saves them. The loss
    contrasts the prototypes of the global batch and random others, every prototype once; the authors' code lists the
    prototype of two images of a batch twice, once as a negative of its own.

    The clusters are those of spherical k-means of the key encoder's embeddings, of images that are not augmented, in
    inference mode. The centers are unit vectors, and the spread of a cluster is measured from its unit center. The
    authors run Euclidean k-means on the unit vectors of the images, measure from its centers and normalize them
    afterwards; and they limit the images to 1,000 per cluster while they look for the centers, where here all take
    part.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f_q).
        augment: layer from images to two views; `keras_ssl.augment.moco_v2`.
        samples: int, number of images of the data set. The data must have their numbers from 0, as `"index"`.
        clusters: ints, the number of clusters of each clustering (K, 25000, 50000 and 100000 on ImageNet); about
            samples / 50 to samples / 12.
        negatives: int, how many random prototypes are contrasted beside those of the batch, at the least (r, 16384).
            Where images of a batch share a cluster, random ones take the places: r + batch prototypes are contrasted
            in all, or as many as there are.
        prototype_weight: float, weight of the prototypes' part of the loss (1).
        hidden: int, units of the head's hidden layer (2048).
        queue_size: int, number of keys in the queue (r, 16384).
        temperature: float > 0, of the keys, and the mean temperature of the prototypes (tau, 0.2).
        iterations: int, of k-means (20).
        restarts: int, how many starts of k-means are tried (5); the one with the nearest centers is kept.
        **kwargs: the other arguments of `MoCoV1`.

    Raises:
        ValueError: an argument is out of its range, or `clusters` are not ints from 1 to `samples`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), batch_norm_groups=8)
    >>> augment = keras_ssl.augment.moco_cifar(32)
    >>> model = keras_ssl.PCL(encoder, augment, samples=50000, clusters=(1000, 2000, 4000), queue_size=4096)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4))
    >>> callback = keras_ssl.Recluster(np.zeros((50000, 32, 32, 3), "uint8"), warmup=20)
    """

    terms = ("instance", "prototype")
    needs = ("index",)

    bounds = {
        "samples": checks.ints(),
        "negatives": checks.ints(),
        "prototype_weight": checks.numbers(least=0),
        "restarts": checks.ints(),
        "iterations": checks.ints(0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        samples,
        clusters=(25000, 50000, 100000),
        negatives=16384,
        prototype_weight=1.0,
        hidden=2048,
        queue_size=16384,
        temperature=0.2,
        iterations=20,
        restarts=5,
        **kwargs,
    ):
        super().__init__(
            encoder, augment, hidden=hidden, queue_size=queue_size, temperature=temperature, **kwargs
        )
        clusters = check_clusters(clusters, samples)
        self.samples, self.clusters, self.negatives = samples, clusters, negatives
        self.prototype_weight, self.iterations, self.restarts = prototype_weight, iterations, restarts
        self.draws = keras.random.SeedGenerator()
        self.assignments = self.keep("assignments", (len(clusters), samples), dtype="int32")
        self.prototypes = self.keep("prototypes", (sum(clusters), self.dim))  # of one clustering after the other
        self.concentrations = self.keep("concentrations", (sum(clusters),), "ones")
        self.clustered = self.keep("clustered", (), dtype="int32")  # 1 from the first clustering on

    def limits(self):
        return {"index": self.samples}

    def objective(self, views, index):
        first, second = views
        queue = self.queue.read()  # (queue_size, dim)
        chosen = [self.choose(number, index) for number in range(len(self.clusters))]
        instance, prototype, all_keys = 0.0, 0.0, []
        for query_view, key_view in ((first, second), (second, first))[: 1 + self.symmetric]:
            queries = self.query_encoder(query_view, training=True)  # (batch, dim)
            keys = ops.stop_gradient(self.keys(key_view))  # (batch, dim)
            instance += info_nce(queries, keys, queue, self.temperature)
            prototype += sum(proto_nce(queries, *those) for those in chosen) / len(chosen)
            all_keys.append(ops.normalize(ops.cast(keys, "float32"), axis=-1))
        prototype = ops.where(self.clustered > 0, prototype, 0.0)
        loss = instance + self.prototype_weight * prototype
        return {"loss": loss, "instance": instance, "prototype": prototype, "keys": all_keys}

    def choose(self, number, index):
        """The prototypes of the batch and random others of one clustering, their concentrations, and the rows of the
        batch's own among them `(batch,)`."""
        count, start = self.clusters[number], sum(self.clusters[:number])
        own = ops.take(self.assignments[number], index, axis=0)  # (batch,)
        of_batch = distribute.gather(own, gradient=False)
        rank = uniform(row_seeds(self.draws, count), 1)[:, 0]  # from 0 to 1, the same on all replicas
        rank = ops.scatter_update(rank, of_batch[:, None], -ops.ones_like(of_batch, dtype=rank.dtype))
        those = ops.argsort(rank)[: self.negatives + ops.shape(of_batch)[0]]  # the batch's first, each once
        labels = ops.argmax(ops.cast(those[None, :] == own[:, None], "int32"), axis=1)
        prototypes = ops.take(self.prototypes[start:start + count], those, axis=0)
        return prototypes, ops.take(self.concentrations[start:start + count], those, axis=0), labels

    def recluster(self, whole):
        embeddings, index = whole.embed(self.key_encoder, self.samples)
        embeddings = unit_rows(embeddings)
        options = {"spherical": True, "iterations": self.iterations, "restarts": self.restarts}
        found = []
        for number, count in enumerate(self.clusters):
            centroids, own, _ = whole.kmeans(embeddings, count, index, number, **options)
            distances = np.linalg.norm(embeddings - centroids[own], axis=1)
            assignment, distances = (whole.everywhere(x, index, self.samples) for x in (own, distances))
            found.append((centroids, assignment, concentrations(distances, assignment, count, self.temperature)))
        self.keep_clusters(found)

    def keep_clusters(self, found):
        """Takes over a clustering for each of `clusters`: centroids, assignments `(samples,)` and concentrations."""
        centroids, assignments, concentrations = zip(*found)
        self.assignments.assign(np.stack(assignments).astype("int32"))
        self.prototypes.assign(np.concatenate(centroids).astype("float32"))
        self.concentrations.assign(np.concatenate(concentrations).astype("float32"))
        self.clustered.assign(1)


def concentrations(distances, assignment, count, temperature, smoothing=10.0):
    """How widely each cluster spreads (phi), as the temperature of its prototype.

    `phi = mean distance to the center / log(images + smoothing)`; a cluster of one image takes the largest. They are
    clipped to their 10th and 90th percentile and scaled so that their mean is the temperature.

    Args:
        distances: array `(samples,)`, Euclidean, of the embeddings from their centers.
        assignment: int array `(samples,)`, the cluster of each image.
        count: int, number of clusters.
        temperature: float > 0 (tau).
        smoothing: float >= 1, keeps the concentration of a small cluster from being large (alpha, 10).

    Returns:
        float array `(count,)`, greater than 0.
    """
    images = np.bincount(assignment, minlength=count)
    mean = np.bincount(assignment, weights=distances, minlength=count) / np.maximum(images, 1)
    phi = mean / np.log(images + smoothing)
    largest = np.max(phi, where=images > 1, initial=0.0)
    if largest == 0.0:  # every image is its own center
        return np.full(count, temperature, "float64")
    phi = np.where(images > 1, phi, largest)
    phi = np.clip(phi, np.percentile(phi, 10), np.percentile(phi, 90))
    phi = np.maximum(phi, 1e-3 * largest)  # clusters of equal images
    return temperature * phi / phi.mean()
