"""Projector: features as files of TensorBoard's embedding projector, which turns them in three dimensions."""

import json
import math
from pathlib import Path

import keras
import numpy as np

from keras_ssl.visualize.grids import as_images

SPRITE = 8192  # pixels: the largest sprite that the projector shows


def projector(features, images=None, labels=None, path="projector"):
    """Writes features, small images and labels for TensorBoard's projector: `tensorboard --logdir FOLDER`.

    The folder gets `features.tsv`, `labels.tsv`, `images.png` (the sprite) and `projector_config.pbtxt`. TensorBoard is
    not needed to write them. The projector takes some ten thousand points.

    Args:
        features: array `(n, dim)`.
        images: array `(n, height, width, channels)`, 0..255, 1 or 3 channels, shown in place of the points; or None.
        labels: array `(n,)` of numbers or strings; or a dict from names to such columns; or None.
        path: the folder; it is made where it does not exist.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        ```python
        features, labels = keras_ssl.eval.features(encoder, (images, labels))
        keras_ssl.visualize.projector(features, images, labels, "runs/projector")
        ```
    """
    rows = np.asarray(features)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"features must have the shape (n, dim) with n > 0. Received: shape={rows.shape}")
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "features.tsv", rows, fmt="%.6g", delimiter="\t")
    config = {"tensor_name": "features", "tensor_path": "features.tsv"}
    if labels is not None:
        write_labels(folder / "labels.tsv", labels, len(rows))
        config["metadata_path"] = "labels.tsv"
    text = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in config.items())
    if images is not None:
        height, width = write_sprite(folder / "images.png", images, len(rows))
        text += f'  sprite {{\n    image_path: "images.png"\n    single_image_dim: {width}\n'
        text += f"    single_image_dim: {height}\n  }}\n"
    (folder / "projector_config.pbtxt").write_text(f"embeddings {{\n{text}}}\n", encoding="utf-8")
    return folder


def write_labels(path, labels, count):
    columns = labels if isinstance(labels, dict) else {"label": labels}
    for name, column in columns.items():
        if len(column) != count:
            raise ValueError(f"Expected one label a row. Received: {count} features, {len(column)} of {name!r}")
    clean = lambda value: " ".join(str(value).split())  # a tab or a new line would be another column or row
    lines = ["\t".join(map(clean, row)) for row in zip(*columns.values())]
    # A single column has no head.
    head = ["\t".join(map(clean, columns))] if len(columns) > 1 else []
    path.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


def write_sprite(path, images, count):
    """All images in a square of as many rows as columns; the size of one."""
    images = as_images(images, "images")
    if len(images) != count:
        raise ValueError(f"Expected one image a row. Received: {count} features, {len(images)} images")
    side = math.ceil(math.sqrt(count))
    step = math.ceil(max(images.shape[1:3]) * side / SPRITE)  # of large images every so many pixels
    if step > 1:
        images = images[:, ::step, ::step]
    _, height, width, channels = images.shape
    sprite = np.full((side * side, height, width, channels), 255, "uint8")
    sprite[:count] = images
    sprite = sprite.reshape(side, side, height, width, channels).transpose(0, 2, 1, 3, 4)
    keras.utils.save_img(path, sprite.reshape(side * height, side * width, channels), scale=False)
    return height, width
