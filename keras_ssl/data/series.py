"""Series: long recordings of sensors -> windows -> batches."""

import numpy as np
import tensorflow as tf

from keras_ssl.checks import check_ints
from keras_ssl.data.folder import hold, label_array
from keras_ssl.data.groups import group_numbers
from keras_ssl.data.order import Order, calls, columns, flag
from keras_ssl.data.pipeline import Content, Pipeline


def series(
    recordings,
    window,
    batch_size,
    *,
    stride=None,
    layout=None,
    groups=None,
    labels=None,
    normalize=None,
    short="pad",
    mask=None,
    shuffle=True,
    seed=0,
    index=False,
    drop_remainder=None,
    epoch=0,
    start=0,
    parallel_calls=tf.data.AUTOTUNE,
):
    """Windows over long series, as a shuffled, deterministic, resumable pipeline of batches.

    A window is read when its turn comes: nothing is copied, and memory-mapped recordings stay on the disk. Windows
    overlap, so they must not be split into training and test data: split the recordings, by the subject or device that
    they come from (`split_groups`), and make a pipeline of each part.

    Args:
        recordings: array `(n, time, channels)`, or a list of n arrays `(time, channels)` of any lengths, of numbers.
            NaN is a missing value. Ints become floats.
        window: int, the steps of a window.
        batch_size: windows in a batch.
        stride: int, the steps from the start of a window to that of the next; None for half a window. Steps at the end
            of a recording that fill no window are left out.
        layout: `"ntc"`, the axes as above, or `"nct"`, channels before time, as in aeon. None: as above, and an error
            where a recording has more channels than steps.
        groups: None, or n ints or strings: the subject, device or place of each recording. They are added as
            `"group"`, the number of the group in sorted order.
        labels: None, or n ints, one a recording, or a list of n int arrays `(time,)`, one a step: added as `"label"`. A
            window in which the label changes is left out.
        normalize: None, or a pair (mean, deviation) of arrays `(channels,)` or numbers: windows are what
            `(values - mean) / deviation` makes of the recordings. Take those of the training part
            (`series_statistics`) for all parts. Missing values become 0 after it.
        short: what to do with recordings that are shorter than a window: `"pad"` them with zeros, `"skip"` them, or
            `"raise"` an error.
        mask: whether there is a column `"series_mask"`, bool `(batch, window)`, True at the steps where at least one
            channel has a value; None: where some window has other steps. Pass True for parts that one encoder takes.
        shuffle, seed, index, drop_remainder, epoch, start, parallel_calls: see `image_folder`.

    Returns:
        `tf.data.Dataset` of dicts: `"series"` float32 `(batch, window, channels)`, `"seed"` int32 `(batch, 2)`, and on
        request `"series_mask"`, `"group"`, `"label"`, `"index"`. Attributes: `windows`, int64 `(windows, 2)`: the
        recording and the first step of each; `left_out`, a dict from reasons to numbers of windows (of recordings
        that are too short); `group_names`, where there are groups; and those of `Pipeline`.

    Raises:
        TypeError: recordings do not hold numbers.
        ValueError: a recording is empty or infinite, axes look swapped, channels differ, or no window is left.

    Example:
        ```python
        recordings = [np.random.normal(size=(length, 6)) for length in (900, 700, 1200)]
        users = ["ann", "ben", "ann"]
        train, test = keras_ssl.data.split_groups(users, ["ben"])
        mean, deviation = keras_ssl.data.series_statistics([recordings[i] for i in train])
        windows = keras_ssl.data.series(
            [recordings[i] for i in train], 128, 16, groups=[users[i] for i in train], normalize=(mean, deviation)
        )
        ```
    """
    recordings = checked_recordings(recordings, layout)
    check_ints(window=window)
    stride = max(1, window // 2) if stride is None else stride
    check_ints(stride=stride)
    flag("index", index)
    if short not in ("pad", "skip", "raise"):
        raise ValueError(f'short must be "pad", "skip" or "raise". Received: short={short!r}')
    if mask is not None:
        flag("mask", mask)
    channels = recordings[0].shape[1]
    mean, deviation = checked_statistics(normalize, channels)
    own, steps = labels_of(labels, recordings)
    numbers, names = group_numbers(groups, len(recordings), "recordings")
    windows, gaps, left_out = cut(recordings, steps, window, stride, short)
    if mask is False and gaps:
        raise ValueError(
            "mask=False needs windows without missing steps, and some are missing or padded. Fill them, pass "
            "short='skip' for recordings that are too short, or mask=None."
        )
    masked = gaps if mask is None else mask
    first, begin = windows.T
    wanted = own[first] if own is not None else None
    if steps is not None:
        wanted = np.array([steps[recording][place] for recording, place in windows], "int32")
    held_labels = None if wanted is None else hold(wanted)
    held_groups = None if numbers is None else hold(numbers[first])
    order = Order(
        len(windows), batch_size, shuffle=shuffle, seed=seed, epoch=epoch, start=start, drop_remainder=drop_remainder
    )

    def read(chosen):
        values = np.zeros((len(chosen), window, channels), "float32")
        real = np.zeros((len(chosen), window), bool)
        for row, number in enumerate(chosen):
            piece = np.asarray(recordings[first[number]][begin[number] : begin[number] + window], "float64")
            there = ~np.isnan(piece)
            values[row, : len(piece)] = np.where(there, (piece - mean) / deviation, 0)
            real[row, : len(piece)] = there.any(axis=1)
        return values, real

    def take(order, epoch, place, number):
        values, real = tf.numpy_function(read, [number], (tf.float32, tf.bool))
        sample = {"series": tf.ensure_shape(values, (number.shape[0], window, channels))}
        if masked:
            sample["series_mask"] = tf.ensure_shape(real, (number.shape[0], window))
        if held_groups is not None:
            sample["group"] = tf.gather(held_groups, number)
        label = None if held_labels is None else tf.gather(held_labels, number)
        return columns(order, epoch[0], sample, number, label, index)

    calls(parallel_calls)

    def make(order):
        batches = order.samples().batch(order.rows, drop_remainder=order.drop_remainder)
        return batches.map(lambda *batch: take(order, *batch), num_parallel_calls=parallel_calls)

    content = Content([*recordings, windows, mean, deviation, wanted, numbers])
    named = {} if names is None else {"group_names": names}
    return Pipeline(make, order, content=content, windows=windows, left_out=left_out, **named)


def series_statistics(recordings, layout=None):
    """Mean and standard deviation of each channel over all real values, for `series(normalize=...)`.

    Args:
        recordings, layout: see `series`. Pass those of the training part only.

    Returns:
        two float32 arrays `(channels,)`. A channel that does not vary has a deviation of 1, and so has one without
        values, whose mean is 0.

    Example:
        ```python
        mean, deviation = keras_ssl.data.series_statistics([np.random.normal(size=(900, 6))])
        ```
    """
    recordings = checked_recordings(recordings, layout)
    pieces = lambda: (np.asarray(piece, "float64") for one in recordings for _, piece in blocks(one))  # noqa: E731
    count = np.maximum(sum((~np.isnan(piece)).sum(axis=0) for piece in pieces()), 1)
    mean = sum(np.nansum(piece, axis=0) for piece in pieces()) / count
    variance = sum(np.nansum((piece - mean) ** 2, axis=0) for piece in pieces()) / count
    fixed = variance <= (1e-6 * np.abs(mean)) ** 2  # what is left of a constant is rounding
    return mean.astype("float32"), np.where(fixed, 1.0, np.sqrt(variance)).astype("float32")


# The windows


def cut(recordings, steps, window, stride, short):
    """Where windows begin: int64 `(windows, 2)`; whether steps are missing in them; how many were left out, and why."""
    found, gaps = [], False
    left_out = {"too short": 0, "nothing real": 0, "label changes": 0}
    for number, one in enumerate(recordings):
        if len(one) < window and short != "pad":
            if short == "raise":
                raise ValueError(
                    f"recordings[{number}] has {len(one)} steps, fewer than window={window}. Pass a smaller window, "
                    "or short='pad' or 'skip'."
                )
            left_out["too short"] += 1
            continue
        starts = np.arange(0, max(len(one) - window, 0) + 1, stride)
        stops, missing = np.minimum(starts + window, len(one)), nothing(one)
        counts = stops - starts - (np.searchsorted(missing, stops) - np.searchsorted(missing, starts))
        kept = counts > 0
        left_out["nothing real"] += int((~kept).sum())
        if steps is not None:
            changes = np.concatenate([[0], np.cumsum(np.diff(steps[number]) != 0)])  # up to each step
            same = changes[stops - 1] == changes[starts]
            left_out["label changes"] += int((kept & ~same).sum())
            kept &= same
        gaps |= bool((counts[kept] < window).any())
        found.append(np.stack([np.full(kept.sum(), number), starts[kept]], axis=1))
    windows = np.concatenate(found).astype("int64") if found else np.zeros((0, 2), "int64")
    if not len(windows):
        raise ValueError(f"No window of {window} steps is left. Left out: {left_out}")
    return windows, gaps, left_out


def nothing(one):
    """The steps of a recording in which no channel has a value, in order."""
    if np.issubdtype(one.dtype, np.integer):
        return np.zeros(0, "int64")
    return np.concatenate([start + np.flatnonzero(np.isnan(piece).all(axis=1)) for start, piece in blocks(one)])


def blocks(one, values=2**18):
    """A recording in pieces, which may lie on the disk: the first step of each, and the piece."""
    size = max(1, values // one.shape[1])
    return ((start, one[start : start + size]) for start in range(0, len(one), size))


# Checks


def checked_recordings(recordings, layout):
    """The recordings as a list of arrays `(time, channels)`, views of what was given."""
    if layout not in ("ntc", "nct", None):
        raise ValueError(f'layout must be "ntc", "nct" or None. Received: layout={layout!r}')
    whole = isinstance(recordings, np.ndarray)
    if whole and recordings.ndim == 2 or isinstance(recordings, (str, bytes)):
        raise ValueError(
            "recordings must be an array (n, time, channels) or a list of arrays (time, channels). Received: "
            f"{f'shape={recordings.shape}. One recording is a list of one' if whole else repr(recordings)}."
        )
    found = [checked_recording(number, one, layout) for number, one in enumerate(recordings)]
    if not found:
        raise ValueError("recordings is empty: at least one is needed.")
    channels = {one.shape[1] for one in found}
    if len(channels) > 1:
        raise ValueError(f"All recordings must have the same channels. Received: {sorted(channels)} channels")
    return found


def checked_recording(number, one, layout):
    name = f"recordings[{number}]"
    one = one if isinstance(one, np.ndarray) else np.asarray(one)
    if not (np.issubdtype(one.dtype, np.integer) or np.issubdtype(one.dtype, np.floating)):
        raise TypeError(f"{name} must be an array of numbers. Received: dtype={one.dtype}, shape={one.shape}")
    if one.ndim != 2 or 0 in one.shape:
        raise ValueError(f"{name} must have the shape (time, channels), not empty. Received: shape={one.shape}")
    if layout is None and one.shape[1] > one.shape[0]:
        raise ValueError(
            f"{name} has more channels than steps, so its axes may be swapped. Received: shape={one.shape}. Pass "
            "layout='nct' where channels come first, layout='ntc' where they come last."
        )
    one = one.T if layout == "nct" else one
    for start, piece in blocks(one) if np.issubdtype(one.dtype, np.floating) else ():
        if np.isinf(piece).any():
            step = start + int(np.flatnonzero(np.isinf(piece).any(axis=1))[0])
            raise ValueError(
                f"{name} must hold finite numbers, or NaN where one is missing. Received: {one[step]} at step {step}"
            )
    return one


def checked_statistics(normalize, channels):
    """Mean and deviation as float64 `(channels,)`."""
    if normalize is None:
        return np.zeros(channels), np.ones(channels)
    if not isinstance(normalize, (tuple, list)) or len(normalize) != 2:
        raise ValueError(f"normalize must be a pair (mean, deviation). Received: normalize={normalize!r}")
    mean, deviation = (np.asarray(one, "float64") for one in normalize)
    for name, one in {"mean": mean, "deviation": deviation}.items():
        if one.shape not in ((), (channels,)) or not np.isfinite(one).all():
            raise ValueError(
                f"The {name} of normalize must be a number, or one for each of {channels} channels. Received: {one}"
            )
    if (deviation <= 0).any():
        raise ValueError(f"The deviation of normalize must be above 0. Received: {deviation}")
    return np.broadcast_to(mean, (channels,)), np.broadcast_to(deviation, (channels,))


def labels_of(labels, recordings):
    """Labels of recordings, int32 `(n,)`, and of steps, a list of int32 arrays `(time,)`: one of them, or none."""
    if labels is None:
        return None, None
    if len(labels) != len(recordings):
        raise ValueError(f"labels must be as many as recordings. Received: {len(labels)} for {len(recordings)}.")
    if all(np.ndim(one) == 0 for one in labels):
        return label_array(labels, len(recordings), "recordings"), None
    return None, [
        label_array(one, len(recording), f"steps of recordings[{number}]")
        for number, (one, recording) in enumerate(zip(labels, recordings))
    ]
