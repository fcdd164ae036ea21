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

from keras_ssl import distribute
from keras_ssl.augment.random import uniform
from keras_ssl.augment.rows import row_seeds
from keras_ssl.checks import check_ints, check_numbers, is_int
from keras_ssl.losses import info_nce, proto_nce
from keras_ssl.methods.contrastive.moco_v1 import MoCoV1


@keras.saving.register_keras_serializable("keras_ssl")
class PCL(MoCoV1):
    """MoCo v2 whose queries also find the centre of their cluster, in several clusterings of the whole data set.

    The callback `PCLClusters` makes the clusters, between the epochs. Until it first has, and with
    `prototype_weight=0`, it is `MoCoV2`. The model keeps the clusters and saves them. The loss contrasts the prototypes
    of the global batch and random others, every prototype once; the authors' code lists the prototype of two images
    of a batch twice, once as a negative of its own.

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
        **kwargs: the other arguments of `MoCoV1`.

    Raises:
        ValueError: `samples` is not given, or `clusters` are not ints from 1 to `samples`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), batch_norm_groups=8)
    >>> augment = keras_ssl.augment.moco_cifar(32)
    >>> model = keras_ssl.PCL(encoder, augment, samples=50000, clusters=(1000, 2000, 4000), queue_size=4096)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4))
    """

    terms = ("instance", "prototype")
    needs = ("index",)

    def __init__(
        self,
        encoder,
        augment=None,
        samples=None,
        clusters=(25000, 50000, 100000),
        negatives=16384,
        prototype_weight=1.0,
        hidden=2048,
        queue_size=16384,
        temperature=0.2,
        **kwargs,
    ):
        super().__init__(
            encoder, augment, hidden=hidden, queue_size=queue_size, temperature=temperature, **kwargs
        )
        check_ints(negatives=negatives)
        check_numbers(least=0, prototype_weight=prototype_weight)
        if samples is None:
            raise ValueError(
                "samples must be the number of images of the data set, of which the model keeps the clusters. "
                "Received: samples=None"
            )
        check_ints(samples=samples)
        clusters = tuple(clusters) if isinstance(clusters, (tuple, list)) else clusters
        if not (
            isinstance(clusters, tuple)
            and clusters
            and all(isinstance(count, int) and 1 <= count <= samples for count in clusters)
        ):
            raise ValueError(f"clusters must be ints from 1 to samples={samples}. Received: clusters={clusters!r}")
        self.samples, self.clusters, self.negatives = samples, clusters, negatives
        self.prototype_weight = prototype_weight
        self.draws = keras.random.SeedGenerator()

        def keep(name, shape, initializer="zeros", dtype="float32"):
            return self.add_weight(shape, initializer, dtype, trainable=False, autocast=False, name=name)

        self.assignments = keep("assignments", (len(clusters), samples), dtype="int32")
        self.prototypes = keep("prototypes", (sum(clusters), self.dim))  # of one clustering after the other
        self.concentrations = keep("concentrations", (sum(clusters),), "ones")
        self.clustered = keep("clustered", (), dtype="int32")  # 1 from the first clustering on

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

    def keep_clusters(self, found):
        """Takes over a clustering for each of `clusters`: centroids, assignments `(samples,)` and concentrations."""
        centroids, assignments, concentrations = zip(*found)
        self.assignments.assign(np.stack(assignments).astype("int32"))
        self.prototypes.assign(np.concatenate(centroids).astype("float32"))
        self.concentrations.assign(np.concatenate(concentrations).astype("float32"))
        self.clustered.assign(1)


class PCLClusters(keras.callbacks.Callback):
    """Clusters the whole data set for `PCL`, before the epochs, by spherical k-means of the key encoder's embeddings.

    The centres are unit vectors, and the spread of a cluster is measured from its unit centre. The authors run
    Euclidean k-means on the unit vectors of the images, measure from its centres and normalise them afterwards.

    The images are not augmented, and the key encoder runs in inference mode, with its moving statistics. The
    clusters are a pure function of the weights, `seed` and the epoch. All images take part; the authors' code limits
    them to 1,000 a cluster while it looks for the centres.

    Args:
        data: the images that are trained on: an array `(samples, height, width, channels)`, 0..255, whose rows are
            the `"index"` of the training data; or an iterable of batches with `"image"` and `"index"`, such as
            `keras_ssl.data.arrays(images, 256, index=True, shuffle=False, drop_remainder=False)`.
        warmup: int, epochs before the first clustering (20).
        every: int, epochs between two clusterings (1).
        iterations: int, of k-means (20).
        restarts: int, how many starts of k-means are tried (5); the one with the nearest centres is kept.
        batch_size: int, images a step of the key encoder.
        seed: int, of the first centres.

    Raises:
        TypeError: the model is no `PCL`.
        ValueError: the data does not hold each image from 0 to `samples - 1` exactly once.

    Example:

    >>> images = np.zeros((500, 32, 32, 3), "uint8")
    >>> callback = keras_ssl.methods.contrastive.pcl.PCLClusters(images, warmup=5, restarts=1)
    """

    def __init__(self, data, warmup=20, every=1, iterations=20, restarts=5, batch_size=256, seed=0):
        super().__init__()
        check_ints(0, warmup=warmup, iterations=iterations, seed=seed)
        for name, value in {"every": every, "restarts": restarts, "batch_size": batch_size}.items():
            if not is_int(value, 1):
                raise ValueError(f"{name} must be an int from 1. Received: {name}={value!r}")
        self.data, self.warmup, self.every, self.iterations = data, warmup, every, iterations
        self.restarts, self.batch_size, self.seed = restarts, batch_size, seed

    def on_epoch_begin(self, epoch, logs=None):
        if not isinstance(self.model, PCL):
            raise TypeError(f"PCLClusters makes the clusters of PCL. Received: a model of {type(self.model).__name__}")
        if epoch >= self.warmup and (epoch - self.warmup) % self.every == 0:
            embeddings = self.embeddings()
            numbers = range(len(self.model.clusters))
            self.model.keep_clusters([self.cluster(number, epoch, embeddings) for number in numbers])

    def cluster(self, number, epoch, embeddings):
        count = self.model.clusters[number]
        starts = [np.random.default_rng([self.seed, epoch, number, n]) for n in range(self.restarts)]
        tries = [spherical_kmeans(embeddings, count, self.iterations, start) for start in starts]
        centroids, assignment = max(tries, key=lambda found: cohesion(embeddings, *found))
        distances = np.linalg.norm(embeddings - centroids[assignment], axis=1)
        return centroids, assignment, concentrations(distances, assignment, count, self.model.temperature)

    def embeddings(self):
        """Unit vectors `(samples, dim)` in the order of the index."""
        rows = np.zeros((self.model.samples, self.model.dim), "float32")
        times = np.zeros(self.model.samples, "int32")
        for images, index in self.batches():
            if len(index) and not 0 <= np.min(index) <= np.max(index) < len(rows):
                raise ValueError(f"The data has the index {np.max(index)}, but the model has samples={len(rows)}.")
            outputs = self.model.key_encoder.predict(images.astype("float32"), batch_size=self.batch_size, verbose=0)
            rows[index] = np.asarray(outputs).astype("float32")
            times[index] += 1
        if (times != 1).any():
            raise ValueError(
                f"The data must hold each of the samples={len(rows)} images once. Received: {np.sum(times == 0)} of "
                f"them missing, {np.sum(times > 1)} more than once. Make the data with drop_remainder=False."
            )
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    def batches(self):
        if isinstance(self.data, np.ndarray):
            step = 16 * self.batch_size
            for start in range(0, len(self.data), step):
                images = self.data[start:start + step]
                yield images, np.arange(start, start + len(images))
            return
        for batch in self.data:
            if not isinstance(batch, dict) or not {"image", "index"} <= set(batch):
                raise ValueError(
                    "data must be an array of images, or batches with 'image' and 'index'. Received: "
                    f"{sorted(batch) if isinstance(batch, dict) else type(batch).__name__}"
                )
            yield np.asarray(batch["image"]), np.asarray(batch["index"])
        if hasattr(self.data, "epoch"):
            self.data.epoch.assign_sub(1)  # a pipeline counts its passes: this one does not move its order


def spherical_kmeans(rows, count, iterations, draw):
    """K-means of unit vectors by their cosine, with centres of unit length.

    Args:
        rows: float32 array `(samples, dim)`, unit vectors.
        count: int from 1 to `samples`, number of clusters (k).
        iterations: int, at most; it ends early when no row changes its cluster.
        draw: `numpy.random.Generator`, chooses the rows that are the first centres.

    Returns:
        float32 array `(count, dim)`, the centres; int array `(samples,)`, the nearest centre of each row.
    """
    centroids = rows[draw.choice(len(rows), count, replace=False)]
    assignment, similarity = nearest(rows, centroids)
    for _ in range(iterations):
        order = np.argsort(assignment, kind="stable")
        found, starts = np.unique(assignment[order], return_index=True)
        sums = np.add.reduceat(rows[order].astype("float64"), starts, axis=0)
        centroids = np.zeros_like(centroids)
        centroids[found] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        empty = np.setdiff1d(np.arange(count), found)  # takes the rows that are farthest from their centres
        centroids[empty] = rows[np.argsort(similarity, kind="stable")[: len(empty)]]
        before = assignment
        assignment, similarity = nearest(rows, centroids)
        if np.array_equal(before, assignment):
            break
    return centroids, assignment


def nearest(rows, centroids):
    """The nearest centre of each row, and the cosine with it."""
    step = max(1, 2**25 // len(centroids))  # bounds the memory, 128 MiB
    assignment, similarity = [], []
    columns = ops.transpose(ops.convert_to_tensor(centroids))
    for start in range(0, len(rows), step):
        cosines = ops.matmul(ops.convert_to_tensor(rows[start:start + step]), columns)  # (step, count)
        assignment.append(ops.convert_to_numpy(ops.argmax(cosines, axis=1)))
        similarity.append(ops.convert_to_numpy(ops.max(cosines, axis=1)))
    return np.concatenate(assignment), np.concatenate(similarity)


def cohesion(rows, centroids, assignment):
    """The objective of spherical k-means, the sum of the cosines with the own centre."""
    return np.sum(rows * centroids[assignment], dtype="float64")


def concentrations(distances, assignment, count, temperature, smoothing=10.0):
    """How widely each cluster spreads (phi), as the temperature of its prototype.

    `phi = mean distance to the centre / log(images + smoothing)`; a cluster of one image takes the largest. They are
    clipped to their 10th and 90th percentile and scaled so that their mean is the temperature.

    Args:
        distances: array `(samples,)`, Euclidean, of the embeddings from their centres.
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
    if largest == 0.0:  # every image is its own centre
        return np.full(count, temperature, "float64")
    phi = np.where(images > 1, phi, largest)
    phi = np.clip(phi, np.percentile(phi, 10), np.percentile(phi, 90))
    phi = np.maximum(phi, 1e-3 * largest)  # clusters of equal images
    return temperature * phi / phi.mean()
