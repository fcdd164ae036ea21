"""Alignment and uniformity: what a contrastive loss tends to with many negatives, as losses of their own."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.contrastive import MASKED
from keras_ssl.losses.vectors import unit


def alignment(first, second, power=2.0):
    """Alignment, how far apart the two views of an image are: `mean_i |x_i - y_i|^a`, from 0 to 2^a.

    Args:
        first: `(batch, dim)` (x); any length, normalized here, in float32.
        second: `(batch, dim)` (y), in the same order, normalized here as well.
        power: float > 0 (alpha, 2).

    Returns:
        float32 scalar, the mean over the local batch.

    Reference: Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere
    (Wang, Isola, 2020), https://arxiv.org/abs/2005.10242
    """
    squared = ops.sum(ops.square(unit(first) - unit(second)), axis=-1)
    return ops.mean(squared if power == 2 else (squared + 1e-12) ** (power / 2))  # a root has no slope at 0


def uniformity(embeddings, scale=2.0):
    """Uniformity, how much the embeddings crowd: `log mean_{i<j} exp(-t |x_i - x_j|^2)`, from about -2t to 0.

    Args:
        embeddings: `(batch, dim)` (x); any length, normalized here, in float32.
        scale: float > 0 (t, 2).

    Returns:
        float32 scalar, over the pairs of the global batch: the same on every replica.

    Raises:
        ValueError: the batch holds one image.

    Reference: Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere
    (Wang, Isola, 2020), https://arxiv.org/abs/2005.10242
    """
    embeddings = unit(embeddings)
    others = distribute.gather(embeddings)
    rows, total = ops.shape(embeddings)[0], ops.shape(others)[0]
    if isinstance(total, int) and total < 2:
        raise ValueError(
            "uniformity needs pairs of images: a batch of two at least. Received: a batch of one. Is it the last of an "
            "epoch? Drop it with `drop_remainder=True`."
        )
    squared = ops.maximum(2.0 - 2.0 * ops.matmul(embeddings, ops.transpose(others)), 0.0)  # (batch, total)
    itself = themselves(rows, total, distribute.first_row(rows))
    near = ops.logsumexp(ops.where(itself, MASKED, -scale * squared), axis=-1)  # (batch,)
    pairs = ops.cast(total * (total - 1), near.dtype)  # each of them twice, in both orders
    return ops.logsumexp(distribute.gather(near)) - ops.log(pairs)


def koleo(embeddings, group=None):
    """KoLeo, how near each embedding is to its nearest other one: `mean_i -log(|x_i - x_n(i)| + e)`, e = 1e-8.

    After the estimator of entropy of Kozachenko and Leonenko: it spreads the embeddings evenly over the sphere, and
    more so the nearer two of them are. The distance is `sqrt(sum_d (x_id - x_nd)^2 + e^2)`: two that are equal have a
    loss of 17.7 and no gradient. Both embeddings of a pair get one, the choice of the nearest does not.

    Args:
        embeddings: `(batch, dim)` (x); any length, normalized here, in float32.
        group: int from 2, images among which the nearest is looked for: groups of so many that follow each other,
            which must fill the local batch. The authors' code takes the local batch. None for the global batch.

    Returns:
        float32 scalar, the mean over the local batch.

    Raises:
        ValueError: the batch, or a group, holds one image; or the groups do not fill the batch.

    Reference: DINOv2: Learning Robust Visual Features without Supervision (Oquab et al., 2023),
    https://arxiv.org/abs/2304.07193, and Spreading vectors for similarity search (Sablayrolles et al., 2018),
    https://arxiv.org/abs/1806.03198

    Example:

    >>> round(float(koleo(np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))), 4)  # all nearest ones at sqrt(2)
    -0.3466
    """
    embeddings = unit(embeddings)
    others = distribute.gather(embeddings) if group is None else embeddings
    rows, total = ops.shape(embeddings)[0], ops.shape(others)[0]
    if isinstance(total, int) and (total < 2 or group is not None and (group < 2 or total % group)):
        raise ValueError(
            "koleo needs a nearest other image: a batch of two at least, or groups of two at least that fill the local "
            f"batch. Received: a batch of {total}, group={group}"
        )
    left_out = themselves(rows, total, distribute.first_row(rows) if group is None else 0)
    if group is not None:
        number = ops.arange(total, dtype="int32") // group
        left_out = left_out | (number[:, None] != number[None, :])
    cosines = ops.stop_gradient(ops.matmul(embeddings, ops.transpose(others)))
    nearest = ops.argmax(ops.where(left_out, MASKED, cosines), axis=1)
    squared = ops.sum(ops.square(embeddings - ops.take(others, nearest, axis=0)), axis=-1)
    return -ops.mean(ops.log(ops.sqrt(squared + 1e-16) + 1e-8))


def themselves(rows, total, first):
    """Which of the `total` gathered embeddings each of the `rows` local ones is, bool `(rows, total)`."""
    row = first + ops.arange(rows, dtype="int32")
    return row[:, None] == ops.arange(total, dtype="int32")[None, :]
