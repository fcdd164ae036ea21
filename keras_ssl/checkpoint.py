"""Checkpoint: everything a run is, in files, so that a run that was killed ends as if it had not been."""

import hashlib
import json
import os
import shutil
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import ops

import keras_ssl
from keras_ssl import distribute, locks, step
from keras_ssl.checks import is_int
from keras_ssl.method import Method

# What `stop_training` is set to at the end of an epoch that must not stop the run: other callbacks set it to True.
EPOCH_IS_OVER = "the epoch is over"


class StopOnNaN(keras.callbacks.Callback):
    """Stops the run at the first loss that is not finite, with an error that says where it was and what to try.

    `Checkpoint` does the same. The error names the step, the loss, the method's terms and their values one step before;
    they are the means over the epoch so far, as Keras logs them.

    Raises:
        FloatingPointError: in `fit`, when the loss is NaN or infinite.

    Example:
        ```python
        model.fit(images, epochs=100, callbacks=[keras_ssl.StopOnNaN()])
        ```
    """

    def __init__(self):
        super().__init__()
        self.epoch = self.start = self.step = self.seen = 0  # `start`, `seen`: batches of the epoch before, and since

    def on_train_begin(self, logs=None):
        self.before = {}
        self.step = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.seen = epoch, 0

    def on_train_batch_end(self, batch, logs=None):
        self.step += batch + 1 - self.seen
        self.seen = batch + 1
        logs = {name: np.asarray(ops.convert_to_numpy(value)).mean() for name, value in (logs or {}).items()}
        if not np.isfinite(logs.get("loss", 0.0)):
            self.stop(f"The loss is not finite: {written(logs)}. One step before: {written(self.before) or 'unknown'}.")
        self.before = logs

    def stop(self, what):
        where = f"step {self.step} (batch {self.start + self.seen} of epoch {self.epoch}, which counts from 0)"
        raise FloatingPointError(f"The run stops at {where}. {what} {self.kept()} {advice(self.model)}")

    def kept(self):
        return "There is no checkpoint: keras_ssl.Checkpoint keeps them."


class Checkpoint(StopOnNaN):
    """Writes everything a run is, and brings it back: the same command, started again, ends with the same weights.

    A checkpoint holds the weights, teacher, queue, bank and center, the optimizer with its step and loss scale, the
    random state, the metrics of the epoch and the position in the data. It is `step-00001200.keras`, which
    `keras_ssl.load` opens too, and `step-00001200.json`, which says what it is and has a SHA-256 of both. They are
    written aside, flushed to the disk and renamed, the small one last: whatever moment the process is killed at, a
    checkpoint is whole or it does not exist. `restore` recognizes a damaged one and takes the one before.

    Put it last in the list of callbacks: then it saves what the others did at the end of the epoch, and undoes what
    they repeat at the beginning of one that was begun before. Not saved: the state of the other callbacks, and random
    numbers that layers of your own draw without a `keras.random.SeedGenerator`. Bit-identical weights need the same
    command on the same versions and the same kind of device.

    On several hosts (`tf.distribute.MultiWorkerMirroredStrategy`) each host runs the same script with the same folder,
    which all of them must see. The first one writes, all restore; after any of them was killed, start all again.

    A loss or weights that are not finite stop the run before they are saved, see `StopOnNaN`. A checkpoint that cannot
    be written, as on a full disk, is a warning: the run goes on, those before stay, and the next one is tried again.

    Args:
        folder: folder of this run's checkpoints, of no other's. It is made where it does not exist.
        every: "epoch", or int, a checkpoint after so many steps, inside epochs too. The end of the run is always saved.
        keep: int, how many of the last checkpoints stay.
        best: None, or the name of a value that is logged at the end of an epoch, "loss" or that of an evaluation: the
            checkpoint of the epoch with the best one stays too. A low self-supervised loss alone says little.
        mode: "min" or "max", which value is best.

    Raises:
        ValueError: from `fit`, if `restore` was not called, or the data or `initial_epoch` do not go on where it said.
        FloatingPointError: from `fit`, see `StopOnNaN`.

    Example:
        ```python
        checkpoint = keras_ssl.Checkpoint("runs/byol", every=1000)
        epoch, start = checkpoint.restore(model)  # a compiled model; (0, 0) at first
        images = keras_ssl.data.image_folder("photos/", 96, 256, epoch=epoch, start=start)
        model.fit(images, epochs=100, initial_epoch=epoch, callbacks=[checkpoint])
        ```
    """

    def __init__(self, folder, every="epoch", keep=3, best=None, mode="min"):
        super().__init__()
        if not is_int(every, 1) and not (isinstance(every, str) and every == "epoch"):
            raise ValueError(f'every must be "epoch" or a positive int, a number of steps. Received: every={every!r}')
        if not is_int(keep, 1):
            raise ValueError(f"keep must be a positive int. Received: keep={keep!r}")
        if not isinstance(mode, str) or mode not in ("min", "max"):
            raise ValueError(f'mode must be "min" or "max". Received: mode={mode!r}')
        if not isinstance(folder, (str, os.PathLike)):
            raise TypeError(f"folder must be the path of a folder. Received: folder={folder!r}")
        self.folder = Path(os.path.abspath(folder))  # the working folder may change before it is written
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"folder must be the path of a folder. Received a file: folder={str(folder)!r}")
        self.every, self.keep, self.best, self.mode = every, keep, best, mode
        self.made = None
        self.writes = True
        self.ready = False  # whether the model is where this callback thinks it is
        self.other_data = False
        self.begin({"step": 0, "epoch": 0, "start": 0, "steps_per_epoch": None, "best": None})

    # What a script calls

    def restore(self, model, other_versions=False, other_data=False):
        """Brings a model to where the run in the folder stands. Nothing in the files is executed: the model is that of
        the script, and numbers are all that is read.

        Args:
            model: compiled `keras_ssl.Method`, made as in the run before, under the same strategy.
            other_versions: whether a checkpoint of other versions of keras_ssl, Keras or the backend is accepted. The
                run then goes on, but not bit for bit.
            other_data: whether the run may go on with other samples than it began with. The entries of a bank, and
                clusters, are then of other samples.

        Returns:
            `(epoch, start)`, ints for the pipeline's arguments of these names; `epoch` is `initial_epoch` of `fit`
            too. `(0, 0)`, and the model as it was, where there is no checkpoint yet.

        Raises:
            TypeError: the model is no method, or not compiled.
            ValueError: the checkpoint is of another method, of other shapes or versions, or all are damaged; or several
                hosts do not see the same folder.
        """
        check_model(model)
        build(model.optimizer, model)
        strategy = getattr(model, "distribute_strategy", None)
        self.writes = distribute.is_chief(strategy)
        if self.writes and not locks.is_locked(self.folder):
            shutil.rmtree(self.folder / "part", ignore_errors=True)
        run, self.made = self.newest(), settings(model)
        if run is not None:
            check_versions(run, self.folder, other_versions)
            check_state(run, model, self.folder)
            check_optimizers(run.get("made"), self.made, self.folder)
            warn_of_settings(run.get("made"), self.made, self.folder)
            self.begin(run)
            self.load(model)
        check_steps(distribute.of_all_workers(strategy, self.step), self.folder)
        self.ready, self.other_data = True, other_data
        return self.epoch, self.start

    def files(self):
        """The checkpoints, oldest first: list of `Path`, each for `keras_ssl.load`."""
        return [path.with_suffix(".keras") for path in self.manifests()]

    def best_file(self):
        """The checkpoint of the best epoch so far, or None."""
        found = None if self.record is None else self.path(self.record["step"])
        return found if found is not None and found.exists() else None

    # Callback

    def on_train_begin(self, logs=None):
        self.before = {}
        steps, known = self.params.get("steps"), self.steps_per_epoch
        if not self.ready:
            raise ValueError(
                "Call `epoch, start = checkpoint.restore(model)` before each `fit`, and give the pipeline both "
                "numbers: the position of the run is not known."
            )
        given = getattr(self.model, "given_steps", None)
        if given is not None:
            raise ValueError(
                f"With steps_per_epoch={given}, an epoch is no pass over the data, and a checkpoint could not say at "
                "which sample the run goes on. Leave steps_per_epoch out; `every` of Checkpoint saves inside a pass, "
                "and `epochs` counts passes."
            )
        self.check_data(getattr(self.model, "given_data", None))
        unsaved = getattr(self.model, "given_order", None)
        if unsaved is not None:
            warnings.warn(
                f"{unsaved} If this run is stopped and goes on, its weights differ from those of a run without a stop. "
                "The pipelines of keras_ssl.data, such as keras_ssl.data.arrays(samples, batch_size, epoch=epoch, "
                "start=start), go on exactly.",
                stacklevel=2,
            )
        if self.start and steps is not None:
            raise ValueError(
                f"The run stands at batch {self.start} of epoch {self.epoch}, but the data has {steps} batches in "
                f"every epoch. Make the pipeline with epoch={self.epoch}, start={self.start}, and call fit without "
                "steps_per_epoch."
            )
        if None not in (steps, known) and steps != known:
            raise ValueError(
                f"The data has {steps} batches in an epoch, but the checkpoints of {str(self.folder)!r} are of a run "
                f"with {known}. Use the same data and batch size, or another folder."
            )
        self.check_position(*(getattr(self.model, name, None) for name in ("given_batches", "given_epoch")))
        self.steps_per_epoch = known or (None if steps is None else int(steps))
        if self.writes:
            (self.folder / "part").mkdir(parents=True, exist_ok=True)  # a folder that cannot be written fails here
            if not locks.lock(self.folder):
                raise ValueError(
                    f"Another process trains with the checkpoints in {str(self.folder)!r} at this moment. Wait for its "
                    "end, or take another folder."
                )

    def check_data(self, data):
        """Raises where the samples are not those that the run began with, by the pipeline's fingerprint."""
        if None not in (data, self.data) and data != self.data and not self.other_data:
            raise ValueError(
                f"The data is not what the run in {str(self.folder)!r} began with: {self.data} then, {data} now. Give "
                "it the same files in the same order; or pass other_data=True to `restore`: the run then goes on, but "
                "the entries of a bank, and clusters, are those of other samples."
            )
        self.data = data or self.data

    def check_position(self, batches, epoch):
        """Warns where the batches are not those that the run began with, or do not go on where it stands."""
        warn_of_settings({"data": self.batches}, {"data": batches}, self.folder)
        self.batches = dict(batches) if batches else self.batches
        if epoch not in (None, self.epoch):
            warnings.warn(
                f"The data goes on with its pass {epoch}, but the run stands at epoch {self.epoch}: its order is not "
                f"that of a run without a stop. Make the pipeline anew, with epoch={self.epoch}, start={self.start}, "
                "and read it here alone.",
                stacklevel=3,
            )

    def on_epoch_begin(self, epoch, logs=None):
        if epoch != self.epoch:
            raise ValueError(
                f"fit begins with epoch {epoch}, but the run stands at epoch {self.epoch}: pass "
                f"initial_epoch={self.epoch}."
            )
        self.seen, self.ready = 0, False
        if self.start:  # what other callbacks do at the beginning of an epoch is in the checkpoint already
            self.load(self.model)
            for variable, value in zip(self.model.metrics_variables, self.metrics, strict=True):
                variable.assign(np.asarray(value, variable.dtype))

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        position, length = self.start + self.seen, self.steps_per_epoch
        if length is None:
            return
        if position < length:
            if self.is_due():
                self.save(self.epoch, position)
        elif self.cut and not self.model.stop_training:
            # Keras takes the length of the first epoch, the rest of one, for that of all. So the data never runs out.
            self.model.stop_training = EPOCH_IS_OVER

    def on_epoch_end(self, epoch, logs=None):
        if self.model.stop_training == EPOCH_IS_OVER:
            self.model.stop_training = False
        position, length = self.start + self.seen, self.steps_per_epoch
        inside = length is not None and position < length
        stopped = bool(self.model.stop_training)
        if inside and self.cut and not stopped:
            raise ValueError(
                f"Epoch {epoch} ended after {position} of its {length} batches. Make the pipeline anew with the "
                "numbers that `restore` returns."
            )
        self.epoch, self.start = (epoch, position) if inside and stopped else (epoch + 1, 0)
        if length is None and not stopped:
            self.steps_per_epoch = position
        self.ready = True
        better = self.judge(logs or {})
        if better or stopped or self.every == "epoch" or self.is_due() or self.epoch == self.params["epochs"]:
            self.save(self.epoch, self.start, better)

    def on_train_end(self, logs=None):
        if self.writes:
            shutil.rmtree(self.folder / "part", ignore_errors=True)

    def on_fit_end(self):
        """Called by `Method.fit` at its end, also at that by an error: Keras then ends no training."""
        if self.writes:
            locks.unlock(self.folder)

    # The files

    def begin(self, run):
        """Takes over the position of a run."""
        self.step, self.epoch, self.start, self.steps_per_epoch, self.record = (
            run[name] for name in ("step", "epoch", "start", "steps_per_epoch", "best")
        )
        self.saved = self.tried = self.step
        self.metrics, self.data, self.batches = run.get("metrics", []), run.get("data"), run.get("batches")
        self.cut = self.start > 0

    def save(self, epoch, start, record=None):
        broken = not_finite(self.model)
        if broken:
            self.stop(f"The loss is finite, but weights are not: {', '.join(broken[:5])}.")
        self.tried = self.step
        # Every replica has metrics of its own: to read them is to sum them, and all hosts must take part.
        metrics = [v.numpy().tolist() for v in self.model.metrics_variables] if start else []
        if not self.writes:
            self.saved, self.record = self.step, record or self.record
            return
        part, target = self.folder / "part", self.path(self.step)
        run = {
            "method": type(self.model).__name__,
            "versions": versions(),
            "step": self.step,
            "epoch": epoch,
            "start": start,
            "steps_per_epoch": self.steps_per_epoch,
            "best": record or self.record,
            "metrics": metrics,
            "data": self.data,
            "batches": self.batches,
            "made": self.made,
            "state": state(self.model),
        }
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            file, manifest = part / target.name, part / target.with_suffix(".json").name
            self.model.save(file)
            manifest.write_text(json.dumps({"sha256": seal(file, run), "run": run}))
            flush(file)
            flush(manifest)
            flush(part)
            os.replace(file, target)
            os.replace(manifest, target.with_suffix(".json"))  # from here on it exists
            flush(self.folder)
        except (OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "errno = " not in str(error):  # so h5py says that a disk is full
                raise
            shutil.rmtree(part, ignore_errors=True)
            warnings.warn(
                f"The checkpoint of step {self.step} could not be written: {error}. {self.kept()} The run goes on, and "
                "the next checkpoint will be tried: make room on the disk.",
                stacklevel=2,
            )
            return
        self.saved, self.record = self.step, run["best"]
        self.prune()

    def prune(self):
        """Leaves the last checkpoints and the best one. Without its manifest a checkpoint does not exist."""
        kept = {path.stem for path in self.manifests()[-self.keep :]}
        kept |= set() if self.record is None else {self.path(self.record["step"]).stem}
        for ending in ("json", "keras"):
            for path in self.folder.glob(f"step-*.{ending}"):
                if path.stem not in kept:
                    path.unlink(missing_ok=True)

    def newest(self):
        """The manifest of the last whole checkpoint, or None. Damaged ones after it are put aside."""
        damaged = []
        for path in reversed(self.manifests()):
            run = read(path)
            if run is not None:
                for other in damaged if self.writes else ():
                    warnings.warn(
                        f"The checkpoint {str(other.with_suffix('.keras'))!r} is damaged. The one before it is used, "
                        f"of step {run['step']}; the damaged files end with '.damaged' now.",
                        stacklevel=3,
                    )
                    for file in (other, other.with_suffix(".keras")):
                        if file.exists():
                            file.rename(file.with_name(f"{file.name}.damaged"))
                return run
            damaged.append(path)
        if damaged:
            raise ValueError(
                f"All checkpoints in {str(self.folder)!r} are damaged: {', '.join(p.stem for p in damaged)}. Bring one "
                "back from a copy, or begin anew in another folder."
            )
        return None

    def load(self, model):
        model.load_weights(self.path(self.saved))

    def manifests(self):
        return sorted(self.folder.glob("step-*.json"), key=lambda path: (len(path.stem), path.stem))

    def path(self, step):
        return self.folder / f"step-{step:08d}.keras"

    def is_due(self):
        return self.every != "epoch" and self.step // self.every > self.tried // self.every

    def judge(self, logs):
        """The new record, or None."""
        if self.best is None or self.best not in logs:
            return None
        value = float(logs[self.best])
        sign = 1 if self.mode == "min" else -1
        if not np.isfinite(value) or self.record is not None and sign * value >= sign * self.record["value"]:
            return None
        return {"step": self.step, "value": value}

    def kept(self):
        files = self.files()
        return f"The last checkpoint is {str(files[-1])!r}." if files else "There is no checkpoint yet."


# What a checkpoint is of


def state(model):
    """Name, shape and dtype of every variable that a run is made of."""
    metrics = {id(variable) for variable in model.metrics_variables}
    variables = [v for v in model.variables if id(v) not in metrics] + list(model.optimizer.variables)
    return [[v.path, list(v.shape), str(v.dtype)] for v in variables]


def settings(model):
    """What a method and its optimizers were made with: plain values, and a hash of the rest."""
    found = {"method": {}}
    for name, value in model.get_config().items():
        if name != "name":
            plain = value is None or isinstance(value, (bool, int, float, str))
            found["method"][name] = value if plain else digest(value)
    for number, optimizer in enumerate(step.optimizers_of(model)):
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # inside of the scaling of the loss
        config = {"class": type(optimizer).__name__, **optimizer.get_config()}
        if int(ops.convert_to_numpy(optimizer.iterations)):  # a constant rate may have been changed meanwhile
            config.pop("learning_rate")
        found[f"optimizer {number + 1}" if number else "optimizer"] = {
            name: value if value is None or isinstance(value, (bool, int, float, str)) else digest(value)
            for name, value in config.items() if name not in ("name", "is_legacy_optimizer")
        }  # fmt: skip
    return json.loads(json.dumps(found))


def digest(value):
    """A hash of a config, without what differs between two of the same: names, which count, and seeds, drawn anew."""

    def kept(part):
        if isinstance(part, dict) and part.get("class_name") == "DTypePolicy":
            return str(part["config"])
        if isinstance(part, dict):
            left_out = ("name", "seed", "inbound_nodes", "input_layers", "output_layers", "build_config")
            return {str(key): kept(value) for key, value in sorted(part.items()) if key not in left_out}
        return [kept(value) for value in part] if isinstance(part, (list, tuple)) else str(part)

    return f"hash {hashlib.sha256(json.dumps(kept(value)).encode()).hexdigest()[:16]}"


def check_optimizers(theirs, mine, folder):
    """Raises where the numbers of one optimizer would be taken for those of another."""
    for part, values in mine.items():
        one, other = (theirs or {}).get(part, {}).get("class"), values.get("class")
        if None not in (one, other) and one != other:
            raise ValueError(
                f"The checkpoint in {str(folder)!r} is of the optimizer {one}, the model has {other}. Use the same "
                "arguments as in that run, or another folder."
            )


def warn_of_settings(theirs, mine, folder):
    """Warns where a run was begun with other settings than it goes on with. Unknown ones of either count as equal."""
    unlike = []
    for part, values in (mine or {}).items():
        known = (theirs or {}).get(part) or {}
        for name, value in (values or {}).items():
            if name in known and known[name] != value:
                hashed = str(value).startswith("hash ") or str(known[name]).startswith("hash ")
                what = f"the {name} is another" if hashed else f"{name}={known[name]!r} then, {value!r} now"
                unlike.append(f"{part}: {what}")
    if unlike:
        warnings.warn(
            f"The run in {str(folder)!r} began with other settings than it goes on with, so it ends as neither of the "
            f"two would: {'; '.join(unlike[:5])}. A constant learning rate is that of the checkpoint.",
            stacklevel=4,
        )


def versions():
    backend = keras.backend.backend()
    return {"keras_ssl": keras_ssl.__version__, "keras": keras.__version__, backend: sys.modules[backend].__version__}


def check_model(model):
    if not isinstance(model, Method):
        raise TypeError(f"model must be a keras_ssl.Method, for example keras_ssl.SimCLR. Received: {model!r}")
    if getattr(model, "optimizer", None) is None:
        raise TypeError("model is not compiled: call `model.compile(optimizer=...)` first, the optimizer is restored.")


def check_versions(run, folder, accepted):
    mine = versions()
    if not accepted and run["versions"] != mine:
        raise ValueError(
            f"The checkpoint in {str(folder)!r} was written with {written(run['versions'])}; here is {written(mine)}. "
            "Install those versions, or pass other_versions=True to `restore`: the run then goes on, but not bit for "
            "bit. Or use another folder."
        )


def check_state(run, model, folder):
    method = type(model).__name__
    if run["method"] != method:
        raise ValueError(
            f"The checkpoint in {str(folder)!r} is of the method {run['method']}, the model is {method}. Use another "
            "folder for another run."
        )
    theirs, mine = run["state"], state(model)
    unlike = [f"{m[0]}: {t[1:]} in the checkpoint, {m[1:]} here" for t, m in zip(theirs, mine) if t[1:] != m[1:]]
    if len(theirs) != len(mine):
        unlike.insert(0, f"{len(theirs)} variables in the checkpoint, {len(mine)} here")
    if unlike:
        raise ValueError(
            f"The checkpoint in {str(folder)!r} is of a {method} with other weights or another optimizer. "
            f"{'; '.join(unlike[:3])}. Use the same arguments as in that run, or another folder."
        )


def check_steps(steps, folder):
    if len(set(steps)) > 1:
        raise ValueError(
            f"The workers do not go on from the same checkpoint: their steps are {steps}. All hosts must see the same "
            f"folder. Received: folder={str(folder)!r}"
        )


def build(optimizer, model):
    if not optimizer.built:
        if hasattr(model, "distribute_strategy"):
            with model.distribute_strategy.scope():
                optimizer.build(model.trainable_variables)
        else:
            optimizer.build(model.trainable_variables)


def not_finite(model):
    """Names of the weights that are NaN, or infinite where they are trained."""
    trained = {id(variable) for variable in model.trainable_variables}
    floats = [v for v in [*model.variables, *model.optimizer.variables] if "float" in str(v.dtype)]
    return [
        variable.path
        for variable in floats
        if bool(ops.any(ops.isnan(variable.value)))
        or id(variable) in trained and not bool(ops.all(ops.isfinite(variable.value)))
    ]


def advice(model):
    optimizers = step.optimizers_of(model)
    rates = [f"{float(ops.convert_to_numpy(optimizer.learning_rate)):.3g}" for optimizer in optimizers]
    tries = [f"a lower learning rate (now {', '.join(rates)}) or a longer warm-up"]
    if not all(optimizer.clipnorm or optimizer.global_clipnorm or optimizer.clipvalue for optimizer in optimizers):
        tries.append("clipped gradients (global_clipnorm=1.0 of the optimizer)")
    if "float16" == model.compute_dtype or keras.config.dtype_policy().name == "mixed_float16":
        tries.append("mixed_bfloat16 or float32 in place of mixed_float16")
    tries.append("a higher temperature, where the method has one")
    tries.append("a look at the images and the views: pixels are finite, 0..255")
    return (
        f"To try: {'; '.join(tries)}. The same command goes on from the last checkpoint, with a constant learning rate "
        "out of that checkpoint: assign `model.optimizer.learning_rate` after `restore` to change it."
    )


def written(values):
    return ", ".join(f"{n}={v:.6g}" if isinstance(v, (float, np.floating)) else f"{n} {v}" for n, v in values.items())


# Files


def read(manifest):
    """What a manifest says of its run, or None where it or its checkpoint is damaged."""
    try:
        content = json.loads(manifest.read_bytes())
        whole = content["sha256"] == seal(manifest.with_suffix(".keras"), content["run"])
    except (ValueError, KeyError, TypeError, FileNotFoundError):
        return None
    return content["run"] if whole else None


def seal(file, run):
    """SHA-256 of a file and of what is said of it."""
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    digest.update(json.dumps(run, sort_keys=True).encode())
    return digest.hexdigest()


def flush(path):
    """Waits until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name != "posix":  # other systems cannot open a folder
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
