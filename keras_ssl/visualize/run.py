"""Run: everything there is to see of a training, on one page."""

import html
import os
from pathlib import Path

import numpy as np

from keras_ssl import data as pipelines
from keras_ssl import eval as evaluation
from keras_ssl import runs
from keras_ssl.visualize import page
from keras_ssl.visualize.curves import columns_of, curves, panels
from keras_ssl.visualize.filters import filters
from keras_ssl.visualize.grids import as_images, neighbors, pictures, views
from keras_ssl.visualize.map import projection
from keras_ssl.visualize.patches import attention, reconstruction
from keras_ssl.visualize.spectrum import similarities, spectrum

PIXELS = 96  # an inch of a figure
# What a reader has to know of a picture.
WORDS = {
    "loss": "A self-supervised loss says little about the features, and two methods' cannot be compared.",
    "views": "The network sees views of each image. What the views do away with, it does not learn.",
    "neighbors": "Each image and those with the most alike features, and their cosine.",
    "frames": "A green frame is an image of the same class, a red, dashed one of another.",
    "features": "A steep fall, or cosines that are all near 1, is a collapse: the features say less than they could.",
    "filters": "What the first layer looks for: edges and colors. Noise means that it has hardly moved.",
    "attention": "Where the class token of the last block looks, head by head: dark is 0.",
    "reconstruction": "What the model makes of images of which it sees a part.",
    "pictures": "What the model makes of images.",
}


def report(
    run, path=None, *, model=None, images=None, labels=None, class_names=None, data=None, count=600, method="pca",
    title=None, seed=0,
):
    """Everything there is to see of a training, as one HTML file that loads nothing.

    Loss, its terms and the accuracies and geometry that were logged; the scores; the views; nearest neighbors and a
    map of the features; their spectrum and their cosines; the first layer; attention maps of a ViT, reconstructions of
    a masked method; the settings and versions. What does not apply is left out, and what is not known.

    Args:
        run: the folder of a run of `python -m keras_ssl pretrain`, which may still go on; or what `fit` returned, or
            another history that `curves` takes.
        path: where to write the page; None: `report.html`, in the folder of the run where there is one.
        model: `keras_ssl.Method`; None takes the newest checkpoint of the folder.
        images: array `(n, height, width, channels)`, 0..255, to show; None takes some of `data`.
        labels: int array `(n,)` of them, or None.
        class_names: list of strings, or None.
        data: folder of images, whose sub-folders are taken for classes; None takes that of the run.
        count: int, how many images of `data` are taken.
        method: "pca", "tsne" or "umap", see `projection`.
        title: string, or None.
        seed: int, which images are taken, and where the map starts.

    Returns:
        `pathlib.Path` of the page.

    Raises:
        ImportError: Matplotlib is missing.
        FileNotFoundError: the folder is not of a run.
        ValueError: bad shapes or a bad method.

    Example:
        ```python
        history = model.fit(dataset, epochs=10)
        keras_ssl.visualize.report(history, "report.html", model=model, images=test_images, labels=test_labels)
        ```
    """
    if method not in ("pca", "tsne", "umap"):
        raise ValueError(f'method must be "pca", "tsne" or "umap". Received: method={method!r}')
    if not isinstance(count, (int, np.integer)) or count < 8:
        raise ValueError(f"count must be an int of 8 or more. Received: count={count!r}")
    if path is not None:
        runs.check_file(path, (), "path")
    record, history = {}, run
    if isinstance(run, (str, os.PathLike)):
        record = runs.read(run)
        history = record["history"]
        model = runs.load_model(run) if model is None else model
        path = Path(run) / "report.html" if path is None else path
        if images is None:
            images, labels, class_names = images_of(record, data, count, seed)
    elif images is None and data is not None and model is not None:
        images, labels, class_names = some(data, size_of(model.encoder), count, seed)
    if images is not None:
        images = as_images(images, "images")
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"Expected one label an image. Received: {len(images)} images, {len(labels)} labels")
    title = title or title_of(record, model)
    features = None if model is None or images is None else evaluation.features(model.evaluated_encoder, images)[0]
    parts = [f"<h1>{html.escape(title)}</h1>", line(record), tiles(record, history, features)]
    parts += of_history(history) + of_scores(record)
    if features is not None:
        labels = None if labels is None else np.asarray(labels)
        parts += of_images(model, images, labels, features, class_names, method, seed)
    if model is not None:
        parts += of_networks(model, images)
    parts += of_settings(record)
    return page.write_page(path or "report.html", title, [part for part in parts if part])


# The head


def title_of(record, model):
    arguments = record.get("arguments", {})
    if arguments:
        return f"{arguments['method']}, {arguments['encoder'].replace('_', ' ')}"
    return "Training" if model is None else f"{type(model).__name__}, {model.encoder.name.replace('_', ' ')}"


def line(record):
    if not record:
        return ""
    arguments = record["arguments"]
    done, seconds = len(record["history"]), record.get("seconds", 0.0)
    state = {"done": "", "running": ", still going on"}.get(record.get("status"), f", {record.get('status')}")
    text = (
        f"{done} of {arguments['epochs']} epochs of {record['steps_per_epoch']} steps in {duration(seconds)}{state}. "
        f"{samples(record)}, batches of {arguments['batch']}; an encoder of "
        f"{record['parameters']:,} weights and {record['features']:,} features."
    )
    return f'<p class="soft">{html.escape(text)}</p>'


def samples(record):
    """How many samples of which kind a run has."""
    words = record.get("words", "images")
    size = f" of {record['arguments']['size']} pixels" if words == "images" else ""
    return f"{record['images']:,} {words}{size}"


def tiles(record, history, features):
    """The few numbers that are looked for first."""
    _, columns = columns_of(history)
    last = {name: values[np.isfinite(values)][-1] for name, values in columns.items() if np.isfinite(values).any()}
    found = []
    if "loss" in last:
        found.append((f"{last['loss']:.3f}", "loss"))
    scores = record.get("scores", {})
    names = {"knn": "k-NN, watched", "linear": "linear probe, watched"}
    found += [(percent(last[name]), words) for name, words in names.items() if name in last and name not in scores]
    found += [(percent(score["accuracy"]), score["name"]) for score in scores.values() if "accuracy" in score]
    if features is not None:
        geometry = evaluation.collapse(features)
        found += [(f"{geometry['rank']:.0f} of {features.shape[1]}", "dimensions in use (RankMe)")]
        found += [(f"{geometry['std']:.2f}", "spread (0: collapse)")]
    made = (f'<div class="tile"><b>{html.escape(number)}</b><span>{html.escape(words)}</span></div>'
            for number, words in found)  # fmt: skip
    return f'<div class="tiles">{"".join(made)}</div>' if found else ""


def percent(share):
    return f"{100 * share:.1f} %"


def duration(seconds):
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


# The sections


def of_history(history):
    _, columns = columns_of(history)
    if not columns:
        return [section("Training", "No epoch has ended yet.")]
    drawn = [picture(shown, curves(history, names)) for shown, names in panels(columns).items()]
    return [section("Training", WORDS["loss"]), f'<div class="grid">{"".join(drawn)}</div>']


def of_scores(record):
    rows = []
    for name, score in record.get("scores", {}).items():
        if "accuracy" in score:
            rows.append(row_of(score["name"], score["accuracy"], score["low"], score["high"], f"{score['n']:,} images"))
            continue
        for key, found in score["measures"].items():
            words = score["name"] if score["name"] == key else f"{score['name']}: {key}"
            over = f"{found['n']:,} {found['over']}".strip()
            rows.append(row_of(words, found["mean"], found["low"], found["high"], over))
    return [section("Scores", "On the frozen features, unless it says otherwise."), page.as_table(rows)] if rows else []


def row_of(name, value, low, high, over):
    number = percent if 0 <= value <= 1 else "{:.2f}".format
    interval = "" if low is None else f"{number(low)} to {number(high)}"
    return {"evaluation": name, "value": number(value), "95 % interval": interval, "of": over}


def of_images(model, images, labels, features, class_names, method, seed):
    parts = []
    if getattr(model, "augment", None) is not None:
        parts += drawn("Views", WORDS["views"], lambda: views(images[examples(None, len(images), 4)], model.augment))
    queries, encoder = examples(labels, len(images), 8), model.evaluated_encoder
    pair = None if labels is None else (labels[queries], labels)
    words = WORDS["neighbors"] + ("" if labels is None else " " + WORDS["frames"])
    parts += drawn("Neighbors", words, lambda: neighbors(encoder, images[queries], images, k=9, labels=pair))
    words = f"{len(images):,} images. "
    words += "The colors are their classes." if labels is not None else ""
    parts += drawn("Map", words, lambda: projection(features, labels, method, class_names, seed=seed))
    parts.append(section("Features", WORDS["features"]))
    both = picture("spectrum", spectrum(features)), picture("cosines", similarities(features, labels, seed=seed))
    return [*parts, f'<div class="grid">{"".join(both)}</div>']


def of_networks(model, images):
    parts = drawn("Filters", WORDS["filters"], lambda: filters(model.evaluated_encoder), optional=True)
    if images is not None:
        few = images[examples(None, len(images), 4)]
        parts += drawn("Attention", WORDS["attention"], lambda: attention(model.evaluated_encoder, few), optional=True)
        if callable(getattr(model, "reconstruct", None)):
            make = lambda: reconstruction(model, few)  # noqa: E731
            parts += drawn("Reconstructions", WORDS["reconstruction"], make, optional=True)
        if callable(getattr(model, "pictures", None)):
            parts += drawn("Pictures", WORDS["pictures"], lambda: pictures(model.pictures(few)), optional=True)
    return parts


def of_settings(record):
    if not record:
        return []
    known = {
        "Arguments": {name: value for name, value in record["arguments"].items() if value not in (None, False)},
        "Method": record.get("method", {}),
        "Optimizer": record.get("optimizer", {}),
        "Versions": record.get("versions", {}),
    }
    tables = [
        f"<div><h3>{name}</h3>{page.as_table({k.replace('_', ' '): short(v) for k, v in table.items()})}</div>"
        for name, table in known.items() if table
    ]  # fmt: skip
    return [section("Settings", ""), f'<div class="grid">{"".join(tables)}</div>']


def section(name, words):
    return f"<h2>{html.escape(name)}</h2>" + (f'\n<p class="note">{html.escape(words)}</p>' if words else "")


def drawn(name, words, make, optional=False):
    """A section with a figure; what does not apply is left out, or said."""
    try:
        made = make()
    except (ValueError, TypeError) as error:
        return [] if optional else [section(name, f"There is none here: {error}")]
    shown = picture(name, made)
    # What would be too small to see on a telephone can be pushed aside there.
    return [section(name, words), f'<div class="wide">{shown}</div>' if made.get_figwidth() > 8 else shown]


def picture(name, made):
    """A figure without a caption, in its own size where there is room for it."""
    shown = page.as_figure(name, made)
    start, end = shown.index("<figcaption>"), shown.index("</figcaption>")
    shown = shown[:start] + shown[end + len("</figcaption>"):]
    return shown.replace("<img ", f'<img width="{round(made.get_figwidth() * PIXELS)}" ', 1)


def short(value):
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return value


# The images


def images_of(record, data, count, seed):
    arguments = record["arguments"]
    folder = data or arguments["data"]
    if data is None and not os.path.isdir(folder):  # a run that was copied from elsewhere
        return None, None, None
    return some(folder, (arguments["size"],) * 2, count, seed)


def size_of(encoder):
    size = encoder.input_shape[1:3]
    if None in size:
        raise ValueError("The encoder takes images of any size: pass images in place of data.")
    return size


def some(folder, size, count, seed):
    """So many images of a folder, their labels and the names of their classes, or None for both."""
    folder = os.fspath(folder)
    paths = pipelines.image_folder(folder, size, 1, shuffle=False, upscale=True).file_paths
    chosen = np.sort(np.random.default_rng(seed).permutation(len(paths))[:count])
    paths = [paths[number] for number in chosen]
    dataset = pipelines.files(paths, size, 256, shuffle=False, upscale=True, on_error="skip")
    images = np.concatenate([batch["image"] for batch in dataset.as_numpy_iterator()])
    parts = [Path(path).relative_to(folder).parts for path in dataset.file_paths]
    names = sorted({part[0] for part in parts})
    if any(len(part) == 1 for part in parts) or len(names) < 2:
        return images, None, None
    return images, np.array([names.index(part[0]) for part in parts]), names


def examples(labels, count, rows):
    """Numbers of images: the first of each class, or spread over all."""
    if labels is None:
        return np.unique(np.linspace(0, count - 1, rows).astype(int))
    return np.unique(labels, return_index=True)[1][:rows]
