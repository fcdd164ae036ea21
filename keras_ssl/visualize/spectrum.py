"""Spectrum: how many dimensions the features use, and how far apart they lie."""

import numpy as np

from keras_ssl import eval as evaluation
from keras_ssl.checks import check_ints
from keras_ssl.visualize.figure import figure, finish
from keras_ssl.visualize.grids import OTHER, SAME

COLORS = ("#1f5fa8", "#d1702a", "#5b8c3a", "#8a4f9e", "#7a7a7a")


def spectrum(features, path=None):
    """The singular values of the features, the largest as 1: a steep fall is a collapse of dimensions.

    The legend has RankMe, the effective number of dimensions, see `keras_ssl.eval.collapse`.

    Args:
        features: array `(n, dim)`; or a dict from titles to such arrays, such as before and after training. Compare at
            one n.
        path: where to save the picture as well; the ending says the format.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: Matplotlib is missing.
        ValueError: not a matrix, fewer than two rows, NaN or infinite numbers.

    Example:
        >>> drawn = spectrum({"all": np.eye(4), "one": np.ones((4, 4))})
        >>> [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
        ['all: 4.0 of 4 dimensions', 'one: 1.0 of 4 dimensions']
    """
    parts = features if isinstance(features, dict) else {"features": features}
    drawn = figure(5.2, 3.4)
    axis = drawn.subplots()
    for number, (title, rows) in enumerate(parts.items()):
        rank = evaluation.collapse(rows)["rank"]  # checks them, too
        rows = np.asarray(rows, "float64")
        values = np.linalg.svd(rows, compute_uv=False)
        values = np.maximum(values / max(values[0], 1e-30), 1e-8)
        label = f"{title}: {rank:.1f} of {rows.shape[1]} dimensions"
        axis.plot(np.arange(1, len(values) + 1), values, color=COLORS[number % len(COLORS)], lw=1.5, label=label)
    axis.set(yscale="log", xlabel="singular value", ylabel="size, the largest is 1")
    tidy(axis)
    return finish(drawn, path)


def similarities(features, labels=None, pairs=20_000, seed=0, path=None):
    """How alike the features of two images are: the histogram of their cosines.

    With labels, pairs of one class and pairs of two are drawn apart: the less they overlap, the better neighbors do.
    All near 1 is a collapse.

    Args:
        features: array `(n, dim)`, n >= 2.
        labels: int array `(n,)`, or None.
        pairs: positive int, how many pairs are drawn at random.
        seed: int, which ones.
        path: where to save the picture as well; the ending says the format.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: Matplotlib is missing.
        ValueError: shapes that do not fit.

    Example:
        >>> drawn = similarities(np.eye(4), [0, 0, 1, 1])
    """
    rows = np.asarray(features, "float64")
    if rows.ndim != 2 or len(rows) < 2 or not np.all(np.isfinite(rows)):
        raise ValueError(f"features must be finite, of shape (n, dim) with n >= 2. Received: shape={rows.shape}")
    if labels is not None and len(labels) != len(rows):
        raise ValueError(f"Expected one label a row. Received: {len(rows)} features, {len(labels)} labels")
    check_ints(pairs=pairs)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    generator = np.random.default_rng(seed)
    one = generator.integers(len(rows), size=pairs)
    other = (one + generator.integers(1, len(rows), size=pairs)) % len(rows)  # never the same image
    cosines = np.sum(rows[one] * rows[other], axis=1)
    drawn = figure(5.2, 3.4)
    axis = drawn.subplots()
    bins = np.linspace(min(cosines.min(), 0.0) - 1e-6, 1.0 + 1e-6, 60)
    if labels is None:
        axis.hist(cosines, bins, density=True, color=COLORS[0], label="pairs of images")
    else:
        same = np.asarray(labels)[one] == np.asarray(labels)[other]
        for title, chosen, color in (("pairs of two classes", ~same, OTHER), ("pairs of one", same, SAME)):
            if chosen.any():
                axis.hist(cosines[chosen], bins, density=True, color=color, alpha=0.55, label=title)
    axis.set(xlabel="cosine of their features", yticks=[])
    tidy(axis)
    return finish(drawn, path)


def tidy(axis):
    axis.grid(alpha=0.25)
    axis.tick_params(labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
