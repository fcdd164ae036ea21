"""The example scripts run to their end and leave what they promise."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [path for path in sorted((ROOT / "examples").glob("*.py")) if '__name__ == "__main__"' in path.read_text()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_head_of_a_script_says_what_to_run_and_what_comes_of_it(script):
    head = ast.get_docstring(ast.parse(script.read_text()))
    assert re.search(r"\b\d{4}\.\d{5}\b", head), "no paper, by its number on arXiv"
    assert re.search(rf"^    python examples/{script.stem}\.py .*--quick", head, re.MULTILINE), "no quick command"
    assert '"--quick"' in script.read_text()
    paragraphs = {words.split()[0]: " ".join(words.split()) for words in head.split("\n\n")}
    assert re.search(r"\d %|\d\.\d|[Nn]one is published", paragraphs["Expected:"])
    for part, words in {"machine": r"CPU cores?", "time": r"\d (minutes?|seconds)", "number": r"\d %|0\.\d"}.items():
        assert re.search(words, paragraphs["Got"]), f"no {part}"


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


@pytest.mark.parametrize("options, steps", [((), 700), (("--quick",), 200), (("--quick", "--epochs", 3), 30)])
def test_quickstart_is_short_with_quick(example, tmp_path, monkeypatch, options, steps):
    monkeypatch.syspath_prepend(ROOT / "examples")

    def method(options, shape, views, steps):
        raise InterruptedError(f"after {steps} steps")

    monkeypatch.setattr(importlib.import_module("quickstart"), "method", method)
    with pytest.raises(InterruptedError, match=f"after {steps} steps"):
        example("quickstart", *options, "--out", tmp_path)


@pytest.mark.parametrize("labeled", [True, False])
def test_quickstart_on_a_folder(tmp_path, labeled):
    folder, out = tmp_path / "images", tmp_path / "out"
    for number in range(48):
        place = folder / f"class{number % 2}" if labeled else folder
        place.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(number).integers(0, 128, (20, 24, 3)) + 100 * (number % 2)
        keras.utils.save_img(place / f"{number}.png", image, scale=False)
    options = ("--data", folder, "--size", "16", "--batch", "16", "--method", "BYOL" if labeled else "SimCLR")
    encoder, scores = quickstart(out, *options)
    assert bool(scores) == labeled
    assert encoder.output_shape == (None, 32)
