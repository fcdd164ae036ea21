"""Retrieval: images of the same class among the nearest, as in Deep Metric Learning via Lifted Structured Feature
Embedding (Song et al., 2016), arXiv 1511.06452."""

import numpy as np
from keras import ops

from keras_ssl.eval.extraction import labeled
from keras_ssl.eval.nearest import check_classes, checked, unit
from keras_ssl.eval.result import Result

# Similarities sorted at once: about 128 MiB, whatever the sizes of the two sets.
SIMILARITIES = 2**22


def retrieval(encoder, queries, gallery=None, k=(1, 5, 10), batch_size=256):
    """How well the nearness of features (their cosine) ranks the images of the same class first.

    - `"mAP"`: mean over the queries of the average precision, over the whole ranking: the mean, over the images of the
      query's class, of the share of that class among the images up to there. 1 where all of them come first.
    - `"recall@k"`: share of the queries with an image of their class among the first `k`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, or None for raw pixels.
        queries: labeled images: a pair of arrays `(images, labels)` or a `tf.data.Dataset`, see `features`.
        gallery: labeled images that are ranked for each query. None: all queries but the query itself.
        k: positive int or several.
        batch_size: int, images per step of the encoder.

    Returns:
        `Result` with the measures `"mAP"` and `"recall@1"` and so on, means over the queries. A query without an image
        of its class in the gallery does not count.

    Raises:
        ValueError: no labels, a bad `k`, or no query has an image of its class in the gallery.

    Example:
        >>> images, labels = np.zeros((4, 4, 4, 3), "uint8"), np.array([0, 1, 0, 1])
        >>> images[1::2, :, :, 0], images[::2, :, :, 1] = 255, 255
        >>> retrieval(None, (images, labels), k=1)["mAP"].mean
        1.0
    """
    return retrieval_features(
        *labeled(encoder, queries, batch_size, "query"),
        *(labeled(encoder, gallery, batch_size, "gallery") if gallery is not None else (None, None)),
        k=k,
    )


def retrieval_features(features, labels, gallery_features=None, gallery_labels=None, k=(1, 5, 10)):
    """`retrieval` of features that are already there.

    Args:
        features: array `(m, dim)`, of the queries.
        labels: int array `(m,)`.
        gallery_features: array `(n, dim)`, or None.
        gallery_labels: int array `(n,)`, or None.
        k: see `retrieval`.

    Returns:
        `Result`.

    Example:
        >>> float(retrieval_features(np.eye(2)[[0, 1, 0, 1]], [0, 1, 0, 1]))
        1.0
    """
    k = sorted(set(np.atleast_1d(k).tolist()))
    if not k or not all(isinstance(first, int) and first >= 1 for first in k):
        raise ValueError(f"k must be a positive int or several. Received: k={k}")
    alone = gallery_features is None
    if alone:
        gallery_features, gallery_labels = features, labels
    gallery, marks, rows, labels, classes = checked(gallery_features, gallery_labels, features, labels)
    check_classes(classes)
    gallery, rows = ops.transpose(ops.convert_to_tensor(unit(gallery))), unit(rows)
    step = max(1, SIMILARITIES // len(marks))
    precision, first = [], []
    for start in range(0, len(rows), step):
        nearness = np.array(ops.convert_to_numpy(ops.matmul(rows[start:start + step], gallery)))
        if alone:
            own = np.arange(len(nearness))
            nearness[own, start + own] = -np.inf  # the last place
        order = np.argsort(-nearness, axis=1, kind="stable")[:, :len(marks) - alone]
        alike = marks[order] == labels[start:start + step, None]  # (queries, gallery)
        alike = alike[np.any(alike, axis=1)]
        precision.append(average_precision(alike))
        first.append(np.argmax(alike, axis=1) if len(alike) else np.zeros(0, int))  # the first of the same class
    precision, first = np.concatenate(precision), np.concatenate(first)
    if not len(precision):
        raise ValueError("No query has an image of its class in the gallery: the two sets share no class.")
    found = {"mAP": precision, **{f"recall@{k}": (first < k).astype("float64") for k in k}}
    return Result("retrieval", found, over="queries", bounds=(0.0, 1.0))


def average_precision(alike):
    """Of each ranking, a row of bools, the mean of the precision at every true place."""
    precision = np.cumsum(alike, axis=1, dtype="float32") / np.arange(1, alike.shape[1] + 1, dtype="float32")
    return np.sum(precision, axis=1, where=alike, dtype="float64") / np.maximum(np.sum(alike, axis=1), 1)
