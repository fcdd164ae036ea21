"""Gamut: the colors that a pixel can have, as bins of CIE Lab, and how often images have them.

The bins and the smoothed frequencies of Colorful Image Colorization (Zhang, Isola, Efros, 2016), arXiv:1603.08511.
"""

import functools

import numpy as np
from keras import ops

from keras_ssl.augment.image.channels import WHITE, XYZ, lab_of_rgb
from keras_ssl.checks import check_ints

REACH = 1.34  # of a bin, in steps: 1.325 to 1.372 give 313 bins with a step of 10, as many as the authors have
LARGEST = (110, 120)  # of a and b
INVERSE = np.linalg.inv(np.array(XYZ))


@functools.cache
def ab_bins(step=10):
    """The points of a grid in a and b, the two colors of Lab, that are near a color of sRGB.

    Args:
        step: positive int, how far neighbors are apart (10).

    Returns:
        float32 NumPy array `(bins, 2)`, in ascending order of a, then b: 313 bins with a step of 10, as many as the
        authors have.

    Example:
        >>> ab_bins().shape, ab_bins()[:2].tolist()
        ((313, 2), [[-90.0, 50.0], [-90.0, 60.0]])
    """
    check_ints(step=step)
    a, b = (np.arange(-(most // step), most // step + 1) * float(step) for most in LARGEST)
    points = np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)
    near = [np.min((surface() - point) ** 2 @ [1.0, 1.0]) <= (REACH * step) ** 2 for point in points]
    found = points[near].astype("float32")
    found.flags.writeable = False
    return found


@functools.cache
def surface():
    """The a and b of the colors of which one of red, green and blue is 0 or 255: the gamut ends there."""
    sides = np.arange(0, 256, 3.0)
    first, second = (x.ravel() for x in np.meshgrid(sides, sides))
    faces = [np.stack([np.full_like(first, end), first, second], axis=1) for end in (0.0, 255.0)]
    return lab(np.concatenate([np.roll(face, i, axis=1) for face in faces for i in range(3)]))[:, 1:]


def lab(colors):
    """Lab of colors `(n, 3)` of 0..255, as NumPy array."""
    return np.stack([ops.convert_to_numpy(plane) for plane in lab_of_rgb(colors.astype("float32"))], axis=-1)


def rgb_of_lab(lab):
    """The inverse of `ToLab()`: red, green and blue of 0..255; colors outside of sRGB are clipped.

    Args:
        lab: `(..., 3)`: L from 0 to 100, a, b.

    Returns:
        float32 tensor of the same shape.
    """
    lightness, a, b = ops.unstack(ops.cast(lab, "float32"), axis=-1)
    y = (lightness + 16) / 116
    x, z = y + a / 500, y - b / 200
    linear = ops.stack([white * cubed(part) for white, part in zip(WHITE, (x, y, z), strict=True)], axis=-1)
    linear = ops.clip(ops.matmul(linear, INVERSE.T.astype("float32")), 0.0, 1.0)
    large = 1.055 * ops.maximum(linear, 1e-6) ** (1 / 2.4) - 0.055
    return 255.0 * ops.where(linear > 0.0031308, large, 12.92 * linear)


def cubed(x):
    return ops.where(x > 6 / 29, x**3, 3 * (6 / 29) ** 2 * (x - 4 / 29))


def color_prior(images, bins=None, stride=4, deviation=5.0, count=10_000):
    """How often images have the color of each bin, smoothed.

    Each pixel counts for its nearest bins, as in the loss of `keras_ssl.Colorization`; the frequencies are then
    smoothed with a Gaussian over a and b.

    Args:
        images: array `(n, height, width, 3)` of 0..255, or batches of such: arrays, dicts with `"image"`, or tuples
            whose first part is the array.
        bins: array `(bins, 2)`; None for `ab_bins()`.
        stride: positive int, every so many rows and columns are looked at.
        deviation: float > 0, of the Gaussians (sigma, 5).
        count: positive int, how many images at most. Of an array and of a pipeline of `keras_ssl.data` they are spread
            over all of it; of other batches they are the first ones, which must then be typical, not all of one class.

    Returns:
        float32 NumPy array `(bins,)` that sums to 1.

    Raises:
        ValueError: there are no images with three channels.

    Example:
    ```python
    prior = keras_ssl.augment.color_prior(images)
    model = keras_ssl.Colorization(network, keras_ssl.augment.mae(32), prior=prior)
    ```
    """
    check_ints(stride=stride, count=count)
    bins = np.float64(ab_bins() if bins is None else bins)
    total, seen = np.zeros(len(bins)), 0
    for batch in batches(images, count):
        batch = np.asarray(batch)[: count - seen]
        if batch.ndim != 4 or batch.shape[-1] != 3:
            raise ValueError(f"images must have the shape (n, height, width, 3). Received: shape={batch.shape}")
        colors = lab(batch[:, ::stride, ::stride].reshape(-1, 3))[:, 1:]
        total += soft_counts(colors, bins, deviation)
        seen += len(batch)
        if seen >= count:
            break
    if not seen:
        raise ValueError("images must hold at least one image. Received: none")
    near = np.exp(-distances(bins, bins) / (2 * deviation**2))
    smooth = total @ (near / near.sum(axis=1, keepdims=True))
    return (smooth / smooth.sum()).astype("float32")


def soft_counts(colors, bins, deviation, neighbors=10):
    found = np.zeros(len(bins))
    for part in np.array_split(colors, max(1, len(colors) // 20_000)):
        far = distances(part, bins)
        nearest = np.argpartition(far, min(neighbors, len(bins)) - 1, axis=1)[:, :neighbors]
        far = np.take_along_axis(far, nearest, axis=1)
        share = np.exp(-(far - far.min(axis=1, keepdims=True)) / (2 * deviation**2))
        found += np.bincount(nearest.ravel(), (share / share.sum(axis=1, keepdims=True)).ravel(), len(bins))
    return found


def distances(first, second):
    """Squared distances `(n, m)`."""
    return sum((first[:, None, i] - second[None, :, i]) ** 2 for i in range(2))


def batches(images, count):
    """Batches that hold at least `count` images, if there are so many."""
    if hasattr(images, "shape"):
        chosen = np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)
        yield from (images[part] for part in np.array_split(chosen, max(1, len(chosen) // 500)) if len(part))
        return
    if hasattr(images, "in_batches") and images.samples > count:  # in their own order they may be class after class
        images = images.in_batches(min(count, 100))
    for batch in images:
        batch = batch["image"] if isinstance(batch, dict) else batch[0] if isinstance(batch, tuple) else batch
        yield ops.convert_to_numpy(batch)
