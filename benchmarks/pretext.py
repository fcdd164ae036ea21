"""Pretext: how well methods answer their question after minutes, and what their encoders know of the images then.

    python benchmarks/pretext.py --data cifar10/ --out runs/pretext

Trains each method of the families `pretext` and `generation` by its recipe of minutes on `--images` class-balanced
training images of CIFAR-10, a ResNet-18 of width 16 (or another encoder, where a method takes no such), `--epochs` of
batch 128. Measured are its pretext accuracy on images that it was not trained on, where it has one, beside chance; and
of the frozen features weighted k-NN (k = 200, T = 0.1) and linear probes, of the features and of the maps after each of
the four stages, averaged to about 1,024 numbers: the last layers of a pretext task know the task better than the image.
Beside them stands the same encoder untrained.

A row also has `held_out`, the linear probe on 2,000 other training images: settings are chosen by it. `--settings`
changes arguments of the method, `--views` those of its views, `--rate` the peak of its learning rate.
A method whose question is about known images (`ExemplarCNN`) is asked about new views of the training images.

The script can be stopped at any moment: a run goes on after its last whole epoch, and finished rows are kept as long as
their recipe is the same. `--write` puts the rows of this command into `benchmarks/results/pretext.json`, beside those
of other methods.
"""

import argparse
import json
import os
import re
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import quality  # noqa: E402
import tensorflow as tf  # noqa: E402
from small import BATCH, SIZE, WIDTH  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import data, eval, recipes  # noqa: E402

FAMILIES = ("pretext", "generation")
RESULTS = Path(__file__).parent / "results" / "pretext.json"
STAGE = re.compile(r"stage(\d+)_block\d+_relu")
COLUMNS = ("accuracy", "knn", "linear", "stage1", "stage2", "stage3", "stage4", "held_out")


def methods():
    """Those of the two families that have a recipe of minutes, in the order of `keras_ssl.METHODS`."""
    return [name for name in recipes.names("minutes") if keras_ssl.METHODS[name].split(".")[1] in FAMILIES]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder, or .tar.gz of one, with train/CLASS and test/CLASS")
    parser.add_argument("--out", type=Path, default=Path("runs/pretext"))
    parser.add_argument("--methods", nargs="*", default=methods(), choices=methods())
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON, arguments of the method")
    parser.add_argument("--views", type=json.loads, default={}, help="JSON, arguments of the recipe's `views`")
    parser.add_argument("--rate", type=float, help="peak of the learning rate")
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--write", action="store_true", help="into benchmarks/results/pretext.json")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keras.config.set_dtype_policy(options.precision)

    train, *tests = load(options)
    rows = quality.Rows(options.out / "pretext.json")
    found = {}
    for seed in options.seeds:
        found.setdefault("untrained", []).append(untrained(seed, train, tests, rows, options))
        for name in options.methods:
            found.setdefault(name, []).append(trained(name, seed, train, tests, rows, options))
    print(table(found))
    if options.write:
        write(found, options)


def load(options):
    """Images and labels: to train on, to measure on, and to choose settings by."""
    cache = options.out / f"images{options.images}.npz"  # decoding 60,000 files takes as long as a short training
    if not cache.exists():
        (images, labels), test, _ = quality.load_all(options.data, options.out)
        chosen = data.class_balanced(labels, options.images)
        rest = np.setdiff1d(np.arange(len(labels)), chosen)
        rest = rest[data.class_balanced(labels[rest], 2000)]
        np.savez(cache, images[chosen], labels[chosen], *test, images[rest], labels[rest])
    with np.load(cache) as arrays:
        found = [arrays[name] for name in arrays.files]
    return tuple(found[:2]), tuple(found[2:4]), tuple(found[4:])


def run_of(name, images, options):
    known = recipes.encoders_of(name)
    encoder = "resnet18" if "resnet18" in known else known[0]
    return recipes.Run(
        (SIZE, SIZE, 3), len(images), BATCH, len(images) // BATCH, options.epochs, encoder,
        WIDTH if encoder == "resnet18" else 8 * WIDTH, patch=4, quick=True, in_order=lambda: images,
    )  # fmt: skip


def make(name, images, options):
    """The method and its optimizer, and callbacks, if any: by the recipe, with the changes that were asked for."""
    run = run_of(name, images, options)
    model, optimizer, *callbacks = recipes.make(name, run)
    config = dict(options.settings)
    if options.views:
        config["augment"] = recipes.find(name).views(run, **options.views)
    if config:
        given = {key: getattr(model, key) for key in keras_ssl.method.arguments(type(model))}
        model = type(model)(**given | config)
    if options.rate:
        scale = options.rate / optimizer._learning_rate.warmup_target
        schedule = optimizer._learning_rate.get_config()
        schedule |= {key: scale * schedule[key] for key in ("initial_learning_rate", "warmup_target")}
        schedule = keras.optimizers.schedules.CosineDecay.from_config(schedule)
        optimizer = type(optimizer).from_config(optimizer.get_config() | {"learning_rate": schedule})
    return model, optimizer, callbacks


def untrained(seed, train, tests, rows, options):
    keras.utils.set_random_seed(seed)
    encoder = recipes.Run((SIZE, SIZE, 3), 1, 1, 1, 1, "resnet18", WIDTH, quick=True).encoder()
    recipe = {"images": len(train[0]), "precision": options.precision}
    return measured("untrained", seed, recipe, rows, lambda: scores(encoder, train, *tests))


def trained(name, seed, train, tests, rows, options):
    keras.utils.set_random_seed(seed)
    model, optimizer, callbacks = make(name, train[0], options)
    recipe = {key: value for key, value in model.get_config().items() if key not in quality.NOT_IN_THE_RECIPE}
    recipe |= {"optimizer": keras.saving.serialize_keras_object(optimizer)}
    recipe |= {"epochs": options.epochs, "images": len(train[0]), "batch": BATCH, "precision": options.precision}
    recipe |= {"views": keras.saving.serialize_keras_object(model.augment)} if model.augment else {}
    recipe = json.loads(json.dumps(recipe, default=str, sort_keys=True))
    label = " ".join([name, *(f"{key}={value}" for key, value in {**options.settings, **options.views}.items())])
    label += f" rate={options.rate}" if options.rate else ""
    return measured(
        label, seed, recipe, rows, lambda: learned(model, optimizer, callbacks, name, seed, train, tests, options)
    )


def measured(name, seed, recipe, rows, measure):
    """A finished row, or a new one."""
    for row in rows.rows:
        if (row["method"], row["seed"], row["recipe"]) == (name, seed, recipe):
            return row
    found = measure()
    rows.add(name, seed, recipe, found)
    return found


def learned(model, optimizer, callbacks, name, seed, train, tests, options):
    model.compile(optimizer=optimizer)
    checkpoint, epoch = options.out / f"{name}-{seed}.keras", 0
    marker = checkpoint.with_suffix(".json")
    mark = json.dumps([options.settings, options.views, options.rate, options.epochs, options.images])
    if checkpoint.exists() and marker.exists() and marker.read_text() == mark:
        model = keras_ssl.load(checkpoint)
        epoch = int(model.optimizer.iterations) // (len(train[0]) // BATCH)
        print(f"{name}, seed {seed}: goes on after epoch {epoch}", flush=True)
    quality.write(marker, mark)
    steps = [*callbacks, quality.Save(checkpoint)]
    model.fit(
        views(model, train, seed, epoch), epochs=options.epochs, initial_epoch=epoch, callbacks=steps, verbose=2
    )
    found = scores(of_one_size(model.evaluated_encoder), train, *tests)
    found |= pretext(model, train if "index" in model.needs else tests[0])
    for path in (checkpoint, marker):
        path.unlink()
    return found


def views(model, images, seed, epoch=0):
    labels = images[1] if "label" in model.needs else None
    return data.views(data.arrays(images[0], BATCH, seed=seed, epoch=epoch, labels=labels, index=True), model.augment)


def pretext(model, images):
    """The terms that the method logs, of views that it was not trained on: without dropout, with batch statistics."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    ask = tf.function(lambda batch: {term: model(batch, training=True)[term] for term in model.terms})
    found = [ask(batch) for batch in views(model, images, seed=1000)]
    means = {term: float(np.mean([batch[term] for batch in found])) for term in model.terms}
    if "accuracy" not in means:
        return {}
    chance = getattr(model, "chance", None)
    chance = {} if chance is None else {"chance": round(100 * chance, 2)}
    return {"accuracy": round(100 * means["accuracy"], 2), **chance}


def of_one_size(encoder):
    """The encoder for images of `SIZE`, where it takes any: maps that are scored need a known size."""
    shape = getattr(encoder, "input_shape", None)
    if not isinstance(shape, tuple) or None not in shape[1:]:
        return encoder
    fixed = keras.models.clone_model(encoder, input_tensors=keras.Input((SIZE, SIZE, shape[-1])))
    fixed.set_weights(encoder.get_weights())
    return fixed


def scores(encoder, train, test, held_out):
    found = quality.scores(encoder, train, test)
    found["held_out"] = round(100 * float(eval.linear(encoder, train, held_out)), 2)
    for stage, inner in stages(encoder).items():
        found[stage] = round(100 * float(eval.linear(inner, train, test)), 2)
    return found


def stages(encoder, dimensions=1024):
    """Encoders of the maps after each stage; of networks that see a part of the channels each, side by side."""
    names = {}
    for inside, network in [("", encoder), *((f"{x.name}/", x) for x in encoder.layers if isinstance(x, keras.Model))]:
        last = {f"stage{stage[1]}": stage[0] for layer in network.layers if (stage := STAGE.fullmatch(layer.name))}
        for stage, layer in last.items():
            names.setdefault(stage, []).append(inside + layer)
    return {stage: side_by_side(encoder, layers, dimensions) for stage, layers in names.items()}


def side_by_side(encoder, layers, dimensions):
    inner = [eval.layer_encoder(encoder, layer, dimensions // len(layers)) for layer in layers]
    if len(inner) == 1:
        return inner[0]
    images = keras.Input(encoder.input_shape[1:], name="images")
    return keras.Model([images], keras.layers.Concatenate()([one([images]) for one in inner]))


def table(found):
    lines = [f"| | {' | '.join(COLUMNS)} | chance |", "|---|" + "---|" * (len(COLUMNS) + 1)]
    for name, rows in found.items():
        cells = [quality.spread([row[key] for row in rows]) if key in rows[0] else "" for key in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} | {rows[0].get('chance', '')} |")
    return "\n".join(lines) + "\n"


def write(found, options):
    """The rows of this command into the file of results, in the order of `keras_ssl.METHODS`."""
    results = json.loads(RESULTS.read_text())
    kept = {row["name"]: row for row in results["rows"]}
    for name, rows in found.items():
        keys = [key for key in ("chance", *COLUMNS) if key in rows[0] and key != "held_out"]
        means = {key: round(float(np.mean([row[key] for row in rows])), 1) for key in keys}
        epochs = {} if name == "untrained" else {"epochs": options.epochs}
        kept["untrained ResNet-18" if name == "untrained" else name] = {**epochs, **means}
    order = ["untrained ResNet-18", *keras_ssl.METHODS]
    rows = [{"name": name} | {k: v for k, v in kept[name].items() if k != "name"} for name in order if name in kept]
    head = {key: value for key, value in results.items() if key != "rows"}
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    lines += [' "rows": [', ",\n".join(f"  {json.dumps(row)}" for row in rows), " ]"]
    RESULTS.write_text("{\n" + "\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
