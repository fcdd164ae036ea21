"""Grids: images side by side, the views of an augmentation and the nearest neighbors of an encoder."""

import keras
import numpy as np

from keras_ssl.checks import check_ints
from keras_ssl.eval import features
from keras_ssl.pixels import warn_of_small
from keras_ssl.visualize.figure import figure, finish

SAME, OTHER = "#2a9d4a", "#c8372d"


def views(images, augment, rows=6, path=None):
    """What the network sees: each image and the views made of it.

    Args:
        images: array or tensor `(n, height, width, channels)`, uint8 or float in 0..255, 1 or 3 channels.
        augment: layer or callable from a uint8 batch to a list of views, or to one view, each
            `(n, height, width, channels)` in 0..255; the sizes may differ.
        rows: positive int, the number of images shown.
        path: where to save the picture as well; the ending says the format.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: Matplotlib is missing.
        ValueError: shapes that are not images.

    Example:
        >>> images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("uint8")
        >>> views(images, lambda batch: [batch[:, ::-1], batch[:, :, ::-1]]).axes[0].get_title()
        'image'
    """
    check_ints(rows=rows)
    images = as_images(images, "images")[:rows]
    made = augment(images, training=True) if isinstance(augment, keras.layers.Layer) else augment(images)
    made = list(made) if isinstance(made, (list, tuple)) else [made]
    made = made[:-1] if getattr(augment, "locates", False) else made  # where the views lie
    columns = [images, *(as_images(view, "The views") for view in made)]
    for number, view in enumerate(columns[1:], 1):
        if len(view) != len(images):
            raise ValueError(f"View {number} has {len(view)} images for {len(images)} given.")
    titles = ["image", *(f"view {number}" for number in range(1, len(columns)))]
    return pictures(zip(titles, columns), path)


def pictures(columns, path=None):
    """Images side by side, with a title above each column: what a model makes of images beside the images.

    Args:
        columns: dict from titles to arrays `(n, height, width, channels)`, 0..255, as many images in each; or lists of
            such pairs. The sizes may differ, and so may the channels, 1 or 3.
        path: where to save the picture as well; the ending says the format.

    Returns:
        `matplotlib.figure.Figure`, a row an image.

    Raises:
        ImportError: Matplotlib is missing.
        ValueError: shapes that are not images, or columns of other lengths.

    Example:
    ```python
    drawn = keras_ssl.visualize.pictures(model.pictures(test_images[:6]), path="reconstructions.png")
    ```
    """
    columns = {title: as_images(batch, f"'{title}'") for title, batch in dict(columns).items()}
    lengths = {title: len(batch) for title, batch in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"columns must hold as many images each, and at least one column. Received: {lengths}")
    drawn, axes = grid(max(lengths.values()), len(columns))
    for column, (title, batch) in zip(axes.T, columns.items()):
        column[0].set_title(title, fontsize=9)
        for place, image in zip(column, batch):
            show(place, image)
    return finish(drawn, path)


def neighbors(encoder, queries, gallery, k=8, path=None, labels=None):
    """Each query and its nearest images by the cosine of the features, the nearest first.

    A gallery image that equals the query, pixel by pixel, is left out.

    Args:
        encoder: `keras.Model` from images to features, or None for raw pixels.
        queries: array `(n, height, width, channels)`, 0..255; one row of the picture each.
        gallery: array `(m, height, width, channels)`, 0..255.
        k: positive int, neighbors a query; fewer where the gallery is smaller.
        path: where to save the picture as well; the ending says the format.
        labels: pair of int arrays `(labels of the queries, labels of the gallery)`: then a neighbor of the query's
            class has a green frame and one of another class a red, dashed one.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: Matplotlib is missing.
        ValueError: shapes or labels that do not fit.

    Example:
        >>> images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3)).astype("uint8")
        >>> drawn = neighbors(None, images[:2], images, k=3)
    """
    check_ints(k=k)
    queries, gallery = as_images(queries, "queries"), as_images(gallery, "gallery")
    if queries.shape[1:] != gallery.shape[1:]:
        raise ValueError(f"queries and gallery must be of one size. Received: {queries.shape} and {gallery.shape}")
    if labels is not None:
        labels = tuple(np.asarray(part).ravel() for part in labels)
        if tuple(map(len, labels)) != (len(queries), len(gallery)):
            raise ValueError("labels must be a pair of arrays, one label a query and one a gallery image.")
    rows = [features(encoder, images)[0].astype("float64") for images in (queries, gallery)]
    q, g = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-30) for part in rows)
    k = min(k, len(gallery))
    drawn, axes = grid(len(queries), k + 1)
    axes[0][0].set_title("query", fontsize=9)
    for row, query in enumerate(queries):
        show(axes[row][0], query)
        cosine = g @ q[row]
        order = [index for index in np.argsort(-cosine, kind="stable") if not np.array_equal(gallery[index], query)]
        for axis, index in zip(axes[row][1:], order):
            show(axis, gallery[index])
            axis.set_xlabel(f"{cosine[index]:.2f}", fontsize=7, labelpad=2)
            if labels is not None:
                frame(axis, labels[0][row] == labels[1][index])
    return finish(drawn, path)


def grid(rows, columns, inch=1.0):
    drawn = figure(inch * columns, inch * rows + 0.3)
    axes = drawn.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    return drawn, axes


def show(axis, image):
    gray = image.shape[-1] == 1
    axis.imshow(image[..., 0] if gray else image, cmap="gray" if gray else None, vmin=0, vmax=255)


def frame(axis, same):
    # Two line styles beside two colors: red and green are alike to one man in twelve.
    for spine in axis.spines.values():
        spine.set(visible=True, color=SAME if same else OTHER, linewidth=2.5, linestyle="-" if same else (0, (2, 1)))
        spine.set_capstyle("butt")  # the default fills the gaps


def as_images(images, name):
    """uint8 array `(n, height, width, channels)`."""
    images = np.asarray(keras.ops.convert_to_numpy(images))
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise ValueError(
            f"{name} must have the shape (n, height, width, 1 or 3), n > 0. Received: shape={images.shape}"
        )
    warn_of_small(images, f"{name[0].upper()}{name[1:]}", stacklevel=3)
    return images if images.dtype == np.uint8 else np.clip(np.rint(images.astype("float32")), 0, 255).astype("uint8")
