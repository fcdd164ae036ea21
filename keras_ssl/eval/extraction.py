"""Features: what a frozen encoder makes of a set of images."""

import numpy as np

from keras_ssl.checks import check_ints

# Pixels given to the encoder in one `predict`: 128 MiB of float32. It bounds the memory for any size of the data.
PIXELS = 2**25


def features(encoder, data, batch_size=256):
    """The features of all images, in inference mode, and their labels.

    Every batch has the same size (the last one is filled up and the filling cut off again), so the encoder is
    compiled once. Under `tf.distribute` the batch is split over the replicas.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, or None for the raw pixels divided by 255.
        data: images as an array `(n, height, width, channels)`, uint8 or float in 0..255; a pair of arrays
            `(images, labels)`; or a finite `tf.data.Dataset`, batched or not, of dicts with `"image"` and, where
            there are labels, `"label"`, of `(image, label)` tuples, or of images.
        batch_size: int, images a step.

    Returns:
        `(features, labels)`: float32 array `(n, dim)`, and int64 array `(n,)` or None where the data has no labels.

    Raises:
        TypeError: `data` is none of the above or `encoder` cannot predict.
        ValueError: the data is empty or endless, the labels are not integers, one an image, or the features are not
            `(batch, dim)`.

    Example:
        >>> images = np.zeros((10, 8, 8, 3), "uint8")
        >>> features(None, images)[0].shape
        (10, 192)
    """
    if encoder is not None and not hasattr(encoder, "predict"):
        raise TypeError(f"encoder must be a keras.Model from images to features, or None. Received: {encoder!r}")
    check_ints(batch_size=batch_size)
    outputs, labels = [], []
    for images, marks in chunks(data, batch_size):
        outputs.append(encode(encoder, images, batch_size))
        labels.append(marks)
    if not outputs:
        raise ValueError("The data has no images.")
    return np.concatenate(outputs), None if labels[0] is None else integers(np.concatenate(labels))


def labelled(encoder, data, batch_size, name):
    """`features` of a data set that must have labels; `name` names it in the error."""
    rows, labels = features(encoder, data, batch_size)
    check_labels(labels, name)
    return rows, labels


def check_labels(labels, name):
    if labels is None:
        raise ValueError(
            f"The {name} set has no labels: give a pair of arrays (images, labels) or a tf.data.Dataset of dicts with "
            f'"image" and "label".'
        )


def encode(encoder, images, batch_size):
    """The features of one chunk of images: array in, float32 array `(n, dim)` out."""
    n = len(images)
    if encoder is None:
        return images.reshape(n, -1).astype("float32") / np.float32(255)
    size = min(batch_size, n) if n < batch_size else batch_size
    missing = -n % size
    images = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]) if missing else images
    outputs = encoder.predict(images.astype("float32"), batch_size=size, verbose=0)
    check_features(outputs)
    return np.asarray(outputs[:n]).astype("float32")


def check_features(outputs):
    if not hasattr(outputs, "shape") or len(outputs.shape) != 2:
        shape = getattr(outputs, "shape", type(outputs).__name__)
        raise ValueError(
            f"The encoder must return features of shape (batch, dim): pool its feature maps or tokens first. "
            f"Received outputs: {shape}"
        )


def chunks(data, batch_size):
    """Yield `(images, labels or None)` in order, as NumPy arrays, each but the last a multiple of the batch size."""
    if hasattr(data, "element_spec"):
        yield from gathered(elements(data), batch_size)
        return
    images, labels = data if isinstance(data, (tuple, list)) and len(data) == 2 else (data, None)
    images = as_images(images)
    if labels is not None:
        labels = np.asarray(labels)
        if len(labels) != len(images):
            raise ValueError(f"Expected one label an image. Received: {len(images)} images, {len(labels)} labels")
    step = rows(images, batch_size)
    for start in range(0, len(images), step):
        yield images[start:start + step], None if labels is None else labels[start:start + step]


def elements(dataset, endless=False):
    """Yield `(images, labels or None)` for each batch of a `tf.data.Dataset`."""
    if not endless and int(dataset.cardinality()) == -1:
        raise ValueError("The tf.data.Dataset is endless: give one that ends, for example dataset.take(100).")
    for element in untouched(dataset):
        if isinstance(element, dict):
            if "image" not in element:
                raise ValueError(f'The dicts of the data set need the key "image". Received: {sorted(element)}')
            images, labels = element["image"], element.get("label")
        elif isinstance(element, tuple):
            images, labels = (*element, None)[:2]
        else:
            images, labels = element, None
        if np.ndim(images) == 3:  # not batched
            images, labels = images[None], None if labels is None else [labels]
        yield as_images(images), None if labels is None else np.asarray(labels)


def untouched(dataset):
    """Yield the elements of a `tf.data.Dataset`, and leave its number of passes as it was.

    The pipelines of `keras_ssl.data` order each pass by its number, which they count themselves: without this,
    looking at the training images would change the order in which they are trained on.
    """
    try:
        yield from dataset.as_numpy_iterator()
    finally:
        if hasattr(dataset, "epoch"):
            dataset.epoch.assign_sub(1)


def gathered(batches, batch_size):
    """Join small batches to chunks."""
    kept, count, step = [], 0, None
    for images, labels in batches:
        step = step or rows(images, batch_size)
        kept.append((images, labels))
        count += len(images)
        if count >= step:
            images, labels = joined(kept)
            full = count // batch_size * batch_size
            yield images[:full], None if labels is None else labels[:full]
            kept = [(images[full:], None if labels is None else labels[full:])]
            count -= full
    if count:
        yield joined(kept)


def joined(pairs):
    images, labels = zip(*pairs)
    return np.concatenate(images), None if labels[0] is None else np.concatenate(labels)


def rows(images, batch_size):
    """Images a chunk: as many whole batches as the memory bound allows, at least one."""
    return max(1, PIXELS // max(1, images[0].size) // batch_size) * batch_size if len(images) else batch_size


def as_images(images):
    if not hasattr(images, "shape"):
        raise TypeError(
            "data must be an array of images, a pair of arrays (images, labels), or a tf.data.Dataset. "
            f"Received: {type(images).__name__}"
        )
    images = np.asarray(images)
    if images.ndim < 2:
        raise ValueError(f"Images must have the shape (n, height, width, channels). Received: shape={images.shape}")
    return images


def integers(labels):
    """Check labels: int64 array `(n,)`."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"Labels must be class numbers of shape (n,), not one-hot. Received: shape={labels.shape}")
    if labels.dtype.kind not in "iub" or (len(labels) and labels.min() < 0):
        raise ValueError(f"Labels must be integers from 0. Received: dtype={labels.dtype}, first={labels[:5]}")
    return labels.astype("int64")


def matrix(values, name):
    """Check precomputed features: float32 array `(n, dim)`."""
    values = np.asarray(values)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"{name} must have the shape (n, dim) with n > 0. Received: shape={values.shape}")
    return values.astype("float32", copy=False)
