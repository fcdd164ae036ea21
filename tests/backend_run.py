"""Backend run: methods trained and tried on the backend that KERAS_BACKEND names, for test_backends.

    KERAS_BACKEND=jax python -m tests.backend_run START OUT

START (.pkl) holds the variables that the methods start from and the batches that they see. The folder OUT gets
`run.npz`, what `train` found, and `faults.json`, the traceback of each check that failed. One process tries all: to
start one takes long.

On JAX all methods train on two devices, as `keras.distribution.DataParallel` does it: then one compilation shows that
JAX equals TensorFlow and that two devices equal one. A few train on one device too.
"""

import json
import os
import pickle
import sys
import traceback
from pathlib import Path

import keras
import numpy as np

import keras_ssl
from tests import cases
from tests.cases import BATCH, SIZE, images, make, moving, pipeline, state

# All can be compared: what a step draws is a hash, the same on every backend. (But for W-MSE's order, which changes
# nothing in a batch of one sub-batch.) `KERAS_SSL_METHODS="MAE BYOL"` compares these alone.
COMPARED = tuple(os.environ.get("KERAS_SSL_METHODS", "").split()) or tuple(keras_ssl.METHODS)
# The checks take one method with a queue and one with a schedule; SimCLR has no hook, MoCoV1 the code of MoCoV2.
CHECKED = ("MoCoV2", "BYOL")


def main(start, out):
    start, out = pickle.loads(Path(start).read_bytes()), Path(out)
    run, faults = {}, {}

    def attempt(key, function, *args):
        keras.config.set_dtype_policy("float32")
        try:
            return function(*args)
        except Exception:
            faults[key] = traceback.format_exc()

    run["views"] = attempt("views", byol_views)
    for name in [name for name in CHECKED if name in start]:
        run[f"{name}/one"] = attempt(f"{name}/train", train, name, *start[name])
        run[f"{name}/bfloat16"] = attempt(f"{name}/bfloat16", train, name, *start[name], "mixed_bfloat16")
        for check in CHECKS:
            attempt(f"{name}/{check.__name__}", check, name, out)
    if keras.backend.backend() == "jax":
        devices = keras.distribution.list_devices()
        assert len(devices) == 2, devices
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    for name in [name for name in COMPARED if name in start]:
        run[name] = attempt(f"{name}/train", train, name, *start[name])
    np.savez(out / "run.npz", **flat(run))
    (out / "faults.json").write_text(json.dumps(faults))


def byol_views():
    """What a compiled model makes of the pipeline's pixels and seeds, with every augmentation layer there is."""
    batch = batches("BYOL")[0]
    columns = [(key, batch[key]) for key in ("image", "seed")]
    inputs = {key: keras.Input(x.shape[1:], dtype=str(x.dtype), name=key) for key, x in columns}
    model = keras.Model(inputs, keras_ssl.augment.byol(SIZE, blur_p=(1.0, 0.5), solarize_p=(0.5, 0.5))(inputs))
    return np.stack(model.predict({key: batch[key] for key in inputs}, verbose=0))


def train(name, variables, batches, policy="float32", **compile):
    """Losses and state of a run from the values `variables`; what is drawn comes from the pipeline's seeds alone."""
    keras.config.set_dtype_policy(policy)
    model = make(name, **compile)
    if hasattr(model, "shuffle"):
        model.shuffle = False  # every backend draws other random orders
    for variable, value in zip(model.variables, variables, strict=True):
        variable.assign(np.asarray(value, variable.dtype))  # the states of random numbers have other dtypes
    losses = []
    model.fit(cases.dataset(batches), callbacks=[Losses(losses)], verbose=0)
    check_devices(model)
    found = {key: value for key, value in snapshot(model).items() if not key.endswith("seed_generator_state")}
    return found | {"losses": np.array(losses)}


def check_devices(model):
    """On JAX every device has all weights."""
    distribution = keras.distribution.distribution()
    if distribution is not None:
        spread = {len(v.value.sharding.device_set) for v in model.variables}
        assert spread == {2}, spread


def flat(run):
    """`{"BYOL": {"losses": ...}}` as `{"BYOL/losses": ...}`."""
    found = {}
    for key, value in run.items():
        if isinstance(value, dict):
            found |= {f"{key}/{part}": array for part, array in value.items()}
        elif value is not None:
            found[key] = value
    return found


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
    np.testing.assert_allclose(model.predict(pipeline(name, shuffle=False), verbose=0), expected, atol=1e-5)


def a_saved_run_goes_on(name, out):
    """`.keras` -> `load` has the same state, and goes on as if it had not stopped; all random draws are the model's."""
    first = make(name)
    start = snapshot(first)
    fit = {"x": images(2 * BATCH), "batch_size": BATCH, "shuffle": False, "verbose": 0}
    assert np.isfinite(first.fit(**fit).history["loss"]).all()
    first.save(out / f"{name}.keras")
    second = keras_ssl.load(out / f"{name}.keras")
    saved = snapshot(first)
    drawn = [key for key in start if key.endswith("seed_generator_state") and (start[key] != saved[key]).any()]
    assert len(drawn) == (2 if hasattr(first, "shuffle") else 1), drawn  # the views', and the order's of MoCo
    equal(saved, snapshot(second))
    first.fit(**fit)
    second.fit(**fit)
    equal(snapshot(first), snapshot(second))


def an_overflow_moves_nothing(name, out):
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=2.0**40)
    model = make(name, optimizer)
    watched = [*model.trainable_variables, *moving(model)]
    before = [host(v) for v in watched]
    model.fit(pipeline(name).take(1), verbose=0)
    assert int(optimizer.iterations) == 0 and float(optimizer.dynamic_scale) == 2.0**39
    for variable, value in zip(watched, before):
        np.testing.assert_array_equal(host(variable), value, err_msg=variable.path)
    optimizer.dynamic_scale.assign(1.0)
    model.fit(pipeline(name).take(1), verbose=0)
    assert int(optimizer.iterations) == 1
    still = [v.path for v, value in zip(watched, before) if np.array_equal(host(v), value)]
    assert not still, still


def accumulation_moves_the_teacher_once_an_update(name, out):
    model = make(name, keras.optimizers.SGD(0.05, gradient_accumulation_steps=2))
    watched = [*model.trainable_variables, *moving(model)]
    before = [host(v) for v in watched]
    data = batches(name)
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
    a_saved_run_goes_on,
    an_overflow_moves_nothing,
    accumulation_moves_the_teacher_once_an_update,
]


def batches(name):
    return [{key: value.numpy() for key, value in batch.items()} for batch in pipeline(name)]


def host(x):
    return np.array(keras.ops.convert_to_numpy(x))  # a copy: on PyTorch the array is the variable's own memory


def snapshot(model):
    return {key: np.array(value) for key, value in state(model).items()}


def equal(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], err_msg=key)


if __name__ == "__main__":
    main(*sys.argv[1:])
