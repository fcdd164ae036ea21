"""pretrain: a method with its paper's recipe on images or other samples, that stops and goes on at any step."""

import argparse
import os
import platform
import shlex
import signal
import sys
import warnings
from pathlib import Path

from keras_ssl import runs
from keras_ssl.command.ending import Stopped, given, running, saved

HELP = "images or other samples -> a run folder with an encoder"
DESCRIPTION = """Pretrain an encoder on images without labels, by a method and the recipe of its paper.

examples:
  python -m keras_ssl pretrain --data photos/ --method BYOL --size 96 --epochs 100 --out runs/byol
  python -m keras_ssl pretrain --data photos/ --method MAE --encoder vit_small --size 224 --out runs/mae
  python -m keras_ssl pretrain --data photos/ --quick                            # minutes, with rates that fit
  python -m keras_ssl pretrain --data photos/ --watch labeled/train labeled/test --out runs/simclr
  python -m keras_ssl pretrain --out runs/byol --resume                          # goes on, with the run's arguments
  python -m keras_ssl pretrain --data walks.npz --method TPN                     # series, sounds, tokens, graphs

The folder --out then holds encoder.keras, which plain Keras loads, checkpoints/ and run.json with the arguments, the
versions and the numbers of every epoch. Ctrl-C and SIGTERM save before they end, a second one ends at once; a killed
run goes on at its last checkpoint. Rates are those of the paper for a batch of 256 and grow with --batch; see
keras_ssl/recipes/. In Python it is keras_ssl.pretrain(data="photos/", method="BYOL", out="runs/byol").
"""
DEFAULTS = {
    "method": "SimCLR", "encoder": None, "width": None, "patch": None, "size": 96, "epochs": None, "batch": None,
    "quick": False, "seed": 0, "precision": "float32", "bad_images": "raise", "upscale": False, "watch": None,
    "watch_every": 1, "checkpoint_every": "epoch", "keep": 2,
}  # fmt: skip
# What may be another when a run goes on: it does not change the weights.
FREE = ("watch", "watch_every", "checkpoint_every", "keep")


def add(parser):
    option = parser.add_argument
    option("--out", type=Path, help="folder of the run (default: runs/METHOD, in small letters)")
    option("--data", help="folder of images, with its sub-folders; or .npz with the columns of other samples")
    option("--method", help="SimCLR (default), MoCoV3, BYOL, DINO, VICReg, MAE ...; a wrong one lists all")
    option("--encoder", help="resnet18 ... resnet152, vit_tiny, vit_small, vit_base (default: what suits the method)")
    option("--width", type=positive, help="channels of a resnet's first stage, or of a vit's tokens")
    option("--patch", type=positive, help="side of a vit's patches (default: an eighth of the image, at most 16)")
    option("--size", type=positive, help="side of the images in pixels (default: 96)")
    option("--epochs", type=positive, help="passes over the images (default: 200; with --quick about 400 steps)")
    option("--batch", type=positive, help="images in a batch (default: 256; with --quick 128)")
    option("--quick", action="store_true", default=None, help="a small network and rates for a run of minutes")
    option("--seed", type=int, help="same seed, same run (default: 0)")
    option("--precision", choices=("float32", "mixed_bfloat16", "mixed_float16"), help="default: float32")
    option("--bad-images", choices=("raise", "skip"), help="images that cannot be read end the run, or are left out")
    option("--upscale", action="store_true", default=None, help="enlarge images smaller than --size; else they end it")
    option("--watch", nargs=2, metavar=("TRAIN", "TEST"), help="labeled folders: log the k-NN accuracy")
    option("--watch-every", type=positive, help="epochs between two measurements (default: 1)")
    option("--checkpoint-every", type=often, help='"epoch" (default), or a number of steps')
    option("--keep", type=positive, help="how many of the last checkpoints stay (default: 2)")
    option("--resume", action="store_true", help="go on where the run in --out stopped, or begin it")


def run(options):
    document = pretrain(**given(options))
    last = document["last"]
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in last.items() if name != "epoch")
    text = f"{document['method']}: {document['epochs']} epochs, {document['steps']} steps, "
    text += f"{document['seconds']:.0f} s\n{numbers}\nThe encoder: {document['encoder']}\n"
    return document, text + f"To look at it: python -m keras_ssl report {shlex.quote(document['run'])}"


def pretrain(
    data=None,
    method=None,
    out=None,
    *,
    labels=None,
    encoder=None,
    width=None,
    patch=None,
    size=None,
    epochs=None,
    batch=None,
    quick=None,
    seed=None,
    precision=None,
    bad_images=None,
    upscale=None,
    watch=None,
    watch_every=None,
    checkpoint_every=None,
    keep=None,
    resume=False,
):
    """Pretrains an encoder by a method and the recipe of its paper: `python -m keras_ssl pretrain`.

    The folder `out` then holds `encoder.keras`, which plain Keras loads, `checkpoints/` and `run.json` with the
    arguments, the versions and the numbers of every epoch. It sets the global seed of Keras.

    Args:
        data: folder of images; sub-folders are searched. Or an array `(n, side, side, channels)` of pixels 0..255. Or
            samples of another kind: a dict of columns, as `keras_ssl.data.arrays` takes them, or the `.npz` file that
            `np.savez` wrote of it. It may hold `"label"`, ints or strings, and for all samples `"rate"`, an int, and
            `"vocabulary"`, the number of the tokens, or of the labels that nodes have.
        method: str, a name of `keras_ssl.recipes.names()`; None is `"SimCLR"`.
        out: folder of the run; None is `runs/METHOD`, in small letters.
        labels: n ints, of an array or columns, for a method that learns from labels. Those of a folder are its class
            folders.
        encoder: str, `"resnet18"` to `"resnet152"`, `"vit_tiny"`, `"vit_small"` or `"vit_base"`, or what the recipe of
            another kind of samples names; None is what suits the method.
        width: int, channels of a ResNet's first stage, or of a transformer's tokens.
        patch: int, side of a transformer's patches; None is an eighth of the image, at most 16.
        size: int, side of the images in pixels; None is 96, or that of the array.
        epochs: int, passes over the images; None is 200, or about 400 steps with `quick`.
        batch: int, images in a batch; None is 256, or 128 with `quick`.
        quick: bool, a small network and rates for a run of minutes.
        seed: int; None is 0. The same seed makes the same run.
        precision: `"float32"` (None), `"mixed_bfloat16"` or `"mixed_float16"`.
        bad_images: `"raise"` (None) or `"skip"`: images that cannot be read end the run, or are left out.
        upscale: bool, whether images smaller than `size` are enlarged; else they are an error.
        watch: a pair of labeled folders, to learn from and to judge by, or of what `keras_ssl.eval.knn` takes: logs
            the k-NN accuracy.
        watch_every: int, epochs between two measurements; None is 1.
        checkpoint_every: `"epoch"` (None), or an int, steps.
        keep: int, how many of the last checkpoints stay; None is 2.
        resume: bool, whether to go on where the run in `out` stopped, with its arguments, or to begin it.

    Returns:
        dict: `"run"`, the folder; `"status"`; `"encoder"`, the file; `"method"`; `"epochs"`; `"steps"`; `"seconds"`;
        `"last"`, a dict of the numbers of the last epoch.

    Raises:
        ValueError: an argument is wrong, or there is another run in `out`.
        keras_ssl.command.ending.Stopped: Ctrl-C or SIGTERM ended it, and what it had reached is saved.

    Example:
        ```python
        run = keras_ssl.pretrain(data="photos/", method="BYOL", out="runs/byol")
        encoder = keras.saving.load_model(run["encoder"])
        ```
    """
    asked = {name: value for name, value in locals().items() if name in ("data", *DEFAULTS) and value is not None}
    folder, arguments, record = prepared(asked, out, resume)
    import keras

    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(arguments["seed"])
    keras.config.set_dtype_policy(arguments["precision"])
    try:
        return trained(folder, arguments, record, asked, labels)
    finally:
        keras.config.set_dtype_policy(policy)


def trained(folder, arguments, record, asked, labels):
    from keras_ssl import checkpoint as checkpoints
    from keras_ssl.command.sources import source_of

    source = source_of(asked.get("data", arguments["data"]), labels, arguments)
    model, optimizer, callbacks = made(arguments, source)
    source.check(model.needs)
    model.compile(optimizer=optimizer)
    checkpoint = checkpoints.Checkpoint(
        folder / runs.CHECKPOINTS, every=arguments["checkpoint_every"], keep=arguments["keep"]
    )
    epoch, start = checkpoint.restore(model)
    watched = ()
    if epoch < arguments["epochs"]:  # what is wrong with them is said before anything of the run is written
        watched = watched_sets(asked.get("watch", arguments["watch"]), arguments)
    record |= described(arguments, model, source)
    record["history"] = [row for row in record.get("history", []) if row["epoch"] <= epoch]
    record.setdefault("seconds", 0.0)
    folder.mkdir(parents=True, exist_ok=True)
    begin(record, folder, epoch, start)
    with running():
        try:
            if epoch < arguments["epochs"]:
                train(model, source, checkpoint, callbacks, watched, folder, arguments, record, epoch, start)
            file = export(model, folder)
        except KeyboardInterrupt as error:  # the second Ctrl-C
            if not checkpoint.saved:
                raise
            raise Stopped(f"Stopped at once. {saved(checkpoint)}", signal.SIGINT) from error
    record["status"] = "done"
    runs.write(folder, record)
    last = record["history"][-1] if record["history"] else {}
    document = {"run": str(folder), "status": "done", "encoder": str(file), "method": arguments["method"]}
    document |= {"epochs": arguments["epochs"], "steps": checkpoint.step, "seconds": record["seconds"], "last": last}
    return document


# The arguments


def prepared(asked, out, resume):
    """The folder, the arguments with all defaults, and what is known of the run so far.

    Paths among the arguments become absolute, so that a run goes on in any working folder.
    """
    mine = dict(asked)
    if "data" in asked:
        mine["data"] = asked["data"] = absolute(asked["data"])
        if not isinstance(asked["data"], str):
            from keras_ssl.command.sources import name_of

            mine["data"] = name_of(asked["data"])
    if "watch" in asked:
        folders = all(isinstance(part, (str, os.PathLike)) for part in asked["watch"])
        asked["watch"] = [absolute(part) for part in asked["watch"]] if folders else asked["watch"]
        mine["watch"] = asked["watch"] if folders else None
    folder = Path(out) if out is not None else Path("runs") / mine.get("method", DEFAULTS["method"]).lower()
    if runs.is_run(folder):
        if not resume:
            raise ValueError(f"There is a run in {str(folder)!r}: go on with --resume, or take another --out")
        record = runs.read(folder)
        theirs = DEFAULTS | record["arguments"]
        unlike = [f"--{n.replace('_', '-')} {theirs[n]}" for n in mine if n not in FREE and not same(n, theirs, mine)]
        if unlike:
            raise ValueError(f"The run in {str(folder)!r} has other arguments: {', '.join(unlike)}. Leave them out; "
                             "for another length, whose rates are others, begin anew with another --out")
        if "data" not in asked and not os.path.isabs(theirs["data"]):
            raise ValueError(f"The run in {str(folder)!r} is of data in memory ({theirs['data']}): pass data= again")
        return folder, theirs | mine | {"method": theirs["method"]}, record
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} exists, and is not the folder of a run: take another --out")
    if "data" not in asked:
        raise ValueError("Which images? Pass --data FOLDER")
    return folder, DEFAULTS | mine, {}


def absolute(images):
    """A path as an absolute string; a dict of columns as it is; anything else as an array."""
    if isinstance(images, (str, os.PathLike)):
        return os.path.abspath(os.path.expanduser(images))
    import numpy as np

    return images if isinstance(images, dict) else np.asarray(images)


def same(name, theirs, mine):
    one, other = theirs[name], mine[name]
    return one.lower() == other.lower() if name == "method" else one == other


def completed(arguments, source):
    """Fills in what depends on the method and on the images."""
    import keras_ssl
    from keras_ssl import recipes
    from keras_ssl.inputs import IMAGE

    method, quick = arguments["method"], arguments["quick"]
    method = next((name for name in keras_ssl.METHODS if name.lower() == method.lower()), method)
    of = "minutes" if quick else "paper"
    others = ", ".join(recipes.names(of, source.kind)) or "none"
    if why := recipes.why_not(method, of):
        short = "" if quick or recipes.why_not(method, "minutes") else ". For a run of minutes there is one: --quick"
        raise ValueError(f"{why}{short}. Recipes: {others}")
    if recipes.kind_of(method) is not source.kind:
        raise ValueError(
            f"{method} learns from {recipes.kind_of(method).words}. Received: {source.kind.words}, of which learn: "
            f"{others}. Pass --method"
        )
    known = recipes.encoders_of(method)
    size = arguments["size"] = source.shape[0]
    arguments["method"] = method
    arguments["encoder"] = arguments["encoder"] or recipes.usual_encoder(method, size, quick)
    if arguments["encoder"] not in known:
        raise ValueError(f"--encoder of {method} must be one of {', '.join(known)}. Received: {arguments['encoder']}")
    if source.kind is not IMAGE:
        arguments["patch"] = 1
    elif arguments["encoder"] in recipes.RESNETS:
        arguments["width"] = arguments["width"] or (16 if quick else 64)
    else:
        arguments["width"] = arguments["width"] or (128 if quick else None)
        arguments["patch"] = arguments["patch"] or recipes.usual_patch(size)
        if size % arguments["patch"]:
            raise ValueError(f"--size {size} is not a whole number of patches of {arguments['patch']}: pass --patch")
    arguments["batch"] = arguments["batch"] or (128 if quick else 256)
    steps = source.count // arguments["batch"]
    if not steps:
        raise ValueError(
            f"{source.count} {source.kind.words} are fewer than one batch of {arguments['batch']}: "
            "pass a smaller --batch"
        )
    arguments["epochs"] = arguments["epochs"] or (max(1, round(400 / steps)) if quick else 200)


def made(arguments, source):
    """The method, its optimizer and its callbacks."""
    from keras_ssl import recipes

    completed(arguments, source)
    batch = arguments["batch"]
    details = recipes.Run(
        source.shape, source.count, batch, source.count // batch, arguments["epochs"], arguments["encoder"],
        arguments["width"], arguments["patch"], arguments["quick"], source.in_order, source.kind, source.rate,
        source.vocabulary,
    )  # fmt: skip
    model, optimizer, *callbacks = recipes.make(arguments["method"], details)
    return model, optimizer, callbacks


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def often(text):
    return text if text == "epoch" else positive(text)


# The run


def watched_sets(watch, arguments):
    """The two labeled sets that are watched, as `keras_ssl.eval.KNN` takes them; or none."""
    from keras_ssl.command import columns
    from keras_ssl.command.images import labeled

    if not watch:
        return ()
    folders = any(isinstance(part, (str, os.PathLike)) for part in watch)
    if folders:
        columns.check_alike(*watch)
    if all(columns.are_columns(part) for part in watch):
        return columns.labeled(*watch)
    return labeled(*watch, arguments["size"], 256, upscale=arguments["upscale"]) if folders else watch


def train(model, source, checkpoint, callbacks, watched, folder, arguments, record, epoch, start):
    from keras_ssl import eval
    from keras_ssl.command.callbacks import Journal, Stop
    from keras_ssl.recipes import VITS

    journal = Journal(folder, record)
    stop = Stop(checkpoint, journal)
    watching = [eval.KNN(*watched, every=arguments["watch_every"])] if watched else []
    # The features of a transformer are close together from the start.
    threshold = 0.05 if arguments["encoder"] in VITS else 0.1
    watching.append(eval.CollapseMonitor(source.some(), threshold=threshold, every=arguments["watch_every"]))
    images = source.pipeline(arguments["batch"], model.needs, epoch, start)
    record["status"] = "running"
    try:
        with stop.listening():
            model.fit(
                images,
                epochs=arguments["epochs"],
                initial_epoch=epoch,
                callbacks=[*callbacks, checkpoint, stop, *watching, journal],
                verbose=1 if sys.stderr.isatty() else 2,
            )
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt) or stop.number is not None
        record["status"] = "stopped" if stopped else f"failed: {error}"
        runs.write(folder, record)
        raise


def begin(record, folder, epoch, start):
    runs.write(folder, record)
    where = f"goes on after {epoch} epochs and {start} steps" if epoch or start else "begins"
    arguments = record["arguments"]
    print(
        f"{arguments['method']}, {arguments['encoder']}: {record['images']:,} {record['words']}, {arguments['epochs']} "
        f"epochs of {record['steps_per_epoch']} steps; the run in {folder} {where}",
        flush=True,
    )


def export(model, folder):
    """Writes the encoder. One that plain Keras cannot load is written for this package, with a warning."""
    from keras_ssl import saving

    file = folder / runs.ENCODER
    try:
        saving.export(model, file)
    except ValueError as error:
        warnings.warn(f"{file} is written for keras_ssl.load, not for Keras alone: {error}", stacklevel=2)
        model.evaluated_encoder.save(file)
    return file


def described(arguments, model, source):
    """What a reader of the run would ask."""
    import keras
    import numpy as np

    import keras_ssl
    from keras_ssl.method import arguments as names

    backend = keras.backend.backend()
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    config = optimizer.get_config()
    return {
        "arguments": arguments,
        "versions": {
            "keras_ssl": keras_ssl.__version__,
            "keras": keras.__version__,
            backend: sys.modules[backend].__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "images": source.count,
        "words": source.kind.words,
        "steps_per_epoch": source.count // arguments["batch"],
        "parameters": model.encoder.count_params(),
        "features": model.encoder.output_shape[-1],
        "method": {
            name: value
            for name in names(type(model))
            if name not in ("encoder", "augment") and is_plain(value := getattr(model, name))
        },
        "optimizer": {"class": type(optimizer).__name__} | settings(config.get("optimizers", config)),
    }


def is_plain(value):
    return isinstance(value, (str, int, float, bool, tuple, list))


def settings(config):
    """The numbers of an optimizer that were chosen; those of a schedule under its name."""
    found = {}
    for name, value in config.items():
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            found |= {f"{name}, {part}": number for part, number in settings(value["config"]).items()}
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[name] = value
    return found
