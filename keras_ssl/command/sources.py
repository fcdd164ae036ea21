"""Sources: what a run trains on: a folder of images, an array of them, or columns with samples of any kind."""

import zlib
from pathlib import Path

import numpy as np

from keras_ssl import data, inputs
from keras_ssl.command import columns


def source_of(images, labels, arguments):
    """The samples of a run: `Folder` for a path, `Pixels` for an array, `Samples` for columns."""
    if columns.are_columns(images):
        return Samples(images, labels, arguments)
    if isinstance(images, str):
        return Folder(images, labels, arguments)
    return Pixels(images, labels, arguments)


def name_of(images):
    """What a run records of its images, so that it goes on with the same: a path, or the shape and sum of an array."""
    if isinstance(images, np.ndarray):
        return f"array of {' x '.join(map(str, images.shape))}, checksum {zlib.crc32(np.ascontiguousarray(images)):08x}"
    if isinstance(images, dict):
        return "; ".join(f"{name}: {name_of(np.asarray(values))}" for name, values in sorted(images.items()))
    return images


class Folder:
    """The images below a folder. They are decoded while the training goes on."""

    kind, rate, vocabulary = inputs.IMAGE, None, None

    def __init__(self, folder, labels, arguments):
        if labels is not None:
            raise ValueError("labels are for an array of images: those of a folder are its class folders")
        self.folder, self.size, self.seed = folder, arguments["size"], arguments["seed"]
        self.options = {"upscale": arguments["upscale"]}
        found = data.image_folder(folder, self.size, 1, on_error=arguments["bad_images"], **self.options)
        self.paths = found.file_paths
        self.count, self.shape = len(self.paths), (self.size, self.size, 3)

    def check(self, needs):
        """Raises where it lacks what a method needs."""
        check_columns(needs)
        if "label" in needs:
            self.labels()

    def pipeline(self, batch, needs, epoch, start):
        return data.files(
            self.paths, self.size, batch, seed=self.seed, epoch=epoch, start=start, index="index" in needs,
            labels=self.labels() if "label" in needs else None, **self.options,
        )  # fmt: skip

    def in_order(self, batch=256, paths=None):
        return data.files(
            paths or self.paths, self.size, batch, index=True, shuffle=False, drop_remainder=False, **self.options
        )

    def some(self, count=512):
        """So many images, always the same ones, as a pipeline."""
        return self.in_order(paths=[self.paths[number] for number in chosen(self.count, count)])

    def labels(self):
        parts = [Path(path).relative_to(self.folder).parts for path in self.paths]
        if any(len(part) == 1 for part in parts):
            raise ValueError(f"The method learns from labels: put the images of {self.folder!r} into class folders")
        names = sorted({part[0] for part in parts})
        return [names.index(part[0]) for part in parts]


class Pixels:
    """Images in memory."""

    kind, rate, vocabulary = inputs.IMAGE, None, None

    def __init__(self, images, labels, arguments):
        check_square(images)
        self.images, self.given, self.seed = images, labels, arguments["seed"]
        self.count, self.shape = len(images), images.shape[1:]

    def check(self, needs):
        check_columns(needs)
        if "label" in needs and self.given is None:
            raise ValueError("The method learns from labels: pass labels=, an int for each image")

    def pipeline(self, batch, needs, epoch, start):
        labels = self.given if "label" in needs else None
        return data.arrays(
            self.images, batch, labels=labels, seed=self.seed, epoch=epoch, start=start, index="index" in needs
        )

    def in_order(self):
        return self.images

    def some(self, count=512):
        return self.images[chosen(self.count, count)]


class Samples:
    """Samples of any kind in memory, by the names of their columns, or the file that holds them."""

    def __init__(self, given, labels, arguments):
        found = columns.Columns(given)
        self.kind, self.rate, self.vocabulary = found.kind, found.rate, found.vocabulary
        self.columns, self.sample, self.count, self.shape = found.columns, found.sample, found.count, found.shape
        self.given, self.seed = found.labels if labels is None else labels, arguments["seed"]
        numbers = found.columns[self.kind.column]
        labeled_nodes = self.kind is inputs.GRAPH and numbers.ndim == 2
        if self.vocabulary is None and numbers.size and (self.kind is inputs.TOKENS or labeled_nodes):
            self.vocabulary = int(numbers.max()) + 1
        if self.kind is inputs.IMAGE:
            check_square(numbers)

    def check(self, needs):
        check_columns(needs, self.columns)
        if "label" in needs and self.given is None:
            raise ValueError("The method learns from labels: add the column label, an int or a string for each sample")

    def pipeline(self, batch, needs, epoch, start):
        own = (self.kind.column, *self.kind.also, *needs)
        return data.arrays(
            {name: values for name, values in self.columns.items() if name in own}, batch,
            labels=self.given if "label" in needs else None, seed=self.seed, epoch=epoch, start=start,
            index="index" in needs,
        )  # fmt: skip

    def in_order(self):
        return self.sample

    def some(self, count=512):
        rows = chosen(self.count, count)
        if isinstance(self.sample, dict):
            return {name: values[rows] for name, values in self.sample.items()}
        return self.sample[rows]


def check_square(images):
    if images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise ValueError(
            "data must be a folder, or square images as an array (n, side, side, channels). Received: an array of "
            f"shape {images.shape}"
        )


def check_columns(needs, columns=()):
    """Raises where a method needs what is neither a column nor made here."""
    missing = [name for name in needs if name not in (*columns, "label", "index")]
    if missing:
        raise ValueError(f"The method needs the column {missing[0]} beside the samples: pass a dict or .npz with it")


def chosen(total, count):
    return sorted(np.random.default_rng(0).permutation(total)[:count])
