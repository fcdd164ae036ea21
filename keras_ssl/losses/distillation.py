"""Distillation losses: a student regresses what its teacher makes of the other view."""

from keras import ops

from keras_ssl.losses.vectors import precise, unit


def cosine_regression(prediction, target):
    """The loss of BYOL, the squared distance of the unit vectors: `mean_i 2 - 2 cos(p_i, z_i)`, from 0 to 4.

    Args:
        prediction: `(batch, dim)`, of the student (p); any length, normalized here, in float32.
        target: `(batch, dim)`, of the teacher (z), normalized here as well. No gradient.

    Returns:
        float32 scalar, the mean over the local batch.

    Reference: Bootstrap Your Own Latent (Grill et al., 2020), https://arxiv.org/abs/2006.07733
    """
    return ops.mean(2.0 - 2.0 * ops.sum(unit(prediction) * ops.stop_gradient(unit(target)), axis=-1))


def negative_cosine(prediction, target):
    """The loss of SimSiam: `mean_i -cos(p_i, z_i)`, from -1 to 1.

    Args:
        prediction: `(batch, dim)`, what the predictor makes of one view (p); normalized here, in float32.
        target: `(batch, dim)`, the projection of the other view (z), normalized here as well. It gets a gradient:
            SimSiam stops it before.

    Returns:
        float32 scalar, the mean over the local batch.

    Reference: Exploring Simple Siamese Representation Learning (Chen, He, 2020), https://arxiv.org/abs/2011.10566
    """
    return -ops.mean(ops.sum(unit(prediction) * unit(target), axis=-1))


def softmax_cross_entropy(prediction, target):
    """The other similarity of SimSiam: `mean_i -sum_d softmax(z_i)_d log softmax(p_i)_d`, softmax over the channels.

    Args:
        prediction: `(batch, dim)` (p), not normalized; float32 inside.
        target: `(batch, dim)` (z), not normalized. It gets a gradient: SimSiam stops it before.

    Returns:
        float32 scalar, the mean over the local batch.

    Reference: Exploring Simple Siamese Representation Learning (Chen, He, 2020), https://arxiv.org/abs/2011.10566
    """
    prediction, target = precise(prediction), precise(target)
    return -ops.mean(ops.sum(ops.softmax(target, axis=-1) * ops.log_softmax(prediction, axis=-1), axis=-1))
