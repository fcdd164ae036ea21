"""Methods train on JAX and on PyTorch as they do on TensorFlow."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests import backend_run

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
checked_method = pytest.mark.parametrize("name", backend_run.CHECKED)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What each backend found: `{backend: (run, faults)}`. They run side by side."""
    folder = tmp_path_factory.mktemp("backends")
    start = {name: variables(backend_run.make(name)) for name in backend_run.COMPARED}
    np.savez(folder / "start.npz", **{f"{name}/{i}": x for name, xs in start.items() for i, x in enumerate(xs)})
    run = {name: backend_run.train(name, start[name], jit_compile=False) for name in backend_run.COMPARED}
    found = {"tensorflow": (backend_run.flat(run | {"views": backend_run.byol_views()}), {})}
    processes = {backend: launch(backend, folder / "start.npz", folder / backend) for backend in BACKENDS}
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
    keys = [key for key in expected if key.startswith(f"{name}/")]
    assert set(keys) == {key for key in found if key.startswith(f"{name}/") and "/bfloat16/" not in key}
    np.testing.assert_allclose(found[f"{name}/losses"], expected[f"{name}/losses"], rtol=1e-4)
    for key in keys:  # weights, teacher, queue, pointer, statistics, optimizer
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
    options["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    options["JAX_COMPILATION_CACHE_DIR"], options["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = str(out), "0"
    command = [sys.executable, "-m", "tests.backend_run", str(start), str(out)]
    root = Path(__file__).parent.parent
    return subprocess.Popen(
        command, env=os.environ | options, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def variables(model):
    return [keras.ops.convert_to_numpy(variable) for variable in model.variables]
