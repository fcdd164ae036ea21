"""Clustering: k-means, the embeddings of a whole data set, and the callback that clusters it between the epochs.

What is done with the whole set is done in blocks: memory stays bounded, a bar shows how far it is, and with `folder`
a run that was stopped goes on with the block it was at. On several hosts each embeds its share of the set; sums and
counts are added up, never the embeddings sent.
"""

import hashlib
import os
import shutil
from collections import namedtuple
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_ssl import distribute, inputs
from keras_ssl.checks import check_ints, is_int

SCORES = 2**21  # numbers of rows x centers at once, 8 MiB: what stays in a processor's cache is compared fastest
VALUES = 2**25  # numbers of samples in one call of the encoder, 128 MiB
SPLIT = 1.0 / 1024.0  # how far the halves of a split cluster start from its center, as a part of its length

Clusters = namedtuple("Clusters", "centroids assignment history")
Clusters.__doc__ = """What `kmeans` found.

Attributes:
    centroids: float32 array `(count, dim)`.
    assignment: int32 array `(rows,)`, the nearest centroid of each row.
    history: list of floats, the objective at the start and after each iteration: the mean squared distance from the
        nearest centroid, or the mean cosine with it.
"""


def kmeans(
    rows,
    count,
    *,
    spherical=False,
    iterations=20,
    restarts=1,
    seed=0,
    start=None,
    empty="split",
    index=None,
    strategy=None,
    pieces=None,
    name="kmeans",
    verbose=0,
):
    """K-means by Lloyd's iterations, from random rows; a pure function of the rows and the seed.

    The distances are computed in float32 from the mean of the rows, the sums in float64. Memory beside the rows: a few
    times the centroids and 8 MiB (more where `count` is above 8,000: 256 rows of scores).

    Args:
        rows: array `(n, dim)`, of this host. With `spherical`, each is divided by its length.
        count: int from 1 to the number of rows, number of clusters (k).
        spherical: whether rows and centroids have length 1 and are compared by their cosine; else by the Euclidean
            distance.
        iterations: int from 0, at most; it ends early when no row changes its cluster.
        restarts: int, how many starts are tried; the best by the objective is kept.
        seed: int, or sequence of ints, draws the first centroids.
        start: array `(count, dim)`, the first centroids, instead of random rows. It makes `restarts` 1.
        empty: what becomes of a cluster that lost its last row: `"split"` gives it half of the largest cluster, as
            faiss does; `"keep"` leaves its centroid where it is.
        index: int array `(n,)`, the numbers of the rows in the whole set, which ascend; None: 0, 1, ...
        strategy: the strategy of the model, `model.distribute_strategy`, or None. On several hosts each calls with
            its rows, and gets the same centroids.
        pieces: `Pieces`, or None: where an unfinished run is kept.
        name: str, of the run among the pieces.
        verbose: 0 or 1, whether a bar shows the iterations.

    Returns:
        `Clusters`.

    Raises:
        ValueError: `rows` are not finite numbers of rank 2, or an argument is out of its range.

    Example:

    >>> rows = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]])
    >>> found = keras_ssl.clustering.kmeans(rows, 2, restarts=3)
    >>> bool(found.assignment[0] == found.assignment[1] != found.assignment[2] == found.assignment[3])
    True
    """
    rows = checked_rows(rows)
    index = np.arange(len(rows)) if index is None else np.asarray(index)
    hosts = Hosts(strategy)
    everyone = int(hosts.total(np.float64(len(rows))))
    check_ints(count=count, restarts=restarts)
    check_ints(0, iterations=iterations)
    if count > everyone:
        raise ValueError(f"count must be at most the number of rows, {everyone}. Received: count={count}")
    if empty not in ("split", "keep"):
        raise ValueError(f'empty must be "split" or "keep". Received: empty={empty!r}')
    rows = unit_rows(rows) if spherical else rows
    middle = np.zeros(rows.shape[1], "float32")
    if not spherical:  # small numbers keep their digits
        middle = (hosts.total(sums_of(rows, np.zeros(len(rows), "int32"), 1)[0]) / everyone).astype("float32")[0]
    bar = keras.utils.Progbar(restarts * iterations, verbose=verbose, unit_name="iteration") if verbose else None
    best = None
    for number in range(1 if start is not None else restarts):
        if start is None:
            draw = np.random.default_rng([*np.atleast_1d(seed).tolist(), number])
            chosen = draw.choice(everyone, count, replace=False)
            first = hosts.total(rows_at(rows, index, chosen)).astype("float32") - middle
        else:
            first = np.asarray(start, "float32") - middle
        kept = Kept(pieces, f"{name}-{number}", hosts)
        found = lloyd(rows, middle, first, iterations, spherical, empty, hosts, kept, bar)
        better = best is None or (found.history[-1] > best.history[-1]) == spherical
        best = found if better else best
    return best._replace(centroids=best.centroids + middle)


def lloyd(rows, middle, centroids, iterations, spherical, empty, hosts, kept, bar):
    """One run of k-means, of rows whose `middle` is subtracted."""
    centroids, history, done = kept.read(centroids)
    assignment, values = assign(rows, centroids, spherical, middle)
    everyone = float(hosts.total(np.float64(len(rows))))

    def objective():
        return float(hosts.total(values.sum(dtype="float64"))) / everyone

    history = history or [objective()]
    for _ in () if done else range(len(history) - 1, iterations):
        sums, sizes = sums_of(rows, assignment, len(centroids), middle)
        centroids = moved(centroids, hosts.total(sums), hosts.total(sizes), spherical, empty)
        before = assignment
        assignment, values = assign(rows, centroids, spherical, middle)
        history.append(objective())
        done = not hosts.total(np.float64((before != assignment).any()))
        kept.write(centroids, history, done)
        if bar is not None:
            bar.add(1, values=[("mean cosine" if spherical else "mean square", history[-1])])
        if done:
            break
    return Clusters(centroids, assignment, history)


def assign(rows, centroids, spherical=False, middle=0.0):
    """The nearest centroid of each row.

    Args:
        rows: float32 array `(n, dim)`.
        centroids: float32 array `(count, dim)`.
        spherical: whether the largest cosine is the nearest; rows and centroids have length 1.
        middle: float32 array `(dim,)`, is subtracted from the rows.

    Returns:
        int32 array `(n,)`, and float32 array `(n,)`, the squared distance or the cosine.
    """
    columns = ops.convert_to_tensor(np.ascontiguousarray(centroids.T))  # (dim, count)
    squares = np.square(centroids, dtype="float32").sum(axis=1)
    half = ops.convert_to_tensor(squares / 2)
    assignment, values = np.zeros(len(rows), "int32"), np.zeros(len(rows), "float32")
    for block in blocks(len(rows), max(256, SCORES // len(centroids))):
        those = rows[block] - middle
        scores = ops.matmul(ops.convert_to_tensor(those), columns)  # (block, count)
        nearest_ones = ops.argmax(scores if spherical else scores - half, axis=1)
        assignment[block] = ops.convert_to_numpy(nearest_ones)
        chosen = centroids[assignment[block]]
        distance = np.square(those - chosen).sum(axis=1)
        values[block] = (those * chosen).sum(axis=1) if spherical else distance
    return assignment, values


def sums_of(rows, assignment, count, middle=0.0):
    """The sums of the rows of each cluster, float64 `(count, dim)`, and their numbers, float64 `(count,)`."""
    sums = np.zeros((count, rows.shape[1]))
    for block in blocks(len(rows), 2**14):
        those, labels = (rows[block] - middle).astype("float64"), assignment[block]
        order = np.argsort(labels, kind="stable")
        found, first = np.unique(labels[order], return_index=True)
        sums[found] += np.add.reduceat(those[order], first, axis=0)
    return sums, np.bincount(assignment, minlength=count).astype("float64")


def moved(centroids, sums, sizes, spherical, empty):
    """The centroids in the middle of their rows; those without rows are left, or split the largest clusters."""
    centroids, full = centroids.copy(), sizes > 0
    means = sums[full] / sizes[full, None]
    if spherical:
        length = np.linalg.norm(means, axis=1, keepdims=True)
        means = np.where(length > 1e-12, means / np.maximum(length, 1e-12), centroids[full])
    centroids[full] = means
    if empty == "keep":
        return centroids
    sizes = sizes.copy()
    for number in np.flatnonzero(~full):
        largest = int(np.argmax(sizes))
        if sizes[largest] < 2:
            break
        center = centroids[largest]
        way = np.where(np.arange(len(center)) % 2, -1.0, 1.0) * SPLIT / np.sqrt(len(center))
        way = (way * max(float(np.linalg.norm(center)), 1e-6)).astype("float32")
        centroids[number], centroids[largest] = center + way, center - way
        sizes[number] = sizes[largest] / 2
        sizes[largest] /= 2
        if spherical:
            both = [number, largest]
            centroids[both] = unit_rows(centroids[both])
    return centroids


# The whole set


def embed(
    encoder, data, samples=None, *, batch_size=256, strategy=None, pieces=None, verbose=0, min_blocks=1
):  # fmt: skip
    """The embeddings of a whole data set, in inference mode, in the order of the samples' numbers.

    On several hosts each embeds every so-many-th block and keeps what it embedded.

    Args:
        encoder: `keras.Model` from samples of any kind to embeddings `(batch, dim)`.
        data: an array, or a dict of arrays, whose row i is sample i; or an iterable of batches that are dicts with
            the columns of the samples and `"index"`, their numbers, such as a pipeline of `keras_ssl.data` made with
            `index=True, drop_remainder=False`, in any order.
        samples: int, number of samples that the data must hold; None: as many as it holds.
        batch_size: int, samples per step of the encoder.
        strategy: the strategy of the model, or None.
        pieces: `Pieces`, or None: keeps the blocks that are done. Those are not embedded again; a pipeline still reads
            them.
        verbose: 0 or 1, whether a bar shows the samples.
        min_blocks: int, the smallest number of blocks that an array is cut into; at least one per host.

    Returns:
        float32 array `(n, dim)`, and int64 array `(n,)`, the numbers of the samples, which ascend.

    Raises:
        ValueError: a column is missing, or the data does not hold each sample exactly once.

    Example:

    >>> encoder = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    >>> rows, index = keras_ssl.clustering.embed(encoder, np.zeros((10, 8, 8, 3), "uint8"))
    >>> rows.shape
    (10, 192)
    """
    check_ints(batch_size=batch_size)
    hosts = Hosts(strategy)
    encode = encoder_of(encoder, batch_size, hosts)
    rows, numbers = [], []
    total = samples if samples is not None else length_of(data)
    bar = keras.utils.Progbar(total, verbose=verbose, unit_name="sample") if verbose else None
    for block, (sample, index) in enumerate(samples_of(data, batch_size, max(min_blocks, hosts.count))):
        if bar is not None:
            bar.add(len(index))
        if block % hosts.count != hosts.number or not len(index):
            continue
        name = f"block-{block:06d}"
        done = pieces.get(name) if pieces is not None else None
        if done is None or not np.array_equal(done["index"], index):
            done = {"rows": encode(inputs.for_encoder(sample, encoder)), "index": index}
            if pieces is not None:
                pieces.put(name, **done)
        rows.append(done["rows"])
        numbers.append(done["index"])
    if not hosts.total(np.float64(len(rows))):
        raise ValueError("The data has no samples. Give it at least one batch.")
    rows = np.concatenate(rows) if rows else np.zeros((0, encoder.output_shape[-1]), "float32")
    index = np.concatenate(numbers).astype("int64") if numbers else np.zeros(0, "int64")
    check_each_once(index, samples, hosts)
    order = np.argsort(index, kind="stable")
    return rows[order], index[order]


def everywhere(values, index, samples, strategy=None):
    """What all hosts have of the samples, on each: array `(samples, ...)` of `values` `(n, ...)` at `index`."""
    values = np.asarray(values)
    whole = np.zeros((samples, *values.shape[1:]), "float64")
    whole[index] = values
    return Hosts(strategy).total(whole).astype(values.dtype)


def samples_of(data, batch_size, min_blocks=1):
    """Yields the samples of the data and their numbers, block after block."""
    if isinstance(data, np.ndarray) or isinstance(data, dict):
        columns = data if isinstance(data, dict) else {"": data}
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"The arrays of the data must have as many rows each. Received: {lengths}")
        count = length_of(data)
        one = sum(max(1, np.asarray(column[:1]).size) for column in columns.values())
        step = max(1, min(16, VALUES // max(1, one) // batch_size)) * batch_size
        step = min(step, -(-count // min_blocks)) or 1
        for block in blocks(count, step):
            those = {name: np.asarray(column[block]) for name, column in columns.items()}
            yield (those if isinstance(data, dict) else those[""]), np.arange(block.start, block.stop)
        return
    if not hasattr(data, "__iter__"):
        raise ValueError(
            "data must be an array, a dict of arrays, or batches that are dicts with 'index'. Received: "
            f"{type(data).__name__}"
        )
    epoch = int(data.epoch.numpy()) if hasattr(data, "epoch") else None
    try:
        for batch in data:
            kind = inputs.kind_of(batch) if isinstance(batch, dict) else None
            if kind is None or "index" not in batch:
                raise ValueError(
                    "The batches of the data must be dicts with the column of the samples, such as 'image', and "
                    f"'index'. Received: {inputs.describe(batch)}. Make the pipeline with index=True."
                )
            sample = kind.sample(batch)
            yield keras.tree.map_structure(np.asarray, sample), np.asarray(batch["index"])
    finally:
        if epoch is not None:
            data.epoch.assign(epoch)  # a pipeline counts its passes: this one does not move its order


def content(data):
    """What the data is, as arrays: the fingerprint of a pipeline, or the arrays themselves."""
    if isinstance(data, (dict, np.ndarray)):
        return [np.asarray(column) for column in keras.tree.flatten(data)]
    name = inputs.fingerprint(data)
    return [] if name is None else [np.frombuffer(name.encode(), "uint8")]


def length_of(data):
    if isinstance(data, dict):
        return min((len(column) for column in data.values()), default=0)
    return len(data) if isinstance(data, np.ndarray) else None


def encoder_of(encoder, batch_size, hosts):
    """A function from a block of samples to float32 embeddings, compiled once: the last batch is filled up."""
    call = None if hosts.count == 1 else distribute.inference(encoder)
    sizes = []

    def encode(sample):
        sample = keras.tree.map_structure(standard, sample)
        count = inputs.rows(sample)
        sizes.append(min(batch_size, count))
        size = sizes[0]
        sample = keras.tree.map_structure(lambda x: np.concatenate([x, np.repeat(x[-1:], -count % size, 0)]), sample)
        if call is None:
            outputs = encoder.predict(sample, batch_size=size, verbose=0)
        else:  # `predict` would wait for the other hosts
            parts = blocks(count + -count % size, size)
            outputs = [call(keras.tree.map_structure(lambda x: x[part], sample)) for part in parts]
            outputs = np.concatenate(outputs)
        outputs = np.asarray(outputs[:count]).astype("float32")
        if outputs.ndim != 2:
            raise ValueError(f"The encoder must return embeddings (batch, dim). Received: shape {outputs.shape}")
        return outputs

    return encode


def standard(x):
    """Pixels and floats as float32; ints and masks as they are."""
    return x.astype("float32") if x.dtype == np.uint8 or x.dtype.kind == "f" or x.dtype.kind == "V" else x


def check_clusters(clusters, samples):
    """The numbers of clusters of several clusterings as a tuple; raises unless they are ints from 1 to `samples`."""
    counts = tuple(clusters) if isinstance(clusters, (tuple, list)) else ()
    if not counts or not all(isinstance(count, int) and 1 <= count <= samples for count in counts):
        raise ValueError(f"clusters must be ints from 1 to samples={samples}. Received: clusters={clusters!r}")
    return counts


def check_each_once(index, samples, hosts):
    largest = int(max(index.max(initial=-1), 0)) + 1 if samples is None else samples
    if samples is None and hosts.count > 1:
        raise ValueError("samples must be given on several hosts. Received: samples=None")
    if len(index) and not 0 <= index.min() <= index.max() < largest:
        raise ValueError(
            f"The data has the index {index.max() if index.max() >= largest else index.min()}, but the model has "
            f"samples={largest}. Number the samples from 0."
        )
    times = hosts.total(np.bincount(index, minlength=largest).astype("float64"))
    if (times != 1).any():
        raise ValueError(
            f"The data must hold each of the samples={largest} samples once. Received: {np.sum(times == 0)} of them "
            f"missing, {np.sum(times > 1)} more than once. Make the data with drop_remainder=False."
        )


def whiten(rows, dim, strategy=None):
    """The principal components of the rows, each with variance 1.

    Components without variance, which a collapsed encoder has, stay 0.

    Args:
        rows: float array `(n, features)`, of this host.
        dim: int, how many components, from the largest; at most as many as the rows have features.
        strategy: the strategy of the model, or None: the rows of all hosts are whitened together.

    Returns:
        float32 array `(n, min(dim, features))`.

    Example:

    >>> rows = np.random.default_rng(0).normal(size=(100, 5)) @ np.ones((5, 5))
    >>> keras_ssl.clustering.whiten(rows + np.eye(100, 5), 2).shape
    (100, 2)
    """
    check_ints(dim=dim)
    hosts, rows = Hosts(strategy), checked_rows(rows)
    everyone = hosts.total(np.float64(len(rows)))
    mean = hosts.total(rows.sum(axis=0, dtype="float64")) / everyone
    covariance = np.zeros((rows.shape[1],) * 2)
    for block in blocks(len(rows), 2**14):
        centered = rows[block] - mean
        covariance += centered.T @ centered
    values, vectors = np.linalg.eigh(hosts.total(covariance) / everyone)
    values, vectors = values[::-1][:dim], vectors[:, ::-1][:, :dim]
    real = values > 1e-10 * max(values[0], 1e-20)
    scale = np.where(real, 1.0 / np.sqrt(np.where(real, values, 1.0)), 0.0)
    turn = vectors * scale * np.where(vectors.sum(axis=0) < 0, -1.0, 1.0)  # one of two signs
    found = np.zeros((len(rows), turn.shape[1]), "float32")
    for block in blocks(len(rows), 2**14):
        found[block] = (rows[block] - mean) @ turn
    return found


def assign_equally(log_p, rows, count, power=25.0, tolerance=0.1, iterations=1000, strategy=None, verbose=0):
    """Labels for a whole set, about as many rows for each: Sinkhorn-Knopp on `p ** power` (SeLa, arXiv 1911.05371).

    It scales the matrix `P = p^power` to `diag(r) P diag(c)` whose rows sum to `1 / count` and whose columns sum to
    `1 / n`, and takes the largest of each column. All in the logarithm and in float64, block by block: the matrix is
    never kept, and several hosts add up `count` numbers in each iteration.

    Args:
        log_p: function from a slice of this host's rows to their log-probabilities `(rows, count)`.
        rows: int, how many rows this host has.
        count: int, number of labels (K).
        power: float > 0, the larger the closer to the best assignment (lambda, 25).
        tolerance: float > 0: it ends when `sum |c_before / c - 1|` is not above it, which is looked at every tenth
            time (0.1).
        iterations: int, at most.
        strategy: the strategy of the model, or None.
        verbose: 0 or 1, whether a bar shows the iterations.

    Returns:
        int32 array `(rows,)`, the labels; float64 arrays `log_r` `(count,)` and `log_c` `(rows,)`.
    """
    hosts = Hosts(strategy)
    everyone = float(hosts.total(np.float64(rows)))
    log_r, log_c = np.full(count, -np.log(count)), np.full(rows, -np.log(everyone))
    labels = np.zeros(rows, "int32")
    bar = keras.utils.Progbar(None, verbose=verbose, unit_name="iteration") if verbose else None
    step = max(1, SCORES // count)
    for number in range(iterations):
        mass, change = np.zeros(count), 0.0
        for block in blocks(rows, step):
            scores = power * np.asarray(log_p(block), "float64") + log_r
            labels[block] = scores.argmax(axis=1)
            largest = scores.max(axis=1, keepdims=True)
            shares = np.exp(scores - largest)
            total = shares.sum(axis=1, keepdims=True)
            mass += (shares / total).sum(axis=0)
            before, log_c[block] = log_c[block].copy(), -np.log(everyone) - (largest + np.log(total))[:, 0]
            change += np.abs(np.exp(np.clip(before - log_c[block], -700, 700)) - 1.0).sum()
        mass, change = hosts.total(mass), float(hosts.total(np.float64(change)))
        if bar is not None:
            bar.add(1, values=[("change", change)])
        if number % 10 == 9 and change <= tolerance:
            break
        if number < iterations - 1:
            log_r -= np.log(np.maximum(mass, 1e-300) * count / everyone)
    return labels, log_r, log_c


def mutual_information(first, second):
    """How alike two clusterings of the same samples are, 0..1: I / sqrt(H H), whatever the clusters' numbers are."""
    first, second = (np.unique(x, return_inverse=True)[1] for x in (first, second))
    pairs = np.unique(first * (second.max() + 1) + second, return_counts=True)[1]
    of_first, of_second, joint = (entropy(x) for x in (np.bincount(first), np.bincount(second), pairs))
    if not of_first or not of_second:  # one cluster says nothing, but two such are the same
        return float(of_first == of_second)
    return float(np.clip((of_first + of_second - joint) / np.sqrt(of_first * of_second), 0.0, 1.0))


def entropy(counts):
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum()) if len(p) > 1 else 0.0


# The callback


class Recluster(keras.callbacks.Callback):
    """Lets a method cluster its whole data set, before the epochs or before some of the steps.

    The method says how, in `recluster(whole)`, and keeps the clusters in its own variables, which are saved with it.
    They are a pure function of its weights, `seed` and the epoch, so that a run goes on as if it had not been stopped:
    with `keras_ssl.Checkpoint`, put that last in the list of callbacks.

    Args:
        data: the samples that are trained on, without augmentation; see `embed`.
        warmup: int, epochs before the first clustering.
        every: int, epochs between two clusterings.
        at: sequence of ints, the steps of the model, `model.step`, before which there is a clustering; None: by epochs.
        batch_size: int, samples per step of the encoder.
        seed: int, of everything that is drawn.
        folder: a folder that keeps the blocks and iterations of an unfinished clustering; None: a run that is stopped
            in the middle of one begins it again. All hosts must see it.
        verbose: 0, 1, or "auto": a bar where `fit` shows one.

    Raises:
        TypeError: in `fit`, if the model has nothing to cluster.
        ValueError: an argument is out of its range, or the data does not hold each sample exactly once.

    Example:

    >>> images = np.zeros((500, 32, 32, 3), "uint8")
    >>> callback = keras_ssl.Recluster(images, warmup=5)
    """

    def __init__(self, data, warmup=0, every=1, at=None, batch_size=256, seed=0, folder=None, verbose="auto"):
        super().__init__()
        check_ints(0, warmup=warmup, seed=seed)
        check_ints(every=every, batch_size=batch_size)
        if at is not None and not all(is_int(step, 0) for step in at):
            raise ValueError(f"at must be ints from 0, the numbers of steps, or None. Received: at={at!r}")
        if verbose not in (0, 1, "auto"):
            raise ValueError(f'verbose must be 0, 1 or "auto". Received: verbose={verbose!r}')
        self.data, self.warmup, self.every, self.batch_size = data, warmup, every, batch_size
        self.at = None if at is None else np.unique(np.asarray(at, "int64"))
        self.seed, self.folder, self.verbose = seed, folder, verbose
        self.done = None

    def on_train_begin(self, logs=None):
        self.done = None

    def on_epoch_begin(self, epoch, logs=None):
        if not hasattr(self.model, "recluster"):
            raise TypeError(
                "Recluster makes the clusters of a method that has `recluster`, such as PCL. Received: a model of "
                f"{type(self.model).__name__}"
            )
        self.known = None
        if self.at is None and epoch >= self.warmup and (epoch - self.warmup) % self.every == 0:
            self.model.recluster(Whole(self, epoch))

    def on_train_batch_begin(self, batch, logs=None):
        if self.at is None:
            return
        if self.known is None:
            self.known, self.first = self.step(), batch
        counted = self.known + batch - self.first
        # Skipped steps leave the true number behind the counted one, and reading it costs a wait for the accelerator.
        if ((self.known <= self.at) & (self.at <= counted)).any():
            self.known, self.first = self.step(), batch
            if self.known in self.at and self.known != self.done:  # several batches are one step where they accumulate
                self.done = self.known
                self.model.recluster(Whole(self, self.known))

    def step(self):
        return int(ops.convert_to_numpy(self.model.step))


class Whole:
    """The whole data set, as `recluster(whole)` of a method gets it.

    Attributes:
        draw: `numpy.random.Generator`, of this clustering.
        strategy: the strategy of the model, for `everywhere`.
    """

    def __init__(self, callback, when):
        self.callback, self.when = callback, int(when)
        self.seed = [callback.seed, self.when]
        self.draw = np.random.default_rng(self.seed)
        self.strategy = getattr(callback.model, "distribute_strategy", None)
        shown = (callback.params or {}).get("verbose") == 1
        self.verbose = int(shown) if callback.verbose == "auto" else callback.verbose

    def embed(self, encoder, samples):
        """`embed` of the callback's data."""
        those = self.callback
        return embed(
            encoder, those.data, samples, batch_size=those.batch_size, strategy=self.strategy,
            pieces=self.pieces("embeddings", [*encoder.get_weights(), *content(those.data)]), verbose=self.verbose,
        )  # fmt: skip

    def kmeans(self, rows, count, index, number=0, **options):
        """`kmeans` of the rows that this host embedded; `number` makes its draws its own."""
        key = [rows, index, np.array([count, number]), np.frombuffer(repr(sorted(options.items())).encode(), "uint8")]
        return kmeans(
            rows, count, index=index, seed=[*self.seed, number], strategy=self.strategy,
            pieces=self.pieces(f"kmeans-{number}", key), verbose=self.verbose, **options,
        )  # fmt: skip

    def everywhere(self, values, index, samples):
        """`everywhere` under the strategy of the model."""
        return everywhere(values, index, samples, self.strategy)

    def share(self, samples):
        """The numbers of the samples that are this host's: int array."""
        hosts = Hosts(self.strategy)
        return np.arange(hosts.number, samples, hosts.count)

    def whiten(self, rows, dim):
        """`whiten` of the rows that this host embedded."""
        return whiten(rows, dim, self.strategy)

    def assign_equally(self, log_p, rows, count, power, tolerance):
        """`assign_equally` of the rows that this host embedded."""
        options = {"strategy": self.strategy, "verbose": self.verbose}
        return assign_equally(log_p, rows, count, power, tolerance, **options)[0]

    def pieces(self, name, arrays):
        if self.callback.folder is None:
            return None
        hosts = Hosts(self.strategy)
        folder = Path(self.callback.folder) / f"{name}-{hosts.number}-of-{hosts.count}"
        return Pieces(folder, [np.array(self.seed), *arrays])


class Pieces:
    """Arrays in a folder, by name, which survive a stop and belong to one piece of work.

    Args:
        folder: folder of these pieces only.
        key: list of arrays, of which the work is a function. Pieces of another key are deleted.
    """

    def __init__(self, folder, key):
        digest = hashlib.sha256()
        for array in key:
            digest.update(np.ascontiguousarray(array).tobytes())
        self.folder, name = Path(folder), digest.hexdigest()
        mark = self.folder / "key"
        if not mark.exists() or mark.read_text() != name:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            mark.write_text(name)

    def put(self, name, **arrays):
        """Keeps arrays under a name: written aside and renamed, so that they are whole or not there."""
        part = self.folder / f"{name}.part"
        with part.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(part, self.folder / f"{name}.npz")

    def get(self, name):
        """The arrays of a name as a dict, or None."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            return None
        with np.load(path) as file:
            return dict(file)


class Kept:
    """The state of one run of k-means among the pieces; the first host's is that of all."""

    def __init__(self, pieces, name, hosts):
        self.pieces, self.name, self.hosts = pieces, name, hosts

    def read(self, centroids):
        """The centroids, the history so far, and whether it came to its end; those given, and none, without pieces."""
        if self.pieces is None:
            return centroids, [], False
        found = self.pieces.get(self.name) if self.hosts.number == 0 else None
        length = int(self.hosts.total(np.float64(0 if found is None else len(found["history"]))))
        if not length:
            return centroids, [], False
        found = found or {"centroids": np.zeros_like(centroids), "history": np.zeros(length), "done": np.zeros(())}
        history = self.hosts.total(found["history"]).tolist()
        done = bool(self.hosts.total(found["done"].astype("float64")))
        return self.hosts.total(found["centroids"]).astype("float32"), history, done

    def write(self, centroids, history, done):
        if self.pieces is not None and self.hosts.number == 0:
            self.pieces.put(self.name, centroids=centroids, history=np.array(history), done=np.array(done))


class Hosts:
    """The processes that train together: how many, which one this is, and sums over them."""

    def __init__(self, strategy):
        self.strategy = strategy
        self.number, self.count = distribute.worker(strategy)

    def total(self, array):
        return array if self.count == 1 else distribute.total_of_workers(self.strategy, array)


# Inside of a step


def nearest(rows, centroids):
    """The number of the centroid with the largest dot product, int32 `(...)`, of rows `(..., dim)`; no gradient."""
    rows = ops.stop_gradient(rows)
    scores = ops.matmul(ops.cast(rows, keras.backend.result_type(rows.dtype, "float32")), ops.transpose(centroids))
    return ops.cast(ops.argmax(scores, axis=-1), "int32")


def follow(centroids, rows, assignment, decay):
    """Unit centroids that moved towards the mean direction of their rows; those without rows stay.

    Args:
        centroids: `(count, dim)`, of length 1.
        rows: `(n, dim)`, of length 1.
        assignment: int `(n,)`, the centroid of each row.
        decay: float in [0, 1], how much of the centroid is kept; 0 is a step of spherical k-means.

    Returns:
        tensor `(count, dim)`.
    """
    count = ops.segment_sum(ops.ones_like(rows[:, :1]), assignment, num_segments=centroids.shape[0])
    mean = unit(ops.segment_sum(rows, assignment, num_segments=centroids.shape[0]))
    return unit(ops.where(count > 0, decay * centroids + (1.0 - decay) * mean, centroids))


def kmeans_in_step(rows, centroids, iterations):
    """Spherical k-means of a batch, as a part of a compiled step; started at rows, of which none starts two centroids.

    Args:
        rows: tensor `(n, dim)`, of length 1.
        centroids: tensor `(count, dim)`, of length 1, for those that find no row to start at.
        iterations: int from 0.

    Returns:
        tensor `(count, dim)`.
    """
    wanted, count = centroids.shape[0], ops.shape(rows)[0]
    place = ops.arange(wanted, dtype="float32") * (ops.cast(count, "float32") / wanted)
    place = ops.minimum(ops.cast(ops.floor(place), "int32"), count - 1)
    again = ops.concatenate([place[:1] < 0, place[1:] == place[:-1]])  # too few rows: the others stay as they are
    start = ops.where(again[:, None], centroids, ops.take(rows, place, axis=0))
    return ops.fori_loop(0, iterations, lambda _, codes: follow(codes, rows, nearest(rows, codes), 0.0), start)


def unit(rows):
    """Rows of length 1, in float32 at least; 0 stays 0."""
    rows = ops.cast(rows, keras.backend.result_type(rows.dtype, "float32"))
    square = ops.sum(ops.square(rows), axis=-1, keepdims=True)
    return ops.where(square == 0, 0.0, rows * ops.rsqrt(ops.where(square == 0, 1.0, square)))


# Arrays


def unit_rows(rows):
    """Array of rows of length 1; rows of zeros stay."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def rows_at(rows, index, chosen):
    """The rows whose numbers are chosen, float64 `(chosen, dim)`; zeros where another host has them."""
    found = np.zeros((len(chosen), rows.shape[1]))
    place = np.searchsorted(index, chosen)
    place[place == len(index)] = 0
    own = index[place] == chosen if len(index) else np.zeros(len(chosen), bool)
    found[own] = rows[place[own]]
    return found


def blocks(count, step):
    """Slices of so many rows each, the last one of the rest."""
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def checked_rows(rows):
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise ValueError(f"rows must be numbers of shape (n, dim). Received: shape={rows.shape}, dtype={rows.dtype}")
    rows = rows.astype("float32", copy=False)
    for block in blocks(len(rows), 2**16):
        if not np.isfinite(rows[block]).all():
            raise ValueError("rows must be finite. Received: NaN or infinity. Look for a loss that diverged.")
    return rows
