"""Information: short runs of the methods that estimate mutual information, on images of CIFAR-10.

    python benchmarks/information.py --data cifar10/ CPC CPCv2 DIM AMDIM IIC
    python benchmarks/information.py --data cifar10/ --held-out DIM    # to choose settings

`--data` is a folder with train/CLASS and test/CLASS, see quality.py. Each method trains by its recipe of minutes a
ResNet-18 of width 16 on 8,000 class-balanced training images of 32 pixels, `--epochs` of batch 128. Scores are those of
weighted k-NN (k = 200, T = 0.1) and of a linear probe, both fitted on the same images, on 4,000 test images; beside
the encoder before its training. IIC is scored as a clusterer too: the share of the images that it trained on whose
cluster is that of their class (the Hungarian method), beside k-means of their pixels. With `--held-out` the last 2,000
of the 8,000 training images stand in for the test images. Each row is printed, and kept in `--out`.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import small  # noqa: E402

from keras_ssl import data, eval  # noqa: E402

IMAGES, HELD_OUT, TEST, BATCH = 8_000, 2_000, 4_000, 128
METHODS = ("CPC", "CPCv2", "DIM", "AMDIM", "IIC")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="+", choices=METHODS)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/CLASS and test/CLASS")
    parser.add_argument("--out", type=Path, default=Path("runs/information"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--held-out", action="store_true", help="score on training images that are left out")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other settings of the method")
    parser.add_argument("--rate", type=float, help="another peak of the learning rate")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keras.config.set_dtype_policy("mixed_bfloat16")
    train, test = load(options)
    for seed in options.seeds:
        for name in options.methods:
            given = {"name": name, "seed": seed, "epochs": options.epochs, "set": options.set}
            row = given | run(name, seed, train, test, options)
            print(json.dumps(row), flush=True)
            with open(options.out / "rows.jsonl", "a") as file:
                file.write(json.dumps(row) + "\n")


def run(name, seed, train, test, options):
    keras.utils.set_random_seed(seed)
    model, optimizer = made(name, train[0], options)
    model.compile(optimizer=optimizer)
    found = {"untrained_" + key: value for key, value in scores(model, train, test).items()}
    start = time.perf_counter()
    images = data.arrays(train[0], BATCH, seed=seed)
    history = model.fit(data.views(images, model.augment), epochs=options.epochs, verbose=2).history
    found |= {"minutes": round((time.perf_counter() - start) / 60, 1)} | scores(model, train, test)
    found |= {key: [round(values[0], 3), round(values[-1], 3)] for key, values in history.items()}
    if name == "IIC":
        middle = enlarged(train[0], round(train[0].shape[1] * 20 / 32))  # the views are cut out and enlarged so
        assigned = np.argmax(model.clusterer().predict(middle, batch_size=500, verbose=0), axis=1)
        found |= {f"clusters_{key}": round(100 * value, 1) for key, value in agreement(assigned, train[1]).items()}
        pixels = eval.clustering(None, train, seeds=1, restarts=3)
        found["kmeans_of_pixels"] = round(100 * float(pixels), 1)
    return found


def enlarged(images, side):
    """The middle of images, of `side` pixels, as large as they were."""
    size = images.shape[1]
    first = (size - side) // 2
    parts = np.float32(images[:, first : first + side, first : first + side])
    return np.concatenate([
        keras.ops.convert_to_numpy(keras.ops.image.resize(part, (size, size), data_format="channels_last"))
        for part in np.array_split(parts, max(1, len(parts) // 1000))
    ])  # fmt: skip


def made(name, images, options):
    changes = {key: json.loads(value) for key, value in (one.split("=") for one in options.set)}
    run = small.run(name, images, batch=BATCH, epochs=options.epochs)
    run.count, run.steps_per_epoch = len(images), len(images) // BATCH
    model, optimizer = small.recipes.make(name, run)
    if changes:
        settings = {key: getattr(model, key) for key in model.get_config() if key not in ("name", "dtype")}
        model = type(model)(**settings | changes)
    if options.rate:
        for one in optimizer.values() if isinstance(optimizer, dict) else [optimizer]:
            one._learning_rate = run.schedule(options.rate, warmup=1 / 15)
    return model, optimizer


def scores(model, train, test):
    encoder = model.evaluated_encoder
    return {
        "knn": round(100 * float(eval.knn(encoder, train, test, k=200, temperature=0.1)), 1),
        "linear": round(100 * float(eval.linear(encoder, train, test)), 1),
    }


def agreement(assigned, labels):
    """Accuracy of clusters by the best one-to-one assignment to classes, and normalized mutual information."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import normalized_mutual_info_score

    table = np.zeros((assigned.max() + 1, labels.max() + 1), int)
    np.add.at(table, (assigned, labels), 1)
    accuracy = table[linear_sum_assignment(table, maximize=True)].sum() / len(labels)
    return {"accuracy": accuracy, "NMI": normalized_mutual_info_score(labels, assigned)}


def load(options):
    parts = []
    for part, count in (("train", IMAGES), ("test", TEST)):
        batches = data.image_folder(options.data / part, 32, 500, labels=True, shuffle=False)
        columns = zip(*((batch["image"].numpy(), batch["label"].numpy()) for batch in batches))
        images, labels = (np.concatenate(column) for column in columns)
        chosen = data.class_balanced(labels, count)
        parts.append((images[chosen], labels[chosen]))
    if options.held_out:
        order = np.random.default_rng(0).permutation(IMAGES)
        (images, labels), _ = parts
        parts = [(images[part], labels[part]) for part in (order[:-HELD_OUT], order[-HELD_OUT:])]
    return parts


if __name__ == "__main__":
    main()
