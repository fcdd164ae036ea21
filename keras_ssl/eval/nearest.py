"""k-NN: Unsupervised Feature Learning via Non-Parametric Instance Discrimination (Wu et al., 2018), 1805.01978."""

import numpy as np
from keras import ops

from keras_ssl.checks import check_ints, check_numbers
from keras_ssl.eval.extraction import integers, labeled, matrix
from keras_ssl.eval.geometry import Diverged
from keras_ssl.eval.score import score

# Similarities held at once: 128 MiB of float32, whatever the sizes of the two sets.
SIMILARITIES = 2**25


def knn(encoder, train, test, k=200, temperature=0.1, batch_size=256):
    """Accuracy of a weighted vote of the `k` nearest training images, without any training.

    The nearness is the cosine of the features, the weight of a neighbor `exp(cosine / temperature)`. `k=1` is the
    plain nearest neighbor.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, or None for raw pixels.
        train: labeled images that vote: a pair of arrays `(images, labels)` or a `tf.data.Dataset`, see `features`.
        test: labeled images that are classified.
        k: positive int, number of neighbors; the paper's 200. Where the training set is smaller, all of it votes
            and the name of the score says so: with few samples per class choose a smaller one.
        temperature: positive float, the paper's tau; the paper uses 0.07, the field 0.1 or 0.07.
        batch_size: int, images per step of the encoder.

    Returns:
        `Score`.

    Raises:
        ValueError: no labels, training samples of one class only, or a bad `k` or `temperature`.

    Example:
        >>> labels = np.array([0, 1] * 4)
        >>> images = np.eye(3, dtype="uint8")[labels].reshape(8, 1, 1, 3) * np.full((4, 4, 1), 255, "uint8")
        >>> float(knn(None, (images, labels), (images, labels), k=3))
        1.0
    """
    return knn_features(
        *labeled(encoder, train, batch_size, "train"),
        *labeled(encoder, test, batch_size, "test"),
        k=k, temperature=temperature,
    )


def knn_features(train_features, train_labels, test_features, test_labels, k=200, temperature=0.1):
    """`knn` of features that are already there.

    Args:
        train_features: array `(n, dim)`.
        train_labels: int array `(n,)`.
        test_features: array `(m, dim)`.
        test_labels: int array `(m,)`.
        k: positive int, see `knn`.
        temperature: positive float, see `knn`.

    Returns:
        `Score`.

    Example:
        >>> float(knn_features([[1.0, 0.0], [0.0, 1.0]], [0, 1], [[0.9, 0.1]], [0], k=1))
        1.0
    """
    check_ints(k=k)
    check_numbers(above=0, temperature=temperature)
    train_features, train_labels, test_features, test_labels, classes = checked(
        train_features, train_labels, test_features, test_labels
    )
    check_classes(classes)
    k = min(int(k), len(train_features))
    gallery = ops.transpose(ops.convert_to_tensor(unit(train_features)))  # (dim, n)
    queries = unit(test_features)
    step = max(1, SIMILARITIES // len(train_features))
    votes = np.concatenate([
        vote(gallery, train_labels, queries[start:start + step], k, temperature, classes)
        for start in range(0, len(queries), step)
    ])
    return score(votes, test_labels, name=f"k-NN (k = {k})")


def vote(gallery, labels, queries, k, temperature, classes):
    """Weighted votes `(m, classes)` of the `k` nearest columns of the gallery; -inf where a class has no vote."""
    nearness, index = ops.top_k(ops.matmul(queries, gallery), k)  # (m, k), descending
    nearness, index = ops.convert_to_numpy(nearness), ops.convert_to_numpy(index)
    # Only ratios of weights matter: with the nearest at weight 1 no temperature can overflow.
    weights = np.exp((nearness - nearness[:, :1]).astype("float64") / temperature)
    places = np.arange(len(queries))[:, None] * classes + labels[index]
    votes = np.bincount(places.ravel(), weights.ravel(), minlength=len(queries) * classes)
    return np.where(votes > 0, votes, -np.inf).reshape(len(queries), classes)


def unit(x):
    """Rows of length 1; a row of zeros stays zero."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def checked(train_features, train_labels, test_features, test_labels):
    """Check two labeled sets of features against each other, and number the classes of the training set from 0.

    Labels may be any ids, and large. A test label that no training sample has gets the number of classes.
    """
    train_features = matrix(train_features, "train_features")
    test_features = matrix(test_features, "test_features")
    if train_features.shape[1] != test_features.shape[1]:
        raise ValueError(
            f"Features of train and test must have the same dim. "
            f"Received: {train_features.shape[1]} and {test_features.shape[1]}"
        )
    train_labels, test_labels = integers(train_labels), integers(test_labels)
    for name, rows, labels in (("train", train_features, train_labels), ("test", test_features, test_labels)):
        if len(rows) != len(labels):
            raise ValueError(f"Expected one label a row. Received: {len(rows)} {name} features, {len(labels)} labels")
        if not np.all(np.isfinite(rows)):
            raise Diverged(f"The {name} features hold NaN or infinite numbers: the encoder has diverged.")
    names = np.unique(train_labels)
    train_labels, test_labels = numbered(train_labels, names), numbered(test_labels, names)
    return train_features, train_labels, test_features, test_labels, len(names)


def numbered(labels, names):
    """Labels as places in the ascending `names`; their number for those that are not among them."""
    places = np.searchsorted(names, labels)
    return np.where(names[np.minimum(places, len(names) - 1)] == labels, places, len(names))


def check_classes(classes):
    """Raises where there is nothing to tell apart: every answer would be right."""
    if classes < 2:
        raise ValueError(
            "The training set must have samples of two classes or more, as any answer is right for one. Received: "
            f"{classes} class"
        )
