"""Clustering: clusters of the features and the classes, as in SCAN (Van Gansbeke et al., 2020), arXiv 2005.12320."""

import warnings

import numpy as np

from keras_ssl.checks import check_ints
from keras_ssl.eval.extraction import labeled
from keras_ssl.eval.nearest import checked, unit
from keras_ssl.eval.result import Result, measure, seeds_of


def clustering(encoder, data, clusters=None, seeds=3, restarts=10, batch_size=256):
    """k-means of the features (of length 1) against the labels, which k-means does not see.

    - `"accuracy"`: share of the images whose cluster is that of their class, with the one-to-one assignment of clusters
      to classes that makes it largest (the Hungarian method). Where there are more clusters than classes, the images
      of those left over are wrong.
    - `"NMI"`: mutual information of clusters and classes, divided by the mean of their two entropies. 0..1.
    - `"ARI"`: adjusted Rand index, the share of pairs treated alike, corrected so that chance is 0.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, or None for raw pixels.
        data: labeled images: a pair of arrays `(images, labels)` or a `tf.data.Dataset`, see `features`.
        clusters: int of 2 or more; None: the number of classes.
        seeds: positive int, the number of runs of k-means, with the seeds 0, 1, ...; or a sequence of seeds.
        restarts: positive int, the starts of a run, of which the best is kept.
        batch_size: int, images per step of the encoder.

    Returns:
        `Result` with the measures `"accuracy"`, `"NMI"`, `"ARI"`, means over the seeds. The interval is that of the
        seeds of k-means, not that of the images.

    Raises:
        ImportError: scikit-learn or SciPy is missing.
        ValueError: no labels, a bad number, or more clusters than images.

    Example:
        >>> images, labels = np.zeros((6, 4, 4, 3), "uint8"), np.array([0, 1] * 3)
        >>> images[1::2, :, :, 0], images[::2, :, :, 1] = 255, 255
        >>> float(clustering(None, (images, labels)))
        1.0
    """
    features, labels = labeled(encoder, data, batch_size, "clustered")
    return clustering_features(features, labels, clusters=clusters, seeds=seeds, restarts=restarts)


def clustering_features(features, labels, clusters=None, seeds=3, restarts=10):
    """`clustering` of features that are already there.

    Args:
        features: array `(n, dim)`.
        labels: int array `(n,)`.
        clusters, seeds, restarts: see `clustering`.

    Returns:
        `Result`.

    Example:
        >>> float(clustering_features(np.eye(2)[[0, 1, 0, 1]], [1, 0, 1, 0]))
        1.0
    """
    try:
        from scipy.optimize import linear_sum_assignment
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    except ImportError as error:
        raise ImportError(
            "keras_ssl.eval.clustering needs scikit-learn and SciPy: pip install scikit-learn scipy"
        ) from error
    features, labels, _, _, _ = checked(features, labels, features, labels)
    labels = np.unique(labels, return_inverse=True)[1]
    clusters = int(labels.max()) + 1 if clusters is None else clusters
    if not isinstance(clusters, (int, np.integer)) or not 2 <= clusters <= len(features):
        raise ValueError(
            f"clusters must be an int from 2 to the number of images, {len(features)}. Received: clusters={clusters!r}"
        )
    check_ints(restarts=restarts)
    seeds, features = seeds_of(seeds), unit(features)
    found = {"accuracy": [], "NMI": [], "ARI": []}
    for seed in seeds:
        with warnings.catch_warnings():
            # Collapsed features have fewer different rows than clusters; the numbers say so.
            warnings.simplefilter("ignore", ConvergenceWarning)
            assigned = KMeans(clusters, n_init=restarts, random_state=seed).fit_predict(features)
        table = np.bincount(assigned * (labels.max() + 1) + labels, minlength=clusters * (labels.max() + 1))
        table = table.reshape(clusters, -1)  # (clusters, classes), images
        found["accuracy"].append(table[linear_sum_assignment(table, maximize=True)].sum() / len(labels))
        found["NMI"].append(normalized_mutual_info_score(labels, assigned))
        found["ARI"].append(adjusted_rand_score(labels, assigned))
    settings = {"clusters": clusters, "images": len(features), "seeds": seeds}
    least = {"ARI": -0.5}  # what chance gives is 0
    found = {key: measure(values, "seeds", (least.get(key, 0.0), 1.0)) for key, values in found.items()}
    return Result("clustering", found, settings=settings)
