"""The notebooks are those of the scripts, and hold nothing else."""

import ast
import contextlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="jupytext, which makes the notebooks, is not installed")

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("make_notebooks", ROOT / "examples" / "notebooks" / "make.py")
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)
every_script = pytest.mark.parametrize("script", make.scripts(), ids=lambda path: path.stem)


def cells_of(script):
    return json.loads(make.path_of(script).read_text(encoding="utf-8"))["cells"]


def test_the_notebooks_are_those_of_the_scripts():
    assert not make.unlike(), "python examples/notebooks/make.py writes them anew"
    assert len(make.scripts()) >= 8


@every_script
def test_a_notebook_is_clean(script):
    for cell in cells_of(script):
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None
    assert not re.search(r"/(home|root|work|opt|tmp|Users)/", make.path_of(script).read_text(encoding="utf-8"))


@every_script
def test_a_notebook_holds_all_of_its_script_and_compiles(script):
    cells = ["".join(cell["source"]) for cell in cells_of(script) if cell["cell_type"] == "code"]
    assert cells[0] == make.INSTALLING and not any("%pip" in cell for cell in cells)
    python = "\n\n".join(cell for cell in cells if not cell.startswith(("%", "!")))
    ast.parse(python)
    if not any(cell.startswith("%%writefile") for cell in cells):
        for line in script.read_text(encoding="utf-8").split('"""', 2)[2].split("\n"):
            line = line.strip().removesuffix("  # noqa: E402")
            changed = line.startswith(("def main", "main()", "if __name__", "from labeled_images", "options ="))
            assert changed or line.removeprefix("# ") in "\n".join(cells) + json.dumps(cells_of(script)), line


@pytest.mark.parametrize("place, taken", [
    ("clone", ["-e", "CLONE[plots]"]), ("wheel", ["WHEEL[plots]"]), ("index", ["keras_ssl[plots]"]),
])  # fmt: skip
@pytest.mark.parametrize("code", [0, 1])
def test_the_first_cell_takes_the_clone_or_the_wheel_or_the_index(tmp_path, monkeypatch, place, taken, code):
    notebooks, asked = tmp_path / "examples" / "notebooks", []
    notebooks.mkdir(parents=True)
    wheel = notebooks / "keras_ssl-0.1.0-py3-none-any.whl"
    if place == "clone":
        (tmp_path / "keras_ssl").mkdir()
        (tmp_path / "keras_ssl" / "__init__.py").touch()
    if place != "index":
        wheel.touch()  # the clone goes before it

    def pip(command, **options):
        asked.append(command)
        return subprocess.CompletedProcess(command, code, "", "no such thing")

    monkeypatch.chdir(notebooks)
    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names = {"CLONE[plots]": f"{tmp_path}[plots]", "WHEEL[plots]": f"{wheel}[plots]"}
    said = "upload the file keras_ssl-.*whl" if place == "index" else "pip could not install .*: no such thing"
    with pytest.raises(ImportError, match=said) if code else contextlib.nullcontext():
        exec(make.INSTALLING, {})
    assert asked == [[sys.executable, "-m", "pip", "install", "-q", *(names.get(part, part) for part in taken)]]
    assert (sys.path[0] == str(tmp_path)) == (place == "clone")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place with a script of its own."""
    monkeypatch.setattr(make, "EXAMPLES", tmp_path)
    monkeypatch.setattr(make, "FOLDER", tmp_path / "notebooks")
    make.FOLDER.mkdir()

    def write(body="print(options)", more=""):
        head = '"""Small: a script.\n\n    python examples/small.py --quick  # a second\n"""\n\nimport argparse\n\n'
        head += "WIDTH = 3\n"
        start = "    parser = argparse.ArgumentParser()\n    options = parser.parse_args()\n\n"
        text = f'{head}\n\ndef main():\n{start}    {body}\n\n\n{more}\nif __name__ == "__main__":\n    main()\n'
        (tmp_path / "small.py").write_text(text)
        return tmp_path / "small.py"

    return write


def test_the_check_says_what_differs(folder, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["make.py", *arguments])
        return make.main(), capsys.readouterr().out

    folder()
    code, said = run("--check")
    assert code == 1 and "small.ipynb is missing" in said
    assert run()[0] == 0 and run("--check") == (0, "All are those of their scripts.\n")
    folder("print(options, WIDTH)")
    (make.FOLDER / "old.ipynb").write_text("{}")
    code, said = run("--check")
    assert code == 1 and "small.ipynb differs from its script" in said and "old.ipynb is of no script" in said


def test_names_that_would_overwrite_each_other_are_refused(folder):
    with pytest.raises(ValueError, match=r"small.py: .*'views': \['small.py', 'main'\]"):
        make.notebook(folder("views = views()", "def views():\n    pass\n\n"))
    with pytest.raises(ValueError, match="main must not return"):
        make.notebook(folder("return 1"))


def test_other_arguments_take_the_place_of_the_first_command(folder):
    script = folder()
    assert 'ARGUMENTS = "--quick"' in make.text(script)[:5000].replace("\\", "")
    sources = [cell.source for cell in make.notebook(script, "--data photos").cells]
    assert any(source.startswith('ARGUMENTS = "--data photos"') for source in sources)
