"""A killed run, started again, is the run that was not killed; what does not fit it is refused in one sentence."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import checkpoint as module
from keras_ssl import locks
from keras_ssl.batches import unsaved_order
from tests import IN_A_CLONE

ROOT = Path(__file__).parents[1]
COUNT, BATCH, EPOCHS = 40, 8, 4
LENGTH = COUNT // BATCH


def encoder(width=6):
    images = x = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(momentum=0.9)(keras.layers.Conv2D(width, 3)(x))
    x = keras.layers.Dropout(0.1)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(images, x)


def make(name="MoCoV2", width=6, optimizer=None, run_eagerly=False, flip=0.5, **options):
    keras.utils.set_random_seed(0)
    views = keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(8, flip=flip), 2)
    options = {"hidden": 8, "dim": 4} | ({"queue_size": 20, "momentum": 0.9} if name == "MoCoV2" else {}) | options
    model = getattr(keras_ssl, name)(encoder(width), views, **options)
    rate = keras.optimizers.schedules.CosineDecay(0.1, 20)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(rate, momentum=0.9), run_eagerly=run_eagerly)
    return model


def data(epoch=0, start=0, batch=BATCH, **options):
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), "uint8")
    return keras_ssl.data.arrays(images, batch, epoch=epoch, start=start, **options)


def go_on(model, checkpoint, *callbacks, epochs=EPOCHS, **options):
    epoch, start = checkpoint.restore(model)
    callbacks = [*callbacks, checkpoint]
    return model.fit(data(epoch, start, **options), epochs=epochs, initial_epoch=epoch, callbacks=callbacks, verbose=0)


def state(model):
    metrics = {id(variable) for variable in model.metrics_variables}
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables] if id(v) not in metrics]


def assert_same(first, second):
    assert len(first) == len(second)
    for number, (one, other) in enumerate(zip(first, second)):
        np.testing.assert_array_equal(one, other, err_msg=str(number))


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


class StopAt(keras.callbacks.Callback):
    """Ends a run in the middle, by an exception, as a killed process does, or by Keras's own flag."""

    def __init__(self, step, politely=False):
        super().__init__()
        self.step, self.politely = step, politely

    def on_train_batch_end(self, batch, logs=None):
        self.step -= 1
        if self.step == 0 and self.politely:
            self.model.stop_training = True
        elif self.step == 0:
            raise KeyboardInterrupt


class Lengths(keras.callbacks.Callback):
    """The number of batches of each epoch."""

    def on_train_begin(self, logs=None):
        self.batches = []

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.batches[-1] += 1


@pytest.fixture(scope="module")
def straight():
    model = make()
    losses = model.fit(data(), epochs=EPOCHS, verbose=0).history["loss"]
    return state(model), losses


# Go on


@pytest.mark.skipif(not IN_A_CLONE, reason="benchmarks/ are in a clone only")
def test_a_process_that_is_killed_ends_with_the_same_weights(tmp_path):
    """Real processes, real SIGKILLs, between and in the writes: benchmarks/kills.py."""
    command = [sys.executable, "-W", "error::UserWarning", str(ROOT / "benchmarks" / "kills.py"), "MoCoV2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run([*command, "--kills", "4"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "MoCoV2: 4 kills of" in done.stdout and "the same end" in done.stdout, done.stdout


@pytest.mark.parametrize("politely", [False, True])
def test_a_run_goes_on_inside_an_epoch(straight, tmp_path, politely):
    weights, losses = straight
    folder = tmp_path / "run"
    first = keras_ssl.Checkpoint(folder, every=3, keep=2)
    if politely:  # as a limit of time does: the last state is saved though it is not due
        go_on(make(), first, StopAt(7, politely=True))
        expected = (1, 2)
    else:
        with pytest.raises(KeyboardInterrupt):
            go_on(make(), first, StopAt(8))  # saved at 3 and 6
        expected = (1, 1)
    second, lengths = keras_ssl.Checkpoint(folder, every=3, keep=2), Lengths()
    model = make()
    model.encoder.set_weights([w * 0 for w in model.encoder.get_weights()])
    history = go_on(model, second, lengths).history["loss"]  # a warning of Keras, "ran out of data", would be an error
    assert second.restore(make()) == (EPOCHS, 0)
    assert lengths.batches == [LENGTH - expected[1], LENGTH, LENGTH]  # Keras would make them all as short as the first
    assert_same(weights, state(model))
    assert history == losses[1:]  # the first of them is a mean over batches before the stop as well
    assert [path.stem for path in second.files()] == ["step-00000018", "step-00000020"]
    again = make()
    assert go_on(again, keras_ssl.Checkpoint(folder, every=3)).history == {}  # a finished run stays as it is
    assert_same(weights, state(again))


def test_a_run_goes_on_between_epochs_with_its_loss_scale(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")

    def model():
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(0.01), initial_scale=2.0**7, dynamic_growth_steps=3
        )
        return make("SimCLR", optimizer=optimizer)

    whole, parts = model(), model()
    whole.fit(data(), epochs=2, verbose=0)
    go_on(parts, keras_ssl.Checkpoint(tmp_path), epochs=1)
    parts = model()
    go_on(parts, keras_ssl.Checkpoint(tmp_path), epochs=2)
    assert float(parts.optimizer.dynamic_scale) > 2.0**7
    assert_same(state(whole), state(parts))


def test_what_callbacks_do_at_the_beginning_of_an_epoch_is_not_done_twice(tmp_path):
    class Shift(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            for weight in self.model.trainable_variables:
                weight.assign(weight * 1.01)

    whole = make()
    whole.fit(data(), epochs=2, callbacks=[Shift()], verbose=0)
    with pytest.raises(KeyboardInterrupt):
        go_on(make(), keras_ssl.Checkpoint(tmp_path, every=2), Shift(), StopAt(3))
    parts = make()
    go_on(parts, keras_ssl.Checkpoint(tmp_path, every=2), Shift(), epochs=2)
    assert_same(state(whole), state(parts))


def test_a_checkpoint_is_a_file_for_load(straight, tmp_path):
    checkpoint = keras_ssl.Checkpoint(tmp_path)
    go_on(make(), checkpoint, epochs=EPOCHS)
    assert_same(straight[0], state(keras_ssl.load(checkpoint.files()[-1])))


def test_nothing_in_a_file_is_executed(tmp_path):
    """A model with a Lambda, which Keras's safe mode refuses to load, is restored: only numbers are read."""

    def model():
        keras.utils.set_random_seed(0)
        code = keras.layers.Lambda(lambda x: x + 1)
        view = keras_ssl.augment.View([keras_ssl.augment.RandomResizedCrop(8), code])
        made = keras_ssl.SimCLR(make().encoder, keras_ssl.augment.Views(view, 2), hidden=4, dim=3)
        made.compile(optimizer="sgd")
        return made

    first, second = model(), model()
    go_on(first, keras_ssl.Checkpoint(tmp_path), epochs=1)
    checkpoint = keras_ssl.Checkpoint(tmp_path)
    assert checkpoint.restore(second) == (1, 0)
    assert_same(state(first), state(second))
    with pytest.raises(ValueError, match="(?i)unsafe|lambda"):
        keras_ssl.load(checkpoint.files()[-1])


# Which files stay


def test_the_last_and_the_best_stay(tmp_path):
    class Score(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["score"] = [1.0, 3.0, 2.0, 0.0][epoch]

    checkpoint = keras_ssl.Checkpoint(tmp_path, keep=1, best="score", mode="max")
    go_on(make(), checkpoint, Score(), epochs=3)
    assert names(tmp_path) == [f"step-000000{step}.{end}" for step in (10, 15) for end in ("json", "keras")]
    later = keras_ssl.Checkpoint(tmp_path, keep=1, best="score", mode="max")
    go_on(make(), later, Score())
    assert later.best_file() == tmp_path / "step-00000010.keras"
    assert [path.stem[-2:] for path in later.files()] == ["10", "20"]


def test_a_write_that_was_interrupted_leaves_nothing(tmp_path, monkeypatch):
    """At whichever call on the disk it stops, the run goes on from the checkpoint before or from the new one."""
    go_on(make(), keras_ssl.Checkpoint(tmp_path), epochs=1)
    calls, model, expected = [], make(), {}
    for name in ("replace", "fsync"):
        def counted(*arguments, real=getattr(os, name)):
            calls.append(name)
            if len(calls) == counted.limit:
                raise KeyboardInterrupt  # no `except` of ours sees it, as none sees a SIGKILL
            return real(*arguments)

        expected[name] = counted
        monkeypatch.setattr(os, name, counted)
    seen = set()
    for limit in range(1, 8):
        calls.clear()
        for counted in expected.values():
            counted.limit = limit
        checkpoint = keras_ssl.Checkpoint(tmp_path, keep=9)
        checkpoint.set_model(model)
        position = checkpoint.restore(model)
        seen.add(position)
        if position != (1, 0):
            break
        checkpoint.step, checkpoint.epoch = 10, 2
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(2, 0)
    assert limit == 7 and seen == {(1, 0), (2, 0)}  # three flushes, two renames, the last flush


@pytest.mark.parametrize("file", ["keras", "json"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing"])
def test_a_damaged_checkpoint_is_recognized(tmp_path, file, damage):
    folder = tmp_path / "run"
    write(folder)
    path = folder / f"step-00000010.{file}"
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        place = content.index(b'"epoch": 2') + 9 if file == "json" else len(content) // 2
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    checkpoint = keras_ssl.Checkpoint(folder)
    if (file, damage) == ("json", "missing"):  # that is a write which did not come to its end
        assert checkpoint.restore(MODELS["same"]()) == (1, 0)
    else:
        with pytest.warns(UserWarning, match="step-00000010.keras' is damaged. The one before it is used, of step 5"):
            assert checkpoint.restore(MODELS["same"]()) == (1, 0)
        assert keras_ssl.Checkpoint(folder).restore(MODELS["same"]()) == (1, 0)  # without a warning
    (folder / "step-00000005.keras").write_bytes(b"PK")
    with pytest.raises(ValueError, match="All checkpoints in .* are damaged: step-00000005"):
        keras_ssl.Checkpoint(folder).restore(MODELS["same"]())


def write(folder):
    """Two checkpoints, of the steps 5 and 10, without a training."""
    model = MODELS["same"]()
    checkpoint = keras_ssl.Checkpoint(folder)
    checkpoint.set_model(model)
    checkpoint.restore(model)
    for checkpoint.step, epoch in ((5, 1), (10, 2)):
        checkpoint.steps_per_epoch = LENGTH
        checkpoint.save(epoch, 0)


# What does not fit


MODELS = {
    "same": lambda: make("SimCLR"),
    "method": lambda: make("MoCoV2"),
    "shapes": lambda: make("SimCLR", width=7),
    "optimizer": lambda: make("SimCLR", optimizer=keras.optimizers.Adam()),
}


@pytest.mark.parametrize(
    "model, message",
    [
        ("method", "is of the method SimCLR, the model is MoCoV2. Use another folder"),
        ("shapes", r"with other weights .* conv2d.*: \[\[3, 3, 3, 6\].* in the checkpoint, \[\[3, 3, 3, 7\]"),
        ("optimizer", "other weights or another optimizer.* variables in the checkpoint"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, model, message):
    write(tmp_path)
    other = MODELS[model]()
    before = state(other)
    with pytest.raises(ValueError, match=message) as raised:
        keras_ssl.Checkpoint(tmp_path).restore(other)
    assert len(str(raised.value).splitlines()) == 1
    assert_same(before, state(other)[: len(before)])


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({"temperature": 0.9}, "method: temperature=0.1 then, 0.9 now"),
        ({"optimizer": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)}, "nesterov=False then"),
        ({"optimizer": lambda: keras.optimizers.SGD(0.5, momentum=0.9)}, "learning_rate=0.1"),
        ({"flip": 0.2}, "method: the augment is another"),
        ({"policy": "mixed_bfloat16"}, "method: the encoder is another"),
        ({"seed": 1}, "data: seed=0 then, 1 now"),
        ({"batch": 10}, "data: batch_size=8 then, 10 now"),
        ({"epoch": 0}, "goes on with its pass 0, but the run stands at epoch 1"),
    ],
)
def test_a_run_that_goes_on_otherwise_is_told(tmp_path, changed, expected):
    count = 23  # 2 batches of 8 or 10

    def made(optimizer=lambda: keras.optimizers.SGD(0.1, momentum=0.9), policy="float32", **options):
        keras.config.set_dtype_policy(policy)
        try:
            return make("SimCLR", optimizer=optimizer(), run_eagerly=True, **options)
        finally:
            keras.config.set_dtype_policy("float32")

    def run(model, seed=0, batch=8, epoch=None):
        checkpoint = keras_ssl.Checkpoint(tmp_path)
        now, start = checkpoint.restore(model)
        images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), "uint8")
        images = keras_ssl.data.arrays(images, batch, seed=seed, epoch=now if epoch is None else epoch, start=start)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(images, epochs=now + 1, initial_epoch=now, callbacks=[checkpoint], verbose=0)
        return [str(one.message) for one in caught]

    of_data = {name: value for name, value in changed.items() if name in ("seed", "batch", "epoch")}
    of_model = {name: value for name, value in changed.items() if name not in of_data}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = run(made())
        assert not [text for text in found if "The run in" in text or "goes on with" in text]
        found = run(made(**of_model), **of_data)
    found = [text for text in [*found, *(str(one.message) for one in caught)] if expected in text]
    assert len(found) == 1, found


def test_a_run_that_goes_on_as_it_was_is_not_told_of_settings(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for optimizer in (keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)):
            go_on(make("SimCLR", optimizer=optimizer, run_eagerly=True), keras_ssl.Checkpoint(tmp_path), epochs=1)
        model = make("SimCLR", optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
        keras_ssl.Checkpoint(tmp_path).restore(model)
        model.optimizer.learning_rate = 0.05  # as ReduceLROnPlateau does
        keras_ssl.Checkpoint(tmp_path).restore(model)


def test_another_optimizer_of_the_same_shapes_is_refused(tmp_path):
    go_on(make("SimCLR", optimizer=keras.optimizers.SGD(0.1, momentum=0.9)), keras_ssl.Checkpoint(tmp_path), epochs=1)
    with pytest.raises(ValueError, match="is of the optimizer SGD, the model has RMSprop"):
        keras_ssl.Checkpoint(tmp_path).restore(make("SimCLR", optimizer=keras.optimizers.RMSprop(0.1)))


def test_two_processes_do_not_write_into_one_folder(tmp_path):
    hold = "import sys; from keras_ssl import locks; print(locks.lock(sys.argv[1]), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout.readline() == "True\n"
        model, checkpoint = make("SimCLR", run_eagerly=True), keras_ssl.Checkpoint(tmp_path)
        (tmp_path / "part").mkdir()
        with pytest.raises(ValueError, match="Another process trains with the checkpoints in"):
            go_on(model, checkpoint)
        assert (tmp_path / "part").exists()  # what the other one is writing
        other.stdin.close()
    go_on(model, checkpoint, epochs=1)
    assert not locks.LOCKED and len(checkpoint.files()) == 1

    class Failing(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert locks.LOCKED
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go_on(model, checkpoint, Failing(), epochs=2)
    assert not locks.LOCKED


def test_a_folder_is_where_it_was_when_the_checkpoint_was_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = keras_ssl.Checkpoint("run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert checkpoint.folder == tmp_path / "run"
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="must be the path of a folder. Received a file"):
        keras_ssl.Checkpoint(tmp_path / "file")
    with pytest.raises(TypeError, match="folder must be the path of a folder. Received: folder=None"):
        keras_ssl.Checkpoint(None)


def test_a_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setattr(keras_ssl, "__version__", "9.9.9")
    with pytest.raises(ValueError, match="written with keras_ssl 0.*here is keras_ssl 9.9.9.*other_versions=True"):
        keras_ssl.Checkpoint(tmp_path).restore(MODELS["same"]())
    assert keras_ssl.Checkpoint(tmp_path).restore(MODELS["same"](), other_versions=True) == (2, 0)


def test_a_fit_that_does_not_go_on_where_the_run_stands_is_refused(tmp_path):
    model = make()
    with pytest.raises(ValueError, match="Call `epoch, start = checkpoint.restore"):
        model.fit(data(), callbacks=[keras_ssl.Checkpoint(tmp_path)], verbose=0)
    with pytest.raises(KeyboardInterrupt):
        go_on(model, keras_ssl.Checkpoint(tmp_path, every=3), StopAt(8))
    checkpoint = keras_ssl.Checkpoint(tmp_path)
    assert checkpoint.restore(model) == (1, 1)
    with pytest.raises(ValueError, match="stands at batch 1 of epoch 1, but the data has 5 batches.*epoch=1, start=1"):
        model.fit(data(1), epochs=3, initial_epoch=1, callbacks=[checkpoint], verbose=0)
    with pytest.raises(ValueError, match="fit begins with epoch 0, .* pass initial_epoch=1"):
        model.fit(data(1, 1), epochs=3, callbacks=[checkpoint], verbose=0)
    with warnings.catch_warnings(), pytest.raises(ValueError, match="ended after 4 of its 5 batches"):
        warnings.simplefilter("ignore")  # Keras's own
        model.fit(data(1, 2), epochs=3, initial_epoch=1, callbacks=[checkpoint], verbose=0)
    go_on(model, keras_ssl.Checkpoint(tmp_path), epochs=2)
    with pytest.raises(ValueError, match="4 batches in an epoch, but .* of a run with 5"):
        go_on(model, keras_ssl.Checkpoint(tmp_path), batch=10)


def test_steps_that_are_no_pass_are_refused(tmp_path):
    model, checkpoint = make("SimCLR", run_eagerly=True), keras_ssl.Checkpoint(tmp_path)
    epoch, start = checkpoint.restore(model)
    with pytest.raises(ValueError, match="With steps_per_epoch=3, an epoch is no pass over the data"):
        model.fit(data(epoch, start), steps_per_epoch=3, callbacks=[checkpoint], verbose=0)
    assert int(model.step) == 0


def test_other_data_than_the_run_began_with_is_refused(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (17, 8, 8, 3), "uint8")
    changed = images.copy()
    changed[12, 0, 0, 0] ^= 1
    model = make("SimCLR", run_eagerly=True)

    def go(samples, **options):
        checkpoint = keras_ssl.Checkpoint(tmp_path)
        epoch, start = checkpoint.restore(model, **options)
        batches = keras_ssl.data.arrays(samples, BATCH, epoch=epoch, start=start)
        model.fit(batches, initial_epoch=epoch, epochs=epoch + 1, callbacks=[checkpoint], verbose=0)

    go(images[:16])
    for other in (images, images[:15], changed[:16]):  # more by less than a batch, one less, one changed
        with pytest.raises(ValueError, match=f"is not what the run in .* began with: 16 samples.*, {len(other)} samp"):
            go(other)
    assert int(model.step) == 2
    go(images, other_data=True)
    go(images)
    assert int(model.step) == 6


def test_an_order_that_is_not_saved_is_a_warning(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), "uint8")
    plain = tf.data.Dataset.from_tensor_slices(images)
    ours = keras_ssl.data.arrays(images, BATCH)
    for x, options, why in [
        (images, {}, "Keras shuffles this data itself"),
        (images, {"shuffle": False}, None),
        ({"image": images}, {}, "Keras shuffles this data itself"),
        (plain.batch(BATCH), {}, None),
        (plain.shuffle(9).batch(BATCH).prefetch(1), {}, "A tf.data pipeline that shuffles"),
        (ours, {}, None),
        (keras_ssl.data.views(ours, keras_ssl.augment.Grayscale()), {}, None),
        (ours.shuffle(3), {}, r"Behind shuffle\(\) of the pipeline"),
        (ours.cache(), {}, r"Behind cache\(\) of the pipeline"),
        (iter([images]), {}, "Where an iterator stands"),
    ]:
        found = unsaved_order(x, options)
        assert found is None if why is None else re.match(why, found)
    model = make("SimCLR", run_eagerly=True)
    checkpoint = keras_ssl.Checkpoint(tmp_path)
    checkpoint.restore(model)
    with pytest.warns(UserWarning, match="Keras shuffles this data itself.* keras_ssl.data.arrays"):
        model.fit(images[:BATCH], batch_size=BATCH, callbacks=[checkpoint], verbose=0)


def test_wrong_arguments_are_refused(tmp_path):
    for options, name in (({"every": 0}, "every"), ({"every": "step"}, "every"), ({"keep": 0}, "keep")):
        with pytest.raises(ValueError, match=f"{name} must be .*Received: {name}="):
            keras_ssl.Checkpoint(tmp_path, **options)
    with pytest.raises(ValueError, match="mode must be"):
        keras_ssl.Checkpoint(tmp_path, best="loss", mode="most")
    with pytest.raises(TypeError, match="must be a keras_ssl.Method"):
        keras_ssl.Checkpoint(tmp_path).restore(encoder())
    with pytest.raises(TypeError, match="not compiled"):
        keras_ssl.Checkpoint(tmp_path).restore(keras_ssl.SimCLR(encoder(), hidden=4, dim=3))


# What goes wrong on the way


class Break(keras.callbacks.Callback):
    """Makes the weights, or only the loss, not a number before a step."""

    def __init__(self, step, after=False):
        super().__init__()
        self.step, self.after = step, after

    def on_train_batch_begin(self, batch, logs=None):
        self.step -= 1
        if self.step == 0 and not self.after:
            self.spoil()

    def on_train_batch_end(self, batch, logs=None):
        if self.step == 0 and self.after:
            self.spoil()

    def spoil(self):
        weight = self.model.trainable_variables[0]
        weight.assign(weight * np.nan)


def test_nan_stops_the_run_before_it_is_saved(tmp_path):
    model = make("VICReg")
    checkpoint = keras_ssl.Checkpoint(tmp_path, every=1)
    match = (
        r"stops at step 7 \(batch 2 of epoch 1.*loss is not finite: .*loss=nan.*One step before: .*invariance=\d.*last "
        r"checkpoint is .*step-00000006.keras'. To try: a lower learning rate .now 0.0\d+. .*clipped gradients"
    )
    with pytest.raises(FloatingPointError, match=match):
        go_on(model, checkpoint, Break(7))
    again = make("VICReg")
    assert keras_ssl.Checkpoint(tmp_path).restore(again) == (1, 1)
    assert all(np.isfinite(value).all() for value in state(again))
    # The loss of a step is that of the weights before it: they may break where it is finite.
    with pytest.raises(FloatingPointError, match="step 8 .*loss is finite, but weights are not: .*kernel"):
        go_on(again, keras_ssl.Checkpoint(tmp_path, every=1), Break(2, after=True))
    assert checkpoint.files()[-1].stem == "step-00000007"


def test_nan_stops_a_run_without_checkpoints():
    with pytest.raises(FloatingPointError, match=r"step 2 \(batch 2 of epoch 0.*There is no checkpoint"):
        make("SimCLR").fit(data(), callbacks=[Break(2), keras_ssl.StopOnNaN()], verbose=0)


def test_a_full_disk_loses_nothing(straight, tmp_path):
    """The system refuses to make files larger than a limit, as it does where there is no room."""
    class Full(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            soft = 16384 if epoch in (1, 2) else resource.RLIM_INFINITY
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    model, checkpoint = make(), keras_ssl.Checkpoint(tmp_path, keep=2)
    try:
        with pytest.warns(UserWarning, match="could not be written.*last checkpoint is .*step-00000005.keras'") as seen:
            go_on(model, checkpoint, Full())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert sum("could not be written" in str(warning.message) for warning in seen) == 2
    assert_same(straight[0], state(model))
    assert names(tmp_path) == [f"step-000000{step}.{end}" for step in ("05", "20") for end in ("json", "keras")]
    assert keras_ssl.Checkpoint(tmp_path).restore(make()) == (EPOCHS, 0)


def test_a_manifest_says_what_it_is_of(tmp_path):
    write(tmp_path)
    content = json.loads((tmp_path / "step-00000010.json").read_text())
    run = content["run"]
    assert (run["method"], run["step"], run["epoch"], run["start"]) == ("SimCLR", 10, 2, 0)
    assert run["versions"]["keras_ssl"] == keras_ssl.__version__ and run["versions"] == module.versions()
    assert content["sha256"] == module.seal(tmp_path / "step-00000010.keras", run)
