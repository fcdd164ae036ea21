"""embed: the features of all images of a folder, or of all samples of a file, as a file."""

import os
from pathlib import Path

from keras_ssl import runs
from keras_ssl.checks import check_ints
from keras_ssl.command.ending import given, running

HELP = "an encoder and a folder -> features"
DESCRIPTION = """Write the features of all images of a folder, in the order of their names, or of the samples of a file.

examples:
  python -m keras_ssl embed runs/byol --data photos/ --out features.npz
  python -m keras_ssl embed encoder.keras --data labeled/ --out features.csv
  python -m keras_ssl embed runs/byol --data photos/ --out features.npz --projector tensorboard/

The .npz file holds `features` (n, dim) in float32, `paths` (n,) relative to --data and, where every image lies in a
class folder, `labels` (n,) and `class_names`. The .csv file has a row an image: path, label where there is one, f0, f1
... Samples of another kind, in an .npz file of their columns, have their numbers for paths.
With --projector the features, labels and small pictures are written for TensorBoard's projector, too:
`tensorboard --logdir tensorboard/`.
"""


def add(parser):
    option = parser.add_argument
    option("encoder", help="folder of a run, or a .keras file")
    option("--data", required=True, help="folder of images, or .npz with the columns of other samples")
    option("--out", required=True, type=Path, help="the file, .npz or .csv")
    option("--projector", type=Path, metavar="FOLDER", help="write the files of TensorBoard's projector there")
    option("--size", type=int, help="side of the images in pixels, where the encoder takes any")
    option("--batch", type=int, default=256, help="images per step (256)")
    option("--bad-images", choices=("raise", "skip"), default="raise", help="what happens with unreadable ones")
    option("--upscale", action="store_true", help="enlarge images smaller than the size; else they are an error")


def run(options):
    document = embed(**given(options))
    return document, f"{document['images']:,} samples, {document['features']} features each: {document['out']}"


def embed(encoder, data, out, projector=None, *, size=None, batch=256, bad_images="raise", upscale=False):
    """Writes the features of all images of a folder, in the order of their names: `python -m keras_ssl embed`.

    Args:
        encoder: folder of a run, `.keras` file, `keras.Model` or `keras_ssl.Method`.
        data: folder of images. Or samples of another kind: a dict of columns, or the `.npz` file that holds it, see
            `keras_ssl.pretrain`.
        out: the file, which ends in `.npz` or `.csv`.
        projector: folder for the files of TensorBoard's projector, or None.
        size: int, side of the images in pixels, where the encoder takes any.
        batch: int, images in a batch.
        bad_images: `"raise"` or `"skip"`: what happens with images that cannot be read.
        upscale: bool, whether images smaller than the size are enlarged; else they are an error.

    Returns:
        dict: `"out"`, `"images"` and `"features"`, their numbers, `"labeled"`, and `"projector"` where there is one.

    Raises:
        ValueError: `out` ends otherwise, or there are no images.

    Example:
        ```python
        keras_ssl.embed("runs/byol", data="photos/", out="features.npz")
        features = np.load("features.npz")["features"]
        ```
    """
    import numpy as np

    from keras_ssl import eval
    from keras_ssl.command import columns, images

    out = Path(out)
    check_ints(batch=batch)
    check_ints(optional=True, size=size)
    runs.check_file(out, (".npz", ".csv"))
    encoder = runs.load_encoder(encoder)
    if columns.are_columns(data):
        if projector is not None:
            raise ValueError("--projector shows small pictures: it is for folders of images")
        found = columns.Columns(data)
        labeled, names = found.labels is not None, found.class_names
        pipeline = found.pair if labeled else found.sample
        paths = [str(number) for number in range(found.count)]
        names = [str(label) for label in range(1 + max(found.labels))] if labeled and names is None else names
    else:
        size, channels = images.size_of(encoder, size)
        labeled = images.has_classes(data)
        pipeline = images.in_order(data, size, batch, channels, labeled, bad_images, upscale)
        paths = [os.fsdecode(os.path.relpath(os.fsencode(path), os.fsencode(data))) for path in pipeline.file_paths]
        paths = [Path(path).as_posix() for path in paths]
        names = pipeline.class_names if labeled else None
    with running():
        features, labels = eval.features(encoder, pipeline, batch)
        if out.suffix == ".npz":
            columns = {"features": features, "paths": np.asarray(paths)}
            columns |= {"labels": labels, "class_names": np.asarray(names)} if labeled else {}
            np.savez(out, **columns)
        else:
            write_table(out, features, paths, None if labels is None else [names[label] for label in labels])
        document = {"out": str(out), "images": len(features), "features": features.shape[1], "labeled": labeled}
        if projector is not None:
            project(projector, pipeline, features, labels, paths, names)
            document["projector"] = str(projector)
    return document


def write_table(path, features, paths, labels):
    import csv

    # Names of files need not be UTF-8: their bytes are written as they are.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["path", *([] if labels is None else ["label"]), *(f"f{i}" for i in range(features.shape[1]))])
        for number, row in enumerate(features):
            label = [] if labels is None else [labels[number]]
            writer.writerow([paths[number], *label, *(f"{value:.9g}" for value in row)])


def project(folder, pipeline, features, labels, paths, names):
    import numpy as np

    from keras_ssl import visualize

    pixels = np.concatenate([batch["image"] for batch in pipeline.as_numpy_iterator()])
    columns = {"path": [printable(path) for path in paths]}
    if labels is not None:
        columns["label"] = [printable(names[label]) for label in labels]
    visualize.projector(features, pixels, columns, folder)


def printable(text):
    """A name of a file as text that every program reads: what is not UTF-8 in it is shown as \\xNN."""
    return os.fsencode(text).decode("utf-8", errors="backslashreplace")
