"""Curves: what a training logged, epoch by epoch."""

import csv
import math
import os
from pathlib import Path

import numpy as np

from keras_ssl import runs
from keras_ssl.visualize.figure import figure, finish

SKIPPED = ("epoch", "seconds", "time")
GEOMETRY = {
    "feature_rank": "dimensions that the features use (RankMe)",
    "feature_std": "spread of the features (0: collapse)",
    "feature_uniformity": "uniformity (lower is more uniform)",
    "feature_alignment": "alignment of two views (0: equal)",
    "learning_rate": "learning rate",
}
INK = "#1f5fa8"


def curves(history, names=None, path=None):
    """The loss and its terms, accuracies, the geometry of the features: a small plot each.

    Args:
        history: what `fit` returned, a `keras.callbacks.History`; or its dict from names to lists; or a list of dicts,
            one an epoch; or the path of a run's folder, or of a CSV file of `keras.callbacks.CSVLogger`.
        names: list of strings, the columns to draw; None for all.
        path: where to save the picture as well; the ending says the format.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: Matplotlib is missing.
        TypeError: the history is not one of these.
        ValueError: there is nothing to draw, or no such column.

    Example:
        >>> drawn = curves({"loss": [5.0, 4.0, 3.5], "knn": [0.3, 0.5, 0.6]})
        >>> [axis.get_title() for axis in drawn.axes]
        ['loss', 'accuracy']
    """
    epochs, columns = columns_of(history)
    if names is not None:
        missing = [name for name in names if name not in columns]
        if missing:
            raise ValueError(f"The history has no {missing}. It has {list(columns)}.")
        columns = {name: columns[name] for name in names}
    if not columns:
        raise ValueError("The history is empty: there is no epoch yet.")
    plots = panels(columns)
    across = min(len(plots), 3)
    down = math.ceil(len(plots) / across)
    drawn = figure(4.2 * across, 2.9 * down)
    axes = drawn.subplots(down, across, squeeze=False).ravel()
    for axis in axes[len(plots):]:
        axis.remove()
    for axis, (title, shown) in zip(axes, plots.items()):
        draw(axis, title, epochs, {name: columns[name] for name in shown})
    return finish(drawn, path)


def columns_of(history):
    """The epochs, counted from 1, and a dict from names to arrays with NaN where there is no number."""
    history = getattr(history, "history", history)
    if isinstance(history, (str, os.PathLike)):
        history = rows_of(Path(history))
    if isinstance(history, dict):
        columns = {str(name): numbers(name, values) for name, values in history.items()}
        length = max((len(values) for values in columns.values()), default=0)
        epochs = np.arange(1, length + 1)
        if any(len(values) != length for values in columns.values()):
            raise ValueError("The columns of the history must have one length.")
    elif isinstance(history, (list, tuple)) and all(isinstance(row, dict) for row in history):
        names = dict.fromkeys(name for row in history for name in row)
        epochs = np.array([row.get("epoch", number) for number, row in enumerate(history, 1)], "int64")
        columns = {
            name: np.array([math.nan if row.get(name) is None else row[name] for row in history], "float64")
            for name in names
        }
    else:
        raise TypeError(
            "history must be what fit returned, a dict of lists, a list of dicts, or a path. Received: "
            f"{type(history).__name__}"
        )
    return epochs, {name: values for name, values in columns.items() if name not in SKIPPED and len(values)}


def numbers(name, values):
    try:
        found = np.asarray(values, "float64")
    except (TypeError, ValueError):
        found = np.zeros(())
    if found.ndim != 1:
        raise ValueError(f"history must be a dict of lists, one number an epoch. Received: {name!r}: {values!r:.80}")
    return found


def rows_of(path):
    if path.suffix != ".csv":
        return runs.read(path)["history"]
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    number = lambda text: None if text in ("", "NA", None) else float(text)  # noqa: E731
    # CSVLogger counts from 0, and has a column `val_...` of "NA" for each name where nothing was validated.
    empty = {name for name in (rows[0] if rows else ()) if all(number(row[name]) is None for row in rows)}
    return [
        {name: number(text) for name, text in row.items() if name not in empty} | {"epoch": int(row["epoch"]) + 1}
        for row in rows
    ]


def panels(columns):
    """Which columns share a plot: a dict from titles to names."""
    found = {"loss": [], "parts of the loss": [], "accuracy": []}
    for name, values in columns.items():
        if name == "loss":
            found["loss"].append(name)
        elif name in GEOMETRY:
            found[GEOMETRY[name]] = [name]
        elif is_share(name, values):
            found["accuracy"].append(name)
        else:
            found["parts of the loss"].append(name)
    return {title: names for title, names in found.items() if names}


def is_share(name, values):
    known = values[np.isfinite(values)]
    sounds = any(part in name for part in ("knn", "linear", "accuracy", "probe", "top5", "commonest"))
    return bool(sounds and len(known) and known.min() >= 0 and known.max() <= 1)


def draw(axis, title, epochs, columns):
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    colors = colormaps["tab10"].colors if len(columns) > 1 else [INK]
    for number, (name, values) in enumerate(columns.items()):
        known = np.isfinite(values)
        mark = "o" if known.sum() <= 20 else ""
        color = colors[number % len(colors)]
        axis.plot(epochs[known], values[known], mark + "-", color=color, ms=3, lw=1.5, label=name)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("epoch", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axis.grid(alpha=0.25)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    if title == "accuracy":
        low, high = axis.get_ylim()
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if high - low > 0.08 else 1))
    if len(columns) > 1:
        axis.legend(fontsize=7, frameon=False)
    levels = [np.nanmax(np.abs(values)) for values in columns.values() if np.isfinite(values).any()]
    if len(levels) > 1 and min(levels) > 0 and max(levels) > 30 * min(levels):
        axis.set_yscale("symlog", linthresh=min(levels))
