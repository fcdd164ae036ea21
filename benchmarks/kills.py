"""Kills: runs that are killed again and again, at random moments, end with the weights of one that was not.

    python benchmarks/kills.py                                    # every method, 10 kills each
    python benchmarks/kills.py MoCoV2 --kills 4 --fresh           # every start is a new interpreter

A small run of each method is trained once to its end. Then the same run is killed (SIGKILL) and started again, until
it ends, and another one, until there were `--kills`: after a random number of steps, while a checkpoint is written, or
at a random time, which is mostly while Keras traces. All bits of its weights, teacher, queue, bank, optimizer and
random state, and the mean loss of its last epoch, must be those of the first run, or the script fails. The runs are
those of `tests/methods`, so it needs `pip install -e ".[tests]"`. Processes are forked from this one,
which has imported TensorFlow but not used it; with `--fresh` they import it themselves.

Got on a CPU core, in 24 minutes (`--kills 5 --seed 11`): 195 kills of 39 methods, 22 before a first step, 68 between
writes, 105 in a write. All runs ended the same.
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

sys.path.insert(0, str(Path(__file__).parents[1]))

import keras_ssl  # noqa: E402
from tests import cases  # noqa: E402

EPOCHS, EVERY = 10, 3  # of 4 steps; checkpoints inside epochs and at their ends
METHODS = tuple(keras_ssl.METHODS)
FLOAT16 = ("MoCoV2", "VICReg")  # with a loss scale


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help="names of methods; default all")
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
    case = cases.case_of(name)
    model = getattr(keras_ssl, name)(encoder(case), augment=case.views(), **cases.options(name))
    rate = keras.optimizers.schedules.CosineDecay(0.05, cases.STEPS * EPOCHS)
    adam = name == "VICReg" or case.encoder is not cases.small_encoder  # transformers, most of them
    model.compile(optimizer=keras.optimizers.AdamW(rate) if adam else keras.optimizers.SGD(rate, 0.9))
    checkpoint = keras_ssl.Checkpoint(folder / "checkpoints", every=EVERY, keep=2, best="loss")
    epoch, first = checkpoint.restore(model)
    data = cases.pipeline(name, epoch=epoch, start=first)
    callbacks = [Steps(folder / "steps"), *clusters(name), checkpoint]
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


def encoder(case):
    """With dropout, which draws from the random state that a checkpoint holds, where the method takes any encoder."""
    made = case.encoder()
    if case.encoder is not cases.small_encoder:
        return made
    return keras.Model(made.inputs, keras.layers.Dropout(0.1)(made.output))


def clusters(name):
    if name != "PCL":
        return []
    return [keras_ssl.Recluster(cases.images(), warmup=1)]


if __name__ == "__main__":
    main()
