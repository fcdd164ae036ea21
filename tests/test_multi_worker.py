"""Several workers train as one process does on the global batch, and go on after one of them was killed."""

import importlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import IN_A_CLONE
from tests import multi_worker_run as run

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.xdist_group("workers")  # the runs are made once


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the workers found: `{scenario: [worker 0, worker 1, ...]}`."""
    folder = tmp_path_factory.mktemp("workers")
    launch(folder, "two", "three", "killed", "folders")
    return {
        path.name: [dict(np.load(path / f"{i}.npz")) for i in range(len(list(path.glob("*.npz"))))]
        for path in folder.iterdir()
    }


def launch(folder, *scenarios):
    command = [sys.executable, "-m", "tests.multi_worker_run", str(folder), *scenarios]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def assert_like_one_process(found, name, steps=None):
    """1e-4 of float32 noise at most; negatives of the own worker only differ by more than 1e-2."""
    expected = run.train_on_one(name, steps)
    assert {f"{name}/{key}" for key in expected} == {key for key in found if key.startswith(f"{name}/")}
    for key, value in expected.items():
        scale = max(1.0, np.abs(value).max(initial=0.0))
        np.testing.assert_allclose(found[f"{name}/{key}"], value, rtol=1e-3, atol=2e-4 * scale, err_msg=key)


@pytest.mark.parametrize(
    "scenario, name", [("two", name) for name in run.TWO] + [("three", name) for name in run.THREE]
)
def test_workers_equal_one_process(found, scenario, name):
    """Loss, weights, teacher, queue, bank, optimizer, features: the workers start from other seeds than the first."""
    first, *others = found[scenario]
    assert len(others) == {"two": 1, "three": 2}[scenario]
    assert_like_one_process(first, name)
    for other in others:
        for key, value in first.items():
            np.testing.assert_array_equal(other[key], value, err_msg=key)


def test_a_killed_worker_goes_on_from_the_last_checkpoint(found, tmp_path):
    expected = run.resume(tf.distribute.get_strategy(), tmp_path)
    assert len(found["killed"]) == 2
    for worker in found["killed"]:
        assert worker["position"].tolist() == [1, 1]  # killed after step 8, saved after step 6, inside of an epoch
        for key in set(expected) - {"loss", "position"}:
            np.testing.assert_allclose(worker[key], expected[key], rtol=1e-4, atol=5e-5, err_msg=key)
        # The mean over an epoch that was begun before the kill, by all workers.
        np.testing.assert_allclose(worker["loss"], expected["loss"][1:], rtol=1e-5)


def test_workers_that_see_other_folders_are_refused(found):
    assert len(found["folders"]) == 2
    for number, worker in enumerate(found["folders"]):
        error = str(worker["error"])
        assert error.startswith("The workers do not go on from the same checkpoint: their steps are [5, 0]"), error
        assert f"run{number}" in error


# Several processes of JAX


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory):
    """What one process of JAX found, and what each of two did; with the folder of images."""
    pytest.importorskip("jax")
    out, photos = tmp_path_factory.mktemp("jax"), tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(3).integers(0, 256, (6, 6, 6, 3), "uint8")
    for number, coarse in enumerate(noise):
        keras.utils.save_img(photos / f"{number}.{('jpg', 'png')[number % 2]}", coarse.repeat(7, 0).repeat(9, 1))
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{port.getsockname()[1]}"
    for hosts in (2, 1):
        command = [sys.executable, "-m", "tests.jax_hosts_run", str(out), str(photos)]
        started = [
            subprocess.Popen([*command, str(number), str(hosts), address], cwd=ROOT, stderr=subprocess.PIPE, text=True)
            for number in range(hosts)
        ]
        errors = [process.communicate()[1] for process in started]
        assert not any(process.returncode for process in started), errors[0][-3000:]
    return [dict(np.load(out / f"{name}.npz")) for name in ("1-0", "2-0", "2-1")] + [photos]


def test_processes_of_jax_read_their_rows_and_equal_one(on_jax):
    alone, first, second, _ = on_jax
    np.testing.assert_array_equal(np.concatenate([first["seen"], second["seen"]], axis=1), alone["seen"])
    for worker in (first, second):
        np.testing.assert_allclose(worker["losses"], alone["losses"], rtol=1e-5)
        np.testing.assert_allclose(worker["weights"], alone["weights"], rtol=1e-3, atol=2e-4)


def test_host_views_on_jax_are_those_of_tensorflow(on_jax):
    from tests import jax_hosts_run as jax_run

    alone, *_, photos = on_jax
    for name, views in {"arrays": jax_run.views_of_arrays(), "photos": jax_run.views_of_photos(photos)}.items():
        assert len(views) == 2
        for place, view in enumerate(views):
            assert view.std() > 10
            np.testing.assert_allclose(alone[f"{name}{place}"], view, atol=0.1, err_msg=name)


# The example


@pytest.fixture
def example(monkeypatch):
    if not IN_A_CLONE:
        pytest.skip("the examples are in a clone only")
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("multi_worker")


def test_the_example_trains_alone(example, monkeypatch, tmp_path):
    """Several workers do the same under TF_CONFIG, as above."""
    sizes = ["--epochs", "1", "--width", "4", "--batch", "512"]
    monkeypatch.setattr(sys, "argv", ["multi_worker.py", "--workers", "1", *sizes, "--out", str(tmp_path)])
    example.main()
    assert keras.saving.load_model(tmp_path / "encoder.keras").output_shape == (None, 32)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["replicas"] == 1 and scores["k-NN"] > 0.2
    assert len(list((tmp_path / "checkpoints").glob("step-*.keras"))) == 1


def test_the_example_starts_workers_and_stops_where_one_fails(example, monkeypatch):
    task = "json.loads(os.environ['TF_CONFIG'])"
    program = f"import json, os, sys; task = {task}; assert len(task['cluster']['worker']) == 3; "
    monkeypatch.setattr(sys, "argv", ["-c", program])
    example.launch(3)
    program += "import time; task['task']['index'] == 1 or time.sleep(60); 1 / 0"
    monkeypatch.setattr(sys, "argv", ["-c", program])
    with pytest.raises(SystemExit, match="A worker failed. The same command goes on from the last checkpoint"):
        example.launch(3)
