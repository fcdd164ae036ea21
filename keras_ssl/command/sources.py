"""Sources: what a run trains on: a folder of images, or an array of them."""

import zlib
from pathlib import Path

import numpy as np

from keras_ssl import data


def source_of(images, labels, arguments):
    """The images of a run: `Folder` for a path, `Pixels` for an array."""
    if isinstance(images, str):
        return Folder(images, labels, arguments)
    return Pixels(images, labels, arguments)


def name_of(images):
    """What a run records of its images, so that it goes on with the same: a path, or the shape and sum of an array."""
    if isinstance(images, np.ndarray):
        return f"array of {' x '.join(map(str, images.shape))}, checksum {zlib.crc32(np.ascontiguousarray(images)):08x}"
    return images


class Folder:
    """The images below a folder. They are decoded while the training goes on."""

    def __init__(self, folder, labels, arguments):
        if labels is not None:
            raise ValueError("labels are for an array of images: those of a folder are its class folders")
        self.folder, self.size, self.seed = folder, arguments["size"], arguments["seed"]
        self.options = {"upscale": arguments["upscale"]}
        found = data.image_folder(folder, self.size, 1, on_error=arguments["bad_images"], **self.options)
        self.paths = found.file_paths
        self.count, self.shape = len(self.paths), (self.size, self.size, 3)

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

    def __init__(self, images, labels, arguments):
        if images.ndim != 4 or images.shape[1] != images.shape[2]:
            raise ValueError(
                "data must be a folder, or square images as an array (n, side, side, channels). Received: an array of "
                f"shape {images.shape}"
            )
        self.images, self.given, self.seed = images, labels, arguments["seed"]
        self.count, self.shape = len(images), images.shape[1:]

    def pipeline(self, batch, needs, epoch, start):
        if "label" in needs and self.given is None:
            raise ValueError("The method learns from labels: pass labels=, an int for each image")
        labels = self.given if "label" in needs else None
        return data.arrays(
            self.images, batch, labels=labels, seed=self.seed, epoch=epoch, start=start, index="index" in needs
        )

    def in_order(self):
        return self.images

    def some(self, count=512):
        return self.images[chosen(self.count, count)]


def chosen(total, count):
    return sorted(np.random.default_rng(0).permutation(total)[:count])
