"""Methods train on JAX, there on two devices, and on PyTorch as they do on TensorFlow."""

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests import backend_run, cases

pytestmark = pytest.mark.xdist_group("backends")  # the runs are made once
BACKENDS = [backend for backend in ("jax", "torch") if importlib.util.find_spec(backend)]
every_backend = pytest.mark.parametrize(
    "backend",
    [
        pytest.param(name, marks=pytest.mark.skipif(name not in BACKENDS, reason=f"{name} is not installed"))
        for name in ("jax", "torch")
    ],
)
compared_method = pytest.mark.parametrize("name", backend_run.COMPARED)
STEPS = 2  # the second has momentum, a teacher that moved, a queue
checked_method = pytest.mark.parametrize("name", backend_run.CHECKED)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, request):
    """What each backend found: `{backend: (run, faults)}`. They run side by side, on the methods that were selected."""
    folder = tmp_path_factory.mktemp("backends")
    selected = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    names = {call.params["name"] for call in selected if call is not None and "name" in call.params}
    start = {name: (variables(cases.make(name)), cases.fixed(name)[:STEPS]) for name in names}
    (folder / "start.pkl").write_bytes(pickle.dumps(start))
    processes = {backend: launch(backend, folder / "start.pkl", folder / backend) for backend in BACKENDS}
    run = {name: backend_run.train(name, *start[name], run_eagerly=True) for name in names}
    found = {"tensorflow": (backend_run.flat(run | {"views": backend_run.byol_views()}), {})}
    for backend, process in processes.items():
        errors = process.communicate()[1]
        assert process.returncode == 0, errors[-3000:]
        faults = json.loads((folder / backend / "faults.json").read_text())
        found[backend] = dict(np.load(folder / backend / "run.npz")), faults
    return found


@compared_method
@every_backend
def test_training_equals_tensorflow(runs, backend, name):
    (expected, _), (found, faults) = runs["tensorflow"], runs[backend]
    assert f"{name}/train" not in faults, faults[f"{name}/train"]
    assert_alike(expected, found, name)


@checked_method
@every_backend
def test_training_on_one_device_equals_tensorflow(runs, backend, name):
    (expected, _), (found, faults) = runs["tensorflow"], runs[backend]
    assert f"{name}/train" not in faults, faults[f"{name}/train"]
    one = {key.replace("/one/", "/", 1): value for key, value in found.items() if "/one/" in key}
    assert_alike(expected, one, name)


def assert_alike(expected, found, name):
    keys = [key for key in expected if key.startswith(f"{name}/")]
    extra = ("/bfloat16/", "/one/")
    assert set(keys) == {key for key in found if key.startswith(f"{name}/") and not any(x in key for x in extra)}
    np.testing.assert_allclose(found[f"{name}/losses"], expected[f"{name}/losses"], rtol=1e-4)
    # weights, teacher, queue, pointer, statistics, optimizer; negatives of the own device only differ by more than 1e-2
    for key in keys:
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-3, atol=1e-4, err_msg=key)


@every_backend
def test_views_equal_tensorflows(runs, backend):
    (expected, _), (found, faults) = runs["tensorflow"], runs[backend]
    assert "views" not in faults, faults["views"]
    np.testing.assert_allclose(found["views"], expected["views"], atol=0.01)


@checked_method
@every_backend
def test_bfloat16_trains(runs, backend, name):
    (expected, _), (found, faults) = runs["tensorflow"], runs[backend]
    assert f"{name}/bfloat16" not in faults, faults[f"{name}/bfloat16"]
    first, *others = found[f"{name}/bfloat16/losses"]
    np.testing.assert_allclose(first, expected[f"{name}/losses"][0], rtol=0.03)  # later, the rounding is amplified
    assert np.isfinite(others).all()
    for key, value in expected.items():
        if key.startswith(f"{name}/model"):
            half = found[key.replace(name, f"{name}/bfloat16", 1)]
            assert np.isfinite(half).all() and half.dtype == value.dtype, key


@checked_method
@every_backend
@pytest.mark.parametrize("check", [check.__name__ for check in backend_run.CHECKS])
def test_backend(runs, backend, name, check):
    fault = runs[backend][1].get(f"{name}/{check}")
    assert fault is None, fault


def launch(backend, start, out):
    out.mkdir()
    options = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    # Speed: JAX compiles each step of each method, and runs it a few times only.
    options["XLA_FLAGS"] = (
        "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 "
        "--xla_llvm_disable_expensive_passes=true"
    )
    options["JAX_COMPILATION_CACHE_DIR"], options["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = str(out), "0"
    command = [sys.executable, "-m", "tests.backend_run", str(start), str(out)]
    root = Path(__file__).parent.parent
    return subprocess.Popen(
        command, env=os.environ | options, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def variables(model):
    return [keras.ops.convert_to_numpy(variable) for variable in model.variables]
