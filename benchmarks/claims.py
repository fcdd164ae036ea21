"""Claims: what papers say is needed, taken away, in short runs on CIFAR-10.

    python benchmarks/claims.py --data cifar10/
    python benchmarks/claims.py --data cifar10/ --only BYOL SimSiam

The recipes and the 10,000 images are those of `quality.py`. BYOL, SimSiam and SwAV run for four epochs (312 steps),
whole and without what keeps their outputs apart. Shown are the loss of the last epoch, the spread of the projections of
512 images (`sqrt(dim) * std` of the unit vectors: 1 is uniform on the sphere, 0 all alike) and how many dimensions they
use (RankMe); for SwAV the entropy of the mean assignment, as a part of the largest. The others are scored as in
`quality.py`; whole methods, trained as long, have their rows there. Finished rows are kept in `--out`, so the script
can be stopped and go on.

`--data` is as for `quality.py`. `--precision mixed_bfloat16` as well.
"""

import argparse
import json
import multiprocessing
import os
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import ops  # noqa: E402
from quality import load, pipeline, scores, write  # noqa: E402
from small import BATCH, EPOCHS, SIZE, make, resnet  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, losses  # noqa: E402
from keras_ssl.eval import collapse  # noqa: E402
from keras_ssl.losses.vectors import unit  # noqa: E402
from keras_ssl.method import arguments  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder, or .tar.gz of one, with train/CLASS and test/CLASS")
    parser.add_argument("--out", type=Path, default=Path("runs/claims"), help="folder of the results")
    parser.add_argument("--only", nargs="*", default=list(CLAIMS), choices=list(CLAIMS))
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    images = load(options.data, options.out)
    file = options.out / "claims.json"
    rows = json.loads(file.read_text()) if file.exists() else {}
    for claim in options.only:
        print(f"\n{claim}: {CLAIMS[claim][0]}", flush=True)
        for name in CLAIMS[claim][1]:
            if (key := f"{claim}, {name}") not in rows:
                with multiprocessing.get_context("spawn").Pool(1) as pool:  # its memory ends with it
                    rows[key] = pool.apply(measure, (claim, name, images, options.precision))
                write(file, json.dumps(rows, indent=1))
            print(f"{name}: {', '.join(f'{what} {value:.4g}' for what, value in rows[key].items())}", flush=True)


def measure(claim, name, images, precision):
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(0)
    return CLAIMS[claim][1][name](images)


def made(name, kind=None, batch=BATCH, epochs=EPOCHS, **changes):
    """A method by its recipe of minutes, with other arguments, or of another kind, and its optimizer."""
    model, optimizer = make(name, batch=batch, epochs=epochs)
    settings = {argument: getattr(model, argument) for argument in arguments(type(model))}
    return (kind or type(model))(**settings | changes), optimizer


# Whole runs


def scored(method, images, epochs=EPOCHS, batch=BATCH):
    train, test, classes = images
    model, optimizer = method()
    model.compile(optimizer=optimizer)
    model.fit(pipeline(model, train, classes, 0, 0, batch), epochs=epochs, verbose=2)
    return scores(model.evaluated_encoder, train, test)


def untrained(images):
    return scores(resnet(), *images[:2])


# A few epochs, and how the outputs lie


def spread(method, images, epochs=4):
    train, _, classes = images
    model, optimizer = method()
    model.compile(optimizer=optimizer)
    history = model.fit(pipeline(model, train, classes, 0, 0), epochs=epochs, verbose=2).history
    some = ops.convert_to_tensor(train[0][:512], "float32")
    found = {"loss": history["loss"][-1]}
    if isinstance(model, keras_ssl.SwAV):
        embeddings = unit(model.projector(model.encoder(some, training=True), training=True))
        mean = np.mean(losses.sinkhorn(model.prototypes(embeddings), model.epsilon, model.iterations), axis=0)
        return found | {"entropy": -float(np.sum(mean * np.log(np.maximum(mean, 1e-12)))) / np.log(len(mean))}
    network = model.online if isinstance(model, keras_ssl.BYOL) else model.projection
    geometry = collapse(ops.convert_to_numpy(ops.cast(network(some, training=True), "float32")))
    return found | {"spread": geometry["std"], "rank": geometry["rank"]}


class BYOLWithoutPredictor(keras_ssl.BYOL):
    def regress(self, view, onto):
        return losses.cosine_regression(self.online(view, training=True), self.target(onto, training=True))


COLORLESS = augment.simclr_cifar(SIZE, jitter_p=0.0, grayscale_p=0.0)
CLAIMS = {
    "BYOL": (
        "the target that follows slowly, and the predictor, keep it from collapse",
        {
            "whole": partial(spread, partial(made, "BYOL")),
            "neither momentum nor predictor": partial(
                spread, partial(made, "BYOL", BYOLWithoutPredictor, momentum=0.0, steps=None)
            ),
        },
    ),
    "SimSiam": (
        "the stop-gradient and the predictor keep it from collapse",
        {
            "whole": partial(spread, partial(made, "SimSiam")),
            "without stop-gradient": partial(spread, partial(made, "SimSiam", stop_gradient=False)),
            "without predictor": partial(spread, partial(made, "SimSiam", predictor_hidden=None)),
        },
    ),
    "SwAV": (
        "equal shares (Sinkhorn) keep all prototypes in use",
        {
            "whole": partial(spread, partial(made, "SwAV")),
            "softmax": partial(spread, partial(made, "SwAV", iterations=0)),
        },
    ),
    "views": (
        "SimCLR needs crop and color together",
        {"crop alone": partial(scored, partial(made, "SimCLR", augment=COLORLESS))},
    ),
    "shuffling": (
        "batch normalization in groups tells a MoCo query its key, unless the keys are shuffled",
        {"not shuffled": partial(scored, partial(made, "MoCoV1", shuffle=False))},
    ),
    "random target": (
        "BYOL's encoder gets better than a random one by predicting a random one",
        {"untrained": untrained, "random target": partial(scored, partial(made, "BYOL", random_target=True))},
    ),
    "small batch": (
        "decoupling pays where negatives are few: batches of 32, 5 epochs",
        {
            name: partial(scored, partial(made, name, batch=32, epochs=5), epochs=5, batch=32)
            for name in ("SimCLR", "DecoupledContrastive")
        },
    ),
}


if __name__ == "__main__":
    main()
