"""Audio: sound in files -> parts of equal length -> batches."""

import os
import warnings

import numpy as np
import tensorflow as tf

from keras_ssl.checks import check_ints, check_numbers
from keras_ssl.data import sound_file
from keras_ssl.data.folder import classes, hold, label_array, listed, one_path, walk
from keras_ssl.data.groups import group_numbers
from keras_ssl.data.guard import guarded
from keras_ssl.data.order import Order, flag
from keras_ssl.data.pipeline import Content, Pipeline, shortened
from keras_ssl.data.progress import Progress


def audio_folder(
    path,
    sampling_rate,
    seconds,
    batch_size,
    *,
    channels=1,
    crop="random",
    shortest=0.0,
    mask=True,
    labels=False,
    groups=None,
    shuffle=True,
    seed=0,
    index=False,
    drop_remainder=None,
    on_error="raise",
    epoch=0,
    start=0,
    parallel_calls=tf.data.AUTOTUNE,
):
    """All sounds below a folder, as a shuffled, deterministic, resumable pipeline of batches of parts of them.

    WAV files of plain samples (8 to 32 bits, floats) are read without another package. FLAC, OGG, Opus, MP3, AIFF and
    others need the extra `audio` (`pip install keras_ssl[audio]`); without it a warning counts them. A part is read
    alone, not the whole file. Sounds of any rate are resampled, by soxr where it is installed, else by SciPy. Hidden
    files and folders are ignored.

    Args:
        path: the folder, a local one.
        sampling_rate: int, samples a second of what comes out.
        seconds: float, the length of a part. Shorter sounds are padded with zeros at their end.
        batch_size: sounds in a batch.
        channels: 1, the mean of the channels of a file, or 2.
        crop: `"random"`: where a part starts is drawn anew at each pass, a pure function of the seed, the pass and the
            file; `"center"`: the middle, as evaluations need it.
        shortest: float, seconds that a sound must have: shorter ones are files that cannot be used.
        mask: whether there is `"audio_mask"`, True at samples that are no padding.
        labels: whether to add `"label"`: the first sub-folder names the class; sorted names are 0, 1, ...
        groups: None, or a function from the path of a file below the folder to the speaker, instrument or place it
            comes from, an int or a string: the number of the group in sorted order is added as `"group"`.
        on_error: `"raise"`: the first file that cannot be used stops the pipeline with an error that names it: one that
            is empty, cut off, silent, not finite, too short or of an unknown format. `"skip"`: all files are read
            once beforehand, and the bad ones are left out, with one warning.
        shuffle, seed, index, drop_remainder, epoch, start, parallel_calls: see `image_folder`.

    Returns:
        `tf.data.Dataset` of dicts: `"audio"` float32 `(batch, samples)`, or `(batch, samples, 2)`, usually in [-1, 1],
        `"audio_mask"` bool `(batch, samples)`, `"seed"` int32 `(batch, 2)`, `"label"`, `"group"`, `"index"` int32
        `(batch,)`. Attributes: `file_paths`, `class_names` (with labels), `group_names` (with groups), `left_out` (a
        dict from the extensions of all other files to their numbers), and those of `Pipeline`.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: it holds no sounds, or no class folders where labels are asked for.

    Example:
        ```python
        sounds = keras_ssl.data.audio_folder("sounds/", sampling_rate=16_000, seconds=1.0, batch_size=64)
        model.fit(sounds, epochs=100)
        ```
    """
    path = one_path(path)
    flag("labels", labels)
    if groups is not None and not callable(groups):
        raise ValueError(
            f"groups must be a function from the path of a file to its group. Received: groups={groups!r}. For a list "
            "of files and one of groups: keras_ssl.data.audio_files."
        )
    paths, left_out = find(path, on_error)
    numbers, class_names = classes(path, paths) if labels else (None, None)
    dataset = audio_files(
        paths,
        sampling_rate,
        seconds,
        batch_size,
        channels=channels,
        crop=crop,
        shortest=shortest,
        mask=mask,
        labels=numbers,
        groups=None if groups is None else [groups(os.path.relpath(name, path)) for name in paths],
        shuffle=shuffle,
        seed=seed,
        index=index,
        drop_remainder=drop_remainder,
        on_error=on_error,
        epoch=epoch,
        start=start,
        parallel_calls=parallel_calls,
    )
    return dataset.named(left_out=left_out, **({"class_names": class_names} if labels else {}))


def audio_files(
    paths,
    sampling_rate,
    seconds,
    batch_size,
    *,
    channels=1,
    crop="random",
    shortest=0.0,
    mask=True,
    labels=None,
    groups=None,
    shuffle=True,
    seed=0,
    index=False,
    drop_remainder=None,
    on_error="raise",
    epoch=0,
    start=0,
    parallel_calls=tf.data.AUTOTUNE,
):
    """A list of sound files as a shuffled, deterministic, resumable pipeline of batches of parts of them.

    Args:
        paths: the files, local ones.
        labels: None, or as many ints as paths, which are added as `"label"`.
        groups: None, or as many ints or strings as paths: the speaker, instrument or place of each, added as
            `"group"`, the number in sorted order. `split_groups` splits files by them.
        others: see `audio_folder`. With `on_error="skip"`, `"index"` counts the files that are left, which are the
            attribute `file_paths`.

    Returns:
        `tf.data.Dataset` of dicts, see `audio_folder`.

    Raises:
        ValueError: there are no paths, or not as many labels or groups as paths.

    Example:
        ```python
        sounds = keras_ssl.data.audio_files(["a.wav", "b.wav"], 16_000, 1.0, 2, groups=["ann", "ben"])
        ```
    """
    check_ints(sampling_rate=sampling_rate)
    check_numbers(above=0, seconds=seconds)
    check_numbers(least=0, shortest=shortest)
    if channels not in (1, 2):
        raise ValueError(f"channels must be 1 or 2. Received: channels={channels!r}")
    if crop not in ("random", "center"):
        raise ValueError(f'crop must be "random" or "center". Received: crop={crop!r}')
    flag("mask", mask)
    samples = max(1, round(seconds * sampling_rate))
    paths, labels, numbers, names = usable(paths, labels, groups, on_error, shortest, channels)
    order = Order(
        len(paths), batch_size, shuffle=shuffle, seed=seed, epoch=epoch, start=start, drop_remainder=drop_remainder
    )
    held_labels = None if labels is None else hold(labels)
    held_groups = None if numbers is None else hold(numbers)
    shape = (samples,) if channels == 1 else (samples, 2)

    def read(number, draw):
        draw = float(draw) if crop == "random" else None
        found, real = sound_file.part(paths[number], sampling_rate, samples, draw, channels, shortest * sampling_rate)
        return found, np.int32(real)

    def one(number, draw):
        found, real = tf.numpy_function(read, [number, draw], (tf.float32, tf.int32))
        sample = {"audio": tf.ensure_shape(found, shape)}
        if mask:
            sample["audio_mask"] = tf.range(samples) < tf.ensure_shape(real, ())
        if held_groups is not None:
            sample["group"] = held_groups[number]
        return sample, 0 if held_labels is None else held_labels[number]

    spec = {"audio": tf.TensorSpec(shape, tf.float32)}
    spec |= {"audio_mask": tf.TensorSpec((samples,), tf.bool)} if mask else {}
    spec |= {"group": tf.TensorSpec((), tf.int32)} if numbers is not None else {}

    def make(order):
        def describe(epoch, place):
            path = paths[int(order.index(epoch, order.position(place)))]
            found = sound_file.problem(path, shortest, channels)
            return found or f"The sound file {path!r} could not be read, but can be now. Is the disk reliable?"

        def with_draw(epoch, place, number):
            # Another stream than those of the augmentation, which hashes the same seeds.
            return epoch, place, number, tf.random.stateless_uniform((), order.seeds(epoch, number))

        return guarded(
            order,
            order.samples(extra=1).map(with_draw),
            one,
            describe,
            spec=spec,
            labels=labels is not None,
            index=index,
            parallel_calls=parallel_calls,
        )

    said = f"{sampling_rate} {samples} {channels} {crop}"
    content = Content([*shortened(paths), labels, numbers, said])
    named = {} if names is None else {"group_names": names}
    return Pipeline(make, order, content=content, file_paths=paths, **named)


def usable(paths, labels, groups, on_error, shortest, channels):
    """The files with their labels and groups, without the bad ones where those are to be skipped."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(
            f"paths must be a list of files. Received: paths={paths!r}. For a folder: keras_ssl.data.audio_folder."
        )
    paths = listed(paths)
    if not paths:
        raise ValueError("paths is empty: at least one sound file is needed.")
    labels = None if labels is None else label_array(labels, len(paths), "paths")
    numbers, names = group_numbers(groups, len(paths), "paths")
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error must be "raise" or "skip". Received: on_error={on_error!r}')
    if on_error == "raise":
        return paths, labels, numbers, names
    bad, progress = {}, Progress("Checking sounds", len(paths))
    for number, path in enumerate(paths):
        found = sound_file.problem(path, shortest, channels)
        bad |= {} if found is None else {number: found}
        progress.update(number + 1)
    progress.close()
    if len(bad) == len(paths):
        raise ValueError(f"None of the {len(paths)} files can be used. The first one: {next(iter(bad.values()))}")
    if bad:
        first = " ".join(list(bad.values())[:3])
        warnings.warn(f"{len(bad)} of {len(paths)} sound files are skipped, among them: {first}", stacklevel=3)
    good = [number for number in range(len(paths)) if number not in bad]
    kept = lambda values: None if values is None else values[good]  # noqa: E731
    return [paths[number] for number in good], kept(labels), kept(numbers), names


def find(path, on_error):
    """All sounds below a folder, in order, and how many other files there are, by their extensions."""
    found, others = walk(path, sound_file.readable(), on_error)
    unread = {kind: number for kind, number in others.items() if kind in sound_file.OTHERS}
    if unread:
        counts = ", ".join(f"{number} x {kind}" for kind, number in sorted(unread.items()))
        warnings.warn(
            f'Sounds in {path!r} are left out: {counts}. They need the extra "audio": pip install keras_ssl[audio].',
            stacklevel=3,
        )
    if not found:
        kinds = ", ".join(f"{number} x {kind or 'no extension'}" for kind, number in sorted(others.items())[:10])
        raise ValueError(
            f"The folder {path!r} holds no sounds. Found: {kinds or 'no files'}. Extensions that are read: "
            f"{', '.join(sound_file.readable())}."
        )
    return found, others
