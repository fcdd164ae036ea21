"""Redundancy losses: statistics of the batch that keep the dimensions of an embedding apart.

All of them are of the global batch: under `tf.distribute` the embeddings of all replicas are gathered, with their
gradient, and every replica computes the same statistics.
"""

import itertools

import keras
from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.vectors import precise, unit


def barlow_twins(first, second, redundancy_weight=0.0051, epsilon=1e-5):
    """The loss of Barlow Twins, which makes the cross-correlation of two views the identity matrix.

    `L = sum_i (1 - C_ii)^2 + lambda * sum_{i != j} C_ij^2`, where `C` is the `cross_correlation`. Sums, not means, over
    the dimensions. Constant embeddings give `dim`.

    Args:
        first: `(batch, dim)`, embeddings of the first views (z^A), float32 inside.
        second: `(batch, dim)`, embeddings of the second views (z^B), in the same order.
        redundancy_weight: float >= 0, the weight of what is off the diagonal (lambda, 0.0051).
        epsilon: float > 0, added to the variances.

    Returns:
        float32 scalar, of the global batch.

    Reference: Barlow Twins: Self-Supervised Learning via Redundancy Reduction (Zbontar, Jing, Misra, LeCun, Deny,
    2021), https://arxiv.org/abs/2103.03230
    """
    correlation = cross_correlation(first, second, epsilon)
    on_diagonal = ops.sum(ops.square(1.0 - ops.diagonal(correlation)))
    return on_diagonal + redundancy_weight * ops.sum(ops.square(off_diagonal(correlation)))


def cross_correlation(first, second, epsilon=1e-5):
    """`C_ij = mean_b a_bi * b_bj`, where a and b are the embeddings, standardized over the global batch.

    The variance is the mean of the squares (biased), as that of batch normalization, so that `C_ii` of equal
    embeddings is 1.

    Args:
        first, second: `(batch, dim)`, in the same order.
        epsilon: float > 0, added to the variances.

    Returns:
        float32 `(dim, dim)`; all 0 where an embedding is constant.
    """
    first, second = (standardized(everywhere(x), epsilon) for x in (first, second))
    return ops.matmul(ops.transpose(first), second) / ops.cast(ops.shape(first)[0], first.dtype)


def variance_covariance(embeddings, target=1.0, epsilon=1e-4):
    """The two terms of VICReg that keep one branch from collapse: each dimension varies, no two vary together.

    `v = mean_d max(0, target - sqrt(Var_d + epsilon))` and `c = sum_{i != j} Cov_ij^2 / dim`, where `Var` and `Cov`
    are of the global batch of n and divide by n - 1.

    Args:
        embeddings: `(batch, dim)`, of one branch (Z), not normalized; float32 inside. Or `(batch, slots, dim)`: each
            slot is a branch of its own, and the terms are the means over the slots.
        target: float, the standard deviation that is enough (gamma, 1).
        epsilon: float > 0, keeps the gradient of the root finite where a dimension is constant (1e-4).

    Returns:
        two float32 scalars, `v` and `c`. Constant embeddings give `target - sqrt(epsilon)` and 0.

    Reference: VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning (Bardes, Ponce, LeCun,
    2021), https://arxiv.org/abs/2105.04906
    """
    rows = everywhere(embeddings)
    rows = ops.swapaxes(rows, 0, 1) if len(rows.shape) == 3 else rows
    matrix = covariance(centered(rows))  # (..., dim, dim)
    dim = matrix.shape[-1]
    variance = ops.sum(matrix * ops.eye(dim, dtype=matrix.dtype), axis=-1)
    hinge = ops.mean(ops.relu(target - ops.sqrt(variance + epsilon)))
    return hinge, ops.mean(ops.sum(ops.square(off_diagonal(matrix)), axis=(-2, -1))) / dim


def variance_correlation(embeddings, target=1.0, epsilon=1e-4):
    """The two terms of VIbCReg: the variance is VICReg's, the covariance is of dimensions of one length: a correlation.

    `v` is that of `variance_covariance`, and `c = mean_{i, j} R_ij^2` with the correlations R of the global batch, 0 on
    the diagonal. It does not depend on the scale of a dimension, and hardly on their number.

    Args:
        embeddings, target, epsilon: see `variance_covariance`.

    Returns:
        two float32 scalars, `v` and `c`, the latter from 0 to 1. A dimension that is constant has no correlation.

    Reference: VIbCReg: Variance-Invariance-better-Covariance Regularization for Self-Supervised Learning on Time Series
    (Lee, Aune, 2021), https://arxiv.org/abs/2109.00783
    """
    embeddings = centered(everywhere(embeddings))
    others = ops.cast(ops.maximum(ops.shape(embeddings)[0] - 1, 1), embeddings.dtype)
    deviation = ops.sqrt(ops.sum(ops.square(embeddings), axis=0) / others + epsilon)
    turned = unit(ops.transpose(embeddings))  # (dim, batch)
    correlation = ops.matmul(turned, ops.transpose(turned))
    return ops.mean(ops.relu(target - deviation)), ops.mean(ops.square(off_diagonal(correlation)))


def invariance(first, second):
    """The mean of the squared differences, over the local batch and the dimensions: VICReg's invariance term.

    Args:
        first, second: `(batch, dim)`, in the same order; float32 inside. Both get a gradient.

    Returns:
        float32 scalar.
    """
    return ops.mean(ops.square(precise(first) - precise(second)))


def w_mse(embeddings, sub_batch=128, repeats=1, epsilon=0.0, seed=None):
    """The loss of W-MSE: views that were whitened apart from each other attract.

    `L = mean over pairs of views and over the batch of 2 - 2 cos(w_i, w_j)`, from 0 to 4, where w are the embeddings
    that `whiten` makes of each sub-batch of each view. The sub-batches are the same rows of all views.

    A batch that `sub_batch` does not divide makes `batch // sub_batch` sub-batches of equal size, at least one; fewer
    rows than there are sub-batches are left out.

    Args:
        embeddings: list of two or more `(batch, dim)` in the same order, one for each view (positives, d); float32
            inside.
        sub_batch: int, rows that are whitened together, best twice `dim` or more (128 for 64 dimensions).
        repeats: int, how many draws of the sub-batches are averaged (1; the authors' `w_iter`).
        epsilon: float in [0, 1), see `whiten`.
        seed: `keras.random.SeedGenerator` that draws the sub-batches; None for rows that follow each other.

    Returns:
        float32 scalar, of the global batch.

    Reference: Whitening for Self-Supervised Representation Learning (Ermolov, Siarohin, Sangineto, Sebe, 2020),
    https://arxiv.org/abs/2007.06346
    """
    embeddings = [everywhere(x) for x in embeddings]
    rows = ops.shape(embeddings[0])[0]
    losses = []
    for _ in range(repeats):
        order = ops.arange(rows) if seed is None else ops.argsort(keras.random.uniform((rows,), seed=seed))
        views = [whiten(split(ops.take(x, order, axis=0), sub_batch), epsilon) for x in embeddings]
        views = [unit(x) for x in views]  # (sub-batches, rows, dim)
        for first, second in itertools.combinations(views, 2):
            losses.append(ops.mean(2.0 - 2.0 * ops.sum(first * second, axis=-1)))
    return sum(losses) / len(losses)


def whiten(x, epsilon=0.0):
    """Rows of mean 0 and covariance I: `w = L^-1 (x - mean)`, where `L L^T` is the covariance (Cholesky).

    The covariance divides by `rows - 1`. The gradient flows through `L`.

    Args:
        x: `(..., rows, dim)`, of more rows than dimensions; float32 inside.
        epsilon: float in [0, 1): the covariance becomes `(1 - epsilon) * Cov + epsilon * I` first (0).

    Returns:
        float32, of the shape of `x`.

    Raises:
        ValueError: there are not more rows than dimensions, or the covariance is singular. In a compiled step a
            singular covariance is TensorFlow's `InvalidArgumentError`; under XLA and on JAX the loss is NaN.
    """
    x = precise(x)
    rows, dim = x.shape[-2:]
    if rows is not None and rows <= dim and not epsilon:
        raise ValueError(
            f"{rows} rows of {dim} dimensions cannot be whitened: their covariance is singular. Use a larger batch and "
            "sub_batch (twice the dimensions or more), fewer dimensions, or epsilon > 0."
        )
    x = centered(x)
    matrix = (1.0 - epsilon) * covariance(x) + epsilon * ops.eye(dim, dtype=x.dtype)
    return ops.swapaxes(ops.solve_triangular(cholesky(matrix), ops.swapaxes(x, -1, -2), lower=True), -1, -2)


def everywhere(x):
    """The rows of all replicas, in float32; the static size of a row is kept where that of the batch is not known."""
    return ops.reshape(distribute.gather(precise(x)), (-1, *x.shape[1:]))


def cholesky(matrix):
    try:
        return ops.cholesky(matrix)
    except Exception as error:  # each backend has its own
        raise ValueError(
            "The covariance of the embeddings is singular, so they cannot be whitened: some of their dimensions are "
            "constant or depend on others. Use a lower learning rate, a larger sub_batch, or epsilon > 0."
        ) from error


def split(x, size):
    """`(rows, dim)` in parts of equal size, at least `size` where there are as many rows: `(parts, rows, dim)`."""
    rows, dim = ops.shape(x)
    parts = max(1, rows // size) if isinstance(rows, int) else ops.maximum(1, rows // size)
    each = rows // parts
    return ops.reshape(x[: parts * each], (parts, each, dim))


def centered(x):
    return x - ops.mean(x, axis=-2, keepdims=True)


def standardized(x, epsilon):
    x = centered(x)
    return x / ops.sqrt(ops.mean(ops.square(x), axis=0) + epsilon)


def covariance(x):
    """`(..., dim, dim)` of the centered rows of `(..., rows, dim)`, divided by `rows - 1`."""
    others = ops.cast(ops.maximum(ops.shape(x)[-2] - 1, 1), x.dtype)  # one row alone has none
    return ops.matmul(ops.swapaxes(x, -1, -2), x) / others


def off_diagonal(matrix):
    return matrix * (1.0 - ops.eye(matrix.shape[-1], dtype=matrix.dtype))
