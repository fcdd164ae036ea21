"""The peers of benchmarks/augment.py make what our layer makes: two views of the right size and range."""

import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "augment.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_of_augment", SCRIPT)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # its data class looks itself up
    spec.loader.exec_module(module)
    tf.get_logger().setLevel("ERROR")
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def images():
    """Each image has one color of its own."""
    colors = np.random.default_rng(0).integers(60, 200, (8, 1, 1, 3), "uint8")
    return np.broadcast_to(colors, (8, 20, 20, 3))


@pytest.mark.parametrize("name", ["keras_cv_batches", "keras_cv_images", "tf_image"])
def test_views_of_arrays(benchmark, images, name):
    policy = benchmark.Policy("tiny", size=16, source=20, batch=4, strength=1.0, blur_p=0.5)
    check(getattr(benchmark, name)(benchmark.slices(images), policy, 1), policy, jittered=True)


@pytest.mark.parametrize("name", ["keras_cv_images", "tf_image"])
def test_neutral_jitter(benchmark, images, monkeypatch, name):
    # Without strength the jitter is the identity: the peers' odd units (f / (1 - f), half turns) are understood.
    monkeypatch.setattr(benchmark.Policy, "grayscale_p", 0.0)
    policy = benchmark.Policy("tiny", size=16, source=20, batch=4, strength=0.0, blur_p=0.0)
    check(getattr(benchmark, name)(benchmark.slices(images), policy, 1), policy, jittered=False)


def test_views_of_files(benchmark, tmp_path):
    policy = benchmark.Policy("tiny", size=16, source=20, batch=4, strength=1.0, blur_p=0.5)
    keras.utils.save_img(tmp_path / "a.jpg", np.full((30, 50, 3), 100), scale=False)
    (tmp_path / "run").mkdir()
    paths = tf.data.Dataset.from_tensor_slices(benchmark.links(tmp_path, tmp_path / "run")[:4])
    check(benchmark.tf_image_files(paths, policy, 1, antialias=True), policy, jittered=True)
    whole = next(iter(paths.map(lambda path: benchmark.decode_whole(path, policy))))
    np.testing.assert_allclose(whole, np.full((20, 20, 3), 100), atol=2)


def check(dataset, policy, jittered):
    first, second = next(iter(dataset))["views"]
    assert first.shape == second.shape == (policy.batch, policy.size, policy.size, 3)
    for view in (first, second):
        assert view.dtype == "float32" and 0 <= np.min(view) and np.max(view) <= 255.01 and np.max(view) > 1
    assert (np.abs(np.mean(first - second, (1, 2))).max() > 1) == jittered
