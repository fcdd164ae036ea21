"""Gaussian losses: how far embeddings, or the distributions that an encoder names, are from an isotropic Gaussian.

Embeddings are seen along random directions: a distribution is the standard Gaussian where each of its projections on a
line is. The statistics are those of the global batch, apart for each view: the views of one image depend on each other.
"""

import math

import numpy as np
from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.vectors import precise


def invariance_to_mean(embeddings, count=None):
    """How far the views of an image are from the mean of its first `count` views: the mean of the squared differences.

    Args:
        embeddings: `(views, batch, dim)`, float32 inside. All get a gradient, also through the mean.
        count: int, how many views make the mean, the global ones; None for all.

    Returns:
        float32 scalar, the mean over the views, the local batch and the dimensions.

    Example:

    >>> float(invariance_to_mean(np.array([[[1.0]], [[3.0]], [[4.0]]]), count=2))
    2.0
    """
    embeddings = precise(embeddings)
    return ops.mean(ops.square(embeddings - ops.mean(embeddings[:count], axis=0, keepdims=True)))


def sig_reg(embeddings, directions, points=17, limit=3.0):
    """Sketched isotropic Gaussian regularization: the Epps-Pulley test of normality along each direction.

    With u the embeddings along one direction and N their number, it is the mean over directions and views of the
    integral of `N |mean_n exp(i t u_n) - exp(-t^2 / 2)|^2 exp(-t^2 / 2)` over t from `-limit` to `limit`, by the
    trapezoid rule. Of standard Gaussian embeddings it is about 1 for any N; of embeddings that are all 0 it is 0.402 N.

    Args:
        embeddings: `(..., batch, dim)`, one set of embeddings for each view, not normalized; float32 inside.
        directions: `(slices, dim)`, unit vectors, the same on all replicas; others at each step.
        points: int >= 2, the points t from 0 to `limit` (17); the integrand is even.
        limit: float > 0 (3).

    Returns:
        float32 scalar, of the global batch.

    Reference: LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics (Balestriero, LeCun, 2025),
    https://arxiv.org/abs/2511.08544
    """
    along = project(precise(embeddings), directions)  # (..., batch, slices)
    rows = distribute.total(ops.cast(ops.shape(along)[-2], along.dtype))
    places = np.linspace(0.0, limit, points)
    angles = [float(t) * along for t in places]
    waves = ops.stack([ops.sum(wave(angle), axis=-2) for wave in (ops.cos, ops.sin) for angle in angles])
    real, imaginary = ops.split(distribute.total(waves) / rows, 2)  # (points, ..., slices) each
    gaussian = np.exp(-(places**2) / 2)  # its characteristic function, and the weight of the test
    weights = gaussian * np.where((places == 0) | (places == limit), 1.0, 2.0) * limit / (points - 1)
    shape = (points, *[1] * (len(real.shape) - 1))
    gaussian, weights = (ops.cast(np.reshape(x, shape), along.dtype) for x in (gaussian, weights))
    error = ops.square(real - gaussian) + ops.square(imaginary)
    return rows * ops.mean(ops.sum(weights * error, axis=0))


def project(embeddings, directions):
    return ops.matmul(embeddings, ops.transpose(ops.cast(directions, embeddings.dtype)))


def center_scale_shape(embeddings, directions, epsilon=1e-6):
    """The three terms of VISReg that make embeddings a standard Gaussian: its center, its scale and its shape.

    `center = mean_d mean_n(z_nd)^2`; `scale = mean_d (s_d - 1)^2` with the standard deviations s of the batch of N
    (biased) plus epsilon; and `shape`, the squared sliced Wasserstein distance: with u the centered embeddings divided
    by s, sorted along each direction, the mean of `(u_(n) - quantile(n / (N + 1)))^2` over n from 1 to N, with the
    quantiles of the standard Gaussian. The shape sends no gradient through s. Each is the mean over the views.

    Args:
        embeddings: `(..., batch, dim)`, one set of embeddings for each view, not normalized; float32 inside.
        directions: `(slices, dim)`, unit vectors, the same on all replicas; others at each step.
        epsilon: float > 0, what the standard deviations are larger by (1e-6).

    Returns:
        three float32 scalars, of the global batch. Constant embeddings have a scale of 1, and no gradient of it.

    Reference: VISReg: Variance-Invariance-Sketching Regularization for JEPA training (Wu, Balestriero, Levine, 2026),
    https://arxiv.org/abs/2606.02572
    """
    embeddings = with_all_rows(precise(embeddings))
    mean = ops.mean(embeddings, axis=-2, keepdims=True)
    centered = embeddings - mean
    variance = ops.mean(ops.square(centered), axis=-2, keepdims=True)
    some = variance > 0  # the root has no gradient at 0
    deviation = ops.where(some, ops.sqrt(ops.where(some, variance, 1.0)), 0.0) + epsilon
    along = project(centered / ops.stop_gradient(deviation), directions)  # (..., batch, slices)
    ordered = ops.sort(ops.swapaxes(along, -1, -2), axis=-1)
    shape = ops.mean(ops.square(ordered - gaussian_quantiles(ops.shape(ordered)[-1], ordered.dtype)))
    return ops.mean(ops.square(mean)), ops.mean(ops.square(deviation - 1.0)), shape


def gaussian_quantiles(count, dtype="float32"):
    """The values below which a standard Gaussian has 1, 2, ... `count` parts of `count + 1`."""
    shares = ops.cast(ops.arange(1, count + 1), dtype) / ops.cast(count + 1, dtype)
    return math.sqrt(2.0) * ops.erfinv(2.0 * shares - 1.0)


def with_all_rows(embeddings):
    """`(..., batch, dim)` with the rows of all replicas."""
    return ops.moveaxis(distribute.gather(ops.moveaxis(embeddings, -2, 0)), 0, -2)


def kl_from_normal(mean, log_variance):
    """The divergence of normal distributions from the standard one: `sum_d (mean^2 + exp(lv) - lv - 1) / 2`.

    Args:
        mean: `(batch, dim)`, float32 inside.
        log_variance: the same shape, the logarithm of the variance of each dimension.

    Returns:
        float32 `(batch,)`, in nats, from 0.

    Reference: Auto-Encoding Variational Bayes (Kingma, Welling, 2013), https://arxiv.org/abs/1312.6114

    Example:

    >>> float(kl_from_normal(np.array([[2.0, 0.0]]), np.zeros((1, 2)))[0])
    2.0
    """
    mean, log_variance = precise(mean), precise(log_variance)
    return 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0, axis=-1)
