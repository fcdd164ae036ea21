"""Linear probe: Colorful Image Colorization (Zhang et al., 2016), arXiv 1603.08511, and most papers of the field."""

import math

import numpy as np
from keras import ops

from keras_ssl.checks import check_ints, check_numbers
from keras_ssl.eval.extraction import labeled
from keras_ssl.eval.nearest import check_classes, checked
from keras_ssl.eval.score import score

# Weights up to which NumPy is faster than the start of a backend's operations.
SMALL = 2**16
# Multiplications up to which BLAS stays in one thread. Two threads save nothing on so little, and where other work
# holds the cores (the data pipeline does) they wait for each other: 8 ms where one thread takes 0.1 ms.
ONE_THREAD = 2**18


def linear(encoder, train, test, epochs=100, batch_size=256, learning_rate=None, weight_decay=None, seed=0):
    """Accuracy of a linear classifier on the frozen features.

    The features are computed once, without augmentation, and standardized with the mean and the deviation of the
    training set. The classifier is a multinomial logistic regression in float32, trained from zero by SGD with
    momentum 0.97 and a cosine decay to zero. There is nothing to tune: with the defaults it ends near the optimum that
    scikit-learn's `LogisticRegression` finds for the same features.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, or None for raw pixels.
        train: labeled images to fit: a pair of arrays `(images, labels)` or a `tf.data.Dataset`, see `features`.
        test: labeled images to score.
        epochs: positive int, passes over the training features. At least 1,000 steps are made, so that a small
            training set converges as well.
        batch_size: int, images per step of the encoder and features per step of the classifier; a smaller training set
            is one batch.
        learning_rate: positive float, or None for the largest one that is safe for these features:
            `1 / (weight_decay + curvature / 2)`, the curvature being the largest eigenvalue of their covariance.
        weight_decay: float >= 0, the weight of `||W||^2 / 2` beside the mean cross-entropy; None is `1 / n`, which
            is scikit-learn's `C=1`. The bias is never decayed.
        seed: int, the order of the samples; same seed, same score. No other random state is read or moved.

    Returns:
        `Score`.

    Raises:
        ValueError: no labels, training samples of one class only, or a bad number.

    Example:
        >>> images = np.array([0, 255] * 4, "uint8").reshape(8, 1, 1, 1) * np.ones((4, 4, 3), "uint8")
        >>> labels = np.array([0, 1] * 4)
        >>> float(linear(None, (images, labels), (images, labels)))
        1.0
    """
    return linear_features(
        *labeled(encoder, train, batch_size, "train"),
        *labeled(encoder, test, batch_size, "test"),
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay, seed=seed,
    )


def linear_features(
    train_features, train_labels, test_features, test_labels,
    epochs=100, batch_size=256, learning_rate=None, weight_decay=None, seed=0,
):
    """`linear` of features that are already there.

    Args:
        train_features: array `(n, dim)`.
        train_labels: int array `(n,)`.
        test_features: array `(m, dim)`.
        test_labels: int array `(m,)`.
        epochs, batch_size, learning_rate, weight_decay, seed: see `linear`.

    Returns:
        `Score`.

    Example:
        >>> float(linear_features([[1.0], [2.0], [5.0], [6.0]], [0, 0, 1, 1], [[0.0], [7.0]], [0, 1]))
        1.0
    """
    check_ints(epochs=epochs, batch_size=batch_size)
    check_numbers(above=0, optional=True, learning_rate=learning_rate)
    check_numbers(least=0, optional=True, weight_decay=weight_decay)
    x, labels, test, test_labels, classes = checked(train_features, train_labels, test_features, test_labels)
    check_classes(classes)
    x, test = standardized(x, test)
    weight_decay = 1 / len(x) if weight_decay is None else weight_decay
    if learning_rate is None:
        learning_rate = 1 / (weight_decay + curvature(x) / 2)
    weights = fit(x, labels, classes, epochs, min(batch_size, len(x)), learning_rate, weight_decay, seed)
    return score(test @ weights, test_labels, name="linear probe")


def standardized(x, test):
    """Mean 0 and deviation 1 in every dimension, by the training set; a last column of ones carries the bias."""
    mean, deviation = np.mean(x, axis=0, dtype="float64"), np.std(x, axis=0, dtype="float64")
    # A feature that is constant up to the rounding of float32 says nothing: set it to 0 instead of blowing it up.
    scale = np.where(deviation > 1e-6 * np.abs(mean), 1 / np.maximum(deviation, 1e-30), 0)
    ones = lambda rows: np.ones((len(rows), 1), "float32")
    return tuple(
        np.concatenate([((rows - mean) * scale).astype("float32"), ones(rows)], axis=1) for rows in (x, test)
    )


def curvature(x, iterations=30):
    """Largest eigenvalue of `x^T x / n`, by power iteration from a fixed start."""
    vector = np.random.default_rng(0).normal(size=x.shape[1]).astype("float32")
    for _ in range(iterations):
        vector = vector / np.linalg.norm(vector)
        vector = x.T @ (x @ vector) / np.float32(len(x))
    return float(np.linalg.norm(vector))


def fit(x, labels, classes, epochs, batch_size, learning_rate, weight_decay, seed):
    """Weights `(dim + 1, classes)` of the logistic regression.

    The gradient is written out, so that a step is a handful of array operations: no model, no optimizer, no
    compilation, and nothing that a global policy or a distribution strategy could change. Small ones run in NumPy,
    in blocks of rows for one thread, large ones in `keras.ops`, on the accelerator where there is one.
    """
    n, dim = x.shape
    small = dim * classes <= SMALL
    array, softmax = (np, numpy_softmax) if small else (ops, ops.softmax)
    rows = divisor(batch_size, ONE_THREAD // (dim * classes)) if small else batch_size
    steps = n // batch_size
    epochs = max(epochs, math.ceil(1000 / steps))
    decay = np.full((dim, 1), weight_decay, "float32")
    decay[-1] = 0  # the bias
    targets = np.eye(classes, dtype="float32")
    if not small:
        x, targets, decay = (ops.convert_to_tensor(part) for part in (x, targets, decay))
    weights = array.zeros((dim, classes), dtype="float32")
    velocity = array.zeros((dim, classes), dtype="float32")
    generator = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = generator.permutation(n)
        for step in range(steps):
            chosen = order[step * batch_size:(step + 1) * batch_size].reshape(-1, rows)
            batch = array.take(x, chosen, axis=0)  # (blocks, rows, dim)
            goal = array.take(targets, labels[chosen], axis=0)
            rate = learning_rate * (1 + math.cos(math.pi * (epoch * steps + step) / (epochs * steps))) / 2
            error = softmax(batch @ weights) - goal  # (blocks, rows, classes)
            gradient = array.sum(array.transpose(batch, (0, 2, 1)) @ error, axis=0) * (1 / batch_size)
            velocity = 0.97 * velocity - rate * (gradient + decay * weights)
            weights = weights + velocity
    return ops.convert_to_numpy(weights)


def divisor(number, most):
    """The largest divisor of `number` that is at most `most`."""
    return next(rows for rows in range(min(number, most), 0, -1) if number % rows == 0)


def numpy_softmax(x):
    x = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return x / np.sum(x, axis=-1, keepdims=True)
