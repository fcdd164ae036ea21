"""Backend run: every method trained and tried on the backend that KERAS_BACKEND names, for test_backends.

    KERAS_BACKEND=jax python -m tests.backend_run START OUT

START (.npz) holds the variables every method starts from. OUT gets `run.npz`, what `train` found, and `faults.json`,
the traceback of each check that failed. One process tries all: to start one takes longer than the checks.
"""

import json
import sys
import traceback
from pathlib import Path

import keras
import numpy as np

import keras_ssl
from tests.test_every_method import BATCH, METHODS, SIZE, images, make, moving, pipeline, state


def main(start, out):
    out = Path(out)
    start = np.load(start)
    run, faults = {}, {}
    for name in METHODS:
        variables = [start[key] for key in start.files if key.startswith(f"{name}/")]
        found = attempt(faults, f"{name}/train", lambda: train(name, variables))  # noqa: B023
        run |= {f"{name}/{key}": value for key, value in (found or {}).items()}
        for check in CHECKS:
            keras.config.set_dtype_policy("float32")
            attempt(faults, f"{name}/{check.__name__}", lambda: check(name, out))  # noqa: B023
    run["views"] = attempt(faults, "views", views)
    run = {key: value for key, value in run.items() if value is not None}
    np.savez(out / "run.npz", **run)
    (out / "faults.json").write_text(json.dumps(faults))


def attempt(faults, key, function):
    try:
        return function()
    except Exception:
        faults[key] = traceback.format_exc()


def train(name, variables, **compile):
    """Losses and state of a run from the values `variables`; what is drawn comes from the pipeline's seeds alone."""
    model = make(name, **compile)
    if hasattr(model, "shuffle"):
        model.shuffle = False  # every backend draws other random orders
    for variable, value in zip(model.variables, variables, strict=True):
        if not variable.path.endswith("seed_generator_state"):
            variable.assign(value)
    losses = []
    model.fit(pipeline(), epochs=2, callbacks=[Losses(losses)], verbose=0)
    found = {key: np.asarray(value) for key, value in state(model).items() if not key.endswith("seed_generator_state")}
    return found | {"losses": np.array(losses)}


def views():
    """What the layers make of the pipeline's pixels and seeds, blur and solarisation included."""
    return np.stack([host(view) for view in keras_ssl.augment.byol(SIZE)(batches()[0])])


class Losses(keras.callbacks.Callback):
    def __init__(self, losses):
        super().__init__()
        self.losses = losses

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))


# The checks. Each gets the name of a method and a folder to write to.


def compiles_by_default(name, out):
    """JAX compiles the step unless told not to; PyTorch does not."""
    assert make(name).jit_compile is (keras.backend.backend() == "jax")


def predict_is_the_encoder(name, out):
    model = make(name)
    expected = model.encoder.predict(images(), verbose=0)
    np.testing.assert_allclose(model.predict(pipeline(shuffle=False), verbose=0), expected, atol=1e-5)


def arrays_without_seeds_train(name, out):
    """Plain arrays, a smaller last batch, the layer's own draws and the shuffled keys of MoCo."""
    model = make(name)
    before = {v.path: host(v) for v in model.variables if v.path.endswith("seed_generator_state")}
    history = model.fit(images(2 * BATCH - 3), batch_size=BATCH, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    drawn = [v.path for v in model.variables if v.path in before and not np.array_equal(before[v.path], v)]
    assert len(drawn) == (2 if hasattr(model, "shuffle") else 1), drawn  # the views', and the order's


def a_saved_run_goes_on(name, out):
    """`.keras` -> `load` has the same state, and goes on as if it had not stopped, its random draws included."""
    first = make(name)
    first.fit(images(), batch_size=BATCH, shuffle=False, verbose=0)
    first.save(out / f"{name}.keras")
    second = keras_ssl.load(out / f"{name}.keras")
    equal(state(first), state(second))
    for model in (first, second):
        model.fit(images(), batch_size=BATCH, shuffle=False, verbose=0)
    equal(state(first), state(second))


def bfloat16_trains(name, out):
    expected = make(name).fit(pipeline().take(2), verbose=0).history["loss"]
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = make(name)
    found = model.fit(pipeline().take(2), verbose=0).history["loss"]
    np.testing.assert_allclose(found, expected, rtol=0.03)
    assert {v.dtype for v in model.variables if "float" in v.dtype} == {"float32"}


def an_overflow_moves_nothing(name, out):
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=2.0**40)
    model = make(name, optimizer)
    watched = [*model.trainable_variables, *moving(model)]
    before = [host(v) for v in watched]
    model.fit(pipeline().take(1), verbose=0)
    assert int(optimizer.iterations) == 0 and float(optimizer.dynamic_scale) == 2.0**39
    for variable, value in zip(watched, before):
        np.testing.assert_array_equal(host(variable), value, err_msg=variable.path)
    optimizer.dynamic_scale.assign(1.0)
    model.fit(pipeline().take(1), verbose=0)
    assert int(optimizer.iterations) == 1
    still = [v.path for v, value in zip(watched, before) if np.array_equal(host(v), value)]
    assert not still, still


def accumulation_moves_the_teacher_once_an_update(name, out):
    model = make(name, keras.optimizers.SGD(0.05, gradient_accumulation_steps=2))
    watched = [*model.trainable_variables, *moving(model)]
    before = [host(v) for v in watched]
    data = batches()
    model.train_on_batch(data[0])
    for variable, value in zip(watched, before):
        np.testing.assert_array_equal(host(variable), value, err_msg=variable.path)
    model.train_on_batch(data[1])
    assert int(model.optimizer.iterations) == 1
    still = [v.path for v, value in zip(watched, before) if np.array_equal(host(v), value)]
    assert not still, still


CHECKS = [
    compiles_by_default,
    predict_is_the_encoder,
    arrays_without_seeds_train,
    a_saved_run_goes_on,
    bfloat16_trains,
    an_overflow_moves_nothing,
    accumulation_moves_the_teacher_once_an_update,
]


def batches():
    return [{key: value.numpy() for key, value in batch.items()} for batch in pipeline()]


def host(x):
    return np.array(keras.ops.convert_to_numpy(x))  # a copy: on PyTorch the array is the variable's own memory


def equal(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], err_msg=key)


if __name__ == "__main__":
    main(*sys.argv[1:])
