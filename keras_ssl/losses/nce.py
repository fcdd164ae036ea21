"""NCE: one true sample told from noise samples, or from all others, by logits of unit vectors."""

import math

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.contrastive import MASKED, cross_entropy
from keras_ssl.losses.vectors import unit


def similarities(queries, candidates, temperature=0.07):
    """The logits `cos(q_i, c_ij) / t` of each query and its candidates.

    Args:
        queries: `(batch, dim)`, or `(batch, number, dim)`, several with the same candidates; any length, they are
            normalized here, in float32.
        candidates: entries of a memory bank, which get no gradient and keep their length: `(batch, count, dim)`, those
            of each query, or `(count, dim)`, the same for all.
        temperature: float > 0 (t, 0.07).

    Returns:
        `(batch, count)` or `(batch, number, count)`, float32.
    """
    queries = unit(queries)
    candidates = ops.stop_gradient(ops.cast(candidates, queries.dtype))
    several = "q" if len(queries.shape) == 3 else ""
    own = "b" if len(candidates.shape) == 3 else ""
    return ops.einsum(f"b{several}d,{own}cd->b{several}c", queries, candidates) / temperature


def nce(logits, log_z, size):
    """Noise-contrastive estimation: is it the true sample, or one of the K that noise drew from the data set?

    `L = mean_i -[ log h(s_i0) + sum_k log(1 - h(s_ik)) ]`, with `h = P / (P + K / n)` and `P = exp(s) / Z`. It is
    computed as `log h = log_sigmoid(s - log Z - log(K / n))`, which does not overflow.

    Args:
        logits: `(batch, 1 + K)`, s: similarities over the temperature. The first column is the true sample's.
        log_z: float32 scalar, log Z, a constant of the run: see `log_normalizer`.
        size: int, number of samples in the data set (n). The noise is uniform: 1 / n each.

    Returns:
        float32 scalar, the mean over the local rows.

    Reference: Noise-contrastive estimation (Gutmann and Hyvarinen, 2010, AISTATS), as in Unsupervised Feature Learning
    via Non-Parametric Instance Discrimination (Wu et al., 2018), https://arxiv.org/abs/1805.01978
    """
    count = logits.shape[1] - 1
    odds = logits - ops.stop_gradient(ops.cast(log_z, logits.dtype)) - math.log(count / size)  # log h / (1 - h)
    true, noise = ops.log_sigmoid(odds[:, 0]), ops.log_sigmoid(-odds[:, 1:])
    return -ops.mean(true + ops.sum(noise, axis=-1))


def log_normalizer(logits, size):
    """An estimate of log Z: `log( n * mean_ik exp(s_ik) )`, the mean over the rows of all replicas. No gradient.

    Args:
        logits: `(batch, candidates)`, s.
        size: int, number of samples in the data set (n).

    Returns:
        float32 scalar, equal on all replicas.
    """
    rows = distribute.gather(ops.logsumexp(logits, axis=-1), gradient=False)
    total = ops.cast(ops.shape(rows)[0] * logits.shape[1], rows.dtype)
    return ops.logsumexp(rows) - ops.log(total) + math.log(size)


def sigmoid_pairs(first, second, scale, bias, mask=None):
    """Each pair of the global batch is asked by itself whether it belongs together: the loss of SigLIP.

    `L = mean_i sum_j -log sigmoid( y_ij (c s_ij + b) )`, where s_ij is the cosine of the i-th of the first kind and the
    j-th of the second, j over the global batch, and y_ij is 1 where i = j, else -1.

    Args:
        first: `(batch, dim)`; any length, they are normalized here, in float32.
        second: `(batch, dim)`, in the same order.
        scale: float or scalar tensor (c; exp of what SigLIP learns). It gets a gradient.
        bias: float or scalar tensor (b). It gets a gradient.
        mask: bool `(batch, global batch)`, True where the i-th of the first kind of this replica and the j-th of the
            second of all are not asked; a pair that belongs together always is. None where all are.

    Returns:
        float32 scalar, the mean over the local rows of the first kind. Under `tf.distribute` the second kind of all
        replicas is compared with, and the gradient flows to all of them.

    Reference: Sigmoid Loss for Language Image Pre-Training (Zhai et al., 2023), https://arxiv.org/abs/2303.15343
    """
    first, second = unit(first), distribute.gather(unit(second))
    rows = ops.shape(first)[0]
    labels = distribute.first_row(rows) + ops.arange(rows, dtype="int32")
    own = labels[:, None] == ops.arange(ops.shape(second)[0], dtype="int32")[None, :]  # (batch, total)
    cosines = ops.matmul(first, ops.transpose(second))
    logits = cosines * ops.cast(scale, first.dtype) + ops.cast(bias, first.dtype)
    losses = -ops.log_sigmoid(ops.where(own, logits, -logits))
    if mask is not None:
        losses = ops.where(ops.logical_and(mask, ops.logical_not(own)), 0.0, losses)
    return ops.mean(ops.sum(losses, axis=-1))


def symmetric_info_nce(first, second, scale, mask=None):
    """InfoNCE between two kinds of embeddings, in both directions: the loss of CLIP.

    `L = mean_i ( -log( exp(c s_ii) / sum_j exp(c s_ij) ) - log( exp(c s_ii) / sum_j exp(c s_ji) ) ) / 2`, where s_ij is
    the cosine of the i-th of the first kind and the j-th of the second, j over the global batch.

    Args:
        first: `(batch, dim)`; any length, they are normalized here, in float32.
        second: `(batch, dim)`, in the same order.
        scale: float or scalar tensor, 1 / temperature (c; exp of what CLIP learns). It gets a gradient.
        mask: bool `(batch, global batch)`, True where the i-th pair of this replica and the j-th of all are no wrong
            answers of each other, in neither direction, so that their s has no part in the sums; a pair always stays
            its own answer. None for no such pairs.

    Returns:
        float32 scalar, the mean over the local pairs. Under `tf.distribute` the pairs of all replicas are the others,
        and the gradient flows to all of them.

    Reference: Learning Transferable Visual Models From Natural Language Supervision (Radford et al., 2021),
    https://arxiv.org/abs/2103.00020
    """
    first, second = unit(first), unit(second)
    rows = ops.shape(first)[0]
    labels = distribute.first_row(rows) + ops.arange(rows, dtype="int32")
    if mask is not None:
        mask = ops.logical_and(mask, labels[:, None] != ops.arange(ops.shape(mask)[1], dtype="int32")[None, :])
    losses = []
    for queries, keys in ((first, second), (second, first)):
        logits = ops.matmul(queries, ops.transpose(distribute.gather(keys))) * ops.cast(scale, queries.dtype)
        if mask is not None:
            logits = ops.where(mask, MASKED, logits)
        losses.append(cross_entropy(logits, labels))  # (batch, total)
    return (losses[0] + losses[1]) / 2.0
