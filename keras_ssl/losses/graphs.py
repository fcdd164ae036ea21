"""Graph losses: two views of graphs against each other, and parts of graphs against whole ones."""

import math

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.negatives import log_sum_exp
from keras_ssl.losses.reconstruction import masked_mean
from keras_ssl.losses.vectors import precise, unit


def cross_view(first, second, temperature=0.2, symmetric=False):
    """The loss of GraphCL: each first view finds the second view of its graph among those of the other graphs.

    `L = mean_i ( -s_ii / t + log sum_{j != i} exp(s_ij / t) )`, where s_ij is the cosine of the first view of i and
    the second of j, and j runs over the global batch. The positive is not in the denominator, and views of the same
    side are not compared. The loss may be negative. With `symmetric` it is the mean of this and of the same with the
    views exchanged.

    Args:
        first: `(batch, dim)`, embeddings of the first views; any length, they are normalized here, in float32.
        second: `(batch, dim)`, embeddings of the second views, in the same order.
        temperature: float > 0 (t, 0.2).
        symmetric: whether the second views look for the first ones too.

    Returns:
        float32 scalar, the mean over the local batch. Under `tf.distribute` the negatives are of all replicas, and the
        gradient flows to them.

    Raises:
        ValueError: the batch holds one graph.

    Reference: Graph Contrastive Learning with Augmentations (You et al., 2020), https://arxiv.org/abs/2010.13902

    Example:

    >>> views = np.eye(3, dtype="float32")
    >>> round(float(cross_view(views, views, temperature=1.0)), 4)  # log 2 - 1
    -0.3069
    """
    first, second = unit(first), unit(second)
    loss = look_up(first, second, temperature)
    return (loss + look_up(second, first, temperature)) / 2 if symmetric else loss


def look_up(anchors, partners, temperature):
    """The loss of one direction."""
    others = distribute.gather(partners)
    rows, total = ops.shape(anchors)[0], ops.shape(others)[0]
    if isinstance(total, int) and total < 2:
        raise ValueError(
            "this loss needs negatives: a batch of two graphs at least. Received: a batch of one. Is it the last of an "
            "epoch? Drop it with `drop_remainder=True`."
        )
    logits = ops.matmul(anchors, ops.transpose(others)) / temperature  # (batch, total)
    row = distribute.first_row(rows) + ops.arange(rows, dtype="int32")
    negative = row[:, None] != ops.arange(total, dtype="int32")[None, :]
    positive = ops.sum(anchors * partners, axis=-1) / temperature
    return ops.mean(log_sum_exp(logits, negative) - positive)


def part_information(parts, mask, wholes):
    """The loss of InfoGraph: parts of a whole are told from parts of others by their dot product with it.

    It is a lower bound of the information that wholes share with their parts (that of Jensen and Shannon), with its
    sign changed: `L = mean log(1 + exp(-u_p)) + mean log(1 + exp(u_n)) - 2 log 2`, where u is the dot product of a part
    and a whole, u_p runs over the real parts with their own whole, and u_n over them with all other wholes of the
    global batch. It is 0 where all are 0, and at least -2 log 2.

    Args:
        parts: `(batch, parts, dim)`, of any length; float32 inside.
        mask: bool `(batch, parts)`, True where a part is real.
        wholes: `(batch, dim)`.

    Returns:
        float32 scalar. Its mean over replicas is the loss of the global batch, and the gradient flows to all of them.

    Reference: InfoGraph: Unsupervised and Semi-supervised Graph-Level Representation Learning via Mutual Information
    Maximization (Sun et al., 2019), https://arxiv.org/abs/1908.01000

    Example:

    >>> loss = part_information(np.zeros((2, 3, 4)), np.ones((2, 3), bool), np.zeros((2, 4)))
    >>> abs(float(loss)) < 1e-6
    True
    """
    parts, wholes = precise(parts), distribute.gather(precise(wholes))
    rows, total = ops.shape(parts)[0], ops.shape(wholes)[0]
    scores = ops.matmul(parts, ops.transpose(wholes))  # (batch, parts, total)
    row = distribute.first_row(rows) + ops.arange(rows, dtype="int32")
    own = (row[:, None] == ops.arange(total, dtype="int32")[None, :])[:, None, :]
    real = ops.cast(mask, "bool")[:, :, None]
    positive = masked_mean(ops.softplus(-scores), ops.logical_and(real, own))
    negative = masked_mean(ops.softplus(scores), ops.logical_and(real, ops.logical_not(own)))
    return positive + negative - 2 * math.log(2)
