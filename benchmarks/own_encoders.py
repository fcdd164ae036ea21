"""Own encoders: makes the small encoders that come with the package, from Fashion-MNIST, on one CPU core.

    apt-get install dataset-fashion-mnist                 # or any folder with the four files of the data set: --data
    python benchmarks/own_encoders.py fashion_resnet18    # 10 minutes of one core
    python benchmarks/own_encoders.py fashion_vit         # 18 minutes

Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017, https://arxiv.org/abs/1708.07747) has 60,000 training and 10,000 test
images, gray, of 28 x 28 pixels, under the MIT license. All training images are used, without their labels. The command
can be stopped at any moment: started again, it goes on from its last checkpoint in --out, with the same weights at the
end. It writes NAME.npz (the weights, mostly float16) and NAME.json (the card) into the package, to the folder from
which `keras_ssl.pretrained.load(NAME)` reads them.

Scores are those of the file as it loads: weighted k-NN (k = 200, T = 0.1) and a linear probe, fitted on 10,000 training
images with their labels, 1,000 of each class, on all 10,000 test images; beside raw pixels, the encoder before
training, and the encoder in float32 as the training left it. `--only scores` measures what is in the package and writes
the numbers of the card; `--only train` leaves the scores out.
"""

import argparse
import gzip
import multiprocessing
import os
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders, eval, optimizers, pretrained  # noqa: E402
from keras_ssl.checkpoint import versions  # noqa: E402
from keras_ssl.pretrained import own  # noqa: E402

SIZE, SHAPE, SEED, PRECISION = 28, (28, 28, 1), 0, "mixed_bfloat16"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(RECIPES))
    parser.add_argument("--data", type=Path, default=DEBIAN, help="folder with train-images-idx3-ubyte.gz and others")
    parser.add_argument("--out", type=Path, default=Path("runs/own_encoders"), help="folder of the checkpoints")
    parser.add_argument("--only", choices=("train", "scores"), help="one part of the work")
    options = parser.parse_args()
    if options.only != "scores":
        train(options)
    if options.only != "train":  # in a process of its own, which reads the package's files anew, in float32
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(options,))
        process.start()
        process.join()
        raise SystemExit(process.exitcode)


# The recipes: method, epochs, batch, what the card says


def fashion_resnet18(steps):
    encoder = encoders.resnet18(SHAPE, width=16, stem="cifar")
    model = keras_ssl.SimCLR(encoder, clothes(), temperature=0.2)
    rate = optimizers.warmup_cosine(0.2, steps, warmup=steps // 20)
    return model, optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4)


def clothes():
    """Two views of a gray piece of clothing: a part of it, mirrored, lighter or darker, blurred."""
    crop = augment.RandomResizedCrop(SIZE, scale=(0.3, 1.0), flip=0.5)
    return augment.Views(augment.View([crop, augment.ColorJitter(0.4, 0.4, p=0.8), augment.GaussianBlur(3, p=0.5)]), 2)


def fashion_vit(steps):
    encoder = encoders.vit(SHAPE, 4, width=96, depth=6, heads=4, pooling="mean")
    model = keras_ssl.MAE(encoder, augment.mae(SIZE), width=64, depth=2, heads=4)
    rate = optimizers.warmup_cosine(1.5e-3, steps, warmup=steps // 20)
    return model, optimizers.AdamW(rate, weight_decay=0.05, beta_2=0.95)


RECIPES = {
    "fashion_resnet18": {
        "make": fashion_resnet18,
        "epochs": 3,
        "batch": 128,
        "jit": False,  # XLA slows convolutions on a CPU down
        "card": {
            "method": "SimCLR",
            "architecture": "ResNet-18 of width 16, 3x3 stem",
            "views": "crops of 30 to 100 % of the area, mirrored, brightness and contrast of 0.4, blur",
            "paper": "https://arxiv.org/abs/2002.05709",
            "layout": "resnet",
            "size": {"width": 16},
            "options": {},
            "pooling": "mean",
        },
    },
    "fashion_vit": {
        "make": fashion_vit,
        "epochs": 12,
        "batch": 128,
        "jit": True,
        "card": {
            "method": "MAE",
            "architecture": "ViT of width 96, 6 blocks, 4 heads, patches of 4",
            "views": "crops of 20 to 100 % of the area, mirrored; three quarters of the patches hidden",
            "paper": "https://arxiv.org/abs/2111.06377",
            "layout": "vit",
            "size": {"width": 96, "depth": 6, "patch": 4},
            "options": {"heads": 4},
            "pooling": "mean",
        },
    },
}
DATA = {
    "data": "Fashion-MNIST, 60,000 gray images of clothing, 28 x 28",
    "data_license": "MIT, copyright 2017 Zalando SE",
    "data_paper": "https://arxiv.org/abs/1708.07747",
    "license": "Apache-2.0",
    "input_shape": list(SHAPE),
}
LABELED, FEW = 10_000, 1000
PROTOCOL = (
    f"accuracy in per cent on the 10,000 test images, fitted on {LABELED:,} class-balanced training images with their "
    "labels: keras_ssl.eval.knn with k = 200 and temperature 0.1, keras_ssl.eval.linear"
)


# Training


def train(options):
    recipe, ((images, _), _) = RECIPES[options.name], fashion_mnist(options.data)
    steps_per_epoch = len(images) // recipe["batch"]
    keras.config.set_dtype_policy(PRECISION)
    model, optimizer = build(options.name, recipe["epochs"] * steps_per_epoch)
    model.compile(optimizer=optimizer, jit_compile=recipe["jit"])
    checkpoint = keras_ssl.Checkpoint(options.out / options.name, every=200, keep=1)
    epoch, start = checkpoint.restore(model)
    batches = data.arrays(images, recipe["batch"], seed=SEED, epoch=epoch, start=start)
    clock = Clock(options.out / f"{options.name}.seconds", fresh=not checkpoint.step)
    model.fit(
        data.views(batches, model.augment),
        epochs=recipe["epochs"],
        initial_epoch=epoch,
        callbacks=[clock, checkpoint],
        verbose=2,
    )
    keras_ssl.export(model, options.out / f"{options.name}.keras")
    path = own.write(model.encoder, card(options.name, model, recipe, steps_per_epoch, clock.seconds))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {clock.seconds:.0f} s of CPU")


def build(name, steps):
    keras.utils.set_random_seed(SEED)
    return RECIPES[name]["make"](steps)


def card(name, model, recipe, steps_per_epoch, seconds):
    return {
        "name": name,
        **recipe["card"],
        **DATA,
        "numbers": {},
        "recipe": {
            "epochs": recipe["epochs"],
            "batch": recipe["batch"],
            "steps": recipe["epochs"] * steps_per_epoch,
            "seed": SEED,
            "precision": PRECISION,
            "method": plain(model.get_config()),
            "optimizer": [type(model.optimizer).__name__, plain(model.optimizer.get_config())],
        },
        "command": f"python benchmarks/own_encoders.py {name}",
        "cpu_minutes": round(seconds / 60, 1),
        "date": date.today().isoformat(),
        "versions": versions(),
    }


def plain(config):
    """What JSON shows well of a configuration; of a schedule inside its own."""
    kinds, left_out = (int, float, str), ("name", "dtype")
    found = {key: value for key, value in config.items() if isinstance(value, kinds) and key not in left_out}
    if isinstance(config.get("learning_rate"), dict):
        found["learning_rate"] = plain(config["learning_rate"]["config"])
    return found


class Clock(keras.callbacks.Callback):
    """CPU seconds of the training, those before a stop included."""

    def __init__(self, path, fresh):
        super().__init__()
        self.path = path
        self.before = 0.0 if fresh or not path.exists() else float(path.read_text())
        self.begin = time.process_time()

    @property
    def seconds(self):
        return self.before + time.process_time() - self.begin

    def on_train_batch_end(self, batch, logs=None):
        if batch % 100 == 99:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(str(self.seconds))


# Scores


def measure(options):
    (images, labels), test = fashion_mnist(options.data)
    chosen = data.class_balanced(labels, LABELED)
    parts = (images[chosen], labels[chosen]), test
    (found,) = [one for one in own.cards() if one["name"] == options.name]
    found["protocol"], found["numbers"] = PROTOCOL, scores(pretrained.load(options.name), parts)
    found["untrained"] = scores(build(options.name, 1)[0].encoder, parts)
    found["raw pixels"] = scores(None, parts)
    whole = options.out / f"{options.name}.keras"
    if whole.exists():
        found["in float32"] = scores(keras.saving.load_model(whole), parts)
    found["quick check"] = quick_check(pretrained.load(options.name), (images, labels), test)
    own.write_card(found)
    print(f"| {options.name} | k-NN | linear |\n|---|---|---|")
    for row in ("raw pixels", "untrained", "in float32", "numbers"):
        if row in found:
            print(f"| {row} | {found[row]['k-NN']:.2f} | {found[row]['linear']:.2f} |")


def scores(encoder, parts):
    features = [column for part in parts for column in eval.features(encoder, part)]
    return {
        "k-NN": round(100 * float(eval.knn_features(*features, k=200, temperature=0.1)), 2),
        "linear": round(100 * float(eval.linear_features(*features)), 2),
    }


def quick_check(encoder, train, test):
    """What takes seconds to measure again, as the tests do: k-NN accuracy with few images."""
    few = [tuple(column[:FEW] for column in part) for part in (train, test)]
    return {
        "protocol": f"keras_ssl.eval.knn with k = 20, of the first {FEW:,} training and test images",
        "k-NN": round(100 * float(eval.knn(encoder, *few, k=20)), 2),
        "raw pixels": round(100 * float(eval.knn(None, *few, k=20)), 2),
    }


def fashion_mnist(folder):
    """Training and test images `(n, 28, 28, 1)`, uint8, each with their labels."""
    found = []
    for part in ("train", "t10k"):
        images = numbers(folder / f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, *SHAPE)
        found.append((images, numbers(folder / f"{part}-labels-idx1-ubyte.gz", 8).astype("int32")))
    return found


def numbers(path, start):
    """The bytes of an IDX file after its header."""
    if not path.exists():
        raise SystemExit(f"No {path}: install the Debian package dataset-fashion-mnist, or pass --data FOLDER")
    with gzip.open(path) as stream:
        return np.frombuffer(stream.read(), "uint8", offset=start)


if __name__ == "__main__":
    main()
