"""Mutual information of a summary and its parts, and of two cluster assignments, as losses.

The scores of DIM's losses are `(batch, global batch, parts)`: what is said of the summary of the i-th sample of this
replica and of each part of the j-th sample of all. Pairs of one sample belong together, all others do not.
"""

import math

from keras import ops

from keras_ssl import distribute
from keras_ssl.checks import check_ints
from keras_ssl.losses.contrastive import MASKED
from keras_ssl.losses.vectors import precise

TINY = 2.0**-52  # below it a probability counts as this much


def information_jsd(scores):
    """DIM's loss by the Jensen-Shannon divergence: each pair is asked whether it belongs together.

    `L = mean_{j != i, l} (softplus(s_ijl) - log 2) - mean_{i, l} (log 2 - softplus(-s_iil))`. It is 0 where all scores
    are, and at least -2 log 2.

    Args:
        scores: `(batch, global batch, parts)` (s).

    Returns:
        float32 scalar, the mean over the local samples.

    Reference: Learning deep representations by mutual information estimation and maximization (Hjelm et al., 2018),
    https://arxiv.org/abs/1808.06670
    """
    scores = precise(scores)
    own = own_pairs(scores)
    together = ops.sum(ops.where(own, math.log(2) - ops.softplus(-scores), 0.0), axis=1)  # (batch, parts)
    apart = ops.sum(ops.where(own, 0.0, ops.softplus(scores) - math.log(2)), axis=1) / others(scores)
    return ops.mean(apart) - ops.mean(together)


def information_nce(scores):
    """DIM's loss by InfoNCE: a summary finds one of its own parts among all parts of the other samples.

    `L = mean_{i, l} -log( exp s_iil / (exp s_iil + sum_{j != i, m} exp s_ijm) )`. The other parts of the same sample
    are no candidates.

    Args:
        scores: `(batch, global batch, parts)` (s).

    Returns:
        float32 scalar, the mean over the local samples.

    Reference: https://arxiv.org/abs/1808.06670
    """
    scores = precise(scores)
    own = own_pairs(scores)
    together = ops.sum(ops.where(own, scores, 0.0), axis=1)  # (batch, parts)
    apart = ops.logsumexp(ops.where(own, MASKED, scores), axis=(1, 2))  # (batch,)
    return ops.mean(ops.logaddexp(together, apart[:, None]) - together)


def information_dv(scores):
    """DIM's loss by the representation of Donsker and Varadhan, `-mean s_iil + log mean_{j != i} exp s_ijl`.

    The logarithm of a mean over few pairs is biased, and one large score rules it: the weakest of the three.

    Args:
        scores: `(batch, global batch, parts)` (s).

    Returns:
        float32 scalar. The logarithm is of the mean over the pairs of all replicas.

    Reference: https://arxiv.org/abs/1808.06670
    """
    scores = precise(scores)
    own = own_pairs(scores)
    together = ops.sum(ops.where(own, scores, 0.0), axis=1)
    apart = ops.logsumexp(ops.where(own, MASKED, scores), axis=(1, 2))  # (batch,)
    count, parts = (ops.cast(ops.shape(scores)[axis], scores.dtype) for axis in (1, 2))
    return ops.logsumexp(distribute.gather(apart)) - ops.log(count * (count - 1) * parts) - ops.mean(together)


def invariant_information(first, second, weight=1.0):
    """The loss of IIC: minus the mutual information of the clusters of two views.

    `L = -sum_ij P_ij (log P_ij - w log P_i - w log P_j)`, where P is the mean over the pairs of the product of their
    assignments, made symmetric. It is -log K where all K clusters are equally large and the views agree for sure, and 0
    where the assignments are independent of each other, or all the same.

    Args:
        first: `(batch, clusters)`, or `(batch, heads, clusters)` of several networks: probabilities of the one view.
        second: the same of the other view.
        weight: float, of the entropy of the clusters (lambda, 1): above 1 their sizes are more equal.

    Returns:
        float32 scalar, or `(heads,)`; P is of the pairs of all replicas, so that it is the same on each.

    Reference: Invariant Information Clustering for Unsupervised Image Classification and Segmentation (Ji, Henriques,
    Vedaldi, 2018), https://arxiv.org/abs/1807.06653
    """
    pattern = "bhi,bhj->hij" if len(first.shape) == 3 else "bi,bj->ij"
    return of_clusters(ops.einsum(pattern, precise(first), precise(second)), weight)


def invariant_information_of_maps(first, second, displacement=0, real=None, weight=1.0):
    """The loss of IIC for segmentation: the clusters of places, and of places nearby in the other view.

    As `invariant_information`, with `P_ij = sum_{b, y, x, u, v} p_byxi q_b(y+u)(x+v)j`, over all shifts u and v of at
    most `displacement` places, which need not be exact; beyond the border is nothing.

    Args:
        first: `(batch, height, width, clusters)`, probabilities of the places of the one view.
        second: the same of the other view, turned and moved back so that its places lie on those of the first.
        displacement: int from 0, places (T; 10 for COCO-Stuff-3, 5 for Potsdam-6).
        real: bool `(batch, height, width)`, which places both views show; None for all.
        weight: float, of the entropy of the clusters (lambda, 1).

    Returns:
        float32 scalar; P is of the places of all replicas.

    Raises:
        ValueError: for a displacement below 0.

    Reference: https://arxiv.org/abs/1807.06653
    """
    check_ints(0, displacement=displacement)
    first, second = precise(first), precise(second)
    if real is not None:
        shown = ops.cast(real, first.dtype)[..., None]
        first, second = first * shown, second * shown
    if displacement:
        side, around = 2 * displacement + 1, (displacement, displacement)
        padded = ops.pad(second, ((0, 0), around, around, (0, 0)))
        second = ops.average_pool(padded, side, 1, data_format="channels_last") * side**2
    return of_clusters(ops.einsum("byxi,byxj->ij", first, second), weight)


def of_clusters(joint, weight):
    """Minus the information of two assignments, by what they have in common on this replica: `(..., K, K)`."""
    joint = ops.sum(distribute.gather(joint[None]), axis=0)
    joint = (joint + ops.swapaxes(joint, -1, -2)) / 2.0
    joint = joint / ops.sum(joint, axis=(-1, -2), keepdims=True)
    rows, columns = (ops.maximum(ops.sum(joint, axis=axis, keepdims=True), TINY) for axis in (-1, -2))
    joint = ops.maximum(joint, TINY)
    return -ops.sum(joint * (ops.log(joint) - weight * (ops.log(rows) + ops.log(columns))), axis=(-1, -2))


def own_pairs(scores):
    """Where the two are of one sample: bool `(batch, global batch, 1)`."""
    rows = ops.shape(scores)[0]
    row = distribute.first_row(rows) + ops.arange(rows, dtype="int32")
    return (row[:, None] == ops.arange(ops.shape(scores)[1], dtype="int32"))[:, :, None]


def others(scores):
    return ops.cast(ops.shape(scores)[1] - 1, scores.dtype)
