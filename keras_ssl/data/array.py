"""Array: images in memory, or memory-mapped -> batches."""

import warnings

import numpy as np
import tensorflow as tf

from keras_ssl.data.decode import fit, pair
from keras_ssl.data.folder import hold, label_array
from keras_ssl.data.order import Order, calls, columns, flag
from keras_ssl.data.progress import Progress


def arrays(
    images,
    batch_size,
    *,
    labels=None,
    size=None,
    shuffle=True,
    seed=0,
    index=False,
    drop_remainder=None,
    upscale=False,
    epoch=0,
    start=0,
    parallel_calls=tf.data.AUTOTUNE,
):
    """An array of images as a shuffled, deterministic, resumable pipeline of batches.

    An array in memory becomes one tensor, held once; rows are gathered from it. A memory-mapped one (`np.load(...,
    mmap_mode="r")`) stays on the disk, and each batch reads its own rows, so that it may be larger than the memory.

    Args:
        images: `(n, height, width, channels)` with 1 to 4 channels, or grey `(n, height, width)`, which gets one
            channel. Pixels 0..255: uint8, or other numbers in this range, which are rounded.
        batch_size: images in a batch.
        labels: None, or n ints, which are added as `"label"`.
        size: None for the images as they are, else as in `image_folder`.
        shuffle, seed, index, drop_remainder, upscale, epoch, start, parallel_calls: see `image_folder`.

    Returns:
        `tf.data.Dataset` of dicts, see `image_folder`.

    Raises:
        TypeError: if the array does not hold numbers.
        ValueError: if its shape is no shape of images, its pixels are not finite or not in 0..255 (such as 0..1), it is
            empty, or smaller than `size`. Bytes of 0 and 1 only are a warning.

    Example:
        ```python
        images = np.random.randint(0, 256, (512, 32, 32, 3), "uint8")
        dataset = keras_ssl.data.arrays(images, 64)
        ```
    """
    flag("index", index)
    flag("upscale", upscale)
    images = checked(images)
    count, *shape = images.shape
    if labels is not None:
        labels = hold(label_array(labels, count, "images"))
    if size is not None:
        size = pair(size)
        if not upscale and (shape[0] < size[0] or shape[1] < size[1]):
            raise ValueError(
                f"The images are {shape[0]} x {shape[1]} pixels (height x width), smaller than size={size}. "
                "Pass a smaller size, or upscale=True."
            )
    order = Order(
        count,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        epoch=epoch,
        start=start,
        drop_remainder=drop_remainder,
    )
    if isinstance(images, np.memmap):

        def rows(numbers):
            return tf.numpy_function(lambda chosen: pixels(images[chosen]), [numbers], tf.uint8)

    else:
        held = hold(pixels(images))

        def rows(numbers):
            return tf.gather(held, numbers)

    def take(epoch, position, number):
        image = tf.ensure_shape(rows(number), (number.shape[0], *shape))
        label = None if labels is None else tf.gather(labels, number)
        return columns(order, epoch[0], fit(image, size, upscale), number, label, index)

    dataset = order.samples().batch(order.batch_size, drop_remainder=order.drop_remainder)
    return order.finish(dataset.map(take, num_parallel_calls=calls(parallel_calls)))


def pixels(images):
    """Rows of an array as uint8."""
    return images if images.dtype == np.uint8 else np.rint(images).astype("uint8")


def checked(images):
    """`images` as an array of rank 4 whose values are pixels."""
    try:
        images = images if isinstance(images, np.ndarray) else np.asarray(images)
    except ValueError as error:
        raise TypeError(
            f"images must be an array of numbers. Received: a {type(images).__name__}, of which NumPy says: {error}. "
            "Images of unequal sizes do not make an array: resize them first, or use keras_ssl.data.files."
        ) from None
    if not np.issubdtype(images.dtype, np.number) or np.issubdtype(images.dtype, np.complexfloating):
        raise TypeError(
            f"images must be an array of numbers, best uint8. Received: dtype={images.dtype}, shape={images.shape}. "
            "Images of unequal sizes do not make an array: resize them first, or use keras_ssl.data.files."
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or not 1 <= images.shape[-1] <= 4:
        raise ValueError(
            "images must have the shape (n, height, width, channels) with 1 to 4 channels, or (n, height, width). "
            f"Received: shape={images.shape}. Channels come last: for (n, channels, height, width), transpose first."
        )
    if 0 in images.shape:
        raise ValueError(f"images is empty. Received: shape={images.shape}")
    if images.dtype != np.uint8:
        in_range(images)
    elif images[:256].max() == 1:
        warnings.warn(
            "images look like 0..1 in the place of 0..255: the largest pixel of the first ones is 1. Floats of 0..1 "
            'become pixels by (images * 255).round().astype("uint8").',
            stacklevel=3,
        )
    return images


def in_range(images):
    """Raises unless all values are finite, in 0..255, and some above 1 where they are floats."""
    low, high = np.inf, -np.inf
    progress = Progress("Checking pixels", len(images))
    for begin in range(0, len(images), 256):  # in pieces, for arrays larger than the memory
        piece = images[begin : begin + 256]
        low, high = np.minimum(low, piece.min()), np.maximum(high, piece.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            broken = np.flatnonzero(~np.isfinite(piece).reshape(len(piece), -1).all(axis=1))
            raise ValueError(
                f"images must have finite pixels in 0..255. Received: NaN or infinity in images[{begin + broken[0]}], "
                "the first such image."
            )
        progress.update(begin)
    progress.close()
    if np.issubdtype(images.dtype, np.floating) and low >= 0 and high <= 1:
        raise ValueError(
            f"images must have pixels in 0..255. Received: {images.dtype} from {low} to {high}, which looks like 0..1. "
            'Multiply by 255: (images * 255).round().astype("uint8").'
        )
    if np.issubdtype(images.dtype, np.floating) and low >= -1 and high <= 1:
        raise ValueError(
            f"images must have pixels in 0..255. Received: {images.dtype} from {low} to {high}, which looks like "
            '-1..1. Map it back: ((images + 1) * 127.5).round().astype("uint8").'
        )
    if not (low >= 0 and high <= 255):
        raise ValueError(f"images must have pixels in 0..255. Received: {images.dtype} from {low} to {high}.")
