"""Folder: images in files -> batches."""

import os
import warnings

import numpy as np
import tensorflow as tf

from keras_ssl.data.decode import MORE, colors, decode, extension, fit, pair, problem, readable, unread
from keras_ssl.data.guard import guarded
from keras_ssl.data.order import Order, flag
from keras_ssl.data.pipeline import Content, Pipeline, shortened
from keras_ssl.data.progress import Progress


SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "unlabeled", "unlabelled"}


def image_folder(
    path,
    size,
    batch_size,
    *,
    shuffle=True,
    seed=0,
    labels=False,
    index=False,
    drop_remainder=None,
    channels=3,
    orient=True,
    upscale=False,
    on_error="raise",
    epoch=0,
    start=0,
    parallel_calls=tf.data.AUTOTUNE,
):
    """All images below a folder, as a shuffled, deterministic, resumable pipeline of batches.

    JPEG, PNG, GIF (first frame), BMP, WebP and TIFF files are found in all sub-folders, whatever the case of their
    extension, and HEIC, AVIF and others where Pillow or a plug-in of it (pillow-heif) reads them here: otherwise a
    warning counts them. Hidden files and folders are ignored.

    Args:
        path: the folder.
        size: int or (height, width), pixels: the short side is resized to it (bilinear, antialiased), then the
            center is cropped.
        batch_size: images in a batch.
        shuffle: whether every pass (epoch) has a new order; otherwise the sorted order of the paths.
        seed: int; order and samples' seeds are a pure function of it, the epoch and the sample.
        labels: whether to add `"label"`: the first sub-folder names the class; sorted names are 0, 1, ...
        index: whether to add `"index"`, the number of the file in sorted order.
        drop_remainder: whether a last, smaller batch is left out. None: left out when shuffled.
        channels: 1 (gray), 3 (RGB) or 4 (RGBA), into which every file is converted.
        orient: whether images are turned upright, as the orientation tag of cameras (EXIF) says.
        upscale: whether images smaller than `size` are enlarged; otherwise they are errors.
        on_error: "raise": the first file that cannot be used stops the pipeline with an error that names it. "skip":
            all files are decoded once beforehand, and the bad ones are left out, with one warning; folders that cannot
            be listed are too.
        epoch: number of the first pass. A new pipeline with `epoch=k` goes on where another one had finished k passes.
        start: batches of the first pass to leave out, to resume inside an epoch.
        parallel_calls: images decoded at once. The result does not depend on it.

    Returns:
        `tf.data.Dataset` of dicts: `"image"` uint8 `(batch, height, width, channels)`, `"seed"` int32 `(batch, 2)`,
        `"label"`, `"index"` int32 `(batch,)`. Attributes: `epoch`, `file_paths`, `class_names` (with labels),
        `left_out` (a dict from the extensions of all other files to their numbers), and those of `Pipeline`.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if it holds no images, a folder that cannot be listed, or no class folders where labels are
            asked for.

    Example:
        ```python
        images = keras_ssl.data.image_folder("photos/", size=96, batch_size=256)
        model.fit(images, epochs=100, shuffle=False)
        ```
    """
    path = one_path(path)
    flag("labels", labels)
    paths, left_out = find(path, on_error)
    numbers, class_names = classes(path, paths) if labels else (None, None)
    dataset = files(
        paths,
        size,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        labels=numbers,
        index=index,
        drop_remainder=drop_remainder,
        channels=channels,
        orient=orient,
        upscale=upscale,
        on_error=on_error,
        epoch=epoch,
        start=start,
        parallel_calls=parallel_calls,
    )
    return dataset.named(left_out=left_out, **({"class_names": class_names} if labels else {}))


def files(
    paths,
    size,
    batch_size,
    *,
    shuffle=True,
    seed=0,
    labels=None,
    index=False,
    drop_remainder=None,
    channels=3,
    orient=True,
    upscale=False,
    on_error="raise",
    epoch=0,
    start=0,
    parallel_calls=tf.data.AUTOTUNE,
):
    """A list of image files as a shuffled, deterministic, resumable pipeline of batches.

    Args:
        paths: the files, local or whatever `tf.io.read_file` reads (such as `gs://`).
        labels: None, or as many ints as paths, which are added as `"label"`.
        others: see `image_folder`. With `on_error="skip"`, `"index"` counts the files that are left, which
            are the attribute `file_paths`.

    Returns:
        `tf.data.Dataset` of dicts, see `image_folder`.

    Raises:
        ValueError: if there are no paths, or not as many labels as paths.

    Example:
        ```python
        images = keras_ssl.data.files(["a.jpg", "b.png"], 64, 2, labels=[0, 1])
        ```
    """
    size = pair(size)
    channels = colors(channels)
    flag("upscale", upscale)
    flag("orient", orient)
    paths, labels = usable(paths, labels, on_error, size, channels, upscale, orient)
    order = Order(
        len(paths),
        batch_size,
        shuffle=shuffle,
        seed=seed,
        epoch=epoch,
        start=start,
        drop_remainder=drop_remainder,
    )

    def pixels(data):
        return fit(decode(data, channels, orient), size, upscale)

    load = loader(
        paths,
        labels,
        pixels,
        lambda path: problem_of_file(path, channels, size, upscale, orient),
        spec=tf.TensorSpec((*size, channels), tf.uint8),
        index=index,
        parallel_calls=parallel_calls,
    )
    content = Content([*shortened(paths), labels])
    return Pipeline(lambda order: load(order, order.samples(extra=1)), order, content=content, file_paths=paths)


def check(paths, size=None, *, channels=3, orient=True, upscale=False):
    """Decode all files once, in parallel, and tell the good ones from the bad ones.

    Args:
        paths: the files, or one folder.
        size: None, or what the pipeline will be given: then images that are smaller are bad.
        channels, orient, upscale: see `image_folder`.

    Returns:
        `(good, bad)`: the list of usable paths, and a dict from each other path to what is wrong with it.

    Example:
        ```python
        good, bad = keras_ssl.data.check("photos/", size=96)
        images = keras_ssl.data.files(good, 96, 256)
        ```
    """
    if isinstance(paths, (str, os.PathLike)):
        # A folder that cannot be listed hides files, and is an error here.
        paths = find(one_path(paths), wanted=(*readable(), *MORE))[0]
    paths = listed(paths)
    bad = failures(paths, None if size is None else pair(size), colors(channels), upscale, orient)
    good = [path for number, path in enumerate(paths) if number not in bad]
    return good, {paths[number]: text for number, text in bad.items()}


def usable(paths, labels, on_error, size, channels, upscale, orient):
    """The arguments of a pipeline of files, checked, without the bad files where those are to be skipped."""
    paths = listed(paths)
    if not paths:
        raise ValueError("paths is empty: at least one image file is needed.")
    if labels is not None:
        labels = label_array(labels, len(paths), "paths")
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error must be "raise" or "skip". Received: on_error={on_error!r}')
    if on_error == "raise":
        return paths, labels
    bad = failures(paths, size, channels, upscale, orient)
    if len(bad) == len(paths):
        raise ValueError(f"None of the {len(paths)} files can be used. The first one: {next(iter(bad.values()))}")
    if bad:
        first = "; ".join(list(bad.values())[:3])
        warnings.warn(f"{len(bad)} of {len(paths)} image files are skipped, among them: {first}", stacklevel=3)
    good = [number for number in range(len(paths)) if number not in bad]
    return [paths[number] for number in good], None if labels is None else labels[good]


def loader(paths, labels, pixels, problem, *, spec, index, parallel_calls):
    """`load(order, samples)`, which makes the batches of `guarded` from files.

    Args:
        paths, labels: what `usable` returned.
        pixels: `pixels(data, *anything)`, from the bytes of a file to what `spec` says.
        problem: `problem(path)` -> what is wrong with a file, or None.
        spec, index, parallel_calls: see `guarded`.
    """
    held = hold_paths(paths)
    held_labels = None if labels is None else hold(labels)

    def one(number, *anything):
        image = pixels(tf.io.read_file(held[number]), *anything)
        return image, 0 if labels is None else held_labels[number]

    def load(order, samples):
        def describe(epoch, place):
            path = paths[int(order.index(epoch, order.position(place)))]
            return problem(path) or f"The image file {path!r} could not be read, but can be now. Is the disk reliable?"

        return guarded(
            order,
            samples,
            one,
            describe,
            spec=spec,
            labels=labels is not None,
            index=index,
            parallel_calls=parallel_calls,
        )

    return load


def failures(paths, size, channels, upscale, orient):
    """The numbers of the files that cannot be used, in order, each with the reason: a dict."""
    held = hold_paths(paths)

    def load(number):
        image = fit(decode(tf.io.read_file(held[number]), channels, orient), size, upscale)
        # A result must depend on the pixels, or the decoder would be optimized away.
        return number, tf.reduce_max(image)

    progress = Progress("Checking images", len(paths))
    good = np.zeros(len(paths), bool)
    decoded = tf.data.Dataset.range(len(paths)).map(load, tf.data.AUTOTUNE).ignore_errors()
    for number, _ in decoded.as_numpy_iterator():
        good[number] = True
        progress.update(int(number) + 1)
    progress.close()
    reasons = {int(n): problem_of_file(paths[n], channels, size, upscale, orient) for n in np.flatnonzero(~good)}
    return {number: reason for number, reason in reasons.items() if reason is not None}


def problem_of_file(path, channels, size, upscale, orient):
    try:
        data = tf.io.read_file(os.fsencode(path)).numpy()
    except tf.errors.OpError as error:
        data = error
    return problem(f"The image file {path!r}", data, channels, size, upscale, orient)


def find(path, on_error="raise", wanted=None):
    """All image files below a folder, in order, and how many others there are, by their extensions: `walk`, and a
    warning where images are left out."""
    found, others = walk(path, wanted or readable(), on_error)
    missing = unread(others)
    if missing:
        warnings.warn(f"Images in {path!r} are left out: {missing}", stacklevel=3)
    if not found:
        kinds = ", ".join(f"{number} x {kind or 'no extension'}" for kind, number in sorted(others.items())[:10])
        raise ValueError(
            f"The folder {path!r} holds no images. Found: {kinds or 'no files'}. "
            f"Extensions that are read: {', '.join(readable())}."
        )
    return found, others


def walk(path, wanted, on_error="raise"):
    """The files below a folder with the `wanted` extensions, sorted by their parts, and a dict from the extensions of
    the others to their numbers; an error where a folder cannot be listed, or a warning."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no folder {path!r}.")
    if not os.path.isdir(path):
        raise ValueError(f"path must be a folder. Received the file {path!r}. For single files: keras_ssl.data.files.")
    found, others, seen, unlisted = [], {}, set(), []
    progress = Progress(f"Listing {path}")
    for folder, folders, names in os.walk(path, followlinks=True, onerror=unlisted.append):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        if real in seen:
            continue
        seen.add(real)
        for name in names:
            if name.startswith("."):
                continue
            kind = extension(name)
            if kind in wanted:
                found.append(os.path.join(folder, name))
            else:
                others[kind] = others.get(kind, 0) + 1
        progress.update(len(found))
    progress.close()
    if unlisted:
        text = f"The folder {unlisted[0].filename!r} cannot be listed: {unlisted[0].strerror}."
        if on_error != "skip":
            raise ValueError(f"{text} Make it readable for this user, or pass on_error='skip' to leave it out.")
        warnings.warn(f"{len(unlisted)} folders are skipped, with all their images. {text}", stacklevel=4)
    return sorted(found, key=lambda name: name.split(os.sep)), others


def classes(path, paths):
    """Labels of the files and names of the classes, from the first folder below `path`."""
    first = [os.path.relpath(name, path).split(os.sep) for name in paths]
    loose = [name for name, parts in zip(paths, first) if len(parts) == 1]
    if loose:
        raise ValueError(
            f"labels=True needs every image in a class folder, {os.path.join(path, 'CLASS')}/..., but {len(loose)} of "
            f"{len(paths)} images lie outside of one, such as {loose[0]!r}. Pass labels=False, or move them."
        )
    # A class folder without images keeps its number, so that train/ and test/ agree.
    names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))
    if len(names) > 1 and {name.lower() for name in names} <= SPLITS:
        warnings.warn(
            f"The classes of {path!r} are {' and '.join(map(repr, names))}, which look like parts of a data set: give "
            "the folder of one part.",
            stacklevel=3,
        )
    numbers = {name: number for number, name in enumerate(names)}
    return [numbers[parts[0]] for parts in first], names


def listed(paths):
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(
            f"paths must be a list of files. Received: paths={paths!r}. For a folder: keras_ssl.data.image_folder."
        )
    try:
        paths = list(paths)
    except TypeError:
        raise TypeError(f"paths must be a list of files. Received: paths={paths!r}") from None
    for path in paths:
        if not isinstance(path, (str, bytes, os.PathLike)):
            raise TypeError(f"paths must be a list of files, each a str or a path. Received: {path!r} among them")
    return [os.fsdecode(path) for path in paths]


def one_path(path):
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"path must be that of a folder, a str or a path. Received: path={path!r}")
    return os.path.expanduser(os.fsdecode(path))


def label_array(labels, count, of):
    """`labels` as int32 `(count,)`."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "labels must be a flat list or array of ints, one for each sample. Received: "
            f"shape={labels.shape}, dtype={labels.dtype}"
        )
    if len(labels) != count:
        raise ValueError(f"labels must be as many as {of}. Received: {len(labels)} labels for {count} {of}.")
    limits = np.iinfo("int32")
    if labels.size and (labels.min() < limits.min or labels.max() > limits.max):
        raise ValueError(f"labels must fit into 32 bits. Received: from {labels.min()} to {labels.max()}")
    return labels.astype("int32")


def hold_paths(paths):
    """Paths as the bytes that the file system knows: a name need not be text."""
    return hold([os.fsencode(path) for path in paths])


def hold(values):
    """One tensor on the CPU, which functions of a pipeline refer to rather than contain."""
    with tf.device("CPU:0"):
        return tf.constant(values)
