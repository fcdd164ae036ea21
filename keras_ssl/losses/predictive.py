"""Predictive losses: what comes later is told by a prediction from what else could have come."""

from keras import ops

from keras_ssl.losses.vectors import precise


def info_nce_drawn(predictions, targets, negatives, real=None):
    """InfoNCE of CPC for sounds: each prediction finds its target among negatives that were drawn for its place.

    `L = mean_{b, t, k} -log( exp(p_btk.z_btk) / (exp(p_btk.z_btk) + sum_n exp(p_btk.u_btn)) )`, over the places t of
    each sound that are real, then over the sounds.

    Args:
        predictions: `(batch, places, steps, dim)` (p).
        targets: `(batch, places, steps, dim)`, what comes so many steps after each place (z). They get a gradient.
        negatives: `(batch, places, negatives, dim)`, the same for all steps (u). They get a gradient.
        real: bool `(batch, places)`, the places that count; None for all. A sound without any counts as 0.

    Returns:
        two float32 scalars, means over the local sounds: the loss, and the share of the predictions whose target has
        the highest score.

    Reference: Representation Learning with Contrastive Predictive Coding (van den Oord, Li, Vinyals, 2018),
    https://arxiv.org/abs/1807.03748
    """
    predictions, targets, negatives = precise(predictions), precise(targets), precise(negatives)
    right = ops.sum(predictions * targets, axis=-1)  # (batch, places, steps)
    wrong = ops.einsum("btkd,btnd->btkn", predictions, negatives)
    loss = ops.logsumexp(ops.concatenate([right[..., None], wrong], axis=-1), axis=-1) - right
    told = ops.cast(right > ops.max(wrong, axis=-1), loss.dtype)
    weight = ops.ones_like(loss[:, :, 0]) if real is None else ops.cast(real, loss.dtype)
    share = weight / ops.maximum(ops.sum(weight, axis=1, keepdims=True), 1)  # of each place in its sound
    return tuple(ops.mean(ops.sum(ops.mean(values, axis=-1) * share, axis=1)) for values in (loss, told))
