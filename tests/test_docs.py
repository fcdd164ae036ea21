"""The site builds without a warning, it knows every method, and the code of its pages and of the README runs."""

import functools
import importlib
import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
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
SMALL |= {"count // 50": "2", "count // 12": "3", "warmup=20": "warmup=0"}
ONE_SITE = pytest.mark.xdist_group("site")  # it takes half a minute to build
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))

if any(importlib.util.find_spec(name) is None for name in ("mkdocs", "latex2mathml")):
    pytest.skip("the extra `docs` is not installed", allow_module_level=True)
sys.path.insert(0, str(ROOT / "docs"))
flow, generate, method_page, tables = map(importlib.import_module, ("flow", "generate", "method_page", "tables"))
sys.path.remove(str(ROOT / "docs"))


def blocks(text):
    return BLOCK.findall(functools.reduce(lambda text, pair: text.replace(*pair), SMALL.items(), text))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = {"DISABLE_MKDOCS_2_WARNING": "true", "NO_MKDOCS_2_WARNING": "true"}  # what plugins say of each other
    done = subprocess.run(command, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def shown(page):
    """A page without its tags: highlighted code has one around every word."""
    return re.sub(r"<[^>]+>", "", page)


@ONE_SITE
def test_every_method_has_a_page_with_all_its_parts(site):
    overview = (site / "methods" / "index.html").read_text()
    for name in keras_ssl.METHODS:
        page = (site / "methods" / name / "index.html").read_text()
        said = shown(page)
        for part in ("Take it", "Leave it", "model.compile", method_page.path(name)):
            assert part in said, f"{name}: {part}"
        assert "<math" in page and "<svg" in page, name
        assert "kwargs" not in said, f"{name}: arguments that are not spelled out"
        assert f'href="{name}/"' in overview and method_page.path(name) in overview, name


@ONE_SITE
def test_every_family_has_a_page_with_its_methods(site):
    for family, names in generate.families().items():
        page = (site / "methods" / family / "index.html").read_text()
        assert all(f'href="../{name}/"' in page for name in names), family


@ONE_SITE
def test_the_site_loads_nothing_from_elsewhere(site):
    loaded = re.compile(r'<(?:script|img|link)[^>]+(?:src|href)="(?:https?:)?//[^"]*"')
    for page in site.rglob("*.html"):
        found = [tag for tag in loaded.findall(page.read_text()) if 'rel="canonical"' not in tag]
        assert not found, f"{page}: {found}"


@ONE_SITE
def test_inherited_arguments_are_named_with_their_defaults(site):
    page = shown((site / "methods" / "DecoupledContrastive" / "index.html").read_text())
    assert re.search(r"dim\s*=\s*128", page) and "size of the embedding (128)" in page


@pytest.mark.parametrize("name", keras_ssl.METHODS)
def test_what_a_method_says_of_itself(name):
    """Whole sentences, an objective that is LaTeX, and a flow that can be drawn."""
    for sentence in (method_page.idea(name), *(method_page.advice(name, word) for word in ("Take", "Leave"))):
        assert sentence.endswith((".", "?", ")")), sentence
    assert "\\" not in re.sub("<code>.*?</code>", "", method_page.objective(method_page.section(name, "Objective")))
    assert flow.svg(method_page.section(name, "Flow").splitlines()).startswith("<div")
    documented = tables_of_arguments(name)
    assert set(inspect.signature(getattr(keras_ssl, name)).parameters) - {"kwargs"} <= documented


def tables_of_arguments(name):
    spec = importlib.util.spec_from_file_location("docstrings", ROOT / "docs" / "docstrings.py")
    docstrings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(docstrings)
    said = docstrings.arguments(getattr(keras_ssl, name))
    return {found for match in docstrings.ENTRY.finditer(said) for found in match[1].split(", ")}


def test_the_columns_of_a_flow_follow_the_arrows():
    lines = ["a -> b -> c", "d ~> c", "c ~EMA~> d"]
    edges = [edge for line in lines for edge in flow.chain(line)]
    assert flow.layout(lines, edges) == {"a": (0, 0), "b": (1, 0), "c": (2, 0), "d": (1, 1)}
    with pytest.raises(ValueError, match="chain of boxes and arrows"):
        flow.chain("a, then b")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_file_of_results_says_how_it_was_made(path):
    found = json.loads(path.read_text())
    assert {"title", "what", "data", "command", "machine", "seeds", "columns", "rows"} <= set(found)
    script = re.match(r"python (\S+\.py)", found["command"])[1]
    assert (ROOT / script).exists(), script
    for row in found["rows"]:
        assert set(row) - {"name"} <= set(found["columns"]), row
        assert all(isinstance(value, (int, float)) for key, value in row.items() if key != "name"), row


def test_a_table_asks_for_a_file_that_is_there():
    found = tables.put("<!-- table: quality rows: SimCLR, BYOL -->")
    assert "| SimCLR | 47.3 | 53.5 |" in found and "MoCoV1" not in found and "benchmarks/quality.py" in found
    for page in PAGES:
        assert "<!-- table:" not in tables.put(page.read_text()), page


def test_the_readme_is_short_and_its_numbers_are_the_measured_ones():
    text = (ROOT / "README.md").read_text()
    assert len(text.encode()) <= 10_000
    measured = {row["name"]: row for title in ("quality", "masked") for row in tables.read(title)["rows"]}
    measured["MAE"] = measured["ViT after MAE"]
    rows = re.findall(r"^\| `?([\w -]+?)`?(?: \(.*?\))? \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    assert len(rows) >= 8
    for name, knn, linear in rows:
        assert (float(knn), float(linear)) == (measured[name]["knn"], measured[name]["linear"]), name


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


def run(name, text):
    names = {"__name__": "page"}
    for number, block in enumerate(blocks(text)):
        exec(compile(block, f"{name}, block {number + 1}", "exec"), names)
    return names


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page.read_text())], ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore:The features have collapsed", "ignore:.*k=:UserWarning")
def test_the_code_of_a_page_runs(page, folders, released):
    run(page.name, page.read_text())


@pytest.mark.parametrize("name", keras_ssl.METHODS)
def test_the_code_of_a_method_runs(name, folders, released, monkeypatch):
    """Up to `fit`, which gets data of the right columns; the training is that of test_every_method.py."""
    fitted = []
    monkeypatch.setattr(keras_ssl.Method, "fit", lambda model, images, **_: fitted.append(next(iter(images))))
    code = method_page.runnable(name, method_page.parts(name)[2])
    model = run(name, f"```python\n{code}\n```")["model"]
    assert type(model) is getattr(keras_ssl, name) and isinstance(model, keras.Model)
    for batch in fitted:
        assert set(model.needs) <= set(batch)
