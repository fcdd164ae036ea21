"""Two logical CPUs for the whole run, so that one process can compare one replica with two."""

import gc
import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Speed: what XLA compiles here runs a few times on tiny arrays.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

import keras  # noqa: E402

from tests import IN_A_CLONE  # noqa: E402

# With the folder tests/ alone, and an installed package, what lies beside them is not there.
OF_THE_CLONE = ["test_docs.py", "test_benchmarks*.py", "test_examples*.py", "test_notebooks.py", "test_own_encoders.py"]
collect_ignore_glob = [] if IN_A_CLONE else OF_THE_CLONE


@pytest.fixture(autouse=True)
def fresh_keras():
    """Every test starts from the same seed and in float32."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def released():
    """For networks of real size: they go when the test ends, not when Python happens to look."""
    yield
    keras.backend.clear_session()
    gc.collect()


@pytest.fixture(scope="session")
def two_replicas():
    """One strategy for all tests: TensorFlow counts its collectives per strategy but matches them per process."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def example(monkeypatch):
    """An example, run in this process: a new one would take seconds to import TensorFlow."""
    if not IN_A_CLONE:
        pytest.skip("the examples are in a clone only")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples")

    def run(name, *options):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, options)])
        importlib.import_module(name).main()

    return run
