"""Distillation losses: a student regresses what its teacher makes of the other view."""

from keras import ops

from keras_ssl.losses.contrastive import unit


def cosine_regression(prediction, target):
    """The loss of BYOL, the squared distance of the unit vectors: `mean_i 2 - 2 cos(p_i, z_i)`, from 0 to 4.

    Args:
        prediction: `(batch, dim)`, of the student (p); any length, normalised here, in float32.
        target: `(batch, dim)`, of the teacher (z), normalised here as well. No gradient.

    Returns:
        float32 scalar, the mean over the local batch.

    Reference: Bootstrap Your Own Latent (Grill et al., 2020), https://arxiv.org/abs/2006.07733
    """
    return ops.mean(2.0 - 2.0 * ops.sum(unit(prediction) * ops.stop_gradient(unit(target)), axis=-1))
