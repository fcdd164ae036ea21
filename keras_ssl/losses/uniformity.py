"""Alignment and uniformity: what a contrastive loss tends to with many negatives, as two losses of their own."""

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
    row = distribute.first_row(rows) + ops.arange(rows, dtype="int32")
    itself = row[:, None] == ops.arange(total, dtype="int32")[None, :]
    near = ops.logsumexp(ops.where(itself, MASKED, -scale * squared), axis=-1)  # (batch,)
    pairs = ops.cast(total * (total - 1), near.dtype)  # each of them twice, in both orders
    return ops.logsumexp(distribute.gather(near)) - ops.log(pairs)
