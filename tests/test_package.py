"""The package as a whole: what imports what, what an import costs, the style, the two commands of the README."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

import keras_ssl
from tests import IN_A_CLONE

ROOT = Path(__file__).parents[1]
PACKAGE = Path(keras_ssl.__file__).parent
of_the_clone = pytest.mark.skipif(not IN_A_CLONE, reason="README and settings are in a clone only")
LEAVES = {"heads", "teacher", "memory", "losses", "augment", "encoders", "optimizers", "distribute", "clustering"}
# Who may import whom inside the package. Every part may import itself.
ALLOWED = {leaf: {"checks", "distribute", "inputs", "pixels"} for leaf in LEAVES} | {
    "checks": set(),
    "inputs": set(),
    "pixels": {"checks"},
    "rebuild": set(),
    "players": set(),
    "batches": {"checks", "distribute", "inputs", "pixels"},
    "step": {"distribute", "inputs", "players"},
    "method": {"batches", "checks", "distribute", "inputs", "players", "rebuild", "step"},
    "methods": LEAVES | {"checks", "inputs", "method", "rebuild"},
    "data": {"checks", "inputs"},
    "eval": {"augment", "checks", "data", "encoders", "inputs", "optimizers", "pixels"},  # fine-tuning trains
    "visualize": {"checks", "data", "eval", "encoders", "pixels", "runs"},
    "saving": {"encoders", "inputs", "method"},
    "pretrained": {"encoders", "pixels", "saving"},
    "checkpoint": {"checks", "distribute", "locks", "method", "step"},
    "locks": set(),
    "recipes": LEAVES | {"inputs", "methods"},
    "runs": {"checkpoint", "method", "saving"},
    "command": {
        "checkpoint", "checks", "data", "encoders", "eval", "inputs", "method", "pretrained", "recipes", "runs",
        "saving", "visualize",
    },
    "__main__": {"command"},
    "__init__": set(),
}
# Where tensorflow may be named.
TENSORFLOW = {"batches", "distribute", "data", "saving", "step"}
KERNELS = {"encoders/batch_norm.py", "losses/adversarial.py"}  # call what Keras has no name for on TensorFlow


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Every imported module of a file, with the names where they may be modules, also inside functions.

    What is taken from the root, as `keras_ssl.SimCLR` after `import keras_ssl`, counts as the module it comes from.
    """
    for name in named(path):
        package, _, last = name.rpartition(".")
        yield f"keras_ssl.{keras_ssl.NAMES[last]}" if package == "keras_ssl" and last in keras_ssl.NAMES else name


def named(path):
    tree = ast.parse(path.read_text())
    aliases = [alias for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    roots = {alias.asname or alias.name for alias in aliases if alias.name == "keras_ssl"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in roots:
            yield f"keras_ssl.{node.attr}"
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_house(path):
    own = part(path)
    for name in imports(path):
        package, *inner = name.split(".")
        if package == "keras_ssl" and inner and inner[0] in ALLOWED:
            assert inner[0] in ALLOWED[own] | {own}, f"{own} may not import {name}"
            if own == inner[0] == "methods" and len(inner) > 1:
                family = path.relative_to(PACKAGE / "methods").parts[0]
                assert inner[1] == family, f"{path.name} imports another family: {name}"
        assert package not in ("examples", "tests", "benchmarks"), name
        if package == "tensorflow":
            allowed = own in TENSORFLOW or str(path.relative_to(PACKAGE)) in KERNELS
            assert allowed, f"{own} may not import tensorflow"


def test_every_part_is_in_the_rules():
    assert {part(path) for path in modules()} == set(ALLOWED)


def run(code):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_the_import_is_quick_and_quiet():
    code = """
import sys
before = set(sys.modules)
import keras_ssl
new = set(sys.modules) - before
heavy = {"keras", "tensorflow", "numpy", "keras_cv", "tensorflow_datasets", "matplotlib", "sklearn"} & set(sys.modules)
assert not heavy, heavy
assert len(new) < 10, sorted(new)
assert {"SimCLR", "augment"} <= set(dir(keras_ssl))
"""
    done = run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_public_name_is_there():
    for name in keras_ssl.__all__:
        found = getattr(keras_ssl, name)
        assert found.__doc__, name
        if name in keras_ssl.METHODS:
            assert issubclass(found, keras_ssl.Method) and found.__module__ == f"keras_ssl.{keras_ssl.METHODS[name]}"
    with pytest.raises(AttributeError, match="no attribute 'SimCLR3'"):
        keras_ssl.SimCLR3


def test_every_module_says_what_it_is():
    for path in modules():
        assert ast.get_docstring(ast.parse(path.read_text())), path


@of_the_clone
def test_style():
    done = subprocess.run([sys.executable, "-m", "flake8"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@of_the_clone
def test_the_examples_of_the_readme_compile():
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    assert blocks
    for block in blocks:
        ast.parse(block.split("```")[0])


@of_the_clone
def test_versions_are_stated_once():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["version"] == keras_ssl.__version__
