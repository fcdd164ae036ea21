"""pretrain: a method with its paper's recipe on a folder of images, that stops and goes on at any step."""

import argparse
import os
import platform
import shlex
import sys
from pathlib import Path

from keras_ssl import runs
from keras_ssl.command.ending import running

HELP = "images -> a run folder with an encoder"
DESCRIPTION = """Pretrain an encoder on images without labels, by a method and the recipe of its paper.

examples:
  python -m keras_ssl pretrain --data photos/ --method BYOL --size 96 --epochs 100 --out runs/byol
  python -m keras_ssl pretrain --data photos/ --method MAE --encoder vit_small --size 224 --out runs/mae
  python -m keras_ssl pretrain --data photos/ --quick                            # minutes, with rates that fit
  python -m keras_ssl pretrain --data photos/ --watch labelled/train labelled/test --out runs/simclr
  python -m keras_ssl pretrain --out runs/byol --resume                          # goes on, with the run's arguments

The folder --out then holds encoder.keras, which plain Keras loads, checkpoints/ and run.json with the arguments, the
versions and the numbers of every epoch. Ctrl-C and SIGTERM save before they end; a killed run goes on at its last
checkpoint. Rates are those of the paper for a batch of 256 and grow with --batch; see keras_ssl/recipes/.
"""
DEFAULTS = {
    "method": "SimCLR", "encoder": None, "width": None, "patch": None, "size": 96, "epochs": None, "batch": None,
    "quick": False, "seed": 0, "precision": "float32", "bad_images": "raise", "watch": None, "watch_every": 1,
    "checkpoint_every": "epoch", "keep": 2,
}  # fmt: skip
# What may be another when a run goes on: it does not change the weights.
FREE = ("watch", "watch_every", "checkpoint_every", "keep")


def add(parser):
    option = parser.add_argument
    option("--out", type=Path, help="folder of the run (default: runs/METHOD, in small letters)")
    option("--data", help="folder of images; sub-folders are searched, labels are not looked at")
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
    option("--watch", nargs=2, metavar=("TRAIN", "TEST"), help="labelled folders: log the k-NN accuracy")
    option("--watch-every", type=positive, help="epochs between two measurements (default: 1)")
    option("--checkpoint-every", type=often, help='"epoch" (default), or a number of steps')
    option("--keep", type=positive, help="how many of the last checkpoints stay (default: 2)")
    option("--resume", action="store_true", help="go on where the run in --out stopped, or begin it")


def run(options):
    folder, arguments, record = prepared(options)
    import keras

    import keras_ssl

    keras.utils.set_random_seed(arguments["seed"])
    keras.config.set_dtype_policy(arguments["precision"])
    source = Source(arguments)
    model, optimizer, callbacks = made(arguments, source)
    model.compile(optimizer=optimizer)
    checkpoint = keras_ssl.Checkpoint(
        folder / runs.CHECKPOINTS, every=arguments["checkpoint_every"], keep=arguments["keep"]
    )
    epoch, start = checkpoint.restore(model)
    steps = source.count // arguments["batch"]
    record |= described(arguments, model, source, steps)
    record["history"] = [row for row in record.get("history", []) if row["epoch"] <= epoch]
    record.setdefault("seconds", 0.0)
    folder.mkdir(parents=True, exist_ok=True)
    begin(record, folder, epoch, start)
    with running():
        if epoch < arguments["epochs"]:
            train(model, source, checkpoint, callbacks, folder, arguments, record, epoch, start)
        file = export(model, folder)
    record["status"] = "done"
    runs.write(folder, record)
    last = record["history"][-1] if record["history"] else {}
    document = {"run": str(folder), "status": "done", "encoder": str(file), "method": arguments["method"]}
    document |= {"epochs": arguments["epochs"], "steps": checkpoint.step, "seconds": record["seconds"], "last": last}
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in last.items() if name != "epoch")
    text = f"{arguments['method']}: {arguments['epochs']} epochs, {checkpoint.step} steps, {record['seconds']:.0f} s\n"
    text += f"{numbers}\nThe encoder: {file}\nTo look at it: python -m keras_ssl report {shlex.quote(str(folder))}"
    return document, text


# The arguments


def prepared(options):
    """The folder, the arguments with all defaults, and what is known of the run so far."""
    given = {name: getattr(options, name) for name in ("data", *DEFAULTS) if getattr(options, name) is not None}
    for name in ("data", "watch"):  # a run goes on in any working folder
        if name in given:
            given[name] = [os.path.abspath(p) for p in given[name]] if name == "watch" else os.path.abspath(given[name])
    folder = options.out or Path("runs") / given.get("method", DEFAULTS["method"]).lower()
    if runs.is_run(folder):
        if not options.resume:
            raise ValueError(f"There is a run in {str(folder)!r}: go on with --resume, or take another --out")
        record = runs.read(folder)
        theirs = record["arguments"]
        unlike = [f"--{n.replace('_', '-')} {theirs[n]}" for n in given if n not in FREE and theirs[n] != given[n]]
        if unlike:
            raise ValueError(f"The run in {str(folder)!r} has other arguments: {', '.join(unlike)}. Leave them out; "
                             "for another length, whose rates are others, begin anew with another --out")
        return folder, theirs | given, record
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} exists, and is not the folder of a run: take another --out")
    if "data" not in given:
        raise ValueError("Which images? Pass --data FOLDER")
    return folder, DEFAULTS | given, {}


def completed(arguments, count):
    """Fills in what depends on the method and on the number of images."""
    import keras_ssl
    from keras_ssl import recipes

    method, size, quick = arguments["method"], arguments["size"], arguments["quick"]
    method = next((name for name in keras_ssl.METHODS if name.lower() == method.lower()), method)
    if why := recipes.why_not(method):
        raise ValueError(f"{why}. Recipes: {', '.join(recipes.names())}")
    known = recipes.encoders_of(method)
    arguments["method"] = method
    arguments["encoder"] = arguments["encoder"] or recipes.usual_encoder(method, size, quick)
    if arguments["encoder"] not in known:
        raise ValueError(f"--encoder of {method} must be one of {', '.join(known)}. Received: {arguments['encoder']}")
    if arguments["encoder"] in recipes.RESNETS:
        arguments["width"] = arguments["width"] or (16 if quick else 64)
    else:
        arguments["width"] = arguments["width"] or (128 if quick else None)
        arguments["patch"] = arguments["patch"] or recipes.usual_patch(size)
        if size % arguments["patch"]:
            raise ValueError(f"--size {size} is not a whole number of patches of {arguments['patch']}: pass --patch")
    arguments["batch"] = arguments["batch"] or (128 if quick else 256)
    steps = count // arguments["batch"]
    if not steps:
        raise ValueError(f"{count} images are fewer than one batch of {arguments['batch']}: pass a smaller --batch")
    arguments["epochs"] = arguments["epochs"] or (max(1, round(400 / steps)) if quick else 200)


def made(arguments, source):
    """The method, its optimizer and its callbacks."""
    from keras_ssl import recipes

    completed(arguments, source.count)
    size, batch = arguments["size"], arguments["batch"]
    details = recipes.Run(
        (size, size, 3), source.count, batch, source.count // batch, arguments["epochs"], arguments["encoder"],
        arguments["width"], arguments["patch"], arguments["quick"], source.in_order,
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


# The images


class Source:
    """The images to train on."""

    def __init__(self, arguments):
        from keras_ssl import data

        self.folder, self.size, self.seed = arguments["data"], arguments["size"], arguments["seed"]
        found = data.image_folder(self.folder, self.size, 1, upscale=True, on_error=arguments["bad_images"])
        self.paths = found.file_paths
        self.count = len(self.paths)

    def pipeline(self, batch, needs, epoch, start):
        from keras_ssl import data

        return data.files(
            self.paths, self.size, batch, seed=self.seed, upscale=True, epoch=epoch, start=start,
            labels=self.labels() if "label" in needs else None, index="index" in needs,
        )  # fmt: skip

    def in_order(self, batch=256, paths=None):
        from keras_ssl import data

        return data.files(
            paths or self.paths, self.size, batch, index=True, shuffle=False, drop_remainder=False, upscale=True
        )

    def some(self, count=512):
        """So many images, always the same ones, as a pipeline."""
        import numpy as np

        chosen = np.random.default_rng(0).permutation(self.count)[:count]
        return self.in_order(paths=[self.paths[number] for number in sorted(chosen)])

    def labels(self):
        parts = [Path(path).relative_to(self.folder).parts for path in self.paths]
        if any(len(part) == 1 for part in parts):
            raise ValueError(f"The method learns from labels: put the images of {self.folder!r} into class folders")
        names = sorted({part[0] for part in parts})
        return [names.index(part[0]) for part in parts]


# The run


def train(model, source, checkpoint, callbacks, folder, arguments, record, epoch, start):
    from keras_ssl import eval
    from keras_ssl.command.callbacks import Journal, Stop
    from keras_ssl.command.images import labelled
    from keras_ssl.recipes import VITS

    journal = Journal(folder, record)
    stop = Stop(checkpoint, journal)
    watching = []
    if arguments["watch"]:
        sets = labelled(*arguments["watch"], arguments["size"], 256)
        watching.append(eval.KNN(*sets, every=arguments["watch_every"], k=20))
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
        record["status"] = "stopped" if stop.number is not None else f"failed: {error}"
        runs.write(folder, record)
        raise


def begin(record, folder, epoch, start):
    runs.write(folder, record)
    where = f"goes on after {epoch} epochs and {start} steps" if epoch or start else "begins"
    arguments = record["arguments"]
    print(
        f"{arguments['method']}, {arguments['encoder']}: {record['images']:,} images, {arguments['epochs']} epochs of "
        f"{record['steps_per_epoch']} steps; the run in {folder} {where}",
        flush=True,
    )


def export(model, folder):
    """Writes the encoder; with layers that are not Keras's own it is a file for this package."""
    import keras_ssl

    file = folder / runs.ENCODER
    try:
        keras_ssl.export(model, file)
    except ValueError:
        model.evaluated_encoder.save(file)
    return file


def described(arguments, model, source, steps):
    """What a reader of the run would ask."""
    import keras
    import numpy as np

    import keras_ssl
    from keras_ssl.method import arguments as names

    backend = keras.backend.backend()
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
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
        "steps_per_epoch": steps,
        "parameters": model.encoder.count_params(),
        "features": model.encoder.output_shape[-1],
        "method": {
            name: value
            for name in names(type(model))
            if name not in ("encoder", "augment") and is_plain(value := getattr(model, name))
        },
        "optimizer": {"class": type(optimizer).__name__} | settings(optimizer.get_config()),
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
