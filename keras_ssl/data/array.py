"""Array: samples of any kind in memory, or memory-mapped -> batches."""

import warnings

import numpy as np
import tensorflow as tf

from keras_ssl import inputs
from keras_ssl.data.decode import fit, pair
from keras_ssl.data.folder import hold, label_array
from keras_ssl.data.order import Order, calls, columns, flag
from keras_ssl.data.pipeline import Content, Pipeline
from keras_ssl.data.progress import Progress

OWN = ("seed", "label", "index", "views")  # columns that the pipelines make themselves


def arrays(
    samples,
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
    """Arrays as a shuffled, deterministic, resumable pipeline of batches: images, or a dict for any kind of data.

    An array in memory becomes one tensor, held once; rows are gathered from it. A memory-mapped one (`np.load(...,
    mmap_mode="r")`) stays on the disk, and each batch reads its own rows, so that it may be larger than the memory.

    Args:
        samples: images `(n, height, width, channels)`, or gray ones `(n, height, width)`, which get one channel:
            pixels 0..255, uint8 or other numbers in this range, which are rounded. Or a dict of arrays of n rows, by
            the names of the columns: `"image"`, `"video"` `(n, frames, height, width, channels)` (pixels, too),
            `"audio"` `(n, samples)`, `"series"` `(n, time, channels)`, `"token_ids"` ints `(n, length)`, or `"nodes"`
            `(n, nodes, features)` with `"edges"` ints `(n, edges, 2)`; beside it the masks `"video_mask"`,
            `"audio_mask"`, `"series_mask"`, `"padding_mask"`, `"nodes_mask"`, `"edges_mask"`, true where a value is
            real, and columns of your own. Ints become int32, floats float32, masks bool.
        batch_size: samples in a batch.
        labels: None, or n ints, which are added as `"label"`.
        size: None for the images as they are, else as in `image_folder`. Of images only.
        shuffle, seed, index, drop_remainder, upscale, epoch, start, parallel_calls: see `image_folder`.

    Returns:
        `tf.data.Dataset` of dicts, see `image_folder`: the columns of the samples, `"seed"`, and on request `"label"`
        and `"index"`.

    Raises:
        TypeError: if an array does not hold numbers.
        ValueError: if a shape does not fit the kind of data, the columns have unequal numbers of rows, values are not
            finite, pixels are not in 0..255 (such as 0..1), there are no samples, or images are smaller than `size`.
            Bytes of 0 and 1 only are a warning.

    Example:
        ```python
        images = np.random.randint(0, 256, (512, 32, 32, 3), "uint8")
        dataset = keras_ssl.data.arrays(images, 64)

        texts = {"token_ids": np.zeros((512, 16), "int32"), "padding_mask": np.ones((512, 16), bool)}
        dataset = keras_ssl.data.arrays(texts, 64)
        ```
    """
    flag("index", index)
    flag("upscale", upscale)
    arrays, kind = checked(samples)
    count = len(arrays[kind.column])
    told = None
    if labels is not None:
        told = label_array(labels, count, "images" if kind is inputs.IMAGE else "samples")
        labels = hold(told)
    if size is not None:
        size = size_for(kind, arrays[kind.column], size, upscale)
    order = Order(
        count,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        epoch=epoch,
        start=start,
        drop_remainder=drop_remainder,
    )
    readers = {name: reader(array, kind.pixels and name == kind.column) for name, array in arrays.items()}

    def take(order, epoch, place, number):
        sample = {name: read(number) for name, read in readers.items()}
        sample[kind.column] = fit(sample[kind.column], size, upscale)
        label = None if labels is None else tf.gather(labels, number)
        return columns(order, epoch[0], sample, number, label, index)

    calls(parallel_calls)

    def make(order):
        batches = order.samples().batch(order.rows, drop_remainder=order.drop_remainder)
        return batches.map(lambda *batch: take(order, *batch), num_parallel_calls=parallel_calls)

    content = [part for name in sorted(arrays) for part in (name, arrays[name])]
    return Pipeline(make, order, content=Content([*content, told]))


def reader(array, pixels):
    """A function from the numbers of rows, int64 `(batch,)`, to these rows as a tensor."""
    convert = as_pixels if pixels else as_values
    if isinstance(array, np.memmap):
        dtype = tf.as_dtype(convert(array[:1]).dtype)

        def read(numbers):
            rows = tf.numpy_function(lambda chosen: convert(array[chosen]), [numbers], dtype)
            return tf.ensure_shape(rows, (numbers.shape[0], *array.shape[1:]))

        return read
    held = hold(convert(array))
    return lambda numbers: tf.gather(held, numbers)


def size_for(kind, array, size, upscale):
    """`size` as a pair, where the samples are images and not smaller."""
    if kind is not inputs.IMAGE:
        raise ValueError(f"size is for images. Received: size={size!r} for the column {kind.column!r}")
    size = pair(size)
    if not upscale and (array.shape[1] < size[0] or array.shape[2] < size[1]):
        raise ValueError(
            f"The images are {array.shape[1]} x {array.shape[2]} pixels (height x width), smaller than size={size}. "
            "Pass a smaller size, or upscale=True."
        )
    return size


def as_pixels(rows):
    """Rows of an array as uint8."""
    return rows if rows.dtype == np.uint8 else np.rint(rows).astype("uint8")


def as_values(rows):
    """Rows of an array as bool, int32 or float32."""
    kind = "bool" if rows.dtype == bool else "int32" if np.issubdtype(rows.dtype, np.integer) else "float32"
    return rows.astype(kind, copy=False)


def checked(samples):
    """The samples as a dict of checked arrays, and their kind."""
    if not isinstance(samples, dict):
        return {"image": checked_pixels(inputs.IMAGE, "samples", numbers("samples", samples))}, inputs.IMAGE
    kind = inputs.kind_of(samples)
    if kind is None:
        raise ValueError(
            f"samples must have one of the columns {[kind.column for kind in inputs.KINDS]}. Received: a dict with "
            f"{sorted(map(str, samples))}"
        )
    taken = sorted(set(samples) & set(OWN))
    if taken:
        raise ValueError(
            f"The columns {taken} are made by the pipeline itself: pass labels=, seed= or index=True, and other names "
            f"for columns of your own. Received: a dict with {sorted(samples)}"
        )
    arrays = {name: numbers(name, array, bools=name != kind.column) for name, array in samples.items()}
    arrays[kind.column] = checked_own(kind, arrays[kind.column])
    for name, array in arrays.items():
        if name != kind.column:
            arrays[name] = checked_beside(name, array)
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"The columns must have equal numbers of rows, one per sample. Received: {counts}")
    inputs.check_beside(kind, arrays)
    if "edges" in kind.also and "edges" in arrays:
        inputs.check_edges(arrays["edges"], arrays.get("edges_mask"), arrays[kind.column].shape[1])
    return arrays, kind


def numbers(name, array, bools=False):
    """An array of numbers; a TypeError where it is not one."""
    pair = isinstance(array, tuple) and len({np.shape(part) for part in array}) > 1
    if hasattr(array, "element_spec") or pair:
        raise TypeError(
            f"{name} must be an array of numbers; labels are an argument of their own. Received: a "
            f"{type(array).__name__}{', which has batches already' if hasattr(array, 'element_spec') else ''}"
        )
    try:
        array = array if isinstance(array, np.ndarray) else np.asarray(array)
    except ValueError as error:
        raise TypeError(
            f"{name} must be an array of numbers. Received: a {type(array).__name__}, of which NumPy says: {error}. "
            f"{advice(name)}"
        ) from None
    fine = np.issubdtype(array.dtype, np.number) and not np.issubdtype(array.dtype, np.complexfloating)
    if not fine and not (bools and array.dtype == bool):
        raise TypeError(
            f"{name} must be an array of numbers{', best uint8' if name in ('image', 'images') else ''}. Received: "
            f"dtype={array.dtype}, shape={array.shape}. {advice(name)}"
        )
    return array


def advice(name):
    if name in ("image", "samples"):
        return "Images of unequal sizes do not make an array: resize them first, or use keras_ssl.data.files."
    return "Samples of unequal lengths do not make an array: pad them to one length, and mark what is real by a mask."


def checked_own(kind, array):
    """The array of the kind's own column, of a shape and with values that such samples have."""
    if kind.pixels:
        return checked_pixels(kind, kind.column, array)
    if array.ndim not in kind.ranks:
        raise ValueError(f"{kind.column} must have the shape {kind.shape}. Received: shape={array.shape}")
    if 0 in array.shape:
        raise ValueError(f"{kind.column} is empty. Received: shape={array.shape}")
    ints = np.issubdtype(array.dtype, np.integer)
    if kind.ints and not ints:
        raise ValueError(f"{kind.column} must be ints, one for each token. Received: dtype={array.dtype}")
    if kind is inputs.AUDIO and ints:
        raise ValueError(
            f"audio must be floats, from -1 to 1. Received: dtype={array.dtype}. Divide 16-bit sound by 32768."
        )
    if kind is inputs.SERIES and ints:
        array = array.astype("float32")
    return in_bounds(kind.column, array, least=0 if ints and kind.ints else None)


def checked_beside(name, array):
    """The array of a further column: a mask as bool, else numbers that can be used."""
    if array.ndim == 0:
        raise ValueError(f"{name} must have a row for each sample. Received: shape={array.shape}")
    if not name.endswith("_mask") or array.dtype == bool:
        return array if array.dtype == bool else in_bounds(name, array)
    if not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must be True where a value is real, and False elsewhere. Received: {array.dtype}")
    return array.astype(bool)


def in_bounds(name, array, least=None):
    """Raises unless all values are finite, fit into 32 bits, and are not below `least`. In pieces: it may be large."""
    limits = np.iinfo("int32") if np.issubdtype(array.dtype, np.integer) else np.finfo("float32")
    low, high = limits.min if least is None else least, limits.max
    progress = Progress(f"Checking {name}", len(array))
    for begin in range(0, len(array), 1024):
        piece = array[begin : begin + 1024]
        fine = (piece >= low) & (piece <= high)  # false of NaN
        if not fine.all():
            row = begin + np.flatnonzero(~fine.reshape(len(piece), -1).all(axis=1))[0]
            what = f"ints from {low} to {high}" if isinstance(limits, np.iinfo) else "finite numbers"
            raise ValueError(
                f"{name} must hold {what}. Received: {piece[~fine][0]} in {name}[{row}]. Where values are missing, "
                "write 0 there, and mark what is real by a mask."
            )
        progress.update(begin)
    progress.close()
    return array


def checked_pixels(kind, name, array):
    """An array of images or videos whose values are pixels."""
    if kind is inputs.IMAGE and array.ndim == 3:
        array = array[..., None]
    if array.ndim not in kind.ranks:
        shape = f"(n, {', '.join(kind.axes)})"
        raise ValueError(
            f"{name} must have the shape {shape}{', or (n, height, width)' if kind is inputs.IMAGE else ''}. "
            f"Received: shape={array.shape}"
        )
    first = next((axis for axis in range(1, array.ndim - 2) if array.shape[axis] <= 4 < min(array.shape[-2:])), None)
    if first is not None:
        raise ValueError(
            f"{name} must have the shape (n, {', '.join(kind.axes)}). Received: shape={array.shape}, which looks like "
            f"channels first. Channels come last: np.moveaxis(array, {first}, -1)."
        )
    if 0 in array.shape:
        raise ValueError(f"{name} is empty. Received: shape={array.shape}")
    if array.dtype != np.uint8:
        in_range(name, array)
    elif array[:256].max() == 1:
        warnings.warn(
            f"{name} look like 0..1 in place of 0..255: the largest pixel of the first ones is 1. Floats of 0..1 "
            'become pixels by (images * 255).round().astype("uint8").',
            stacklevel=4,
        )
    return array


def in_range(name, images):
    """Raises unless all values are finite, in 0..255, and some above 1 where they are floats."""
    low, high = np.inf, -np.inf
    progress = Progress("Checking pixels", len(images))
    for begin in range(0, len(images), 256):  # in pieces, for arrays larger than the memory
        piece = images[begin : begin + 256]
        low, high = np.minimum(low, piece.min()), np.maximum(high, piece.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            broken = np.flatnonzero(~np.isfinite(piece).reshape(len(piece), -1).all(axis=1))
            raise ValueError(
                f"{name} must have finite pixels in 0..255. Received: NaN or infinity in {name}[{begin + broken[0]}], "
                "the first such one."
            )
        progress.update(begin)
    progress.close()
    if np.issubdtype(images.dtype, np.floating) and low >= 0 and high <= 1:
        raise ValueError(
            f"{name} must have pixels in 0..255. Received: {images.dtype} from {low} to {high}, which looks like 0..1. "
            'Multiply by 255: (images * 255).round().astype("uint8").'
        )
    if np.issubdtype(images.dtype, np.floating) and low >= -1 and high <= 1:
        raise ValueError(
            f"{name} must have pixels in 0..255. Received: {images.dtype} from {low} to {high}, which looks like "
            '-1..1. Map it back: ((images + 1) * 127.5).round().astype("uint8").'
        )
    if not (low >= 0 and high <= 255):
        raise ValueError(f"{name} must have pixels in 0..255. Received: {images.dtype} from {low} to {high}.")
