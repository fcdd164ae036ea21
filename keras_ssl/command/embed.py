"""embed: the features of all images of a folder, as a file."""

from pathlib import Path

from keras_ssl import runs
from keras_ssl.command.ending import running

HELP = "an encoder and a folder -> features"
DESCRIPTION = """Write the features of all images of a folder, in the order of their names.

examples:
  python -m keras_ssl embed runs/byol --data photos/ --out features.npz
  python -m keras_ssl embed encoder.keras --data labelled/ --out features.csv
  python -m keras_ssl embed runs/byol --data photos/ --out features.npz --projector tensorboard/

The .npz file holds `features` (n, dim) in float32, `paths` (n,) relative to --data and, where every image lies in a
class folder, `labels` (n,) and `class_names`. The .csv file has a row an image: path, label where there is one, f0, f1
... With --projector the features, labels and small pictures are written for TensorBoard's projector, too:
`tensorboard --logdir tensorboard/`.
"""


def add(parser):
    option = parser.add_argument
    option("encoder", help="folder of a run, or a .keras file")
    option("--data", required=True, help="folder of images")
    option("--out", required=True, type=Path, help="the file, .npz or .csv")
    option("--projector", type=Path, metavar="FOLDER", help="write the files of TensorBoard's projector there")
    option("--size", type=int, help="side of the images in pixels, where the encoder takes any")
    option("--batch", type=int, default=256, help="images a step (256)")
    option("--bad-images", choices=("raise", "skip"), default="raise", help="what happens with unreadable ones")


def run(options):
    import numpy as np

    from keras_ssl import eval
    from keras_ssl.command import images

    if options.out.suffix not in (".npz", ".csv"):
        raise ValueError(f"--out must end in .npz or .csv. Received: {str(options.out)!r}")
    encoder = runs.load_encoder(options.encoder)
    size, channels = images.size_of(encoder, options.size)
    labelled = images.has_classes(options.data)
    pipeline = images.in_order(options.data, size, options.batch, channels, labelled, options.bad_images)
    with running():
        features, labels = eval.features(encoder, pipeline, options.batch)
    paths = [Path(path).relative_to(options.data).as_posix() for path in pipeline.file_paths]
    names = pipeline.class_names if labelled else None
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.out.suffix == ".npz":
        columns = {"features": features, "paths": np.asarray(paths)}
        columns |= {"labels": labels, "class_names": np.asarray(names)} if labelled else {}
        np.savez(options.out, **columns)
    else:
        write_table(options.out, features, paths, None if labels is None else [names[label] for label in labels])
    document = {"out": str(options.out), "images": len(features), "features": features.shape[1], "labelled": labelled}
    if options.projector is not None:
        project(options, pipeline, features, labels, paths, names)
        document["projector"] = str(options.projector)
    return document, f"{len(features):,} images, {features.shape[1]} features each: {options.out}"


def write_table(path, features, paths, labels):
    import csv

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", *([] if labels is None else ["label"]), *(f"f{i}" for i in range(features.shape[1]))])
        for number, row in enumerate(features):
            label = [] if labels is None else [labels[number]]
            writer.writerow([paths[number], *label, *(f"{value:.9g}" for value in row)])


def project(options, pipeline, features, labels, paths, names):
    import numpy as np

    from keras_ssl import visualize

    pixels = np.concatenate([batch["image"] for batch in pipeline.as_numpy_iterator()])
    columns = {"path": paths}
    if labels is not None:
        columns["label"] = [names[label] for label in labels]
    visualize.projector(features, pixels, columns, options.projector)
