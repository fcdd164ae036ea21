"""Pretrain: a method of the package with its paper's recipe, on your images; stops and goes on at any step.

    python examples/pretrain.py SimCLR --quick                                    # scikit-learn's digits, 2 minutes
    python examples/pretrain.py BYOL --data photos/ --size 96 --epochs 300        # any folder of images
    python examples/pretrain.py MoCoV2 --tfds cifar10 --size 32 --epochs 200 --batch 256
    python examples/pretrain.py DINO --data photos/ --size 224 --encoder vit_small --patch 16

It is `keras_ssl.pretrain`, which is `python -m keras_ssl pretrain`, with scores before and after. The recipes are in
`keras_ssl/recipes/`, one file for each method: its views, its sizes, its optimizer, with the number of the paper, and
with `--quick` those that fit a run of minutes. CLIP, which needs captions, has a script of its own: `image_text.py`.

The same command goes on where it was stopped; a run that was stopped ends with the same weights as one that was not. At
the end `--out` holds `encoder.keras`, which plain Keras loads, `run.json`, `checkpoints/`, whose files hold the whole
method for `keras_ssl.load`, and `scores.json`: k-NN accuracy where the images have labels (class folders, with train/
and test/ above them or not; a data set with labels, in its test or its validation split), beside the same encoder
before it was trained.

Expected: the docstring of each recipe has the number of its paper, after hundreds of epochs on ImageNet. SimCLR (Chen
et al., 2020), https://arxiv.org/abs/2002.05709, with a ResNet-50 and 1,000 epochs: 69.3 % by a linear classifier. For
runs of minutes on digits none is published: above the untrained encoder.

Got with --quick on 2 CPU cores in 2 minutes: k-NN with SimCLR 98.2 % (untrained encoder 56.2 %).
"""

import argparse
import json
import os
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from labeled_images import arrays, digits, splits_of  # noqa: E402

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
    parser.add_argument("--quick", action="store_true", help="a run of minutes, with sizes and rates that fit it")
    parser.add_argument("--out", type=Path, default=None, help="default runs/METHOD")
    for name in ("encoder", "width", "patch", "epochs", "batch", "seed"):
        kind = str if name == "encoder" else int
        parser.add_argument(f"--{name}", type=kind, help="as of python -m keras_ssl pretrain")
    options = parser.parse_args()
    if why := recipes.why_not(options.method):
        parser.error(f"{why}{'. See examples/image_text.py' if options.method == 'CLIP' else ''}")

    images = images_of(options)
    out = options.out or Path("runs") / options.method
    sizes = {name: getattr(options, name) for name in ("encoder", "width", "patch", "epochs", "batch", "seed", "quick")}
    run = keras_ssl.pretrain(
        images.data, options.method, out, labels=images.labels, upscale=True, resume=True, **images.size, **sizes
    )

    encoder = keras_ssl.load(run["encoder"])
    keras.utils.set_random_seed(options.seed or 0)
    networks = {"untrained": keras.models.clone_model(encoder), "trained": encoder}
    scores = {name: measure(network, images) for name, network in networks.items()}
    (out / "scores.json").write_text(json.dumps(scores, indent=1))
    if scores["trained"] is not None:
        print(f"\nk-NN: {scores['trained']:.1%} (untrained {scores['untrained']:.1%})")
    print(f"{run['seconds']:.0f} s. The encoder: {run['encoder']}")


class Sets(NamedTuple):
    """What to train on, and labeled images to judge by."""

    data: object  # a folder, or an array
    labels: object  # of an array
    train: object  # labeled images for k-NN, or None where there are no labels
    test: object
    size: dict  # {"size": pixels} for a folder


def images_of(options):
    if options.tfds:
        return of_tfds(options)
    if options.data:
        return of_folder(options)
    found = digits()
    return Sets(*found.train, found.train, found.test, {})


def of_folder(options):
    """Images are decoded while the training goes on; the folder may be larger than the memory."""
    parts = [options.data / name for name in ("train", "test")]
    if not all(part.is_dir() for part in parts):
        parts = [options.data]
    judged, read = [None, None], {"labels": True, "shuffle": False, "upscale": True}
    if any(entry.is_dir() for entry in parts[0].iterdir()):
        judged = [data.image_folder(part, options.size, 256, **read) for part in parts]
        if len(parts) == 1:  # every fifth image is asked which of the others are near
            pixels, labels = arrays(judged[0])
            fifth = np.arange(len(labels)) % 5 == 0
            judged = [(pixels[part], labels[part]) for part in (~fifth, fifth)]
    return Sets(parts[0], None, *judged, {"size": options.size})


def of_tfds(options):
    """The whole set in memory."""
    train, test = splits_of(options.tfds)
    read = {"shuffle": False, "drop_remainder": False, "upscale": True, "labels": test is not None}
    if test is None:
        print(f"{options.tfds} has no labels: no k-NN")
        batches = data.tfds(options.tfds, options.size, 256, split=train, **read)
        return Sets(np.concatenate([batch["image"] for batch in batches.as_numpy_iterator()]), None, None, None, {})
    judged = [arrays(data.tfds(options.tfds, options.size, 256, split=split, **read)) for split in (train, test)]
    return Sets(*judged[0], *judged, {})


def measure(encoder, images):
    """k-NN accuracy, or None without labels."""
    return None if images.test is None else float(eval.knn(encoder, images.train, images.test, k=20))


if __name__ == "__main__":
    main()
