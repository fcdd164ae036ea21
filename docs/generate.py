"""Generate: the pages of methods, families and parts, when the site is built. MkDocs calls the `on_` functions."""

import importlib
from pathlib import Path

import method_page
import tables
from mkdocs.structure.files import File

import keras_ssl

README = Path(__file__).parents[1] / "README.md"
FURTHER = ("recipes", "runs")  # they are imported by name, as `from keras_ssl import recipes`


def families():
    """The methods of each family, in the order of `keras_ssl.METHODS`."""
    found = {}
    for name in keras_ssl.METHODS:
        found.setdefault(method_page.family(name), []).append(name)
    return found


def on_config(config):
    """MkDocs calls this first: the pages get their places in the navigation."""
    methods = ["methods/index.md"]
    for family, names in families().items():
        pages_of = [f"methods/{family}/index.md", *(f"methods/{name}.md" for name in names)]
        methods.append({method_page.family_title(family): pages_of})
    parts = ["reference/index.md", "reference/keras_ssl.md"]
    parts += [f"reference/{part}.md" for part in (*keras_ssl.PARTS, *FURTHER)]
    config.nav += [{"Methods": methods}, {"Reference": parts}]
    return config


def on_files(files, config):
    """MkDocs calls this then: it adds the pages."""
    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown, page, **_):
    """Puts the tables of results where a page asks for them."""
    up = "../" * page.file.src_uri.count("/")
    return tables.put(markdown, lambda row: linked(row, f"{up}methods/"))


def pages():
    """Path and text of each page."""
    yield "index.md", README.read_text().replace("](docs/", "](")
    yield "methods/index.md", all_methods()
    for family, names in families().items():
        yield f"methods/{family}/index.md", family_page(family, names)
        for name in names:
            yield f"methods/{name}.md", method_page.page(name)

    lines = ["# Reference", "", "| Part | What it is |", "|---|---|"]
    lines.append("| [keras_ssl](keras_ssl.md) | the base class, checkpoints, saving and loading |")
    lines.append("| [python -m keras_ssl](../guides/command_line.md) | the command line |")
    for part in (*keras_ssl.PARTS, *FURTHER):
        said = method_page.joined(importlib.import_module(f"keras_ssl.{part}").__doc__.strip().split("\n\n")[0])
        lines.append(f"| [keras_ssl.{part}]({part}.md) | {said.split(': ', 1)[-1]} |")
        yield f"reference/{part}.md", f"# keras_ssl.{part}\n\n{reference(part)}\n"
    others = [name for name in keras_ssl.NAMES if name not in keras_ssl.METHODS]
    blocks = "\n\n".join(f"::: keras_ssl.{keras_ssl.NAMES[name]}.{name}" for name in others)
    yield "reference/keras_ssl.md", f"# keras_ssl\n\n{blocks}\n"
    yield "reference/index.md", "\n".join(lines) + "\n"


def all_methods():
    lines = ["# All methods", "", "[Which method](../choose.md) says what to take for which data.", ""]
    for family, names in families().items():
        said = method_page.joined(method_page.family_doc(family).split("\n\n")[0])
        lines += [f"## {method_page.family_title(family)}", "", said, ""]
        lines += ["| Method | Paper | File |", "|---|---|---|"]
        for name in names:
            title, link = method_page.paper(name)
            lines.append(f"| [{name}]({name}.md) | {title}, {link} | `{method_page.path(name)}` |")
        lines.append("")
    return "\n".join(lines)


def family_page(family, names):
    """Which of the family's methods for which data, and what was measured of them."""
    lines = [f"# {method_page.family_title(family)}", "", method_page.family_doc(family), ""]
    lines += ["| Method | What it does | Take it when | Leave it when |", "|---|---|---|---|"]
    for name in names:
        advice = " | ".join(method_page.advice(name, word).replace("|", "\\|") for word in ("Take", "Leave"))
        lines.append(f"| [{name}](../{name}.md) | {method_page.idea(name)} | {advice} |")
    measured = []
    for title in dict.fromkeys(("quality", "step", family, "pretext")):
        found = tables.read(title) if title in tables.names() else {"rows": []}
        rows = [row for row in found["rows"] if method_page.among(row["name"], family)]
        if rows and (title == family or any(row["name"] in names for row in rows)):
            measured += [tables.table(found["columns"], rows, link=linked), "", tables.note(found), ""]
    lines += ["", "## Measured", "", *measured] if measured else [""]
    return "\n".join(lines)


def linked(row, folder="../"):
    return f"[{row}]({folder}{row}.md)" if row in keras_ssl.METHODS else row


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
