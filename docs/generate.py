"""Generate: a page for each method and for each part, from their docstrings, when the site is built."""

import importlib
import re
from pathlib import Path

from mkdocs.structure.files import File

import keras_ssl

README = Path(__file__).parents[1] / "README.md"
FURTHER = ("recipes", "runs")  # they are imported by name, as `from keras_ssl import recipes`
FAMILIES = {
    "contrastive": "Contrastive",
    "clustering": "Clustering",
    "distillation": "Distillation",
    "redundancy": "Redundancy reduction",
    "masked": "Masked image modelling",
}


def on_config(config):
    """MkDocs calls this first: the pages get their places in the navigation."""
    for title, folder in (("Methods", "methods"), ("Reference", "reference")):
        found = [path for path, _ in pages() if path.startswith(f"{folder}/")]
        found.sort(key=lambda path: "index" not in path)
        config.nav.append({title: found})
    return config


def on_files(files, config):
    """MkDocs calls this then: it adds the pages."""
    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    return files


def pages():
    """Path and text of each page."""
    yield "index.md", README.read_text().replace("](docs/", "](")
    methods = {}
    for name, module in keras_ssl.METHODS.items():
        methods.setdefault(module.split(".")[1], []).append((name, module))
    assert set(methods) == set(FAMILIES), "a family of methods has no title here"
    lines = ["# Methods", ""]
    for family, title in FAMILIES.items():
        lines += [f"## {title}", "", "| Method | Idea |", "|---|---|"]
        for name, module in methods[family]:
            lines.append(f"| [{name}]({name}.md) | {idea(module, name)} |")
            yield f"methods/{name}.md", page(name, module)
        lines.append("")
    yield "methods/index.md", "\n".join(lines)

    lines = ["# Reference", "", "| Part | What it is |", "|---|---|"]
    for part in (*keras_ssl.PARTS, *FURTHER):
        first = importlib.import_module(f"keras_ssl.{part}").__doc__.splitlines()[0]
        lines.append(f"| [keras_ssl.{part}]({part}.md) | {first.split(': ', 1)[-1]} |")
        yield f"reference/{part}.md", f"# keras_ssl.{part}\n\n{reference(part)}\n"
    lines.append("| [keras_ssl](keras_ssl.md) | the base class, checkpoints, saving and loading |")
    lines.append("| [python -m keras_ssl](../guides/command_line.md) | the command line |")
    others = [name for name in keras_ssl.NAMES if name not in keras_ssl.METHODS]
    blocks = "\n\n".join(f"::: keras_ssl.{keras_ssl.NAMES[name]}.{name}" for name in others)
    yield "reference/keras_ssl.md", f"# keras_ssl\n\n{blocks}\n"
    yield "reference/index.md", "\n".join(lines) + "\n"


def page(name, module):
    source = f"keras_ssl/{module.replace('.', '/')}.py"
    lines = [f"::: keras_ssl.{module}.{name}", "    options: {heading_level: 1, members: false}", ""]
    paper = re.search(rf"^\| `{name}` \| (.*?) \|", README.read_text(), re.MULTILINE)[1]
    lines += [f"Its paper: {paper}. Its file: `{source}`.", ""]
    if results := measured(name):
        lines += ["## Measured here", "", "From the tables of the [README](../index.md#methods), which say how.", ""]
        lines += results
    return "\n".join(lines)


def measured(name):
    """The method's rows of the README's tables of numbers, each under its header."""
    lines, found, header = README.read_text().splitlines(), [], None
    for number, line in enumerate(lines):
        if line.startswith("|---"):
            header = lines[number - 1]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and re.fullmatch(rf"{name}(, .*)?", cells[0]):
            found += [header, "|" + "---|" * len(cells), line, ""]
    return found


def idea(module, name):
    """The first sentence of a method's docstring."""
    text = getattr(keras_ssl, name).__doc__.strip().split("\n\n")[0]
    text = " ".join(text.split())
    return text.split(": ", 1)[-1].replace("|", "\\|")


def reference(part):
    module = importlib.import_module(f"keras_ssl.{part}")
    names = getattr(module, "__all__", None)
    options = "    options:\n      show_root_heading: false\n"
    if names is None:
        return f"::: keras_ssl.{part}\n{options}"
    things = [getattr(module, name) for name in names]
    # Where a thing is defined, it may have another name: `pretrained.list` must not hide Python's.
    blocks = [f"::: {thing.__module__}.{thing.__name__}" for thing in things if hasattr(thing, "__module__")]
    return "\n\n".join(blocks)
