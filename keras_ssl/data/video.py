"""Video: clips of videos in files, or in folders of frames -> batches."""

import os
import warnings

import numpy as np
import tensorflow as tf

from keras_ssl.checks import check_ints
from keras_ssl.data import video_file
from keras_ssl.data.decode import extension, pair
from keras_ssl.data.folder import classes, hold, label_array, listed, one_path, walk
from keras_ssl.data.groups import group_numbers
from keras_ssl.data.guard import guarded
from keras_ssl.data.order import Order, flag
from keras_ssl.data.pipeline import Content, Pipeline, shortened
from keras_ssl.data.progress import Progress


def video_folder(
    path,
    size,
    batch_size,
    *,
    frames=16,
    stride=2,
    clips=1,
    place="random",
    short="repeat",
    mask=False,
    upscale=False,
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
    """All videos below a folder, as a shuffled, deterministic, resumable pipeline of batches of clips of them.

    MP4, WebM, MKV, AVI, MOV, MPEG and others need the extra `video` (`pip install keras_ssl[video]`, which is PyAV);
    without it a warning counts them. GIF, and folders with an image for each frame, are read without: a folder that
    holds two images or more, and no video, is one video, whose frames are in the order of the numbers in their names.
    Hidden files and folders are ignored.

    Frames are counted and not timed: a clip always has the same number of them, whatever the rate of the video.
    Decoding begins at the last key frame before the clip, not at the start of the file. Once a file is read as a whole,
    without decoding, to count its frames; what is found is kept in 256 MB, for some 70,000 videos of 300 frames. Beyond
    that, files are read as a whole again. What phones and cameras mark as turned, videos and images, is turned upright.

    Args:
        path: the folder, a local one.
        size: int or (height, width), pixels: the short side is resized to it (bilinear, antialiased), then the center
            is cropped.
        batch_size: clips in a batch.
        frames: int, the frames of a clip.
        stride: int, the step from one frame of the clip to the next.
        clips: int, how many clips a pass takes of each video. They are samples of their own: clip c of video v is
            sample `v * clips + c`, and a batch may hold several clips of one video.
        place: `"random"`: where a clip starts is drawn anew at each pass, a pure function of the seed, the pass and
            the sample; `"even"`: the clips of a video are spread evenly from its start to its end, and one alone is in
            the middle, as evaluations need it.
        short: what follows the last frame of a video that is shorter than a clip: `"repeat"`: that frame again;
            `"wrap"`: the first ones; `"raise"`: such a video is one that cannot be used.
        mask: whether to add `"video_mask"`, True for frames that are no repetition.
        upscale: whether frames smaller than `size` are enlarged; otherwise they are errors.
        labels: whether to add `"label"`: the first sub-folder names the class; sorted names are 0, 1, ...
        groups: None, or a function from the path of a video below the folder to the person, camera or recording it
            comes from, an int or a string: the number of the group in sorted order is added as `"group"`.
        on_error: `"raise"`: the first video that cannot be used stops the pipeline with an error that names it.
            `"skip"`: all videos are decoded once beforehand, and the bad ones are left out, with one warning.
        shuffle, seed, index, drop_remainder, epoch, start, parallel_calls: see `image_folder`.

    Returns:
        `tf.data.Dataset` of dicts: `"video"` uint8 `(batch, frames, height, width, 3)`, `"seed"` int32 `(batch, 2)`,
        and on request `"video_mask"` bool `(batch, frames)`, `"label"`, `"group"`, `"index"` int32 `(batch,)`.
        Attributes: `file_paths` (of the videos), `class_names` (with labels), `group_names` (with groups), `left_out`
        (a dict from the extensions of all other files to their numbers), and those of `Pipeline`.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: it holds no videos, or no class folders where labels are asked for.

    Example:
        ```python
        clips = keras_ssl.data.video_folder("videos/", size=128, batch_size=16, frames=32, stride=2)
        model.fit(clips, epochs=100)
        ```
    """
    path = one_path(path)
    flag("labels", labels)
    if groups is not None and not callable(groups):
        raise ValueError(
            f"groups must be a function from the path of a video to its group. Received: groups={groups!r}. For a list "
            "of videos and one of groups: keras_ssl.data.video_files."
        )
    paths, left_out = find(path, on_error)
    numbers, class_names = classes(path, paths) if labels else (None, None)
    dataset = video_files(
        paths,
        size,
        batch_size,
        frames=frames,
        stride=stride,
        clips=clips,
        place=place,
        short=short,
        mask=mask,
        upscale=upscale,
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


def video_files(
    paths,
    size,
    batch_size,
    *,
    frames=16,
    stride=2,
    clips=1,
    place="random",
    short="repeat",
    mask=False,
    upscale=False,
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
    """A list of videos as a shuffled, deterministic, resumable pipeline of batches of clips of them.

    Args:
        paths: the videos, local ones: files, or folders with an image for each frame.
        labels: None, or as many ints as paths, which are added as `"label"`.
        groups: None, or as many ints or strings as paths: the person, camera or recording of each, added as `"group"`,
            the number in sorted order. `split_groups` splits videos by them.
        others: see `video_folder`. With `on_error="skip"`, `"index"` counts the videos that are left, which are the
            attribute `file_paths`.

    Returns:
        `tf.data.Dataset` of dicts, see `video_folder`.

    Raises:
        ValueError: there are no paths, or not as many labels or groups as paths.

    Example:
        ```python
        clips = keras_ssl.data.video_files(["a.mp4", "b.webm"], 128, 2, labels=[0, 1])
        ```
    """
    size = pair(size)
    check_ints(frames=frames, stride=stride, clips=clips)
    for name, value, choices in (("place", place, ("random", "even")), ("short", short, ("repeat", "wrap", "raise"))):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}")
    flag("mask", mask)
    flag("upscale", upscale)
    least = (frames - 1) * stride + 1 if short == "raise" else 1
    paths, labels, numbers, names = usable(paths, labels, groups, on_error, size, least, upscale)
    order = Order(
        len(paths) * clips,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        epoch=epoch,
        start=start,
        drop_remainder=drop_remainder,
    )
    held_labels = None if labels is None else hold(labels)
    held_groups = None if numbers is None else hold(numbers)
    shape = (frames, *size, 3)

    def read(sample, draw):
        video, number = divmod(int(sample), clips)
        where = {"draw": float(draw)} if place == "random" else {"share": number / (clips - 1) if clips > 1 else 0.5}
        found, real = video_file.clip(paths[video], size, frames, stride, short=short, upscale=upscale, **where)
        return found, np.int32(real)

    def one(sample, draw):
        found, real = tf.numpy_function(read, [sample, draw], (tf.uint8, tf.int32))
        columns = {"video": tf.ensure_shape(found, shape)}
        if mask:
            columns["video_mask"] = tf.range(frames) < tf.ensure_shape(real, ())
        video = sample // clips
        if held_groups is not None:
            columns["group"] = held_groups[video]
        return columns, 0 if held_labels is None else held_labels[video]

    spec = {"video": tf.TensorSpec(shape, tf.uint8)}
    spec |= {"video_mask": tf.TensorSpec((frames,), tf.bool)} if mask else {}
    spec |= {"group": tf.TensorSpec((), tf.int32)} if numbers is not None else {}

    def make(order):
        def describe(epoch, place):
            path = paths[int(order.index(epoch, order.position(place))) // clips]
            found = video_file.problem(path, size, least, upscale)
            return found or f"The video {path!r} could not be read, but can be now. Is the disk reliable?"

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

    said = f"{size} {frames} {stride} {clips} {place} {short}"
    content = Content([*shortened(paths), labels, numbers, said])
    named = {} if names is None else {"group_names": names}
    return Pipeline(make, order, content=content, file_paths=paths, **named)


def usable(paths, labels, groups, on_error, size, least, upscale):
    """The videos with their labels and groups, without the bad ones where those are to be skipped."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(
            f"paths must be a list of videos. Received: paths={paths!r}. For a folder: keras_ssl.data.video_folder."
        )
    paths = listed(paths)
    if not paths:
        raise ValueError("paths is empty: at least one video is needed.")
    labels = None if labels is None else label_array(labels, len(paths), "paths")
    numbers, names = group_numbers(groups, len(paths), "paths")
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error must be "raise" or "skip". Received: on_error={on_error!r}')
    if on_error == "raise":
        return paths, labels, numbers, names
    bad, progress = {}, Progress("Checking videos", len(paths))
    for number, path in enumerate(paths):
        found = video_file.problem(path, size, least, upscale)
        bad |= {} if found is None else {number: found}
        progress.update(number + 1)
    progress.close()
    if len(bad) == len(paths):
        raise ValueError(f"None of the {len(paths)} videos can be used. The first one: {next(iter(bad.values()))}")
    if bad:
        first = " ".join(list(bad.values())[:3])
        warnings.warn(f"{len(bad)} of {len(paths)} videos are skipped, among them: {first}", stacklevel=3)
    good = [number for number in range(len(paths)) if number not in bad]
    kept = lambda values: None if values is None else values[good]  # noqa: E731
    return [paths[number] for number in good], kept(labels), kept(numbers), names


def find(path, on_error):
    """All videos below a folder, in order, and how many other files there are, by their extensions."""
    files, others = walk(path, (*video_file.readable(), *video_file.FRAMES), on_error)
    images, found = {}, []
    for name in files:
        if extension(name) in video_file.FRAMES:
            images.setdefault(os.path.dirname(name), []).append(name)
        else:
            found.append(name)
    beside = {os.path.dirname(name) for name in found}
    for folder, names in images.items():
        if len(names) > 1 and folder not in beside and os.path.normpath(folder) != os.path.normpath(path):
            found.append(folder)
            continue
        for name in names:  # covers and other single pictures
            others[extension(name)] = others.get(extension(name), 0) + 1
    unread = {kind: number for kind, number in others.items() if kind in video_file.CONTAINERS}
    if unread:
        counts = ", ".join(f"{number} x {kind}" for kind, number in sorted(unread.items()))
        warnings.warn(
            f'Videos in {path!r} are left out: {counts}. They need the extra "video": pip install keras_ssl[video].',
            stacklevel=3,
        )
    if not found:
        kinds = ", ".join(f"{number} x {kind or 'no extension'}" for kind, number in sorted(others.items())[:10])
        raise ValueError(
            f"The folder {path!r} holds no videos. Found: {kinds or 'no files'}. Extensions that are read: "
            f"{', '.join(video_file.readable())}, and folders of {', '.join(video_file.FRAMES)}."
        )
    return sorted(found, key=lambda name: name.split(os.sep)), others
