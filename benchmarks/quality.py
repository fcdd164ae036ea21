"""Quality: what a few minutes of training on 10,000 images of CIFAR-10 make of an encoder.

    python benchmarks/quality.py --data cifar10/ --out runs/quality

`--data` is a folder (or a .tar.gz of one) with train/CLASS and test/CLASS; without it the script takes "cifar10" from
tensorflow-datasets. Every method trains a ResNet-18 of width 16 on 10,000 class-balanced training images of 32 pixels,
15 epochs of batch 128 (1,170 steps), with two seeds. Scores: weighted k-NN (k = 200, T = 0.1) and a linear probe, both
fitted on the same 10,000 images and measured on all 10,000 test images, beside the untrained encoder and raw pixels.

The script can be stopped at any moment: a run goes on after its last whole epoch, and finished rows are kept as long
as their recipe is the same. It prints the table of the README, and writes it to `--out`/quality.md; quality.json holds
the recipes and the images a second too.
"""

import argparse
import json
import os
import tarfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders, eval, optimizers  # noqa: E402

SIZE, WIDTH, BATCH, EPOCHS, IMAGES, SEEDS = 32, 16, 128, 15, 10_000, (0, 1)
STEPS = EPOCHS * (IMAGES // BATCH)


def simclr():
    # 0.5, the paper's temperature for CIFAR-10, is for 1,000 epochs; a lower one learns faster.
    encoder = encoders.resnet18((SIZE, SIZE, 3), width=WIDTH)
    model = keras_ssl.SimCLR(encoder, augment.simclr_cifar(SIZE), temperature=0.2)
    return model, optimizers.SGD(optimizers.warmup_cosine(0.2, STEPS, warmup=78), momentum=0.9, weight_decay=5e-4)


def moco_v2():
    # Views, queue and momentum of the authors' CIFAR-10 demo. Statistics in 8 groups, as on its 8 simulated GPUs.
    encoder = encoders.resnet18((SIZE, SIZE, 3), width=WIDTH, batch_norm_groups=8)
    model = keras_ssl.MoCoV2(
        encoder, augment.moco_cifar(SIZE), hidden=128, queue_size=4096, momentum=0.99, temperature=0.1
    )
    return model, optimizers.SGD(optimizers.warmup_cosine(0.06, STEPS, warmup=78), momentum=0.9, weight_decay=5e-4)


def byol():
    # A target with momentum 0.996 would hardly leave its random start in 1,170 steps.
    encoder = encoders.resnet18((SIZE, SIZE, 3), width=WIDTH)
    model = keras_ssl.BYOL(encoder, augment.byol_cifar(SIZE), hidden=512, dim=128, momentum=0.97, steps=STEPS)
    return model, optimizers.SGD(optimizers.warmup_cosine(0.2, STEPS, warmup=78), momentum=0.9, weight_decay=5e-4)


RECIPES = {"SimCLR": simclr, "MoCoV2": moco_v2, "BYOL": byol}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder, or .tar.gz of one, with train/CLASS and test/CLASS")
    parser.add_argument("--out", type=Path, default=Path("runs/quality"), help="folder of checkpoints and results")
    parser.add_argument("--methods", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    train, test = load(options.data, options.out)
    rows = Rows(options.out / "quality.json")
    for name, encoder in (("raw pixels", None), ("untrained", "seeded")):
        for seed in options.seeds if encoder else options.seeds[:1]:
            keras.utils.set_random_seed(seed)
            if not rows.has(name, seed, recipe := {"width": WIDTH} if encoder else {}):
                network = encoders.resnet18((SIZE, SIZE, 3), width=WIDTH) if encoder else None
                rows.add(name, seed, recipe, scores(network, train, test))
    for seed in options.seeds:
        for name in options.methods:
            run(name, seed, train, test, rows, options.out)
    table = rows.table()
    (options.out / "quality.md").write_text(table)
    print(table)


def run(name, seed, train, test, rows, out):
    keras.utils.set_random_seed(seed)
    model, optimizer = RECIPES[name]()
    recipe = keras.saving.serialize_keras_object(optimizer)["config"] | {
        key: value for key, value in model.get_config().items() if key not in ("encoder", "augment", "name", "dtype")
    }
    recipe = json.loads(json.dumps(recipe | {"epochs": EPOCHS, "batch": BATCH}, default=str, sort_keys=True))
    if rows.has(name, seed, recipe):
        return
    model.compile(optimizer=optimizer)
    checkpoint = out / f"{name}-{seed}.keras"
    marker = out / f"{name}-{seed}.json"
    epoch = 0
    if checkpoint.exists() and marker.exists() and json.loads(marker.read_text()) == recipe:
        model = keras_ssl.load(checkpoint)
        epoch = int(model.optimizer.iterations) // (IMAGES // BATCH)
        print(f"{name}, seed {seed}: goes on after epoch {epoch}")
    write(marker, json.dumps(recipe))
    timer = Timer()
    model.fit(
        data.arrays(train[0], BATCH, seed=seed, epoch=epoch),
        epochs=EPOCHS,
        initial_epoch=epoch,
        callbacks=[timer, eval.KNN(train, test, every=5), Save(checkpoint)],
        verbose=2,
    )
    found = scores(model.encoder, train, test) | {"images_per_second": round(timer.speed())}
    rows.add(name, seed, recipe, found)
    keras_ssl.export(model, out / f"{name}-{seed}-encoder.keras")
    checkpoint.unlink()
    marker.unlink()


def scores(encoder, train, test):
    return {
        "knn": round(100 * float(eval.knn(encoder, train, test, k=200, temperature=0.1)), 2),
        "linear": round(100 * float(eval.linear(encoder, train, test)), 2),
    }


class Save(keras.callbacks.Callback):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        part = self.path.with_suffix(".part.keras")
        self.model.save(part)
        os.replace(part, self.path)  # a run that dies while it writes keeps the file before


class Timer(keras.callbacks.Callback):
    """Images a second of the median step."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)

    def speed(self):
        return BATCH / float(np.median(self.seconds))


class Rows:
    """The finished rows, kept in a JSON file."""

    def __init__(self, path):
        self.path = path
        self.rows = json.loads(path.read_text()) if path.exists() else []

    def has(self, name, seed, recipe):
        return any((row["method"], row["seed"], row["recipe"]) == (name, seed, recipe) for row in self.rows)

    def add(self, name, seed, recipe, found):
        self.rows = [row for row in self.rows if (row["method"], row["seed"]) != (name, seed)]
        self.rows.append({"method": name, "seed": seed, "recipe": recipe, **found})
        write(self.path, json.dumps(self.rows, indent=1))
        print(name, seed, found, flush=True)

    def table(self):
        lines = ["| | k-NN | linear |", "|---|---|---|"]
        for name in dict.fromkeys(row["method"] for row in self.rows):
            mine = [row for row in self.rows if row["method"] == name]
            cells = [spread([row[key] for row in mine]) for key in ("knn", "linear")]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def spread(values):
    mean = f"{np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.1f} to {max(values):.1f})"


def write(path, text):
    part = path.with_suffix(".part")
    part.write_text(text)
    os.replace(part, path)


def load(source, out):
    """(train images, labels), class-balanced, and (test images, labels), as arrays."""
    if source is None:
        return [arrays(data.tfds("cifar10", SIZE, 500, split=part, labels=True, shuffle=False), part) for part in PARTS]
    if source.is_file():
        folder = out / "images"
        if not folder.exists():
            with tarfile.open(source) as archive:
                archive.extractall(out / "images.part", filter="data")
            os.replace(out / "images.part", folder)
        source = folder
    folders = [source / part for part in PARTS]
    return [
        arrays(data.image_folder(folder, SIZE, 500, labels=True, shuffle=False), folder.name) for folder in folders
    ]


PARTS = ("train", "test")


def arrays(dataset, part):
    batches = [(batch["image"].numpy(), batch["label"].numpy()) for batch in dataset]
    images, labels = (np.concatenate(column) for column in zip(*batches))
    chosen = data.class_balanced(labels, IMAGES) if part == "train" else slice(None)
    return images[chosen], labels[chosen]


if __name__ == "__main__":
    main()
