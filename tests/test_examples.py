"""The example scripts run to their end and leave what they promise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def quickstart(out, *options):
    command = [sys.executable, ROOT / "examples" / "quickstart.py", "--out", out, "--epochs", "1", "--width", "4"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in out.iterdir()} == {"encoder.keras", "index.html", "scores.json"}
    assert (out / "index.html").read_text().count("<img") == 3
    encoder = keras.saving.load_model(out / "encoder.keras")
    return encoder, json.loads((out / "scores.json").read_text())["scores"]


def test_quickstart_without_data_takes_the_digits(tmp_path):
    encoder, scores = quickstart(tmp_path, "--method", "MoCoV2")
    assert list(scores) == ["raw pixels", "untrained encoder", "MoCoV2 encoder"]
    assert scores["raw pixels"]["k-NN"] > 0.9
    assert encoder.predict(np.zeros((2, 16, 16, 1), "uint8"), verbose=0).shape == (2, 32)


@pytest.mark.parametrize("labelled", [True, False])
def test_quickstart_on_a_folder(tmp_path, labelled):
    folder, out = tmp_path / "images", tmp_path / "out"
    for number in range(48):
        place = folder / f"class{number % 2}" if labelled else folder
        place.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(number).integers(0, 128, (20, 24, 3)) + 100 * (number % 2)
        keras.utils.save_img(place / f"{number}.png", image, scale=False)
    options = ("--data", folder, "--size", "16", "--batch", "16", "--method", "BYOL" if labelled else "SimCLR")
    encoder, scores = quickstart(out, *options)
    assert bool(scores) == labelled
    assert encoder.output_shape == (None, 32)
