"""On JAX a transformer's weights may be spread over several devices; that data may be, test_backends shows."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_ssl import encoders

ROOT = Path(__file__).parents[1]
METHODS = ("MAE", "DINO")
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")


@needs_jax
def test_a_mesh_of_devices_equals_one(tmp_path):
    """Four devices of the CPU: two parts of the batch by two parts of the encoder's weights."""
    options = {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    # The other two: to compile takes longer than to train.
    options["XLA_FLAGS"] = (
        "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0 "
        "--xla_llvm_disable_expensive_passes=true"
    )
    command = [sys.executable, "-m", "tests.jax_devices_run", str(tmp_path / "found.npz"), *METHODS]
    done = subprocess.run(command, env=os.environ | options, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = np.load(tmp_path / "found.npz")
    for name in METHODS:
        # of each of two blocks: four kernels and biases by outputs, two kernels by inputs; with the teacher's, and
        # with the optimizer's momenta left out
        assert found[f"{name}/split"] >= 2 * (4 * 2 + 2), found[f"{name}/split"]
        keys = [key for key in found if key.startswith(f"{name}/one/")]
        assert len(keys) > 10
        for key in keys:
            other = found[key.replace("/one/", "/mesh/", 1)]
            np.testing.assert_allclose(other, found[key], rtol=1e-3, atol=1e-4, err_msg=key)


class Mesh:
    axis_names = ("batch", "parts")


def test_a_mesh_without_the_axis_is_refused():
    with pytest.raises(ValueError, match="axis must be one of the mesh's, .*'parts'.* Received: axis='model'"):
        encoders.layout(Mesh())


def test_every_weight_of_the_blocks_has_its_place():
    encoder = encoders.vit((8, 8, 3), patch=4, width=8, depth=2, heads=2)
    mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
    layout = encoders.layout(mesh)
    axes = {v.path: getattr(layout[v.path], "axes", None) for v in encoder.variables}
    split = {path: found for path, found in axes.items() if found}
    assert len(split) == 2 * (4 * 2 + 2) and all("block" in path for path in split)
    assert {found for path, found in split.items() if path.endswith("bias")} == {("model",)}
