"""Columns: samples of any kind in memory, or in the .npz file that a command is given."""

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from keras_ssl import inputs

FACTS = ("rate", "vocabulary", "class_names")  # what such a file may say of all of its samples


class Columns:
    """Samples by the names of their columns, their labels, and what is known of all of them.

    Args:
        given: dict of arrays with n rows: `"series"` or another column of `keras_ssl.inputs`, its masks, `"label"`
            (ints or strings) and columns of your own. `"rate"` (an int), `"vocabulary"` (an int, or the list of tokens
            or of labels of nodes) and `"class_names"` are of all samples. Or the path of an `.npz` file that holds it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: none of the columns is that of a kind of samples, or the file cannot be read.
    """

    def __init__(self, given):
        name = repr(str(given)) if is_file(given) else "data"
        columns = read(given) if is_file(given) else {key: np.asarray(value) for key, value in given.items()}
        self.kind = inputs.kind_of(columns)
        if self.kind is None:
            known = ", ".join(kind.column for kind in inputs.KINDS)
            raise ValueError(f"{name} must hold one of the columns {known}. Received: {sorted(columns)}")
        facts = {key: columns.pop(key) for key in FACTS if key in columns}
        label = columns.pop("label", None)
        self.rate = int(facts["rate"]) if "rate" in facts else None
        self.vocabulary = size_of(facts["vocabulary"]) if "vocabulary" in facts else None
        self.labels, self.class_names = numbered(label, facts.get("class_names"), name)
        self.columns = columns
        self.sample = self.kind.sample(columns)
        self.shape, self.count = columns[self.kind.column].shape[1:], len(columns[self.kind.column])

    @property
    def pair(self):
        """Samples and labels, as `keras_ssl.eval` takes them."""
        return self.sample, self.labels


def is_file(given):
    return isinstance(given, (str, os.PathLike)) and Path(given).suffix.lower() == ".npz"


def are_columns(given):
    """Whether it is a file or a dict of columns, no folder of images and no array of them."""
    return is_file(given) or isinstance(given, dict)


def read(path):
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}")
    try:
        with open(path, "rb") as stream:  # np.load leaves a file open that it cannot read
            if stream.read(4) != b"PK\3\4":
                raise ValueError("it is no zip file of arrays")
            stream.seek(0)
            file = np.load(stream, allow_pickle=False)
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error}. np.savez writes such files") from None


def size_of(vocabulary):
    return int(vocabulary) if vocabulary.ndim == 0 else len(vocabulary)


def numbered(label, names, where):
    """Labels as ints, and the names of the classes."""
    names = None if names is None else [str(name) for name in names]
    if label is None:
        return None, names
    if label.ndim != 1:
        raise ValueError(f"label of {where} must have one value per sample. Received: shape={label.shape}")
    if label.dtype.kind in "US":
        names = sorted(set(label.tolist())) if names is None else names
        unknown = sorted(set(label.tolist()) - set(names))
        if unknown:
            raise ValueError(f"label of {where} must be of class_names. Received: {unknown[0]!r}")
        return np.array([names.index(one) for one in label.tolist()]), names
    if label.dtype.kind not in "iu":
        raise ValueError(f"label of {where} must be ints or strings. Received: dtype={label.dtype}")
    if names is not None and len(label) and not 0 <= label.min() <= label.max() < len(names):
        raise ValueError(
            f"label of {where} must be from 0 to {len(names) - 1}, as there are {len(names)} class_names. Received: "
            f"labels from {label.min()} to {label.max()}"
        )
    return label, names


def check_alike(train, test):
    """Raises where one of two sets is of columns and the other is a folder of images."""
    if are_columns(train) != are_columns(test):
        paths = [isinstance(given, (str, os.PathLike)) for given in (train, test)]
        words = [repr(str(x)) if path else f"a {type(x).__name__}" for x, path in zip((train, test), paths)]
        words = " and ".join(words)
        raise ValueError(f"Both sets must be folders of images, or both columns (.npz). Received: {words}")


def labeled(train, test):
    """Two sets of labeled samples with the same classes, as pairs `(samples, labels)`; `train` may be None."""
    if train is not None:
        check_alike(train, test)
    sets = [None if part is None else Columns(part) for part in (train, test)]
    for part, given in zip(sets, (train, test)):
        if part is not None and part.labels is None:
            name = repr(str(given)) if is_file(given) else "A set of labeled samples"
            raise ValueError(f"{name} must hold the column label, an int or a string for each sample")
    if sets[0] is not None and sets[0].class_names != sets[1].class_names:
        unlike = sorted(set(sets[0].class_names or ()) ^ set(sets[1].class_names or ()))
        if not unlike:
            raise ValueError("class_names of both sets must have the same order. Received: the same names in another")
        raise ValueError(f"Both sets must have the same classes. Only in one of them: {', '.join(unlike[:5])}")
    return [None if part is None else part.pair for part in sets]
