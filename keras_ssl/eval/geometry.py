"""Geometry: how far the features fill their space, which needs no labels.

RankMe: Assessing the downstream performance of pretrained self-supervised representations by their rank (Garrido et
al., 2022), arXiv 2210.02885. Understanding Contrastive Representation Learning through Alignment and Uniformity on the
Hypersphere (Wang and Isola, 2020), arXiv 2005.10242.
"""

import numpy as np

from keras_ssl.eval.extraction import matrix


class Diverged(ValueError):
    """The features hold NaN or infinite numbers."""


def collapse(features):
    """How far the features have collapsed, in four numbers.

    With unit rows `x = f / ||f||`:

    - `"std"`: `sqrt(dim) * mean over the dimensions of std(x)`. 1 where the directions are uniform on the sphere, 0
      where all images have the same direction: complete collapse. (SimSiam's measure, arXiv 2011.10566.) Features
      that are never negative, as after a ReLU, share a direction and stay below 1: an untrained network gave 0.3.
    - `"raw_std"`: mean over the dimensions of `std(f)`, in the units of the features.
    - `"rank"`: RankMe, the effective number of dimensions in use: `exp(entropy of p)`, `p = s / sum(s)`, with the
      singular values `s` of the features, not centered. From 1 (all on one line) to `min(n, dim)`; 0 if all are 0.
    - `"uniformity"`: `log mean exp(-2 ||x_i - x_j||^2)` over all pairs `i < j`. 0 is collapse, lower is more uniform,
      about -4 the least.

    Args:
        features: array `(n, dim)`, n >= 2. Compare ranks at equal n only, as few rows bound them.

    Returns:
        dict of floats.

    Raises:
        ValueError: not a matrix, fewer than two rows, NaN or infinite numbers.

    Example:
        >>> collapse(np.ones((8, 4)))["std"]
        0.0
    """
    f = finite(features, "features")
    if len(f) < 2:
        raise ValueError(f"collapse needs the features of two images at least. Received: shape={f.shape}")
    x = unit(f)
    return {
        "std": float(np.sqrt(f.shape[1]) * np.mean(np.std(x, axis=0))),
        "raw_std": float(np.mean(np.std(f, axis=0))),
        "rank": rank(f),
        "uniformity": uniformity(x),
    }


def alignment(first, second):
    """Mean squared distance `||x - y||^2` of the unit features of two views of the same images.

    0: all views of an image have the same features; 2: views are as far apart as random images on a sphere.

    Args:
        first: array `(n, dim)`, features of the first views.
        second: array `(n, dim)`, features of the second views, in the same order.

    Returns:
        float in 0..4.

    Example:
        >>> alignment([[1.0, 0.0]], [[0.0, 2.0]])
        2.0
    """
    first, second = finite(first, "first"), finite(second, "second")
    if first.shape != second.shape:
        raise ValueError(f"The two views need features of one shape. Received: {first.shape} and {second.shape}")
    return float(np.mean(np.sum((unit(first) - unit(second)) ** 2, axis=1)))


def rank(f):
    # The eigenvalues of the smaller Gram matrix are the squared singular values, at a fraction of the time.
    gram = f.T @ f if f.shape[0] > f.shape[1] else f @ f.T
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))
    if not values.sum():
        return 0.0
    p = values / values.sum()
    p = p[p > 0]
    return float(np.exp(-np.sum(p * np.log(p))))


def uniformity(features, rows=1024):
    """`log mean exp(-2 ||x_i - x_j||^2)` over all pairs `i < j` of the unit features.

    0: all images alike; the lower, the more uniform on the sphere, about -4 the least.

    Args:
        features: array `(n, dim)`, n >= 2.
        rows: int, rows of the distances held at once.

    Returns:
        float of at most 0.

    Example:
        >>> uniformity([[1.0, 0.0], [-2.0, 0.0]])
        -8.0
    """
    x = unit(finite(features, "features"))
    if len(x) < 2:
        raise ValueError(f"uniformity needs the features of two images at least. Received: shape={x.shape}")
    n, total, squares = len(x), 0.0, np.sum(x * x, axis=1)
    for start in range(0, n, rows):  # memory grows with n, not with n * n
        block = np.arange(start, min(start + rows, n))
        later = np.arange(n) > block[:, None]
        distances = np.maximum(squares[block, None] + squares - 2 * x[block] @ x.T, 0)
        total += np.sum(np.exp(-2 * distances), where=later)
    return float(np.log(total / (n * (n - 1) / 2)))


def unit(f):
    """Rows of length 1; a row of zeros stays zero."""
    return f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-30)


def finite(features, name):
    """Check features: float64 array `(n, dim)`, as small differences decide."""
    f = matrix(features, name).astype("float64")
    if not np.all(np.isfinite(f)):
        raise Diverged(f"{name} hold NaN or infinite numbers: the encoder has diverged.")
    return f
