"""Losses of instances: a query finds its own key, its prototype, or the two images it is mixed of."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.contrastive import MASKED, cross_entropy
from keras_ssl.losses.vectors import precise, unit


def n_pair(
    queries, keys, temperature=0.2, queue=None, partner=None, share=None, normalize=True, penalty=0.0
):  # fmt: skip
    """The N-pair loss, InfoNCE in one direction: each query finds its key among the keys of the batch.

    `L = mean_i H_i(i)` with `H_i(j) = -log( exp(q_i.k_j / t) / sum_n exp(q_i.k_n / t) )`, where n runs over the keys of
    the global batch and then over those of the queue. For a query that is mixed of two images it is
    `mean_i share_i H_i(i) + (1 - share_i) H_i(partner_i)`. This is i-Mix's form, of unit vectors. Sohn's compares the
    vectors as they are, without a temperature, and keeps them short by `penalty / 2 mean_i (|q_i|^2 + |k_i|^2)`:
    `temperature=1, normalize=False, penalty=0.02`.

    Args:
        queries: `(batch, dim)` (q); any length, they are normalized here, in float32, unless `normalize=False`.
        keys: `(batch, dim)`, the key of each query (k), normalized here as well. They get a gradient.
        temperature: float > 0 (t, 0.2).
        queue: `(size, dim)`, unit vectors, further negatives without a gradient; or None.
        partner: int `(batch,)`, the rows of the global batch that the queries are mixed with; or None.
        share: float `(batch,)`, from 0 to 1, how much of a query is its own image (lambda); with `partner`.
        normalize: whether queries and keys become unit vectors.
        penalty: float from 0, weight of the squared lengths of queries and keys before they are normalized.

    Returns:
        float32 scalar, the mean over the local queries. Under `tf.distribute` the keys of all replicas are compared,
        and the gradient flows to all of them.

    References: Improved Deep Metric Learning with Multi-class N-pair Loss Objective (Sohn, NIPS 2016); i-Mix (Lee et
    al., 2020), https://arxiv.org/abs/2010.08887
    """
    queries, keys = precise(queries), precise(keys)
    lengths = penalty / 2 * ops.mean(ops.sum(ops.square(queries) + ops.square(keys), axis=-1)) if penalty else 0.0
    if normalize:
        queries, keys = unit(queries), unit(keys)
    keys = distribute.gather(keys)
    if queue is not None:
        keys = ops.concatenate([keys, ops.stop_gradient(ops.cast(queue, keys.dtype))])
    logits = ops.matmul(queries, ops.transpose(keys)) / temperature  # (batch, total + size)
    rows = ops.shape(queries)[0]
    own = distribute.first_row(rows) + ops.arange(rows, dtype="int32")
    losses = ops.sparse_categorical_crossentropy(own, logits, from_logits=True)
    if partner is not None:
        share = ops.cast(share, losses.dtype)
        others = ops.sparse_categorical_crossentropy(partner, logits, from_logits=True)
        losses = share * losses + (1.0 - share) * others
    return ops.mean(losses) + lengths


def mixed_cosine_regression(prediction, target, partner_target, share):
    """The loss of BYOL for a view mixed of two images: `mean_i 2 - 2 (s_i cos(p_i, z_i) + (1 - s_i) cos(p_i, z'_i))`.

    Args:
        prediction: `(batch, dim)`, of the mixed view (p); any length, normalized here, in float32.
        target: `(batch, dim)`, of the image itself (z), normalized here as well. No gradient.
        partner_target: `(batch, dim)`, of the image it is mixed with (z'), normalized here as well. No gradient.
        share: float `(batch,)`, from 0 to 1, how much of the view is the image itself (s, lambda).

    Returns:
        float32 scalar, the mean over the local batch; with `share=1` that of `cosine_regression`.

    Reference: i-Mix: A Domain-Agnostic Strategy for Contrastive Representation Learning (Lee et al., 2020),
    https://arxiv.org/abs/2010.08887
    """
    prediction = unit(prediction)
    share = ops.cast(share, prediction.dtype)
    own = ops.sum(prediction * ops.stop_gradient(unit(target)), axis=-1)
    other = ops.sum(prediction * ops.stop_gradient(unit(partner_target)), axis=-1)
    return ops.mean(2.0 - 2.0 * (share * own + (1.0 - share) * other))


def info_nce_synthetic(queries, keys, queue, synthetic, temperature=0.2, active=None):
    """InfoNCE with a queue and further negatives of each query's own, the loss of MoCHi.

    `L = mean_i -log( exp(q_i.k_i / t) / (exp(q_i.k_i / t) + sum_n exp(q_i.n / t) + sum_h exp(q_i.h_i / t)) )`, n over
    the queue and h over the synthetic negatives of the query.

    Args:
        queries: `(batch, dim)`; any length, they are normalized here, in float32.
        keys: `(batch, dim)`, the key of each query, normalized here as well. No gradient.
        queue: `(size, dim)`, unit vectors. No gradient.
        synthetic: `(batch, count, dim)`, unit vectors. No gradient. With `count=0` the loss is `info_nce`.
        temperature: float > 0 (t, 0.2).
        active: bool scalar tensor, whether the synthetic negatives take part; None for always.

    Returns:
        float32 scalar, the mean over the local queries.

    Reference: Hard Negative Mixing for Contrastive Learning (Kalantidis et al., 2020),
    https://arxiv.org/abs/2010.01028
    """
    queries, keys = unit(queries), ops.stop_gradient(unit(keys))
    queue, synthetic = (ops.stop_gradient(ops.cast(x, queries.dtype)) for x in (queue, synthetic))
    positive = ops.sum(queries * keys, axis=-1, keepdims=True)  # (batch, 1)
    negative = ops.matmul(queries, ops.transpose(queue))  # (batch, size)
    hard = ops.matmul(synthetic, queries[:, :, None])[:, :, 0]  # (batch, count)
    if active is not None:
        hard = ops.where(active, hard, MASKED)
    logits = ops.concatenate([positive, negative, hard], axis=-1) / temperature
    return cross_entropy(logits, ops.zeros_like(logits[:, 0], dtype="int32"))


def proto_nce(queries, prototypes, concentrations, labels):
    """The prototype part of ProtoNCE, the loss of PCL: each query finds the prototype of its cluster among others.

    `L = mean_i -log( exp(q_i.c_s / phi_s) / sum_j exp(q_i.c_j / phi_j) )`, s the cluster of query i and j over the
    given prototypes: each has the temperature of its own cluster.

    Args:
        queries: `(batch, dim)` (v); any length, they are normalized here, in float32.
        prototypes: `(count, dim)`, unit vectors (c), each one once. No gradient.
        concentrations: `(count,)`, float > 0 (phi), small for a tight cluster. No gradient.
        labels: int `(batch,)`, the row of each query's own prototype.

    Returns:
        float32 scalar, the mean over the local queries.

    Reference: Prototypical Contrastive Learning of Unsupervised Representations (Li, Zhou, Xiong, Socher, Hoi, 2020),
    https://arxiv.org/abs/2005.04966
    """
    queries = unit(queries)
    prototypes, concentrations = (
        ops.stop_gradient(ops.cast(x, queries.dtype)) for x in (prototypes, concentrations)
    )
    return cross_entropy(ops.matmul(queries, ops.transpose(prototypes)) / concentrations, labels)
