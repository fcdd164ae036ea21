"""Map: the features of many images in two dimensions."""

import numpy as np

from keras_ssl.visualize.figure import INSTALL, figure, finish

NAMES = {"tsne": "t-SNE", "pca": "PCA", "umap": "UMAP"}


def projection(features, labels=None, method="tsne", class_names=None, path=None, seed=0):
    """A map of the features, one point an image, colored by class.

    Args:
        features: array `(n, dim)`.
        labels: int array `(n,)`, or None. Negative ones, -1 say, are of unlabeled images, which are gray.
        method: `"tsne"` (van der Maaten and Hinton, 2008; neighbors stay neighbors, distances between groups mean
            nothing; on l2-normalized features, that is by cosine) or `"pca"` (linear, distances are kept as far as
            two dimensions can) or `"umap"` (McInnes et al., 2018; as t-SNE, and between groups a little more; by
            cosine).
        class_names: list of strings, one per class, for the legend; None writes the numbers.
        path: where to save the picture as well; the ending says the format.
        seed: int, where t-SNE starts.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: Matplotlib, scikit-learn or, for its map, umap-learn is missing.
        ValueError: a bad method, shapes that do not fit, or features with NaN.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(30, 8))
        >>> drawn = projection(features, np.arange(30) % 3, method="pca", class_names=["cat", "dog", "ship"])
    """
    points = np.asarray(features, "float32")
    if points.ndim != 2 or len(points) < 3 or not points.shape[1]:
        raise ValueError(f"features must have the shape (n, dim) with n >= 3. Received: shape={points.shape}")
    if not np.all(np.isfinite(points)):
        raise ValueError("features hold NaN or infinite numbers: the encoder has diverged.")
    if labels is not None:
        labels = np.asarray(labels)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.shape != (len(points),):
            raise ValueError(f"Expected one label a row. Received: {len(points)} features, labels of {labels.shape}")
        if labels.dtype.kind in "USO":
            labels, class_names = named(labels, class_names)
        if class_names is not None and labels.max() >= len(class_names):
            raise ValueError(f"class_names has {len(class_names)} names, but there is a label {labels.max()}.")
    places, alike = project(points, method, seed)
    drawn = figure(*size_of(places, labels is not None))
    axis = drawn.subplots()
    size = float(np.clip(12000 / len(places), 4, 40))
    if labels is None:
        axis.scatter(*places.T, s=size, linewidths=0, alpha=0.7)
    else:
        scatter(axis, places, labels, class_names, size)
    axis.set(xticks=[], yticks=[])
    axis.set_aspect("equal", adjustable="datalim")
    axis.margins(0.03)
    axis.set_title(NAMES[method] + (": all features are alike" if alike else ""))
    return finish(drawn, path)


def named(labels, class_names):
    """Labels that are names, as numbers, and the names."""
    if class_names is not None:
        raise ValueError(f"class_names are for labels that are numbers. Received: labels such as {labels[0]!r}")
    names, numbers = np.unique(labels.astype(str), return_inverse=True)
    return numbers, list(names)


def size_of(places, legend):
    """The size of a figure in inches, as long and as high as the map is, so that it is not mostly empty."""
    width, height = np.maximum(np.ptp(places, axis=0), 1e-12)
    ratio = float(np.clip(height / width, 0.25, 1.25)) if max(width, height) > 1e-9 else 1.0
    return (7.5 if legend else 6), 6 * ratio + 0.4


def scatter(axis, places, labels, class_names, size):
    """The points, a color for each class, and the legend."""
    if np.any(labels < 0):
        axis.scatter(*places[labels < 0].T, s=size, linewidths=0, alpha=0.5, color="0.7", label="unlabeled")
    classes = np.unique(labels[labels >= 0])
    for label, color in zip(classes, color_list(len(classes))):
        name = str(label) if class_names is None else class_names[label]
        axis.scatter(*places[labels == label].T, s=size, linewidths=0, alpha=0.7, color=color, label=name)
    if len(classes) <= 30:
        legend = axis.legend(
            loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, ncols=1 if len(classes) <= 15 else 2
        )
        for handle in legend.legend_handles:
            handle.set(sizes=[40], alpha=1)


def project(points, method, seed):
    """Two columns `(n, 2)`, and whether all points are the same, so that there is nothing to see."""
    if method not in NAMES:
        raise ValueError(f'method must be "tsne", "pca" or "umap". Received: method={method!r}')
    if method != "pca":  # by cosine
        points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-30)
    if np.ptp(points, axis=0).max() <= 1e-6 * np.abs(points).max():
        return np.zeros((len(points), 2), "float32"), True
    if points.shape[1] == 1:  # a line
        return np.concatenate([points, np.zeros_like(points)], axis=1), False
    return places_of(points, method, seed), False


def places_of(points, method, seed):
    """Two columns `(n, 2)` of points that are not all the same."""
    if method == "umap":
        return umap(points, seed)
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ImportError(f"keras_ssl.visualize.projection needs scikit-learn: {INSTALL}") from error
    if method == "pca":
        return PCA(2, random_state=seed).fit_transform(points)
    # 50 principal components first, as van der Maaten and Hinton do: it saves time and noise.
    points = PCA(min(50, *points.shape), random_state=seed).fit_transform(points)
    # The tree of the Barnes-Hut method pays off from some hundreds of points on only.
    method = "exact" if len(points) < 300 else "barnes_hut"
    tsne = TSNE(2, perplexity=min(30, (len(points) - 1) / 3), init="pca", method=method, random_state=seed)
    return tsne.fit_transform(points)


def umap(points, seed):
    try:
        from umap import UMAP
    except ImportError as error:
        raise ImportError("keras_ssl.visualize.projection with UMAP needs: pip install umap-learn") from error
    neighbors = min(15, len(points) - 1)
    start = "random" if len(points) < 10 else "spectral"  # a few points have no spectrum
    return UMAP(n_neighbors=neighbors, metric="cosine", init=start, random_state=seed, n_jobs=1).fit_transform(points)


def color_list(count):
    from matplotlib import colormaps

    if count <= 10:
        return colormaps["tab10"].colors[:count]
    if count <= 20:
        return colormaps["tab20"].colors[:count]
    return colormaps["turbo"](np.linspace(0.03, 0.97, count))
