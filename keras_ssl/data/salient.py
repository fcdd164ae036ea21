"""Salient: patches out of images, from where something is to be seen."""

import numpy as np

from keras_ssl.checks import check_ints


def salient_patches(images, count, size=32, seed=0):
    """Patches at random places, the likelier the stronger the gradients there are: the exemplars of `ExemplarCNN`.

    Exemplar-CNN (Dosovitskiy et al., 2014), arXiv:1406.6909, cuts 8,000 patches of 32 pixels out of the images of
    96 pixels of STL-10, by the mean squared gradient of the patch: patches of sky could not be told apart.

    Args:
        images: array `(n, height, width, channels)`.
        count: int, number of patches; each is from an image drawn at random, every image once before any twice.
        size: int, the side of a patch in pixels, less than that of the images.
        seed: int from 0; the same seed, the same patches.

    Returns:
        two arrays: the patches `(count, size, size, channels)`, of the dtype of the images; and int64 `(count, 3)`,
        the image, row and column of each.

    Raises:
        ValueError: for images of another shape or that are too small, and for invalid numbers.

    Example:
        >>> patches, places = salient_patches(np.random.rand(4, 24, 24, 3), 8, size=12)
        >>> patches.shape, places.shape
        ((8, 12, 12, 3), (8, 3))
    """
    check_ints(count=count, size=size)
    check_ints(0, seed=seed)
    images = np.asarray(images)
    if images.ndim != 4 or len(images) == 0 or min(images.shape[1:3]) <= size:
        raise ValueError(
            f"images must be (n, height, width, channels), larger than the patches of {size} pixels. Received: "
            f"shape={images.shape}"
        )
    draw = np.random.default_rng(seed)
    rounds = -(-count // len(images))
    chosen = np.concatenate([draw.permutation(len(images)) for _ in range(rounds)])[:count]
    places = np.array([(number, *place(images[number], size, draw)) for number in chosen])
    patches = np.stack([images[number, y : y + size, x : x + size] for number, y, x in places])
    return patches, places


def place(image, size, draw):
    """The row and column of a patch, drawn by its energy."""
    energies = energy(image, size)
    weights = energies.ravel() / max(energies.sum(), 1e-12)
    if not weights.any():  # a flat image
        weights = np.full(weights.size, 1 / weights.size)
    return np.unravel_index(draw.choice(weights.size, p=weights / weights.sum()), energies.shape)


def energy(image, size):
    """The mean squared gradient inside the patch at each place."""
    gray = image.astype("float64").mean(axis=-1)
    down, across = np.gradient(gray)
    sums = np.pad(down**2 + across**2, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    boxes = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    return np.maximum(boxes, 0) / size**2
