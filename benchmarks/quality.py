"""Quality: what a few minutes of training on 10,000 images of CIFAR-10 make of an encoder.

    python benchmarks/quality.py --data cifar10/ --out runs/quality

`--data` is a folder (or a .tar.gz of one) with train/CLASS and test/CLASS; without it the script takes "cifar10" from
tensorflow-datasets. Every method trains a ResNet-18 of width 16 or a small ViT, by its recipe of minutes (`minutes` in
`keras_ssl/recipes/FAMILY/m.py`), on 10,000 class-balanced training images of 32 pixels, 15 epochs of batch 128 (1,170
steps), with two seeds. Scores: weighted k-NN (k = 200, T = 0.1) and a linear probe, both fitted on the same 10,000
images and measured on all 10,000 test images, beside the untrained encoders and raw pixels.

The script can be stopped at any moment: a run goes on after its last whole epoch, and finished rows are kept as long
as their recipe is the same. Two of them can share a folder, with other `--methods` each. It prints the table of the
README, and writes it to `--out`/quality.md; quality.json holds the recipes too. Images per second and peak memory are
those of the whole process, with the views. `--precision mixed_bfloat16` takes two thirds of the time on CPUs that know
the format.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tarfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from small import BATCH, EPOCH, EPOCHS, IMAGES, METHODS, SIZE, UNTRAINED, make  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import data, encoders, eval  # noqa: E402

SEEDS = (0, 1)
PARTS = ("train", "test")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder, or .tar.gz of one, with train/CLASS and test/CLASS")
    parser.add_argument("--out", type=Path, default=Path("runs/quality"), help="folder of checkpoints and results")
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    images = load(options.data, options.out)
    rows = Rows(options.out / "quality.json")
    for name, network_of in ({"raw pixels": None} | UNTRAINED).items():
        for seed in options.seeds if network_of else options.seeds[:1]:
            keras.utils.set_random_seed(seed)
            network = network_of() if network_of else None
            if not rows.has(name, seed, recipe := {"weights": network.count_params()} if network else {}):
                rows.add(name, seed, recipe, scores(network, *images[:2]))
    failed = []
    for seed in options.seeds:
        for name in options.methods:
            # A process of its own: its peak memory is that of the method.
            process = multiprocessing.get_context("spawn").Process(target=run, args=(name, seed, images, options))
            process.start()
            process.join()
            if process.exitcode:
                failed.append(f"{name} with seed {seed}")
    table = Rows(options.out / "quality.json").table()
    (options.out / "quality.md").write_text(table)
    print(table)
    if failed:
        raise SystemExit(f"Failed, see above: {', '.join(failed)}")


def run(name, seed, images, options):
    train, test, classes = images
    out, rows = options.out, Rows(options.out / "quality.json")
    keras.config.set_dtype_policy(options.precision)
    keras.utils.set_random_seed(seed)
    model, optimizer, *callbacks = make(name, train[0])
    settings = keras.saving.serialize_keras_object(optimizer)  # of one, or of each player's
    recipe = settings.get("config", settings) | {
        key: value for key, value in model.get_config().items() if key not in NOT_IN_THE_RECIPE
    }
    recipe |= {"epochs": EPOCHS, "batch": BATCH, "precision": options.precision}
    recipe = json.loads(json.dumps(recipe, default=str, sort_keys=True))
    if rows.has(name, seed, recipe):
        return
    model.compile(optimizer=optimizer)
    checkpoint = out / f"{name}-{seed}.keras"
    marker = out / f"{name}-{seed}.json"
    epoch = 0
    if checkpoint.exists() and marker.exists() and json.loads(marker.read_text()) == recipe:
        model = keras_ssl.load(checkpoint)
        epoch = int(model.optimizer.iterations) // EPOCH
        print(f"{name}, seed {seed}: goes on after epoch {epoch}")
    write(marker, json.dumps(recipe))
    timer = Timer()
    model.fit(
        pipeline(model, train, classes, seed, epoch),
        epochs=EPOCHS,
        initial_epoch=epoch,
        callbacks=[
            *callbacks,
            timer,
            eval.KNN(train, test, every=5),
            Save(checkpoint),
        ],
        verbose=2,
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # GB
    found = {"images_per_second": round(timer.speed()), "peak_memory": round(memory, 2)}
    rows.add(name, seed, recipe, scores(model.evaluated_encoder, train, test) | found)
    keras_ssl.export(model, out / f"{name}-{seed}-encoder.keras")
    checkpoint.unlink()
    marker.unlink()


NOT_IN_THE_RECIPE = ("encoder", "encoders", "network", "text_encoder", "tokenizer", "augment", "name", "dtype")


def pipeline(model, train, classes, seed, epoch, batch=BATCH):
    """Batches of views, made on the host, with the columns that the method asks for."""
    images, labels = train
    columns = {"labels": labels if "label" in model.needs else None, "index": True}
    samples = {"image": images, "mask": data.grid_segments(images)} if "mask" in model.needs else images
    dataset = data.arrays(samples, batch, seed=seed, epoch=epoch, **columns)
    if "text" in model.needs:
        captions = [f"a photo of a {classes[label]}" for label in labels]
        tokens = tf.constant(encoders.byte_tokens(captions, model.text_encoder.input_shape[1]))
        dataset = dataset.map(lambda batch: {**batch, "text": tf.gather(tokens, batch["index"])})
    return data.views(dataset, model.augment)


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
    """Images per second of the median step."""

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
        self.rows = Rows(self.path).rows  # with what another process has added
        self.rows = [row for row in self.rows if (row["method"], row["seed"]) != (name, seed)]
        self.rows.append({"method": name, "seed": seed, "recipe": recipe, **found})
        write(self.path, json.dumps(self.rows, indent=1))
        print(name, seed, found, flush=True)

    def table(self):
        names = ("raw pixels", *UNTRAINED, *METHODS)
        lines = ["| | k-NN | linear | images/s | peak memory, GB |", "|---|---|---|---|---|"]
        for name in names:
            mine = [row for row in self.rows if row["method"] == name]
            if mine:
                cells = [spread([row[key] for row in mine]) for key in ("knn", "linear")]
                for key in ("images_per_second", "peak_memory"):
                    values = [row[key] for row in mine if key in row]
                    cells.append(f"{np.mean(values):.3g}" if values else "")
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
    """Training images and labels, class-balanced, test images and labels, as arrays, and the names of the classes."""
    (images, labels), test, classes = load_all(source, out)
    chosen = data.class_balanced(labels, IMAGES)
    return (images[chosen], labels[chosen]), test, classes


def load_all(source, out):
    """The same with all training images."""
    if source is None:
        parts = [data.tfds("cifar10", SIZE, 500, split=part, labels=True, shuffle=False) for part in PARTS]
    else:
        if source.is_file():
            folder = out / "images"
            if not folder.exists():
                with tarfile.open(source) as archive:
                    archive.extractall(out / "images.part", filter="data")
                os.replace(out / "images.part", folder)
            source = folder
        parts = [data.image_folder(source / part, SIZE, 500, labels=True, shuffle=False) for part in PARTS]
    train, test = (arrays(part) for part in parts)
    return train, test, parts[0].class_names


def arrays(dataset):
    batches = [(batch["image"].numpy(), batch["label"].numpy()) for batch in dataset]
    return tuple(np.concatenate(column) for column in zip(*batches))


if __name__ == "__main__":
    main()
