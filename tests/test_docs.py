"""The site builds without a warning, and the code of its pages and of the README runs."""

import functools
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_ssl

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What makes the code of a page quick: its text stays what a user would write.
SMALL = {"96": "32", "epochs=100": "epochs=1", "batch_size=256": "batch_size=4", "queue_size=4096": "queue_size=8"}


def blocks(page):
    text = functools.reduce(lambda text, pair: text.replace(*pair), SMALL.items(), page.read_text())
    return BLOCK.findall(text)


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="MkDocs is not installed")
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    quiet = {"DISABLE_MKDOCS_2_WARNING": "true", "NO_MKDOCS_2_WARNING": "true"}  # what plugins say of each other
    done = subprocess.run(command, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in keras_ssl.METHODS:
        assert (tmp_path / "site" / "methods" / name / "index.html").exists()


@pytest.fixture
def folders(tmp_path, monkeypatch, two_replicas):
    """Images where the pages have theirs, a narrow encoder, and one strategy for the whole process."""
    draw = np.random.default_rng(0)
    for folder in ("photos", "train", "test"):
        for number in range(8):
            target = tmp_path / folder / ("cats", "dogs")[number % 2]
            target.mkdir(parents=True, exist_ok=True)
            pixels = draw.integers(0, 256, (4, 4, 3), "uint8").repeat(32, axis=0).repeat(32, axis=1)
            Image.fromarray(pixels).save(target / f"{number}.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: two_replicas)
    monkeypatch.setattr(keras_ssl.encoders, "resnet18", functools.partial(keras_ssl.encoders.resnet18, width=4))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore:The features have collapsed", "ignore:.*k=:UserWarning")
def test_the_code_of_a_page_runs(page, folders):
    names = {"__name__": "page"}
    for number, block in enumerate(blocks(page)):
        exec(compile(block, f"{page.name}, block {number + 1}", "exec"), names)
