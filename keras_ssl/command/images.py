"""Images: the folders that a command is given, as pipelines."""

from pathlib import Path

from keras_ssl import data
from keras_ssl.data.decode import EXTENSIONS


def has_classes(folder):
    """Whether every image of a folder lies in a class folder."""
    folder = Path(folder)
    if not folder.is_dir():
        return False
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    loose = any(entry.is_file() and entry.suffix.lower() in EXTENSIONS for entry in entries)
    return not loose and any(entry.is_dir() for entry in entries)


def in_order(folder, size, batch, channels=3, labels=False, on_error="raise", upscale=False):
    """All images of a folder in the order of their names, as a pipeline."""
    return data.image_folder(
        folder, size, batch, labels=labels, shuffle=False, upscale=upscale, channels=channels, on_error=on_error
    )


def labeled(train, test, size, batch, channels=3, upscale=False):
    """Two folders with the same class folders, as pipelines."""
    for folder in (train, test):
        if Path(folder).is_dir() and not has_classes(folder):
            raise ValueError(f"{str(folder)!r} must hold a folder for each class: {folder}/CLASS/image.jpg")
    parts = [in_order(folder, size, batch, channels, labels=True, upscale=upscale) for folder in (train, test)]
    if parts[0].class_names != parts[1].class_names:
        unlike = sorted(set(parts[0].class_names) ^ set(parts[1].class_names))
        raise ValueError(
            f"{str(train)!r} and {str(test)!r} must have the same class folders. Only in one of them: "
            f"{', '.join(unlike[:5])}"
        )
    return parts


def size_of(encoder, size):
    """The size `(height, width)` of images for an encoder, and their channels."""
    *own, channels = encoder.input_shape[1:]
    if size is None and None in own:
        raise ValueError(f"The encoder '{encoder.name}' takes images of any size: pass --size, in pixels")
    return tuple(own) if size is None else (size, size), channels
