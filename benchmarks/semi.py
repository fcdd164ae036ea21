"""Semi: what images without a label add to a classifier of a few labels.

    python benchmarks/semi.py --data cifar10/ --out runs/semi

`--data` is a folder (or a .tar.gz of one) with train/CLASS and test/CLASS. Of 20,000 class-balanced training images of
32 pixels 40 or 250 of each class have a label. Each method trains a wide residual network of depth 10 for `--steps`
steps of 32 labeled images with 3 (FixMatch, UDA) or 1 unlabeled ones beside each, with one optimizer for all. Scores
are the accuracy of `evaluated_classifier` on all test images, upright. "Supervised" is `PseudoLabel` with a weight of
0, at the one of `--rates` that is best on 1,000 images whose labels no other row has; the rate of those is `--rate`.

Rows that are there with the same settings are kept. `--write` puts them into `benchmarks/results/semi.json`.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from quality import load_all  # noqa: E402
from rows import Rows  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders, optimizers  # noqa: E402

BATCH, IMAGES, HELD_OUT = 32, 20_000, 1_000
RESULTS = Path(__file__).parent / "results" / "semi.json"
NAMES = ("Supervised", "PseudoLabel", "VAT", "S4L", "UDA", "FixMatch")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder, or .tar.gz of one, with train/CLASS and test/CLASS")
    parser.add_argument("--out", type=Path, default=Path("runs/semi"), help="folder of the rows")
    parser.add_argument("--methods", nargs="*", default=NAMES, choices=NAMES)
    parser.add_argument("--labels", nargs="*", type=int, default=(40, 250), help="labels of each class")
    parser.add_argument("--seeds", nargs="*", type=int, default=(0,))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--rates", nargs="*", type=float, default=(0.02, 0.05, 0.1), help="of Supervised")
    parser.add_argument("--write", action="store_true", help="into benchmarks/results/semi.json")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    images = load_all(options.data, options.out)
    rows = Rows(options.out / "semi.json")
    for seed in options.seeds:
        for labels in options.labels:
            for name in options.methods:
                settings = {"steps": options.steps, "rate": options.rate, "labels": labels}
                settings |= {"rates": options.rates} if name == "Supervised" else {}
                row = f"{name}, {labels} labels a class"
                rows.measure(row, seed, settings, lambda: measured(name, labels, seed, images, options))
    names = [f"{name}, {labels} labels a class" for labels in options.labels for name in NAMES]
    table = rows.table(names, {"accuracy": "test accuracy", "minutes": "minutes"}, **said(options))
    print(json.dumps(table, indent=1))
    if options.write:
        RESULTS.write_text(json.dumps(table, indent=1) + "\n")


def said(options):
    return {
        "title": "Few labels and many images without one",
        "what": f"{options.steps} steps of 32 labeled images; a wide residual network of depth 10 and width 1",
        "data": f"CIFAR-10, {IMAGES} training images; all test images",
        "command": "python benchmarks/semi.py --data cifar10/ --out runs/semi --write",
    }


def measured(name, labels, seed, images, options):
    (train, classes), test, _ = images
    chosen = data.class_balanced(classes, IMAGES, seed=0)
    train, classes = train[chosen], classes[chosen]
    few = data.class_balanced(classes, 10 * labels, seed=seed)
    began = time.time()
    if name != "Supervised":
        model = trained(name, options.rate, few, train, classes, seed, options.steps)
    else:
        rest = np.setdiff1d(np.arange(IMAGES), few)
        held = rest[data.class_balanced(classes[rest], HELD_OUT, seed=seed)]
        tried = [trained(name, rate, few, train, classes, seed, options.steps) for rate in options.rates]
        model = max(tried, key=lambda one: accuracy(one, (train[held], classes[held])))
    return {"accuracy": 100 * accuracy(model, test), "minutes": (time.time() - began) / 60}


def trained(name, rate, few, train, classes, seed, steps):
    keras.utils.set_random_seed(seed)
    encoder = encoders.with_fused_batch_norm(encoders.wide_resnet((32, 32, 3), depth=10, width=1, momentum=0.9))
    model, ratio = made(name, encoder, steps)
    rate = optimizers.part_of_cosine(rate, steps)
    model.compile(optimizers.SGD(rate, 0.9, 5e-4, nesterov=True, exclude_vectors=True))
    labeled = data.arrays(train[few], BATCH, labels=classes[few], seed=seed)
    unlabeled = data.arrays(train, ratio * BATCH, seed=seed)
    pipeline = data.views(data.with_unlabeled(labeled, unlabeled), model.augment)
    passes = -(-steps // len(unlabeled))
    model.fit(pipeline.repeat(passes).take(steps), epochs=1, verbose=2)
    return model


def made(name, encoder, steps):
    """The method, and how many unlabeled images there are beside each labeled one."""
    common = {"classes": 10, "momentum": 0.99}
    strong, weak = augment.fixmatch(32), augment.pseudo_label(32)
    if name == "Supervised":
        return keras_ssl.PseudoLabel(encoder, weak, weight=0.0, **common), 1
    if name == "PseudoLabel":
        return keras_ssl.PseudoLabel(encoder, weak, warmup=round(0.4 * steps), **common), 1
    if name == "VAT":
        options = {"epsilon": 6.0, "weight": 0.3, "entropy_weight": 0.06, "apart": True, "warmup": round(0.4 * steps)}
        return keras_ssl.VAT(encoder, weak, **options, **common), 1
    if name == "S4L":
        return keras_ssl.S4L(encoder, weak, **common), 1
    if name == "UDA":
        return keras_ssl.UDA(encoder, strong, **common), 3
    return keras_ssl.FixMatch(encoder, strong, **common), 3


def accuracy(model, labeled):
    images, classes = labeled
    found = model.evaluated_classifier.predict(images.astype("float32"), batch_size=500, verbose=0)
    return float((found.argmax(axis=1) == classes).mean())


if __name__ == "__main__":
    main()
