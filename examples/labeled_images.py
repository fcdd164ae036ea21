"""Labeled images for the examples: scikit-learn's digits, a folder, or a set of tensorflow-datasets, as arrays."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_ssl import augment, data
from keras_ssl.recipes import gray_view

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


class Images(NamedTuple):
    """Training and test images with their labels, and the views that suit them."""

    train: tuple  # uint8 (n, height, width, channels) and int (n,)
    test: tuple
    classes: list  # the names
    strong: augment.Views  # two views, for contrast: crop, colors
    weak: augment.Views  # one view, for labels: crop


def add_arguments(parser):
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", type=Path, help="folder with one folder a class, or with train/CLASS and test/CLASS")
    source.add_argument("--tfds", help="name of a tensorflow-datasets image set with labels, for example cifar10")
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels (digits: 16)")
    parser.add_argument("--images", type=int, default=10_000, help="most training images, equally many of each class")


def load(options):
    """The images that the options name: `Images`. Without `--data` and `--tfds` they are the digits."""
    if options.data is None and options.tfds is None:
        return digits(options.images)
    if options.tfds:
        splits = splits_of(options.tfds)
        parts = [data.tfds(options.tfds, options.size, 256, split=split, **IN_ORDER) for split in splits]
    elif (options.data / "train").is_dir() and (options.data / "test").is_dir():
        parts = [
            data.image_folder(options.data / split, options.size, 256, upscale=True, **IN_ORDER)
            for split in ("train", "test")
        ]
    else:
        parts = [data.image_folder(options.data, options.size, 256, upscale=True, on_error="skip", **IN_ORDER)]
    classes = list(parts[0].class_names)
    train, test = [arrays(part) for part in parts] if len(parts) == 2 else split(*arrays(parts[0]))
    # A mirrored photograph is one of the same thing.
    weak = augment.RandomResizedCrop(options.size, scale=(0.3, 1.0), flip=0.5)
    strong = augment.simclr_cifar(options.size) if options.size <= 64 else augment.simclr(options.size)
    return Images(fewer(*train, options.images), test, classes, strong, augment.Views(weak, 1))


IN_ORDER = {"labels": True, "shuffle": False}


def digits(max_images=10_000):
    """1,297 handwritten digits to train and 500 to test, 16 x 16 pixels, gray."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise SystemExit("The digits come with scikit-learn: pip install 'keras_ssl[plots]', or pass --data") from error
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) * (255 / 16)).round().astype("uint8")
    images = images.repeat(2, axis=1).repeat(2, axis=2)[..., None]
    train, test = split(images, labels, test=500)
    weak = augment.Views(augment.RandomResizedCrop(16, scale=(0.6, 1.0)), 1)
    return Images(fewer(*train, max_images), test, DIGITS, augment.Views(gray_view(16), 2), weak)


def splits_of(name):
    """The split of a set of tensorflow-datasets to train on, and the one to test on: None where it has no labels."""
    import tensorflow_datasets  # takes seconds to import, and only this function needs it

    data.tfds(name, 8, 1, upscale=True)  # prepares it, or says that there is no such set
    info = tensorflow_datasets.builder(name).info
    if not isinstance(dict(info.features).get("label"), tensorflow_datasets.features.ClassLabel):
        return "train", None
    for split in ("test", "validation"):
        if split in info.splits and first_label(name, split) >= 0:  # the test split of imagenet2012 has -1 for labels
            return "train", split
    return "train[:80%]", "train[80%:]"


def first_label(name, split):
    batch = next(iter(data.tfds(name, 8, 1, split=split, upscale=True, **IN_ORDER)))
    return int(batch["label"][0])


def arrays(dataset):
    batches = [(batch["image"].numpy(), batch["label"].numpy()) for batch in dataset]
    return tuple(np.concatenate(column) for column in zip(*batches))


def split(images, labels, test=None, seed=0):
    order = np.random.default_rng(seed).permutation(len(images))
    test = test or max(1, len(images) // 5)
    return [(images[part], np.asarray(labels)[part].astype("int32")) for part in (order[test:], order[:test])]


def fewer(images, labels, max_images):
    if len(images) <= max_images:
        return images, labels
    chosen = data.class_balanced(labels, max_images)
    return images[chosen], labels[chosen]
