"""Few labels: 1 % and 10 % of the labels, as in SimCLR (Chen et al., 2020), arXiv 2002.05709, section 6."""

import numpy as np

from keras_ssl.eval.extraction import arrays, cut, integers, labeled
from keras_ssl.eval.probe import linear_features
from keras_ssl.eval.result import Result, seeds_of


def semi_supervised(encoder, train, test, fractions=(0.01, 0.1), seeds=3, fit=None, batch_size=256):
    """Accuracy of a classifier that learns from a small part of the labels, the same number of each class.

    The parts are those of `labeled_part`: fixed, and the same for every encoder. The papers fine-tune the encoder on
    them: give `fit=keras_ssl.eval.fine_tune`, or a `functools.partial` of it.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        train: labeled images, of which parts are taken: a pair of arrays `(images, labels)` or a `tf.data.Dataset`,
            see `features`. With `fit`, a data set is read into memory.
        test: labeled images to score.
        fractions: float in (0, 1] or several, the parts.
        seeds: positive int, the number of parts of each size, with the seeds 0, 1, ...; or a sequence of seeds.
        fit: function `fit(encoder, train, test, seed=...)` that returns a `Score`: `fine_tune`, `linear`, `knn` with a
            lambda around it. None is `linear` on features that are computed once.
        batch_size: int, images per step of the encoder.

    Returns:
        `Result` with the measures `"1 % of the labels"` and so on, means over the seeds.

    Raises:
        ValueError: no labels, a bad fraction, fewer labels than classes, or a class with too few images.

    Example:
        >>> images = np.array([0, 255] * 8, "uint8").reshape(16, 1, 1, 1) * np.ones((4, 4, 3), "uint8")
        >>> labeled = images, np.array([0, 1] * 8)
        >>> float(semi_supervised(None, labeled, labeled, fractions=0.25))
        1.0
    """
    fractions, seeds = np.atleast_1d(fractions).tolist(), seeds_of(seeds)
    if fit is None:
        rows, labels = labeled(encoder, train, batch_size, "train")
        test = labeled(encoder, test, batch_size, "test")
        judge = lambda chosen, seed: linear_features(rows[chosen], labels[chosen], *test, seed=seed)
    elif callable(fit):
        samples, labels = arrays(train, encoder, "train")
        judge = lambda chosen, seed: fit(encoder, (cut(samples, chosen), labels[chosen]), test, seed=seed)
    else:
        raise TypeError(f"fit must be a function (encoder, train, test, seed=...) or None. Received: fit={fit!r}")
    parts = {fraction: [labeled_part(labels, fraction, seed) for seed in seeds] for fraction in fractions}
    found = {
        f"{100 * fraction:g} % of the labels": [judge(chosen, seed) for chosen, seed in zip(some, seeds)]
        for fraction, some in parts.items()
    }
    settings = {"labels": [len(some[0]) for some in parts.values()], "seeds": seeds}
    return Result("semi-supervised", found, over="seeds", settings=settings)


def labeled_part(labels, fraction, seed=0):
    """The places of a part of the labels with the same number of each class: a function of its arguments only.

    Args:
        labels: int array `(n,)`.
        fraction: float in (0, 1], the part; `round(fraction * n)` labels, see `keras_ssl.data.class_balanced`.
        seed: int from 0.

    Returns:
        int64 array, ascending.

    Raises:
        ValueError: a bad fraction, fewer labels than classes, or a class with too few.

    Example:
        >>> labeled_part([0, 1] * 50, 0.02).shape
        (2,)
    """
    labels = integers(labels)
    if not isinstance(fraction, (int, float)) or not 0 < fraction <= 1:
        raise ValueError(f"fraction must be a float in (0, 1]. Received: fraction={fraction!r}")
    count, classes = round(fraction * len(labels)), len(np.unique(labels))
    if fraction == 1:
        return np.arange(len(labels))
    if count < classes:
        raise ValueError(
            f"fraction must give each of the {classes} classes a label, of {len(labels)}: pass a larger one. "
            f"Received: fraction={fraction}"
        )
    from keras_ssl.data import class_balanced  # reads TensorFlow, which no other evaluation needs

    try:
        return class_balanced(labels, count, seed)
    except ValueError as error:
        raise ValueError(f"No balanced part of the labels with fraction={fraction}: {error}") from None
