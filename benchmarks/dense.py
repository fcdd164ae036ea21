"""Dense: what methods that compare places make of an encoder for segmentation, beside SimCLR and a random start.

    python benchmarks/dense.py --stamps tux_stamps/ --photos photos/ --out runs/dense

Scenes of 48 pixels (`benchmarks/scenes.py`) show one to three cut-outs on a photograph, with exact masks; without
--stamps and --photos they are drawn shapes. Each method trains a ResNet-18 of width 16 on 4,000 scenes without their
masks, 248 steps of 64 scenes, by its recipe of minutes. `eval.segment` then trains a small head on the maps of the
frozen encoder, on 400 scenes with masks, and is measured on 400 scenes of other cut-outs and other photographs: mean
intersection over union of the classes, and of the same predictions that of all things against the ground. DetCon gets
masks that are grids of 4 x 4 cells, or with --segment those of Felzenszwalb.

`--held-out` measures on further scenes of the training's cut-outs and photographs, for choosing settings. The script
can be stopped: a run goes on after its last epoch, finished rows are kept as long as their recipe is the same.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import scenes  # noqa: E402
from quality import NOT_IN_THE_RECIPE, Save, spread, write  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import data, eval, recipes  # noqa: E402

SIZE, WIDTH, BATCH, SCENES, EPOCHS = 48, 16, 64, 4_000, 4
LABELED, TEST = 400, 400
METHODS = ("SimCLR", "MoCoV2", "DenseCL", "PixContrast", "PixPro", "VICReg", "VICRegL", "DetCon")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamps", type=Path, help="folder of Tux Paint's stamps")
    parser.add_argument("--photos", type=Path, help="folder of photographs")
    parser.add_argument("--out", type=Path, default=Path("runs/dense"))
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--segment", action="store_true", help="masks for DetCon by scikit-image")
    parser.add_argument("--held-out", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keras.config.set_dtype_policy(options.precision)
    given = loaded(options)
    for seed in options.seeds:
        for name in ("untrained", *options.methods):
            row(name, seed, given, options)
    print(table(options.out / "rows.json"))


def loaded(options):
    """Scenes to learn from, to train heads on, and to test on: pairs of images and masks."""
    if options.stamps and options.photos:
        things, others = (scenes.stamps(options.stamps, test) for test in (False, True))
        grounds, other_grounds = (scenes.photos(options.photos, test) for test in (False, True))
    else:
        (things, grounds), (others, other_grounds) = scenes.shapes(0), scenes.shapes(1)
    if options.held_out:
        others, other_grounds = things, grounds
    learn = scenes.make(things, grounds, SCENES, SIZE, seed=0)
    return learn, scenes.make(things, grounds, LABELED, SIZE, seed=1), scenes.make(others, other_grounds, TEST, SIZE, 2)


def run(epochs, name="SimCLR"):
    steps = SCENES // BATCH
    return recipes.Run((SIZE, SIZE, 3), SCENES, BATCH, steps, epochs, "resnet18", WIDTH, quick=True)


def row(name, seed, given, options):
    path = options.out / "rows.json"
    keras.utils.set_random_seed(seed)
    made = run(options.epochs)
    model, optimizer = (None, None) if name == "untrained" else recipes.make(name, made)
    recipe = {"precision": options.precision, "held_out": options.held_out, "drawn": options.stamps is None}
    if model is not None:
        settings = {key: value for key, value in model.get_config().items() if key not in NOT_IN_THE_RECIPE}
        recipe |= keras.saving.serialize_keras_object(optimizer)["config"] | settings
        recipe |= {"epochs": options.epochs, "segment": options.segment and name == "DetCon"}
    recipe = json.loads(json.dumps(recipe, default=str, sort_keys=True))
    if any((done["name"], done["seed"], done["recipe"]) == (name, seed, recipe) for done in read(path)):
        return
    start = time.perf_counter()
    encoder = made.encoder() if model is None else trained(name, seed, model, optimizer, recipe, given[0], options)
    seconds = round(time.perf_counter() - start)
    found = {"name": name, "seed": seed, "recipe": recipe, "seconds": seconds, **scores(encoder, *given[1:])}
    others = [done for done in read(path) if (done["name"], done["seed"], done["recipe"]) != (name, seed, recipe)]
    write(path, json.dumps([*others, found], indent=1))
    print({key: value for key, value in found.items() if key != "recipe"}, flush=True)


def trained(name, seed, model, optimizer, recipe, learn, options):
    model.compile(optimizer=optimizer)
    checkpoint, marker = (options.out / f"{name}-{seed}.{ending}" for ending in ("keras", "json"))
    epoch = 0
    if checkpoint.exists() and marker.exists() and json.loads(marker.read_text()) == recipe:
        model = keras_ssl.load(checkpoint)
        epoch = int(model.optimizer.iterations) // (SCENES // BATCH)
        print(f"{name}, seed {seed}: goes on after epoch {epoch}")
    write(marker, json.dumps(recipe))
    columns = {"image": learn[0]}
    if "mask" in model.needs:
        columns["mask"] = segments(learn[0], options)
    pipeline = data.arrays(columns, BATCH, seed=seed, epoch=epoch, drop_remainder=True)
    model.fit(pipeline, epochs=options.epochs, initial_epoch=epoch, callbacks=[Save(checkpoint)], verbose=2)
    for path in (checkpoint, marker):
        path.unlink()
    return model.evaluated_encoder


def segments(images, options):
    return data.segment(images, scale=100, min_size=60) if options.segment else data.grid_segments(images, 4)


def scores(encoder, labeled, test):
    """Of a head that names the classes, and of what it says are things; per cent."""
    found, model = eval.segment(encoder, labeled, test, len(scenes.KINDS) + 1, epochs=20, return_model=True)
    images, masks = test
    things = np.argmax(model.predict(images.astype("float32"), verbose=0), axis=-1) > 0
    pairs = [(things == part, (masks > 0) == part) for part in (False, True)]
    split = np.mean([np.sum(a & b) / np.sum(a | b) for a, b in pairs])
    return {"miou": round(100 * float(found["mIoU"]), 1), "things": round(100 * float(split), 1)}


def read(path):
    return json.loads(path.read_text()) if path.exists() else []


def table(path):
    rows = read(path)
    lines = ["| | mIoU | things and ground |", "|---|---|---|"]
    for name in ("untrained", *METHODS):
        mine = [done for done in rows if done["name"] == name]
        if mine:
            cells = [spread([done[key] for done in mine]) for key in ("miou", "things")]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
