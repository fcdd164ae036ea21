"""Pretrain: a method of the package with its paper's recipe, on your images; stops and goes on at any epoch.

    python examples/pretrain.py SimCLR --quick                                    # scikit-learn's digits, 2 minutes
    python examples/pretrain.py BYOL --data photos/ --size 96 --epochs 300        # any folder of images
    python examples/pretrain.py MoCoV2 --tfds cifar10 --size 32 --epochs 200 --batch 256
    python examples/pretrain.py DINO --data photos/ --size 224 --encoder vit_small --patch 16

`keras_ssl/recipes/` has one file a method: its views, its sizes, its optimizer, with the number of the paper, and with
`--quick` those that fit a run of minutes. The paper of each stands in the method's file. CLIP, which
needs captions, has a script of its own: `image_text.py`.

A checkpoint is written after every epoch, and the same command goes on where it stopped; a run that was stopped ends
with the same weights as one that was not. At the end `--out` holds `encoder.keras`, which plain Keras loads,
`run.keras`, the whole method for `keras_ssl.load`, and `scores.json`: k-NN accuracy where the images have labels (class
folders, with train/ and test/ above them or not; a data set with labels, in its test or its validation split), beside
the untrained encoder.

Expected: the docstring of each recipe has the number of its paper, after hundreds of epochs on ImageNet. SimCLR (Chen
et al., 2020), https://arxiv.org/abs/2002.05709, with a ResNet-50 and 1,000 epochs: 69.3 % by a linear classifier. For
runs of minutes on digits none is published: above the untrained encoder.

Got with --quick on 2 CPU cores in 2 minutes: k-NN with SimCLR 98.2 % (untrained encoder 56.2 %).
"""

import argparse
import dataclasses
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from labelled_images import digits, split, splits_of  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import data, eval, recipes  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", help=f"one of {', '.join(recipes.names())}")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", type=Path, help="folder of images, in class folders, or above them train/ and test/")
    source.add_argument("--tfds", help="name of a tensorflow-datasets image set, for example cifar10")
    source.add_argument("--dataset", choices=["digits"], help="the default: scikit-learn's digits")
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels (digits: 16)")
    parser.add_argument("--encoder", help="default: what suits the method, a resnet18 or a vit")
    parser.add_argument(
        "--width", type=int, help="of a resnet's first stage, default 64, --quick 16; of a vit's tokens, --quick 128"
    )
    parser.add_argument("--patch", type=int, help="side of a vit's patches, default an eighth of the image, at most 16")
    parser.add_argument("--epochs", type=int, default=None, help="default 200, with --quick about 400 steps")
    parser.add_argument("--batch", type=int, default=None, help="default 256, with --quick 128")
    parser.add_argument("--quick", action="store_true", help="a run of minutes, with sizes and rates that fit it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="default runs/METHOD")
    options = parser.parse_args()
    if options.method not in recipes.names():
        parser.error(f"{why_not(options.method)}. Recipes: {', '.join(recipes.names())}")
    options.batch = options.batch or (128 if options.quick else 256)
    options.out = options.out or Path("runs") / options.method
    options.out.mkdir(parents=True, exist_ok=True)
    begin = time.time()

    keras.utils.set_random_seed(options.seed)
    images = source_of(options)
    steps = images.count // options.batch
    if not steps:
        parser.error(f"{images.count} images to train on are fewer than one batch: pass a smaller --batch")
    choose_encoder(parser, options, images.shape[0])
    options.epochs = options.epochs or (max(1, round(400 / steps)) if options.quick else 200)
    run = recipes.Run(
        images.shape, images.count, options.batch, steps, options.epochs, options.encoder, options.width, options.patch,
        options.quick, images.in_order,
    )
    try:
        model, optimizer, *callbacks = recipes.make(options.method, run)
    except ValueError as error:
        parser.error(str(error))
    if "label" in model.needs and images.train is None:
        parser.error(f"{options.method} learns from labels: put the images into class folders")
    model.compile(optimizer=optimizer)
    scores = {"untrained": measure(model.encoder, images)}
    model, epoch = resume(options, model, steps)
    # The features of a transformer are close together from the start.
    monitor = eval.CollapseMonitor(images.some, threshold=0.05 if run.transformer else 0.1)
    model.fit(
        images.pipeline(epoch, labels="label" in model.needs, index="index" in model.needs),
        epochs=options.epochs,
        initial_epoch=epoch,
        callbacks=[*callbacks, Checkpoint(options.out / "run.keras"), monitor],
        verbose=2,
    )
    keras_ssl.export(model, options.out / "encoder.keras")
    scores["trained"] = measure(model.evaluated_encoder, images)
    (options.out / "scores.json").write_text(json.dumps(scores, indent=1))
    if scores["trained"] is not None:
        print(f"\nk-NN: {scores['trained']:.1%} (untrained {scores['untrained']:.1%})")
    print(f"{time.time() - begin:.0f} s. The encoder: {options.out / 'encoder.keras'}")


def why_not(method):
    if method == "CLIP":
        return "CLIP learns from captions: see examples/image_text.py"
    return recipes.why_not(method)


def choose_encoder(parser, options, size):
    """Completes the options that depend on the method and on the images."""
    options.encoder = options.encoder or recipes.usual_encoder(options.method, size, options.quick)
    if options.encoder in recipes.RESNETS:
        options.width = options.width or (16 if options.quick else 64)
        return
    options.width = options.width or (128 if options.quick else None)
    options.patch = options.patch or recipes.usual_patch(size)
    if size % options.patch:
        parser.error(f"images of {size} pixels are not a whole number of patches of {options.patch}: pass --patch")


# Stop and go on


def resume(options, model, steps):
    """The model of the last checkpoint and the number of its epochs, or the new model and 0."""
    options_file, checkpoint = options.out / "options.json", options.out / "run.keras"
    mine = {name: str(value) for name, value in vars(options).items() if name != "out"}
    if checkpoint.exists():
        theirs = json.loads(options_file.read_text())
        if theirs != mine:
            unlike = sorted(name for name in mine if mine[name] != theirs.get(name))
            raise SystemExit(
                f"{checkpoint} is of a run with other options ({', '.join(unlike)}): pass the same ones to go on, or "
                "another --out to begin anew"
            )
        model = keras_ssl.load(checkpoint)
        epoch = int(model.optimizer.iterations) // steps
        print(f"Goes on after epoch {epoch}")
        return model, epoch
    options_file.write_text(json.dumps(mine))
    return model, 0


class Checkpoint(keras.callbacks.Callback):
    """Writes the whole method after every epoch; a run that dies while it writes keeps the file before."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        part = self.path.with_suffix(".part.keras")
        self.model.save(part)
        os.replace(part, self.path)


# Images


@dataclasses.dataclass
class Source:
    """Images to train on, and labelled ones for k-NN as pairs of arrays, or None where there are no labels."""

    pipeline: object  # (epoch, labels, index) -> tf.data.Dataset
    in_order: object  # () -> the images to train on, as an array or a pipeline with "index" that does not shuffle
    count: int
    shape: tuple
    some: np.ndarray  # a few hundred images, to watch the features
    train: tuple | None
    test: tuple | None


def source_of(options):
    if options.tfds:
        return of_tfds(options)
    return of_folder(options) if options.data else of_digits(options)


def of_digits(options):
    images = digits()

    def pipeline(epoch, labels, index):
        columns = {"labels": images.train[1] if labels else None, "index": index}
        return data.arrays(images.train[0], options.batch, seed=options.seed, epoch=epoch, **columns)

    pixels = images.train[0]
    return Source(pipeline, lambda: pixels, len(pixels), pixels.shape[1:], pixels[:512], images.train, images.test)


def of_folder(options):
    """Images are decoded while the training goes on; the folder may be larger than the memory."""
    parts = [options.data / name for name in ("train", "test")]
    folders = parts if all(part.is_dir() for part in parts) else [options.data]
    listed = [files_of(folder) for folder in folders]
    if listed[0][1] is None:
        train, test = listed[0], None
    elif len(listed) == 2:
        train, test = listed
    else:
        train, test = split(*map(np.asarray, listed[0]))

    paths = [str(path) for path in train[0]]

    def pipeline(epoch, labels, index):
        columns = {"labels": train[1] if labels else None, "index": index}
        return data.files(paths, options.size, options.batch, seed=options.seed, epoch=epoch, upscale=True, **columns)

    def in_order():
        return data.files(paths, options.size, options.batch, index=True, upscale=True, **ALL_IN_ORDER)

    def decoded(part, most):
        chosen = np.random.default_rng(0).permutation(len(part[0]))[:most]
        paths = [str(part[0][i]) for i in chosen]
        batches = data.files(paths, options.size, 256, shuffle=False, upscale=True)
        pixels = np.concatenate([batch["image"].numpy() for batch in batches])
        return pixels, None if part[1] is None else np.asarray(part[1])[chosen].astype("int32")

    judged = [None, None] if test is None else [decoded(train, 10_000), decoded(test, 2000)]
    shape = (options.size, options.size, 3)
    return Source(pipeline, in_order, len(paths), shape, decoded(train, 512)[0], *judged)


ALL_IN_ORDER = {"shuffle": False, "drop_remainder": False}


def files_of(folder):
    """The image files below a folder, and the numbers of their classes, or None where there are no class folders."""
    labelled = any(entry.is_dir() for entry in folder.iterdir())
    dataset = data.image_folder(folder, 8, 1, labels=labelled, shuffle=False, upscale=True)
    if not labelled:
        return dataset.file_paths, None
    names = [Path(path).relative_to(folder).parts[0] for path in dataset.file_paths]
    return dataset.file_paths, [dataset.class_names.index(name) for name in names]


def of_tfds(options):
    train, test = splits_of(options.tfds)

    def read(split, **more):
        return data.tfds(options.tfds, options.size, options.batch, split=split, upscale=True, **more)

    def pipeline(epoch, labels, index):
        return read(train, seed=options.seed, epoch=epoch, labels=labels, index=index)

    def in_order():
        return read(train, index=True, **ALL_IN_ORDER)

    def decoded(split, most, *names):
        batches = list(read(split, labels="label" in names, **ALL_IN_ORDER).take(-(-most // options.batch)))
        return tuple(np.concatenate([batch[name].numpy() for batch in batches])[:most] for name in names)

    (some,) = decoded(train, 512, "image")
    judged = [None, None]
    if test is None:
        print(f"{options.tfds} has no labels: no k-NN")
    else:
        judged = [decoded(train, 10_000, "image", "label"), decoded(test, 2000, "image", "label")]
    count = int(data.tfds(options.tfds, options.size, 1, split=train, upscale=True).cardinality())
    return Source(pipeline, in_order, count, some.shape[1:], some, *judged)


def measure(encoder, images):
    """k-NN accuracy, or None without labels."""
    return None if images.test is None else float(eval.knn(encoder, images.train, images.test, k=20))


if __name__ == "__main__":
    main()
