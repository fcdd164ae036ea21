"""Kills: runs that are killed again and again, at random moments, end with the weights of one that was not.

    python benchmarks/kills.py                                    # every method of the table, 10 kills each
    python benchmarks/kills.py MoCoV2 --kills 4 --fresh           # every start is a new interpreter

A small run of each method is trained once to its end. Then the same run is killed (SIGKILL) and started again, until
it ends, and another one, until there were `--kills`: after a random number of steps, while a checkpoint is written, or
at a random time, which is mostly while Keras traces. All bits of its weights, teacher, queue, bank, optimizer and
random state, and the mean loss of its last epoch, must be those of the first run, or the script fails. Processes are
forked from this one, which has imported TensorFlow but not used it; with `--fresh` they import it themselves.

Got on 2 CPU cores, in 5 minutes: 80 kills, 9 before a first step, 30 between writes, 41 in a write. All runs ended the
same.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # a driver that is in use does not survive a fork

import keras  # noqa: E402
import numpy as np  # noqa: E402

import keras_ssl  # noqa: E402

COUNT, BATCH, EPOCHS, EVERY, SIZE = 40, 8, 8, 4, 8  # 40 steps; checkpoints inside epochs and at their ends
MOCO = {"dim": 8, "hidden": 16, "queue_size": 20, "momentum": 0.9}
METHODS = {
    "SimCLR": {"hidden": 16, "dim": 8},
    "MoCoV2": MOCO | {"symmetric": True},
    "BYOL": {"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 40},
    "InstDisc": {"samples": COUNT, "dim": 8, "negatives": 5},
    "SwAV": {"hidden": 16, "dim": 8, "prototype_count": 6, "queue_size": 20, "queue_start": 1},
    "DINO": {"hidden": 16, "bottleneck": 8, "dim": 12, "warmup": 6, "momentum": 0.9, "steps": 40},
    "VICReg": {"hidden": 16, "dim": 8},
    "PCL": MOCO | {"samples": COUNT, "clusters": (4, 6), "negatives": 2},
}
FLOAT16 = ("MoCoV2", "VICReg")  # with a loss scale


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help=f"of {', '.join(METHODS)}; default all")
    parser.add_argument("--kills", type=int, default=10, help="kills of each method")
    parser.add_argument("--seed", type=int, default=None, help="of the moments of the kills; default: the time")
    parser.add_argument("--fresh", action="store_true", help="start new interpreters instead of forking")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        return train(options.methods[0], options.train)
    seed = time.time_ns() % 2**32 if options.seed is None else options.seed
    print(f"seed of the kills: {seed}", flush=True)
    draw = random.Random(seed)
    failed = [name for name in options.methods or METHODS if not survives(name, options.kills, draw, options.fresh)]
    if failed:
        raise SystemExit(f"FAILED: {', '.join(failed)}")


def survives(name, kills, draw, fresh):
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    begin = time.monotonic()
    straight = folder / "straight"
    wait(start(name, straight, fresh))
    length = time.monotonic() - begin
    expected, phases, unlike, runs = end(straight), {}, set(), 0
    while sum(phases.values()) < kills:  # a run has room for some of the kills only
        killed, runs, number = folder / f"killed{runs}", runs + 1, 0
        while True:
            process, number = start(name, killed, fresh), number + 1
            moment = draw.choice(("steps", "steps", "write", "write", "time"))
            if sum(phases.values()) == kills:
                wait(process)
                break
            if not until(moment, process, killed, draw, length):
                break  # it has ended
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            phase = phase_of(killed / "checkpoints")
            phases[phase] = phases.get(phase, 0) + 1
        found = end(killed)
        unlike |= {key for key in expected if expected[key] != found.get(key)}
    text = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()))
    seconds = time.monotonic() - begin
    verdict = f"ANOTHER end: {sorted(unlike)} in {folder}" if unlike else "the same end"
    print(f"{name}: {sum(phases.values())} kills of {runs} runs ({text}); {verdict}; {seconds:.0f} s", flush=True)
    if not unlike:
        shutil.rmtree(folder)
    return not unlike


def end(folder):
    return json.loads((folder / "end.json").read_text())


def start(name, folder, fresh):
    """The number of a new process that trains."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "steps").write_bytes(b"")
    if fresh:
        return subprocess.Popen([sys.executable, __file__, name, "--train", str(folder)]).pid
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            train(name, folder)
            status = 0
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    return process


def wait(process):
    check(os.waitpid(process, 0)[1])


def check(status):
    if status:
        raise SystemExit(f"a run that was not killed ended with status {status}")


def until(moment, process, folder, draw, length):
    """Waits for the moment of a kill; whether the process still runs then."""
    end = time.monotonic() + draw.uniform(0, length)
    steps = draw.randint(0, 9)
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            check(status)
            return False
        if moment == "time" and time.monotonic() >= end:
            return True
        if moment == "steps" and (folder / "steps").stat().st_size > steps:
            time.sleep(draw.uniform(0, 0.03))
            return True
        if moment == "write" and has_files(folder / "checkpoints" / "part"):
            time.sleep(draw.choice((0, draw.uniform(0, 0.02), draw.uniform(0, 0.1))))
            return True
        time.sleep(0.0005)


def has_files(folder):
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False


def phase_of(folder):
    if has_files(folder / "part"):
        return "in a write"
    return "before the first step" if not (folder.parent / "steps").stat().st_size else "between writes"


# The run


def train(name, folder):
    keras.utils.set_random_seed(0)
    if name in FLOAT16:
        keras.config.set_dtype_policy("mixed_float16")
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 4, 4, 3), "uint8").repeat(2, axis=1).repeat(2, axis=2)
    crop = keras_ssl.augment.RandomResizedCrop(SIZE, (0.3, 1.0), flip=0.5)
    views = keras_ssl.augment.Views(crop, 1 if name == "InstDisc" else 2)
    model = getattr(keras_ssl, name)(encoder(), views, **METHODS[name])
    rate = keras.optimizers.schedules.CosineDecay(0.05, 40)
    model.compile(optimizer=keras.optimizers.AdamW(rate) if name == "VICReg" else keras.optimizers.SGD(rate, 0.9))
    checkpoint = keras_ssl.Checkpoint(folder / "checkpoints", every=EVERY, keep=2, best="loss")
    epoch, first = checkpoint.restore(model)
    data = keras_ssl.data.arrays(images, BATCH, index=True, epoch=epoch, start=first)
    callbacks = [Steps(folder / "steps"), *clusters(name, images), checkpoint]
    history = model.fit(data, epochs=EPOCHS, initial_epoch=epoch, callbacks=callbacks, verbose=0).history
    metrics = {id(variable) for variable in model.metrics_variables}
    variables = [v for v in model.variables if id(v) not in metrics] + list(model.optimizer.variables)
    found = {f"{i} {v.path}": hashlib.sha256(v.numpy().tobytes()).hexdigest() for i, v in enumerate(variables)}
    if history:
        found["loss of the last epoch"] = history["loss"][-1]
    else:  # it was killed between its last checkpoint and its end
        found["loss of the last epoch"] = json.loads((folder / "loss.json").read_text())
    part = folder / "end.part"
    part.write_text(json.dumps(found))
    os.replace(part, folder / "end.json")


class Steps(keras.callbacks.Callback):
    """Tells the process that kills how many steps were done, and keeps the last loss."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_batch_end(self, batch, logs=None):
        with open(self.path, "ab") as file:
            file.write(b".")

    def on_epoch_end(self, epoch, logs=None):
        part = self.path.with_name("loss.part")
        part.write_text(json.dumps(float(logs["loss"])))
        os.replace(part, self.path.with_name("loss.json"))


def encoder():
    images = x = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(16, 3, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dropout(0.1)(x))


def clusters(name, images):
    if name != "PCL":
        return []
    from keras_ssl.methods.contrastive.pcl import PCLClusters

    return [PCLClusters(images, warmup=1, iterations=5, restarts=1)]


if __name__ == "__main__":
    main()
