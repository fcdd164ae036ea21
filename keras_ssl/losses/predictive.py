"""Predictive losses: what comes later is told by a prediction from what else could have come."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.contrastive import cross_entropy
from keras_ssl.losses.vectors import precise


def info_nce_ahead(predictions, targets, offset):
    """InfoNCE of CPC: each prediction finds the place `offset` rows below it among all places of all images.

    `L = mean_i -log( exp(p_i.t_i) / sum_j exp(p_i.t_j) )`, i over the places that have one `offset` rows below them,
    t_i its target, j over all places of the images of the global batch, those of the same image among them.

    Args:
        predictions: `(batch, rows, columns, dim)` (p). Those of the last `offset` rows are not used.
        targets: `(batch, rows, columns, dim)` (t). They get a gradient.
        offset: int from 1 to rows - 1.

    Returns:
        float32 scalar, the mean over the local images. Under `tf.distribute` the places of all replicas' images are the
        others, and the gradient flows to all of them.

    Raises:
        ValueError: the grid has too few rows.

    Reference: Representation Learning with Contrastive Predictive Coding (van den Oord, Li, Vinyals, 2018),
    https://arxiv.org/abs/1807.03748
    """
    rows, columns, dim = targets.shape[1:]
    if not 1 <= offset < rows:
        raise ValueError(f"offset must be from 1 to {rows - 1}, in a grid of {rows} rows. Received: offset={offset}")
    images = ops.shape(targets)[0]
    asked = ops.reshape(precise(predictions)[:, : rows - offset], (-1, dim))
    others = ops.reshape(distribute.gather(precise(targets)), (-1, dim))  # (all images * rows * columns, dim)
    image = distribute.first_row(images) + ops.arange(images, dtype="int32")
    place = ops.arange(offset * columns, rows * columns, dtype="int32")
    labels = ops.reshape(image[:, None] * (rows * columns) + place, (-1,))
    return cross_entropy(ops.matmul(asked, ops.transpose(others)), labels)


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
