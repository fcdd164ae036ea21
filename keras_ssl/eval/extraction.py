"""Features: what a frozen encoder makes of a set of samples of any kind, see `keras_ssl.inputs`."""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_ssl.checks import check_ints
from keras_ssl.inputs import IMAGE, KINDS, for_encoder, input_names, kind_of, kind_of_encoder, warn_of_dropped
from keras_ssl.pixels import warn_of_small

# Numbers given to the encoder in one `predict`, or returned by it: 128 MiB of float32. It bounds the memory for any
# size of the data.
PIXELS = 2**25


def features(encoder, data, batch_size=256, pool=None):
    """The features of all samples, in inference mode, and their labels.

    Every batch has the same size (the last one is filled up and the filling cut off again), so the encoder is
    compiled once. Under `tf.distribute` the batch is split over the replicas. Of a pipeline of `keras_ssl.data` that
    shuffles or drops its last batch, all samples are taken, in order.

    Args:
        encoder: `keras.Model` from samples to features `(batch, dim)`: images, or any other kind that `keras_ssl`
            knows (videos, sounds, series, tokens, graphs), masks and edges too where it has inputs for them. None for
            the raw values: pixels divided by 255, sounds and series as they are.
        data: samples as an array, images `(n, height, width, channels)`, uint8 or float in 0..255, say; a dict of
            arrays by the names of the columns, such as `{"series": ..., "series_mask": ...}`, where `"label"` may be
            one of them; a pair `(samples, labels)` of these; or a finite `tf.data.Dataset`, batched or not, of dicts
            of columns and, where there are labels, `"label"`, of `(samples, label)` tuples, or of samples. Ints stay
            ints where the encoder takes ints.
        batch_size: int, samples per step.
        pool: None, or `"mean"` or `"max"` for an encoder that returns a map or tokens, see `pooled`.

    Returns:
        `(features, labels)`: float32 array `(n, dim)`, and int64 array `(n,)` or None where the data has no labels.

    Raises:
        TypeError: `data` is not one of the above or `encoder` cannot predict.
        ValueError: the data is empty, endless, shuffled without a way to have it in order, of samples of several
            sizes, or lacks what the encoder takes; the labels are not integers, one per sample; or the features are
            not `(batch, dim)`.

    Example:
        >>> images = np.zeros((10, 8, 8, 3), "uint8")
        >>> features(None, images)[0].shape
        (10, 192)
    """
    check_encoder(encoder)
    check_ints(batch_size=batch_size)
    encoder = encoder if pool is None else pooled(encoder, pool)
    outputs, labels, encode = [], [], encoding(encoder, batch_size)
    for sample, marks in chunks(data, batch_size, encoder):
        outputs.append(encode(sample))
        labels.append(marks)
    if not outputs:
        raise ValueError("The data has no images, nor samples of another kind.")
    return np.concatenate(outputs), None if labels[0] is None else integers(np.concatenate(labels))


def labeled(encoder, data, batch_size, name):
    """`features` of a data set that must have labels; `name` names it in the error."""
    rows, labels = features(encoder, data, batch_size)
    check_labels(labels, name)
    return rows, labels


def check_encoder(encoder):
    if encoder is not None and not hasattr(encoder, "predict"):
        raise TypeError(f"encoder must be a keras.Model from samples to features, or None. Received: {encoder!r}")


def check_labels(labels, name):
    if labels is None:
        raise ValueError(
            f"The {name} set has no labels: give a pair of arrays (images, labels), or (samples, labels) of another "
            f'kind, or a tf.data.Dataset of dicts with "image" and "label".'
        )


# Pooling


def pooled(encoder, pool="mean"):
    """An encoder whose maps or tokens are pooled, for any of the evaluations.

    The mean or the maximum is that of the real places only, where the data has a mask for them (`"padding_mask"`, or
    the name of the column with `"_mask"`), or the encoder makes one, as `keras.layers.Embedding(mask_zero=True)` does.
    A sample without a real place has the features 0.

    Args:
        encoder: `keras.Model` to `(batch, tokens, dim)`, a map `(batch, height, width, dim)`, or a map of more axes.
            Features `(batch, dim)` stay as they are.
        pool: `"mean"` or `"max"`.

    Returns:
        `keras.Model` to features `(batch, dim)`.

    Raises:
        TypeError: the encoder cannot predict.
        ValueError: a bad `pool`.

    Example:
    ```python
    score = keras_ssl.eval.knn(keras_ssl.eval.pooled(tokens_encoder, "mean"), train, test)
    ```
    """
    if pool not in ("mean", "max"):
        raise ValueError(f'pool must be "mean", "max" or None. Received: pool={pool!r}')
    if not isinstance(encoder, keras.Model):
        raise TypeError(f"encoder must be a keras.Model from samples to a map or tokens. Received: {encoder!r}")
    with encoder.distribute_strategy.scope() if keras.backend.backend() == "tensorflow" else contextlib.nullcontext():
        return Pooled(encoder, pool)


class Pooled(keras.Model):
    """An encoder and the pooling of its places. It takes the whole sample, for its masks."""

    def __init__(self, encoder, pool):
        super().__init__(name=f"{encoder.name}_{pool}", dtype="float32", autocast=False)
        self.encoder, self.pool = encoder, Places(pool)

    def call(self, sample, training=False):
        x = self.encoder(for_encoder(sample, self.encoder), training=training)
        if len(getattr(x, "shape", ())) < 3:
            return x
        mask = mask_of(sample, x)
        return self.pool(x) if mask is None else self.pool(x, mask=mask)


class Places(keras.layers.Layer):
    """The mean or the maximum over all axes between the first and the last, of the places that are real."""

    def __init__(self, pool):
        super().__init__(dtype="float32")
        self.pool, self.supports_masking = pool, True

    def compute_mask(self, x, mask=None):
        return None

    def call(self, x, mask=None):
        axes = tuple(range(1, len(x.shape) - 1))
        if mask is None:
            return ops.mean(x, axis=axes) if self.pool == "mean" else ops.max(x, axis=axes)
        real = ops.cast(mask, "bool")[..., None]
        if self.pool == "mean":
            return ops.sum(ops.where(real, x, 0), axis=axes) / ops.maximum(ops.sum(ops.cast(real, x.dtype), axes), 1)
        greatest = ops.max(ops.where(real, x, -np.inf), axis=axes)
        return ops.where(ops.any(real, axis=axes), greatest, 0)


def mask_of(sample, outputs):
    """The mask of a sample that has one value for each place of the outputs, or None."""
    kind = kind_of(sample) if isinstance(sample, dict) else None
    if kind is None:
        return None
    places = tuple(outputs.shape[1:-1])
    masks = [sample[name] for name in (f"{kind.column}_mask", "padding_mask") if name in sample]
    return next((mask for mask in masks if tuple(mask.shape[1:]) == places), None)


# One chunk


def encoding(encoder, batch_size):
    """A function from a chunk of samples, an array or a dict of arrays, to its features, float32 array `(n, dim)`.

    Batches have one size for all chunks, that of the first batch: the last one is filled up, which costs less than to
    compile the encoder for a second size.
    """
    sizes = []

    def encode(sample):
        if encoder is None:
            return raw(sample)
        n = count(sample)
        given = sample if isinstance(encoder, Pooled) else for_encoder(sample, encoder)
        given = as_taken(given, encoder.encoder if isinstance(encoder, Pooled) else encoder)
        sizes.append(min(batch_size, n))
        missing = -n % sizes[0]
        if missing:
            given = each(lambda x: np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]), given)
        outputs = encoder.predict(given, batch_size=sizes[0], verbose=0)
        check_features(outputs)
        return np.asarray(outputs[:n]).astype("float32")

    return encode


def raw(sample):
    """The values themselves, pixels divided by 255."""
    kind = kind_of(sample) if isinstance(sample, dict) else IMAGE
    if kind is None or kind.ints or kind.name == "graph":
        raise ValueError(
            "Without an encoder the raw values are the features, which only images, videos, sounds and series have. "
            f"Received: encoder=None, and samples with {sorted(sample)}"
        )
    x = kind.tensor(sample)
    return x.reshape(len(x), -1).astype("float32") / np.float32(255 if kind.pixels else 1)


def as_taken(given, encoder):
    """The samples with floats where the encoder takes floats: int pixels become float32, the ints of tokens stay."""
    shapes = taken(encoder)

    def cast(x, name):
        if name in shapes:
            check_shape(x, shapes[name].shape, encoder, name)
            rank = len(shapes[name].shape)
            x = x[..., None] if x.ndim < rank else x[..., 0] if x.ndim > rank else x
            return x if "float" not in keras.backend.standardize_dtype(shapes[name].dtype) else x.astype("float32")
        kind = next((kind for kind in KINDS if name in (kind.column, *kind.also)), None)
        ints = x.dtype.kind == "b" or x.dtype.kind in "iu" and x.dtype != np.uint8
        whole = x.ndim == 2 if kind is None else kind.ints or name != kind.column
        return x if ints and whole else x.astype("float32")

    if isinstance(given, dict):
        return {name: cast(x, name) for name, x in given.items()}
    return cast(given, None)


def taken(encoder):
    """The symbolic inputs of an encoder by their names, or by None where it takes one tensor; empty if unknown."""
    tensors = getattr(encoder, "inputs", None) or ()
    names = input_names(encoder) or (None,)
    return dict(zip(names, tensors)) if len(names) == len(tensors) else {}


def check_shape(x, expected, encoder, name):
    """Raises where the samples cannot be those of the encoder; A last axis of one may be missing or too much."""
    if len(x.shape) == len(expected):
        fits = all(want in (None, have) for want, have in zip(expected[1:], x.shape[1:]))
    else:
        short, long = sorted((tuple(x.shape[1:]), tuple(expected[1:])), key=len)
        fits = len(long) == len(short) + 1 and long[-1] in (1, None)
        fits = fits and all(None in pair or pair[0] == pair[1] for pair in zip(short, long))
    if not fits:
        column = "samples" if name is None else f"the column '{name}'"
        raise ValueError(
            f"The encoder '{encoder.name}' takes {column} of shape (batch, {', '.join(map(str, expected[1:]))}): "
            f"resize or pad the data. Received: shape={tuple(x.shape)}"
        )


def check_features(outputs):
    if not hasattr(outputs, "shape") or len(outputs.shape) != 2:
        shape = getattr(outputs, "shape", type(outputs).__name__)
        raise ValueError(
            "The encoder must return features of shape (batch, dim): pool its feature maps or tokens first, with "
            f'keras_ssl.eval.pooled(encoder, "mean"), say. Received outputs: {shape}'
        )


# The data, in pieces


def arrays(data, encoder, name):
    """All samples and labels of a set that must have labels; those of arrays are not copied."""
    found = next(chunks(data, 2**31, encoder), None)
    if found is None:
        raise ValueError(f"The {name} set has no images, nor samples of another kind.")
    check_labels(found[1], name)
    return found[0], integers(found[1])


def chunks(data, batch_size, encoder=None):
    """Yield `(samples, labels or None)` in order, as NumPy arrays or dicts of them.

    Each but the last is a multiple of the batch size. Images are arrays also where the data has dicts.
    """
    begin = 0
    for sample, labels in pieces(data, batch_size, encoder):
        check_pixels(sample, encoder, begin)
        begin += count(sample)
        yield sample, labels


def pieces(data, batch_size, encoder):
    if hasattr(data, "element_spec"):
        warn_of_dropped(data, "what is evaluated")
        yield from gathered(elements(in_order(data), encoder), batch_size, encoder)
        return
    columns, labels = data if isinstance(data, (tuple, list)) and len(data) == 2 else (data, None)
    if isinstance(columns, dict):
        labels = columns.get("label") if labels is None else labels
    sample = as_sample(columns, encoder)
    if labels is not None:
        labels = np.asarray(labels)
        if len(labels) != count(sample):
            raise ValueError(f"Expected one label an image. Received: {count(sample)} images, {len(labels)} labels")
    step = rows(sample, batch_size, encoder)
    for start in range(0, count(sample), step):
        part = slice(start, start + step)
        yield cut(sample, part), None if labels is None else labels[part]


def in_order(dataset):
    """A pipeline of all its samples, in order; raises where it shuffles or drops samples and cannot be had so."""
    if getattr(dataset, "ordered", True):
        return dataset
    part = any(step[0] in ("take", "skip") for step in getattr(dataset, "steps", ()))
    if hasattr(dataset, "in_order") and not part:
        return dataset.in_order()
    raise ValueError(
        "This pipeline shuffles its samples or drops the last of them, and what is evaluated must be all samples, in "
        f"order. Make it with shuffle=False. Received: ordered=False{', and a part of it' if part else ''}"
    )


def elements(dataset, encoder=None, endless=False):
    """Yield `(samples, labels or None)` for each batch of a `tf.data.Dataset`."""
    if not endless:
        check_ends(dataset)
    specs, batched = keras.tree.flatten(dataset.element_spec), None
    free = getattr(specs[0], "shape", None) is not None and specs[0].shape.rank and specs[0].shape[0] is None
    for element in untouched(dataset):
        columns, labels = (*element, None)[:2] if isinstance(element, tuple) else (element, None)
        if isinstance(columns, dict) and labels is None:
            labels = columns.get("label")
        chosen = columns_of(columns, encoder) if isinstance(columns, dict) else columns
        if batched is None:
            batched = is_batch(chosen, None if labels is None else np.asarray(labels), encoder, free)
        if not batched:
            chosen = each(lambda x: np.asarray(x)[None], chosen)
            labels = None if labels is None else [labels]
        yield as_sample(chosen, encoder), None if labels is None else np.asarray(labels)


def check_ends(dataset):
    if int(dataset.cardinality()) == -1:
        raise ValueError("The tf.data.Dataset is endless: give one that ends, for example dataset.take(100).")


def is_batch(sample, labels, encoder, free):
    """Whether an element of a data set is a batch, in place of one sample.

    Labels tell; else the shape that the encoder takes; else the axes of the kind. `free` is whether the data set says
    that the first axis varies, which is the number of samples for all but images of several sizes.
    """
    kind = kind_of(sample) if isinstance(sample, dict) else None
    name = None if kind is None else kind.column
    x = np.asarray(next(iter(sample.values())) if isinstance(sample, dict) and kind is None else
                   sample if kind is None else sample[name])  # fmt: skip
    if labels is not None and labels.ndim <= 1:
        return labels.ndim == 1 and len(labels) == len(x)  # else the one-hot label of one sample
    known = taken(encoder.encoder if isinstance(encoder, Pooled) else encoder) if encoder is not None else {}
    symbolic = known.get(name, known.get(None))
    if symbolic is not None and symbolic.shape is not None:
        expected = tuple(symbolic.shape)
        if x.ndim == len(expected) - 1:  # one sample, or a batch without a last axis of one
            return expected[-1] == 1 and all(w in (None, h) for w, h in zip(expected[1:-1], x.shape[1:])) and not all(
                want in (None, have) for want, have in zip(expected[1:], x.shape)
            )
        return x.ndim >= len(expected)
    if kind is None or kind is IMAGE:  # an array without an encoder is of images
        return x.ndim != 3 or x.shape[-1] not in (1, 3, 4)
    if x.ndim in kind.ranks and x.ndim + 1 in kind.ranks:
        return bool(free)
    return x.ndim in kind.ranks


def untouched(dataset):
    """Yield the elements of a `tf.data.Dataset`, and leave its number of passes as it was.

    The pipelines of `keras_ssl.data` order each pass by its number, which they count themselves: without this,
    looking at the training images would change the order in which they are trained on.
    """
    epoch = int(dataset.epoch.numpy()) if hasattr(dataset, "epoch") else None
    try:
        yield from dataset.as_numpy_iterator()
    finally:
        if epoch is not None:
            dataset.epoch.assign(epoch)


def gathered(batches, batch_size, encoder):
    """Join small batches to chunks."""
    kept, held, step = [], 0, None
    for sample, labels in batches:
        step = step or rows(sample, batch_size, encoder)
        kept.append((sample, labels))
        held += count(sample)
        if held >= step:
            sample, labels = joined(kept)
            full = held // batch_size * batch_size
            yield cut(sample, slice(full)), None if labels is None else labels[:full]
            kept = [(cut(sample, slice(full, None)), None if labels is None else labels[full:])]
            held -= full
    if held:
        yield joined(kept)


def joined(pairs):
    """Several `(samples, labels)` as one."""
    samples, labels = zip(*pairs)
    return concatenated(samples), None if labels[0] is None else np.concatenate(labels)


def concatenated(samples):
    """Several batches of samples as one."""
    if isinstance(samples[0], dict):
        return {name: concatenated([sample[name] for sample in samples]) for name in samples[0]}
    shapes = {x.shape[1:] for x in samples}
    if len(shapes) > 1:
        raise ValueError(
            "The samples of an evaluation must have one size: resize images, or pad what varies and give its mask. "
            f"Received: samples of shapes {' and '.join(str(shape) for shape in sorted(shapes)[:3])}"
        )
    return np.concatenate(samples)


def rows(sample, batch_size, encoder=None):
    """Samples a chunk: as many whole batches as the memory bound allows, at least one."""
    if not count(sample):
        return batch_size
    size = sum(x[0].size for x in (sample.values() if isinstance(sample, dict) else [sample]))
    shape = getattr(encoder, "output_shape", None) if getattr(encoder, "inputs", None) else None
    if isinstance(shape, tuple) and None not in shape[1:]:
        size = max(size, int(np.prod(shape[1:])))
    return max(1, PIXELS // max(1, size) // batch_size) * batch_size


def each(function, sample):
    """A function of every array of a sample."""
    return {name: function(x) for name, x in sample.items()} if isinstance(sample, dict) else function(sample)


def cut(sample, part):
    """Some rows of a sample."""
    return each(lambda x: x[part], sample)


def count(sample):
    """The number of rows of a sample."""
    return len(next(iter(sample.values())) if isinstance(sample, dict) else sample)


def columns_of(columns, encoder):
    """The columns that an evaluation looks at: those of the kind, and those that the encoder takes."""
    kind, names = kind_of(columns), input_names(encoder) if encoder is not None else None
    if encoder is not None and (names or kind is None):
        for_encoder(columns, encoder)  # raises where something is missing
    if kind is None and not names:
        raise ValueError(
            'The dicts of the data set need the key "image", or that of another kind: '
            f"{', '.join(kind.column for kind in KINDS[1:])}. Received: {sorted(columns)}"
        )
    wanted = dict.fromkeys([*((kind.column, *kind.also) if kind else ()), *(names or ())])
    return {name: columns[name] for name in wanted if name in columns}


def as_sample(columns, encoder=None):
    """An array, or a dict of arrays of the columns that count; the array itself where these are images alone."""
    if not isinstance(columns, dict):
        return as_images(columns)
    chosen = {name: as_images(x) for name, x in columns_of(columns, encoder).items()}
    if len({len(x) for x in chosen.values()}) > 1:
        raise ValueError(
            "The columns of the data must be of the same number of samples. Received: "
            f"{ {name: len(x) for name, x in chosen.items()} }"
        )
    return chosen["image"] if list(chosen) == ["image"] else chosen


def as_images(images):
    """An array of images, or of samples of another kind."""
    if not hasattr(images, "shape"):
        several = isinstance(images, (list, tuple)) and len({np.shape(x) for x in images if hasattr(x, "shape")}) > 1
        raise (ValueError if several else TypeError)(
            "data must be an array of images, all of one size, or of samples of another kind, a dict of arrays, a pair "
            "of arrays (images, labels), or a tf.data.Dataset. "
            f"Received: {type(images).__name__}{' of arrays of several sizes' if several else ''}"
        )
    images = np.asarray(images)
    if images.dtype == object:
        raise ValueError(
            "The samples of an evaluation must have one size: resize images, or pad what varies and give its mask. "
            f"Received: an array of objects of shape {images.shape}"
        )
    if images.ndim < 2:
        raise ValueError(f"Images must have the shape (n, height, width, channels). Received: shape={images.shape}")
    return images


def check_pixels(sample, encoder=None, begin=0):
    """Raises where pixels are not finite; warns where those of the first samples look like others than 0..255."""
    if isinstance(sample, dict):
        kind = kind_of(sample)
        images = None if kind is None else sample[kind.column]
    else:
        images = sample
        kind = IMAGE if encoder is None and np.ndim(images) > 2 else kind_of_encoder(encoder)
    if kind is None or not kind.pixels or images.dtype.kind not in "fiub" or not images.size:
        return
    for start in range(0, len(images), 256) if images.dtype.kind == "f" else ():
        broken = np.flatnonzero(~np.isfinite(images[start : start + 256]).reshape(len(images[start:][:256]), -1).all(1))
        if broken.size:
            raise ValueError(
                f"{kind.name.capitalize()} {begin + start + broken[0]} holds NaN or infinite pixels. They must be "
                "0..255."
            )
    if begin == 0:
        warn_of_small(images[:64], f"The first {kind.name}s", stacklevel=4)


def integers(labels):
    """Check labels: int64 array `(n,)`."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            "Labels must be class numbers of shape (n,), not one-hot: np.argmax(labels, axis=-1) makes them. "
            f"Received: shape={labels.shape}"
        )
    if labels.dtype.kind not in "iub" or (len(labels) and labels.min() < 0):
        raise ValueError(
            f"Labels must be integers from 0. Received: dtype={labels.dtype}, first={labels[:5]}{numbering(labels)}"
        )
    return labels.astype("int64")


def numbering(labels):
    """How labels of another kind become integers, as the end of an error."""
    if labels.dtype.kind == "f":
        return '. Whole numbers become integers by labels.astype("int64").'
    if labels.dtype.kind in "USO":
        return ". Names become integers by np.unique(labels, return_inverse=True)[1], of train and test together."
    return ". Leave out what has no label."


def matrix(values, name):
    """Check precomputed features: float32 array `(n, dim)`."""
    values = np.asarray(values)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"{name} must have the shape (n, dim) with n > 0. Received: shape={values.shape}")
    return values.astype("float32", copy=False)
