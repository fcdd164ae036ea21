"""Colors: those that a set of videos has most, as a and b of Lab."""

import numpy as np
from keras import ops

from keras_ssl.augment.image.channels import lab_of_rgb
from keras_ssl.checks import check_ints


def color_centers(videos, count=16, *, samples=20_000, steps=30, seed=0):
    """The colors of videos in clusters, for `keras_ssl.TrackingByColorizing`: k-means of a and b of their pixels.

    Args:
        videos: array `(n, frames, height, width, 3)`, or images `(n, height, width, 3)`, pixels of 0..255; or batches
            of them, arrays or dicts with `"video"` or `"image"`, such as a pipeline.
        count: int, how many clusters.
        samples: int, how many pixels are looked at.
        steps: int, steps of k-means.
        seed: int, of the choice of pixels and of the first centers.

    Returns:
        float32 array `(count, 2)`, in the order of a. Where there are fewer different colors than clusters, the others
        lie on a circle, 60 away from gray.

    Raises:
        ValueError: there are no pixels, or they have no three channels.

    Example:
        >>> videos = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3))
        >>> color_centers(videos, 4).shape
        (4, 2)
    """
    check_ints(count=count, samples=samples, steps=steps)
    draws = np.random.default_rng(seed)
    batches = [videos] if hasattr(videos, "ndim") else videos
    pixels = []
    for batch in batches:
        if isinstance(batch, dict):
            batch = batch["video"] if "video" in batch else batch["image"]
        flat = np.asarray(batch).reshape(-1, np.shape(batch)[-1])
        pixels.append(flat[draws.choice(len(flat), min(samples, len(flat)), replace=False)])
    if not pixels or pixels[0].shape[-1] != 3:
        raise ValueError("videos must hold pixels with three channels. Received: none")
    pixels = np.concatenate(pixels)
    pixels = pixels[draws.choice(len(pixels), min(samples, len(pixels)), replace=False)].astype("float32")
    _, a, b = lab_of_rgb(ops.convert_to_tensor(pixels[None]))
    found = np.stack([ops.convert_to_numpy(x)[0] for x in (a, b)], axis=1).astype("float64")
    different = np.unique(found.round(3), axis=0)
    if len(different) < count:
        angles = 2 * np.pi * np.arange(count - len(different)) / count
        centers = np.concatenate([different, 60 * np.stack([np.cos(angles), np.sin(angles)], axis=1)])
    else:
        centers = farthest(found, count, draws)
    for _ in range(steps):
        nearest = np.square(found[:, None] - centers[None]).sum(axis=-1).argmin(axis=1)
        sums = np.stack([np.bincount(nearest, found[:, i], count) for i in range(2)], axis=1)
        sizes = np.bincount(nearest, minlength=count)[:, None]
        centers = np.where(sizes > 0, sums / np.maximum(sizes, 1), centers)
    return centers[np.lexsort(centers.T[::-1])].astype("float32")


def farthest(points, count, draws):
    """First centers: each is drawn with a probability in proportion to the squared distance to those before it."""
    centers = [points[draws.integers(len(points))]]
    for _ in range(count - 1):
        far = np.min([np.square(points - center).sum(axis=1) for center in centers], axis=0)
        centers.append(points[draws.choice(len(points), p=far / far.sum())])
    return np.stack(centers)
