"""Method page: what helps to choose a method and to understand it, made of its file, its recipe and the results."""

import ast
import html
import importlib
import inspect
import re

import flow
import tables
from latex2mathml.converter import convert

import keras_ssl
from keras_ssl import recipes
from keras_ssl.inputs import IMAGE

PAPER = re.compile(r"^[^:]+: (?P<title>.*) \((?P<authors>[^()]*?)[,;]? (?P<year>\d{4})\)")
PREVIEW = "https://arxiv.org/abs/"


def family(name):
    return keras_ssl.METHODS[name].split(".")[1]


def path(name):
    return f"keras_ssl/{keras_ssl.METHODS[name].replace('.', '/')}.py"


def module_doc(name):
    """The docstring of a method's file: its paper, and what it says of objective, flow and use."""
    return inspect.getdoc(importlib.import_module(f"keras_ssl.{keras_ssl.METHODS[name]}"))


def section(name, title):
    """What stands below `Objective:` or `Flow:` in a method's file, or in that of the method it stems from."""
    for cls in getattr(keras_ssl, name).__mro__:
        if cls.__name__ in keras_ssl.METHODS:
            found = re.search(rf"^{title}:\n((?:    .*\n?)+)", module_doc(cls.__name__), re.MULTILINE)
            if found:
                return inspect.cleandoc(found[1])
    raise ValueError(f"The docstring of {path(name)} has no `{title}:`; see the guide 'Add a method'.")


def advice(name, word):
    """The sentence of a method's file that begins with `Take it when` or `Leave it when`, without these words."""
    found = re.search(rf"^{word} it when (.*?)(?:\n\n|\Z)", module_doc(name), re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"The docstring of {path(name)} has no '{word} it when ...'; see the guide 'Add a method'.")
    return joined(found[1])


def paper(name):
    found = PAPER.match(joined(module_doc(name).split("\n\n")[0]))
    address = re.search(r"https?://\S+", module_doc(name))[0]
    if not found:
        raise ValueError(f"{path(name)} must begin with 'Name: title (authors, year).'")
    shown = f"arXiv:{address.removeprefix(PREVIEW)}" if address.startswith(PREVIEW) else "paper"
    return f"{found['title']}, {found['authors']}, {found['year']}", f"[{shown}]({address})"


def parts(name):
    """A class's docstring: the first paragraph, the rest of what comes before the arguments, the lines of its code."""
    text = inspect.getdoc(getattr(keras_ssl, name))
    prose = re.split(r"^(?:Args|Raises|Example):$", text, maxsplit=1, flags=re.MULTILINE)[0].strip()
    first, _, rest = prose.partition("\n\n")
    code = [line[4:] for line in text.splitlines() if line.startswith((">>> ", "... "))]
    return joined(first), rest, code


def more_of_file(name):
    """What else the file's docstring says: no paper, section or advice."""
    known = re.compile(r"https?://|Objective:|Flow:|Take it |Leave it ")
    return [text for text in module_doc(name).split("\n\n")[1:] if not known.match(text)]


def idea(name):
    return parts(name)[0].replace("|", "\\|")


def page(name):
    title, link = paper(name)
    first, rest, code = parts(name)
    of_family = f"[{family_title(family(name))}]({family(name)}/index.md)"
    lines = [f"# {name}", first, f"{title}. {link}. Family: {of_family}. File: `{path(name)}`."]
    lines += [f"**Take it** when {advice(name, 'Take')}", f"**Leave it** when {advice(name, 'Leave')}"]
    lines += ["## Objective", objective(section(name, "Objective"))]
    lines += ["## Data flow", flow.svg(section(name, "Flow").splitlines())]
    lines += ["Dashed arrows carry no gradient; EMA is a moving average of the weights. " + needs(name)]
    lines += ["## Try it", fenced(runnable(name, code)), shell(name)]
    lines += ["## The paper's recipe", recipe(name)]
    lines += ["## Measured beside its family", *measured(name)]
    lines += ["## More about it", *more_of_file(name), rest] if rest or more_of_file(name) else []
    lines += ["## Arguments", f"::: keras_ssl.{keras_ssl.METHODS[name]}.{name}\n    options: {OPTIONS}"]
    return "\n\n".join(line for line in lines if line) + "\n"


OPTIONS = "{heading_level: 3, members: false, show_root_toc_entry: false}"


def objective(text):
    """LaTeX up to a line that begins with `where`, then words with LaTeX between dollars, as MathML: no script."""
    formula, _, words = text.partition("\nwhere ")
    equations = re.split(r",?\s*\\q?quad\s", joined(formula))  # each in a line of its own, so that none is too wide
    shown = "".join(f'<div class="formula">{convert(equation, display="block")}</div>' for equation in equations)
    if not words:
        return shown
    pieces = re.split(r"(\$[^$]+\$|`[^`]+`)", "where " + joined(words))
    return f"{shown}\n\n<p>{''.join(map(inline, pieces))}</p>"


def inline(piece):
    if piece.startswith("$"):
        return convert(piece.strip("$"))
    return f"<code>{html.escape(piece[1:-1])}</code>" if piece.startswith("`") else html.escape(piece, quote=False)


def needs(name):
    """How many views a method takes, which columns of the data, and what it logs."""
    cls = getattr(keras_ssl, name)
    least, most = cls.view_counts
    some = f"{least} or more views" if most is None else f"{least} to {most} views"
    said = [f"It takes {some if least != most else '1 view' if least == 1 else f'{least} views'}."]
    if cls.needs:
        said.append(f"The data must hold {' and '.join(f'`{column}`' for column in cls.needs)}.")
    if isinstance(cls.terms, tuple) and cls.terms:
        said.append(f"Logged beside the loss: {', '.join(f'`{term}`' for term in cls.terms)}.")
    return " ".join(said)


def runnable(name, code):
    """The example of the docstring, on a folder of images, with what it needs to run as it stands."""
    columns = {"label": "labels", "index": "index"}
    size = re.search(r"\((\d+), \1, \d\)", "\n".join(code))
    needed = getattr(keras_ssl, name).needs
    complete = not size or set(needed) - set(columns) or "data." in "".join(code)
    if not complete:  # the images themselves are what has to be clustered
        code = [re.sub(r'Recluster\(np\.zeros\(.*?"uint8"\)', "Recluster(images.in_order()", line) for line in code]
    used = {name: f"import {name}" for name in ("keras", "keras_ssl")}
    used |= {"np": "import numpy as np", "tf": "import tensorflow as tf"}
    imports = [line for name, line in used.items() if re.search(rf"\b{name}\.", "\n".join(code))]
    if complete:
        return "\n".join([*imports, "", *code])
    options = "".join(f", {columns[column]}=True" for column in needed)
    images = f'images = keras_ssl.data.image_folder("photos/", size={size[1]}, batch_size=256{options})'
    callbacks = ", callbacks=[callback]" if any(line.startswith("callback = ") for line in code) else ""
    return "\n".join([*imports, "", images, *code, f"model.fit(images, epochs=100{callbacks})"])


def shell(name):
    if not source_of_recipe(name) or recipes.kind_of(name) is not IMAGE:
        return ""
    return f"From the shell, with the recipe below:\n\n{fenced(command(name), 'sh')}"


def command(name):
    return f"python -m keras_ssl pretrain --data photos/ --method {name} --out runs/{name.lower()}"


def recipe(name):
    """The file of the recipe: its docstring as text, the rest as code."""
    if not source_of_recipe(name):
        return f"{recipes.why_not(name)}."
    source, where = source_of_recipe(name)
    code = "\n".join(source.splitlines()[ast.parse(source).body[0].end_lineno :])
    said = inspect.getdoc(recipes.find(name)).partition(". ")[2]
    return f"{said}\n\n{fenced(code)}\n\nFrom `{where}`. [How to read a recipe](../reference/recipes.md)."


def source_of_recipe(name):
    """The code of a recipe and its file; None where a method has none."""
    found = recipes.find(name)
    return (inspect.getsource(found), path(name).replace("methods", "recipes")) if hasattr(found, "paper") else None


def measured(name):
    """Tables of the method's family, its own row bold, and further rows that are its own alone."""
    found = []
    for title in sorted(tables.names(), key=lambda title: (title != "quality", title != "step")):
        result = tables.read(title)
        own = [row for row in result["rows"] if is_of(row["name"], name)]
        if not own:
            continue
        if title in ("quality", "step"):
            rows = [row for row in result["rows"] if among(row["name"], family(name))]
            found += [tables.table(result["columns"], rows, bold=name, link=linked), tables.note(result)]
        else:
            found += [tables.table(result["columns"], own), tables.note(result)]
    return found or ["Nothing has been measured of it yet."]


def is_of(row, name):
    return re.match(rf"{name}(?!\w)", row) is not None


def among(row, family_name):
    return row not in keras_ssl.METHODS or family(row) == family_name


def linked(row):
    return f"[{row}]({row}.md)" if row in keras_ssl.METHODS else row


def family_title(name):
    return family_doc(name).split(":")[0].removesuffix(" methods")


def family_doc(name):
    return inspect.getdoc(importlib.import_module(f"keras_ssl.methods.{name}"))


def joined(text):
    return " ".join(text.split())


def fenced(code, language="python"):
    return f"```{language}\n{code.strip()}\n```"
