"""Distillation losses: a student regresses what its teacher makes of the other view, or of hidden parts."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.checks import check_numbers
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


def smooth_l1(prediction, target, beta=1.0):
    """The mean of a quadratic error that grows linearly from `beta` on, as one outlier then weighs less.

    With `d = |p - t|`, an element costs `d^2 / (2 beta)` where `d < beta`, else `d - beta / 2`. A prediction of 0 costs
    0.42 on average where the targets are standard normal and beta is 1, whatever they mean.

    Args:
        prediction: tensor of any shape (p); float32 inside.
        target: the same shape (t). No gradient.
        beta: float from 0, where the error becomes linear: 1 in I-JEPA, 2 in data2vec; 0 for the absolute error.

    Returns:
        float32 scalar, the mean over all elements of the local batch.

    Raises:
        ValueError: the shapes differ, or `beta` is below 0.

    Reference: Fast R-CNN (Girshick, 2015), https://arxiv.org/abs/1504.08083

    Example:

    >>> float(smooth_l1(np.array([0.0, 3.0]), np.array([0.5, 1.0])))  # (0.125 + 1.5) / 2
    0.8125
    """
    check_numbers(least=0, beta=beta)
    prediction, target = precise(prediction), ops.stop_gradient(precise(target))
    if prediction.shape[1:] != target.shape[1:] or len(prediction.shape) != len(target.shape):
        raise ValueError(
            "prediction and target must have one shape. "
            f"Received: {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    distance = ops.abs(prediction - target)
    if beta == 0:
        return ops.mean(distance)
    return ops.mean(ops.where(distance < beta, ops.square(distance) / (2.0 * beta), distance - beta / 2.0))


def batch_std(x):
    """How much the images differ: the standard deviation over the global batch, the mean over all that is left.

    Where it falls towards 0, all images have the same features, however low a loss is.

    Args:
        x: `(batch, ...)`, such as the teacher's tokens before they are normalized. No gradient.

    Returns:
        float32 scalar, the same on all replicas.
    """
    x = ops.stop_gradient(precise(x))
    rows = distribute.total(ops.cast(ops.shape(x)[0], x.dtype))
    mean = distribute.total(ops.sum(x, axis=0)) / rows
    variance = distribute.total(ops.sum(ops.square(x - mean), axis=0)) / rows
    return ops.mean(ops.sqrt(variance))


def kl_divergence(prediction, target, temperature=0.07):
    """How far a student's softmax is from its teacher's: `mean sum_k p_k (log p_k - log q_k)`, from 0.

    `p = softmax(target / t)` and `q = softmax(prediction / t)`, over the last axis. It is their cross-entropy less the
    entropy of p, which moves nothing, so that it is 0 where they agree. No factor makes up for the temperature.

    Args:
        prediction: `(..., classes)`, logits or similarities of the student; float32 inside.
        target: `(..., classes)`, those of the teacher. No gradient.
        temperature: float > 0 (t, 0.07).

    Returns:
        float32 scalar, the mean over all other axes.

    Reference: Distilling the Knowledge in a Neural Network (Hinton, Vinyals, Dean, 2015),
    https://arxiv.org/abs/1503.02531
    """
    log_q = ops.log_softmax(precise(prediction) / temperature, axis=-1)
    log_p = ops.log_softmax(ops.stop_gradient(precise(target)) / temperature, axis=-1)
    return ops.mean(ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1))
