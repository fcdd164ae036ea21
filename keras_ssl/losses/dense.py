"""Dense losses: places of two views of an image that belong together, by where they lie or by what they look like."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.contrastive import MASKED
from keras_ssl.losses.vectors import precise, unit


def most_similar(first, second):
    """For each place of the first map the one of the second whose direction is nearest: the matches of DenseCL.

    Args:
        first: `(batch, places, dim)`; any length, they are normalized here, in float32.
        second: `(batch, other places, dim)`, normalized here as well.

    Returns:
        int32 `(batch, places)`, without a gradient.

    Reference: Dense Contrastive Learning for Self-Supervised Visual Pre-Training (Wang et al., 2020),
    https://arxiv.org/abs/2011.09157
    """
    return ops.cast(ops.argmax(cosines(first, second), axis=-1), "int32")


def place_consistency(predictions, targets, positives):
    """The loss of PixPro in one direction: places of one view predict those of the other that lie where they do.

    `L = mean_b -2 sum_ij a_bij cos(p_bi, t_bj) / (sum_ij a_bij + 1e-6)`. An image without such pairs has a loss of 0
    and is still one of the images of the mean.

    Args:
        predictions: `(batch, places, dim)` (y); any length, they are normalized here, in float32.
        targets: `(batch, other places, dim)` (x'), normalized here as well. No gradient.
        positives: bool `(batch, places, other places)` (A), which pairs belong together.

    Returns:
        float32 scalar, the mean over the local batch, from -2 to 2.

    Reference: Propagate Yourself: Exploring Pixel-Level Consistency for Unsupervised Visual Representation Learning
    (Xie et al., 2020), https://arxiv.org/abs/2011.10043
    """
    similar = cosines(predictions, ops.stop_gradient(targets))
    weights = ops.cast(positives, similar.dtype)
    means = ops.sum(weights * similar, axis=(1, 2)) / (ops.sum(weights, axis=(1, 2)) + 1e-6)
    return -2.0 * ops.mean(means)


def place_contrast(queries, keys, positives, temperature=0.3):
    """The loss of PixContrast in one direction: places of one view find those of the other that lie where they do.

    `L = mean_b mean_i -log( sum_{j in P(i)} exp(s_ij / t) / sum_j exp(s_ij / t) )`, where s is the cosine, j runs over
    all places of the other view of the same image, P(i) are those that belong to i, and i runs over the places that
    have any. An image without such places has a loss of 0 and is still one of the images of the mean.

    Args:
        queries: `(batch, places, dim)`; any length, they are normalized here, in float32.
        keys: `(batch, other places, dim)`, normalized here as well. No gradient.
        positives: bool `(batch, places, other places)`.
        temperature: float > 0 (t, 0.3).

    Returns:
        float32 scalar, the mean over the local batch.

    Reference: Propagate Yourself (Xie et al., 2020), https://arxiv.org/abs/2011.10043, section 3.1
    """
    logits = cosines(queries, ops.stop_gradient(keys)) / temperature
    positives = ops.cast(positives, "bool")
    right = ops.logsumexp(ops.where(positives, logits, MASKED), axis=-1)
    found = ops.any(positives, axis=-1)
    losses = ops.where(found, ops.logsumexp(logits, axis=-1) - right, 0.0)  # (batch, places)
    count = ops.sum(ops.cast(found, losses.dtype), axis=1)
    return ops.mean(ops.sum(losses, axis=1) / ops.maximum(count, 1.0))


def nearest_matches(distances, count=None):
    """Pairs of each place and the nearest one of another map: the closest `count` of them, as VICRegL takes them.

    Args:
        distances: `(batch, places, other places)`.
        count: int, how many pairs are kept, those of the smallest distance; None for all. More than there are is all.

    Returns:
        two int32 tensors `(batch, count)`: places in ascending order, and the nearest one of each. Of equally distant
        ones the first counts.

    Reference: VICRegL: Self-Supervised Learning of Local Visual Features (Bardes, Ponce, LeCun, 2022),
    https://arxiv.org/abs/2210.01571
    """
    distances = ops.stop_gradient(distances)
    nearest = ops.cast(ops.argmin(distances, axis=-1), "int32")
    order = ops.argsort(ops.min(distances, axis=-1), axis=1)[:, :count]  # stable
    places = ops.cast(ops.sort(order, axis=1), "int32")
    return places, ops.take_along_axis(nearest, places, axis=1)


def region_contrast(queries, others, own, ids, other_ids, temperature=0.1, gradient=False):
    """The loss of DetCon in one direction: a region of one view finds the same region in the other view.

    `L = mean_br w_br ( LSE_n s_brn - mean_{n in P(br)} s_brn )`, where s are the cosines over the temperature to all
    regions of both views of the global batch. P(br) are the regions of the other view of the image that have the same
    id; those of the own view that have it, the region itself among them, have no part. `w` is 0 where P is empty, else
    1 over the number of regions of the own view that have this id.

    Args:
        queries: `(batch, regions, dim)` (u), of one view; any length, they are normalized here, in float32.
        others: `(batch, regions, dim)` (v'), of the other view, normalized here as well.
        own: `(batch, regions, dim)` (v), of the same view as the queries, normalized here as well.
        ids: ints `(batch, regions)`, the region that each of the queries is. They only mean something in their image.
        other_ids: ints `(batch, regions)`, of the other view.
        temperature: float > 0 (0.1).
        gradient: whether `others` and `own` get a gradient, as embeddings of the network that is trained.

    Returns:
        float32 scalar, the mean over the local regions. Under `tf.distribute` the regions of all replicas are compared.

    Reference: Efficient Visual Pretraining with Contrastive Detection (Henaff et al., 2021),
    https://arxiv.org/abs/2103.10957
    """
    queries = unit(queries)
    batch, regions, dim = ops.shape(queries)
    logits = []
    for keys in (others, own):
        keys = ops.reshape(distribute.gather(unit(keys), gradient=gradient), (-1, dim))
        logits.append(ops.matmul(queries, ops.transpose(keys)) / temperature)  # (batch, regions, total * regions)
    total = ops.shape(logits[0])[2] // regions
    rows = distribute.first_row(batch) + ops.arange(batch, dtype="int32")
    mine = rows[:, None] == ops.arange(total, dtype="int32")  # (batch, total)

    def same(ids, others):
        alike = ids[:, :, None, None] == others[:, None, None, :]
        return ops.reshape(alike & mine[:, None, :, None], (batch, regions, total * regions))

    positive = ops.cast(same(ids, other_ids), queries.dtype)
    count = ops.sum(positive, axis=-1)
    right = ops.sum(positive * logits[0], axis=-1) / ops.maximum(count, 1.0)
    whole = ops.concatenate([logits[0], ops.where(same(ids, ids), MASKED, logits[1])], axis=-1)
    times = ops.sum(ops.cast(ids[:, :, None] == ids[:, None, :], queries.dtype), axis=-1)
    weights = ops.cast(count > 0, queries.dtype) / times
    return ops.mean(weights * (ops.logsumexp(whole, axis=-1) - right))


def cosines(first, second):
    """`(batch, n, dim)` and `(batch, m, dim)` to `(batch, n, m)`, float32."""
    return ops.matmul(unit(first), ops.swapaxes(unit(second), 1, 2))


def squared_distances(first, second):
    """`(batch, n, dim)` and `(batch, m, dim)` to `(batch, n, m)`, float32."""
    first, second = precise(first), precise(second)
    lengths = [ops.sum(ops.square(x), axis=-1) for x in (first, second)]
    return lengths[0][:, :, None] + lengths[1][:, None] - 2.0 * ops.matmul(first, ops.swapaxes(second, 1, 2))
