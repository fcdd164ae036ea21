"""Batches: what `fit` and `predict` look at before they train, and on the host while they do.

Everything here is one sentence in place of a run that is broken: pixels of 0..1, numbers out of range, batches too
small to compare, arguments of Keras that a method has no use for.
"""

import inspect
import os
import types
import warnings

import keras
import numpy as np

from keras_ssl import distribute, inputs
from keras_ssl.checks import check_ints
from keras_ssl.pixels import warn_of_small

NO_VALIDATION = (
    "The loss of a self-supervised method depends on random views and the other samples of the batch, and says little "
    "about the features. So there is no evaluate() and no validation_data: evaluate the features with keras_ssl.eval "
    "(KNN, LinearProbe, CollapseMonitor), as callbacks of `fit` or as functions on `model.evaluated_encoder`."
)


# Arguments


def check_compile(method, **options):
    """Raises where an argument of Keras's `compile` is given that would be ignored."""
    if options.get("steps_per_execution", 1) != "auto":
        check_ints(steps_per_execution=options.get("steps_per_execution", 1))
    for name in ("loss", "metrics", "weighted_metrics", "loss_weights"):
        if options.get(name):
            raise ValueError(
                f"{type(method).__name__} computes its own loss, so `compile` takes no {name}=. Received: "
                f"{name}={options[name]!r}. Compile it with an optimizer only, and pass callbacks of keras_ssl.eval to "
                "`fit` to see how good the features are."
            )


def fit_arguments(args, kwargs):
    """All arguments of `fit` after `x` and `y` by their names."""
    names = list(inspect.signature(keras.Model.fit).parameters)[3:]  # after self, x and y
    return dict(zip(names, args)) | kwargs


def check_fit_arguments(method, x, y, given):
    """Raises where an argument of Keras's `fit` is given that would be ignored, or that fails after an epoch."""
    if getattr(method, "optimizer", None) is None:
        raise ValueError(f"{type(method).__name__} has no optimizer yet: call model.compile(optimizer=...) before fit.")
    if given.get("validation_data") is not None or given.get("validation_split"):
        raise ValueError(NO_VALIDATION)
    check_numbers_of_fit(x, given)
    check_kind_of_data(method, x, given.get("steps_per_epoch"))
    check_labels(y)
    warn_of_frozen(method)
    for name in ("sample_weight", "class_weight"):
        if given.get(name) is not None:
            refuse_weights(method, name)
    rows = number_of_rows(x)
    count = getattr(x, "samples", rows)  # pipelines of keras_ssl.data know it
    if isinstance(count, int) and count:
        method.check_samples(count, batch_of(x, rows, given))
    if rows == 0:
        raise ValueError("The data is empty: there is no sample to train on.")
    if rows is not None:
        size = given.get("batch_size") or 32
        last = rows % size or size
        reached = (given.get("steps_per_epoch") or rows) * size > rows - last
        if last < smallest(method) and reached:
            raise ValueError(too_few(method, last))
        columns = x if isinstance(x, dict) else {}
        check_limits(method, {**columns, **({} if y is None else {"label": y})})
        if "edges" in columns and inputs.GRAPH.column in columns:
            check_edges(*(columns.get(name) for name in ("edges", "edges_mask", inputs.GRAPH.column)))


def check_numbers_of_fit(x, given):
    """Raises where a number of `fit` is none that Keras can use, or would be ignored."""
    for name in ("epochs", "batch_size", "steps_per_epoch"):
        check_ints(optional=name != "epochs", **{name: given.get(name, 1)})
    check_ints(least=0, initial_epoch=given.get("initial_epoch", 0))
    if given.get("batch_size") is not None and (hasattr(x, "element_spec") or isinstance(x, keras.utils.PyDataset)):
        raise ValueError(
            "The data has batches already, so batch_size would be ignored. Give the pipeline its batch size. "
            f"Received: batch_size={given['batch_size']} and x={type(x).__name__}"
        )
    callbacks = given.get("callbacks")
    for one in callbacks if isinstance(callbacks, (list, tuple)) else (callbacks,):
        if isinstance(one, type):
            raise TypeError(f"callbacks must be made, as by {one.__name__}(...). Received: the class {one.__name__}")


def check_kind_of_data(method, x, steps=None):
    """Raises where `x` is nothing that a batch can be made of."""
    takes = f"{type(method).__name__} is trained on an array of samples, a dict of arrays or a tf.data.Dataset"
    if x is None or isinstance(x, (str, bytes, os.PathLike)):
        raise TypeError(
            f"{takes}. Received: x={x!r}. For a folder of images: keras_ssl.data.image_folder(path, size, batch_size)."
        )
    first = x[0] if isinstance(x, (list, tuple)) and len(x) else None
    rank = len(getattr(first, "shape", ()))
    single = method.augment is not None and rank in [full - 1 for full in inputs.kind_or_images(method.encoder).ranks]
    if isinstance(x, list) and (single or first is not None and isinstance(first, (list, int, float))):
        raise TypeError(f"{takes}. Received: a list. np.asarray(x) makes an array of samples that have one size.")
    count = getattr(x, "cardinality", 0)  # of a data set that is distributed already, it is a number
    if int(count() if callable(count) else count) == -1 and not steps:
        raise ValueError(
            "The data is endless, so its first epoch would never end. Leave out `repeat`, or pass steps_per_epoch."
        )
    spec = getattr(x, "element_spec", x)
    for part in () if isinstance(x, (keras.utils.PyDataset, types.GeneratorType)) else keras.tree.flatten(spec):
        if type(part).__name__ in ("RaggedTensor", "RaggedTensorSpec", "SparseTensor", "SparseTensorSpec"):
            raise ValueError(
                f"The samples must have one size: resize images, pad what varies and give its mask. Received: "
                f"{type(part).__name__} of shape {tuple(part.shape)}"
            )


def check_labels(y):
    """Raises where the labels `y` are no numbers, which Keras cannot make a tensor of."""
    kind = np.asarray(y[:1]).dtype.kind if isinstance(y, (list, tuple, np.ndarray)) else "i"
    if kind in "USO":
        raise ValueError(
            f"The labels y must be ints, one for each sample. Received: {y[:1]}, .... Names become ints by "
            "np.unique(y, return_inverse=True)[1]."
        )


def warn_of_frozen(method):
    if method.encoder.weights and not method.encoder.trainable_weights:
        warnings.warn(
            f"No weight of the encoder '{method.encoder.name}' is trained, so {type(method).__name__} teaches it "
            "nothing. Unless its other networks alone are to learn, set encoder.trainable = True before the method is "
            "made.",
            stacklevel=4,
        )


def batch_of(x, rows, given):
    """The samples of a batch of `fit`, or None where they are not known."""
    if rows is not None:
        return min(given.get("batch_size") or 32, rows)
    return x.order.batch_size if getattr(x, "can_share", False) else None


def limits(method):
    """For columns of the data that number something, how many there are: tokens and labels of nodes that the encoder
    knows, and others."""
    kind, known = inputs.kind_of_encoder(method.encoder), {}
    if kind is inputs.TOKENS:
        known = {kind.column: inputs.vocabulary(method.encoder)}
    elif kind is inputs.GRAPH:
        known = {kind.column: inputs.labels_of_nodes(method.encoder)}
    return {**{name: size for name, size in known.items() if size}, **method.limits()}


def check_edges(edges, mask, nodes):
    mask = None if mask is None else np.asarray(mask)
    inputs.check_edges(np.asarray(edges), mask, np.shape(nodes)[1])


def check_limits(method, columns):
    """Raises where a number of an array is out of the range that the method was made for."""
    for name, limit in limits(method).items():
        column = np.asarray(columns[name]) if name in columns else np.zeros(0, "int64")
        low = smallest_number(method, name)
        wrong = column[(column < low) | (column >= limit)] if column.dtype.kind in "iu" else column[:0]
        if wrong.size:
            raise ValueError(out_of_range(method, name, limit, wrong.flat[0]))


def smallest_number(method, name):
    """The smallest number of a column: 0, or -1 for the label of what has none, where the method takes it."""
    return -1 if name == "label" and method.unlabeled else 0


def out_of_range(method, name, limit, first):
    none = ", or -1 where there is none" if smallest_number(method, name) else ""
    return (
        f"The column '{name}' of the data must be from 0 to {limit - 1}{none}, as {type(method).__name__} was made. "
        f"Received: {first}"
    )


def refuse_weights(method, name):
    raise ValueError(
        f"{type(method).__name__} has no use for {name}: its loss compares samples, which have no weight each. Leave "
        "out the samples that should not count."
    )


def given_steps(x, kwargs):
    """`steps_per_epoch` of `fit`, where it is not a whole pass over the data; else None."""
    steps = kwargs.get("steps_per_epoch")
    try:
        whole = len(x)
    except TypeError:
        whole = None
    return None if steps == whole else steps


def unsaved_order(x, kwargs):
    """Why the samples of a run that goes on come in another order than without a stop, in words; None: they do not."""
    if hasattr(x, "element_spec"):
        if hasattr(x, "unsaved"):
            return x.unsaved and f"Behind {x.unsaved}() of the pipeline, the position in the data is not known."
        shuffled = inputs.shuffles(x)
        return "A tf.data pipeline that shuffles draws another order when it is made anew." if shuffled else None
    if x is None or kwargs.get("shuffle", True) is False:
        return None
    if number_of_rows(x) is not None or isinstance(x, keras.utils.PyDataset):
        return "Keras shuffles this data itself, and does not save the order."
    return "Where an iterator stands is not known."


def position(x):
    """How a pipeline of `keras_ssl.data` makes batches, as a dict, and the number of its next pass; or None, None."""
    order = getattr(x, "order", None)
    if order is None or not hasattr(x, "fingerprint"):
        return None, None
    names = ("batch_size", "seed", "shuffle", "drop_remainder")
    return {name: getattr(order, name) for name in names}, int(order.epoch.numpy())


def smallest(method):
    """The smallest batch that a step can take: what the loss compares, and a sample for each replica."""
    strategy = getattr(method, "distribute_strategy", None)
    if distribute.is_multi_worker(strategy):  # a worker may see its own rows only
        return 1
    return max(method.least_batch, getattr(strategy, "num_replicas_in_sync", 1))


def too_few(method, rows):
    kind = inputs.kind_or_images(method.encoder)
    least = smallest(method)
    why = ", to compare them with each other" if method.least_batch > 1 else ""
    why = ", one for each replica" if least > method.least_batch else why
    return (
        f"{type(method).__name__} needs at least {least} {kind.words} in a batch{why}. Received: a batch of {rows}. "
        "Is it the last of an epoch? Change batch_size, or drop it with drop_remainder=True of the pipeline."
    )


# Data


def number_of_rows(x):
    """The number of samples in arrays, or None."""
    parts = [part for part in keras.tree.flatten(x) if hasattr(part, "shape")] if x is not None else []
    if hasattr(x, "element_spec") or not parts or not len(parts[0].shape):
        return None
    return parts[0].shape[0]


def inspected(data, method, training=True):
    """The data of `fit` or `predict`, with checks on the host, beside the step.

    A `tf.data` pipeline ends with an error where a batch has too few samples, an index, label or token is out of the
    method's range, or the first pixels of an epoch are not finite; and warns where these look like 0..1 instead of
    0..255. Without it, an index out of range is an error inside of TensorFlow on a CPU, and is not seen on a GPU.
    """
    pixels = inputs.kind_or_images(method.encoder).pixels
    told = []
    if not hasattr(data, "element_spec"):
        return looked_at(data, method) if pixels else data
    import tensorflow as tf

    if not isinstance(data, tf.data.Dataset):
        return data
    spec, least = data.element_spec, smallest(method) if training else 0
    columns = spec if isinstance(spec, dict) else {}
    dense = {name for name, one in columns.items() if isinstance(one, tf.TensorSpec)}
    dense = {name for name in dense if columns[name].dtype.is_integer}
    largest = {name: limit for name, limit in limits(method).items() if name in dense and training}
    graphs = [name for name in ("edges", "edges_mask", inputs.GRAPH.column) if name in columns]
    graphs = graphs if {"edges", inputs.GRAPH.column} <= set(graphs) and training else []
    found = [isinstance(one, tf.TensorSpec) and one.dtype.is_floating for one in pixels_of(spec, method)]
    floats = [number for number, one in enumerate(found) if one and pixels]
    static = tf.nest.flatten(spec)[0].shape
    sized = static.rank and (static[0] is None or static[0] < least)

    def check(number, batch):
        if sized:
            rows = tf.shape(tf.nest.flatten(batch)[0])[0]
            tf.cond(rows >= least, lambda: True, lambda: tf.numpy_function(refuse_rows, [rows], tf.bool))
        if graphs:
            tf.numpy_function(look_at_edges, [batch[name] for name in graphs], tf.bool)
        for name, limit in largest.items():
            column = tf.cast(batch[name], tf.int64)
            fine = tf.reduce_all((column >= smallest_number(method, name)) & (column < limit))
            tf.cond(fine, lambda: True, lambda: tf.numpy_function(refuse, [name, column, limit], tf.bool))
        if floats:
            found = [pixels_of(batch, method)[number] for number in floats]
            tf.cond(number > 0, lambda: True, lambda: tf.numpy_function(look, found, tf.bool))
        return batch

    def refuse_rows(rows):
        raise ValueError(too_few(method, rows))

    def refuse(name, column, limit):
        name = name.decode()
        wrong = (column < smallest_number(method, name)) | (column >= limit)
        raise ValueError(out_of_range(method, name, limit, column[wrong][0]))

    def look(*several):
        for images in several:
            check_pixels(images, told)
        return True

    def look_at_edges(*parts):
        check_edges(parts[0], parts[1] if len(parts) == 3 else None, parts[-1])
        return True

    return data.enumerate().map(check) if largest or graphs or floats or sized else data


def check_predicted(data, method):
    """The data, looked at. Raises where `predict` would return other rows than the samples in their order; warns of
    pixels that are not 0..255."""
    if getattr(data, "ordered", True) is False:
        raise ValueError(
            "This pipeline shuffles its samples or leaves some out, so the rows of predict() would be of other samples "
            "than you think. Pass `data.in_order()`, or make the pipeline with shuffle=False and drop_remainder=False."
        )
    if not hasattr(data, "element_spec"):
        return looked_at(data, method) if inputs.kind_or_images(method.encoder).pixels else data
    if not hasattr(data, "ordered"):
        inputs.warn_of_dropped(data, "the rows of predict()")
        if inputs.shuffles(data):
            warnings.warn(
                "The data set shuffles, so which sample a row of predict() is of is not known. Leave out `shuffle`.",
                stacklevel=3,
            )
    return inspected(data, method, training=False)


def looked_at(data, method):
    """The data whose first pixels were looked at: arrays, tensors, what yields batches; no `tf.data.Dataset`."""
    if isinstance(data, keras.utils.PyDataset):
        look_at_pixels(pixels_of(data[0], method))
    elif isinstance(data, types.GeneratorType):
        first = next(data, None)
        if first is None:
            return data
        look_at_pixels(pixels_of(first, method))

        def rejoined():
            yield first
            yield from data

        return rejoined()
    else:
        look_at_pixels(pixels_of(data, method))
    return data


def look_at_pixels(arrays):
    """Checks the first pixels of those that are arrays or tensors."""
    told = []
    for array in arrays:
        if len(getattr(array, "shape", ())) < 2:
            continue
        first = keras.ops.convert_to_numpy(array[:256])
        first = first.astype("float32") if first.dtype.kind == "V" else first  # bfloat16 is not NumPy's own
        if first.dtype.kind in "fiub":
            check_pixels(first, told)


def pixels_of(batch, method):
    """The tensors of a batch that hold its pixels, as far as it can be told; unlabeled images beside labeled ones."""
    kind = inputs.kind_or_images(method.encoder)
    if isinstance(batch, (tuple, list)) and batch:
        batch = batch[0]
    if not isinstance(batch, dict):
        return [batch]
    return [batch.get(kind.column), *([batch["unlabeled"]] if method.unlabeled and "unlabeled" in batch else [])]


def check_pixels(images, told):
    """Raises where an image of a batch is not finite; warns once, by the list `told`, where pixels look like 0..1."""
    fine = np.isfinite(images).reshape(len(images), -1).all(axis=1) if images.dtype.kind == "f" else np.ones(1)
    broken = np.flatnonzero(~fine.astype(bool))
    if broken.size:
        raise ValueError(f"Image {broken[0]} of the first batch holds NaN or infinite pixels. They must be 0..255.")
    if not told and warn_of_small(images, "The images of the first batch", stacklevel=3):
        told.append(True)
