"""Patch losses: what a student makes of the patches it does not see, and how alike the patches of an image are."""

from keras import ops

from keras_ssl.losses.vectors import precise, unit


def masked_cross_entropy(assignments, scores, hidden, temperature=0.1):
    """The patch loss of iBOT: the mean over the images of the mean over each one's hidden patches.

    `L = mean_b sum_i m_bi * (-sum_k q_bik log softmax(s_bi / t)_k) / max(1, sum_i m_bi)`. An image without hidden
    patches has a loss of 0 and is still one of the images of the mean.

    Args:
        assignments: `(batch, patches, prototypes)` (q), rows that sum to 1, of the whole image. No gradient.
        scores: `(batch, patches, prototypes)` (s), of the image with hidden patches.
        hidden: bool or float `(batch, patches)` (m), which patches are hidden.
        temperature: float > 0 (t, 0.1).

    Returns:
        float32 scalar, the mean over the local batch.

    Reference: iBOT: Image BERT Pre-Training with Online Tokenizer (Zhou et al., 2021),
    https://arxiv.org/abs/2111.07832
    """
    log_p = ops.log_softmax(precise(scores) / temperature, axis=-1)
    losses = -ops.sum(ops.stop_gradient(precise(assignments)) * log_p, axis=-1)  # (batch, patches)
    weights = ops.cast(hidden, losses.dtype)
    return ops.mean(ops.sum(weights * losses, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0))


def gram_anchoring(tokens, anchors):
    """The Gram loss of DINOv3: the patches of an image are as alike as those of an earlier teacher.

    `L = mean_b mean_ij (x_bi . x_bj - y_bi . y_bj)^2`, of unit vectors. It fixes similarities and not features: one
    rotation of all tokens changes nothing.

    Args:
        tokens: `(batch, patches, dim)` (x); any length, normalized here, in float32.
        anchors: `(batch, patches, any dim)` (y), normalized here as well. No gradient.

    Returns:
        float32 scalar, the mean over the local batch.

    Reference: DINOv3 (Simeoni et al., 2025), https://arxiv.org/abs/2508.10104
    """
    tokens, anchors = unit(tokens), unit(ops.stop_gradient(anchors))
    products = [ops.matmul(x, ops.transpose(x, (0, 2, 1))) for x in (tokens, anchors)]  # (batch, patches, patches)
    return ops.mean(ops.square(products[0] - products[1]))
