"""On JAX two devices train as one does: `keras.distribution.DataParallel` needs nothing of a method."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
METHODS = ("SimCLR", "MoCoV2", "BYOL")


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_two_devices_equal_one(tmp_path):
    """Two devices of the CPU. Each sees half of the batch, but the step is compiled for all of it."""
    options = {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    # The other two: to compile takes longer than to train.
    options["XLA_FLAGS"] = (
        "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 "
        "--xla_llvm_disable_expensive_passes=true"
    )
    command = [sys.executable, "-m", "tests.jax_devices_run", str(tmp_path / "found.npz"), *METHODS]
    done = subprocess.run(command, env=os.environ | options, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = np.load(tmp_path / "found.npz")
    for name in METHODS:
        keys = [key for key in found if key.startswith(f"{name}/1/")]
        assert len(keys) > 10
        for key in keys:  # 1e-6 of float32 noise; negatives of the own device only differ by more than 1e-2
            other = found[key.replace("/1/", "/2/", 1)]
            np.testing.assert_allclose(other, found[key], rtol=1e-3, atol=1e-4, err_msg=key)
