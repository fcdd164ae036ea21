"""Make: every script of examples/ as a notebook beside this file, by jupytext.

    python examples/notebooks/make.py                                             # writes them anew
    python examples/notebooks/make.py --check                                     # says which differ from their scripts
    python examples/notebooks/make.py --run quickstart                            # runs one (nbclient, ipykernel)
    python examples/notebooks/make.py --run pretrain --arguments "BYOL --quick"

The scripts stay ordinary Python, and the notebooks are never edited. A notebook is its script, cut into cells: the
docstring is the text, every function a cell, and the body of `main` comes last, a paragraph a cell, so that what it
makes (`model`, `images`, `scores`) is there to play with. What the command line would get is one string at its top: at
first the first command of the docstring. A script that starts itself again, in further processes, stays a file.
"""

import argparse
import ast
import re
import sys
import textwrap
from pathlib import Path

import jupytext
import nbformat

FOLDER = Path(__file__).parent
EXAMPLES = FOLDER.parent
NEEDS = """**What it needs.** As it stands it runs `{command}`{note}.
A CPU is enough for that, and nothing is downloaded but the package. For your own images and longer runs take a GPU: in
Colab *Runtime > Change runtime type*.

**To open it.** In Colab *File > Upload notebook*, or drop the file into Jupyter or VS Code. It needs no other file."""
INSTALL = """## Install

It takes the clone of the repository that this notebook lies in, a wheel that was uploaded beside it, or the package
index, in this order."""
INSTALLING = '''import subprocess
import sys
from pathlib import Path


def install():
    here = Path.cwd()
    clones = [path for path in (here, *here.parents) if (path / "keras_ssl" / "__init__.py").is_file()]
    wheels = sorted(here.glob("keras_ssl-*.whl"))
    if clones:
        sys.path.insert(0, str(clones[0]))  # this kernel does not see what is installed in place
        source = ["-e", f"{clones[0]}[plots]"]
    else:
        source = [f"{wheels[-1]}[plots]" if wheels else "keras_ssl[plots]"]
    done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", *source], capture_output=True, text=True)
    if done.returncode and not clones and not wheels:
        raise ImportError(
            "No keras_ssl was found: run `pip wheel --no-deps .` in a clone of the repository, upload the file "
            "keras_ssl-*.whl that it makes beside this notebook, and run this cell again."
        )
    if done.returncode:
        raise ImportError(f"pip could not install {source[-1]}: {done.stderr[-2000:]}")


install()'''
CHOOSE = """## What to run

What the script would get on the command line; its parser, below, says what there is. For your own images add
`--data FOLDER`: upload a folder, or in Colab first mount your drive
(`from google.colab import drive; drive.mount("/content/drive")`)."""
TFDS = "`--tfds NAME` downloads a set of tensorflow-datasets, such as cifar10."
LOOK = """def look_into(folder):
    from html import escape

    from IPython.display import HTML, Image, display

    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:12,} bytes  {path}")
        if path.suffix == ".png":
            display(Image(filename=str(path)))
        if path.suffix == ".html":
            page = escape(path.read_text(encoding="utf-8"))
            display(HTML(f'<div><iframe srcdoc="{page}" width="100%" height="800"></iframe></div>'))


look_into(options.out)"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where a notebook differs")
    parser.add_argument("--run", metavar="NAME", help="execute one; it lies in runs/notebooks/ then, with its outputs")
    parser.add_argument("--arguments", help="what the notebook gets in place of what it says")
    options = parser.parse_args()
    if options.run:
        return run(options.run, options.arguments)
    if options.check:
        found = unlike()
        print("\n".join(found) or "All are those of their scripts.")
        return 1 if found else 0
    for script in scripts():
        path_of(script).write_text(text(script), encoding="utf-8")
    return 0


def scripts():
    return [path for path in sorted(EXAMPLES.glob("*.py")) if '__name__ == "__main__"' in path.read_text()]


def path_of(script):
    return FOLDER / f"{script.stem}.ipynb"


def unlike():
    """A line for each notebook that is not what its script would make, or is of no script."""
    made = {path_of(script): text(script) for script in scripts()}
    there = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.ipynb")}
    lines = [f"{path.name} is missing" for path in made.keys() - there]
    lines += [f"{path.name} is of no script: remove it" for path in there.keys() - made]
    lines += [f"{path.name} differs from its script" for path in made.keys() & there if there[path] != made[path]]
    return sorted(lines)


def text(script):
    """What the file of a notebook holds."""
    return nbformat.writes(notebook(script)) + "\n"


def run(name, arguments=None):
    """Executes a notebook with this Python, prints what its cells print, and leaves it in runs/notebooks/."""
    try:
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        raise SystemExit("To run a notebook: pip install nbclient ipykernel") from error

    made = notebook(EXAMPLES / f"{name}.py", arguments)
    client = NotebookClient(made, timeout=None, kernel_name="python3", skip_cells_with_tag="install")
    try:
        client.execute()
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        path = Path("runs", "notebooks", f"{name}.ipynb")
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(made, path)
    for output in (output for cell in made.cells for output in cell.get("outputs", ())):
        print((output.get("text") or output.get("data", {}).get("text/plain", "")).rstrip())
    print(path)
    return 0


# From a script to cells


def notebook(script, arguments=None):
    """A notebook of a script; `arguments` in place of those of the first command in its docstring."""
    content = script.read_text(encoding="utf-8")
    tree = ast.parse(content)
    words, command, note = docstring(ast.get_docstring(tree, clean=False).strip())
    arguments = command.split(".py", 1)[1].strip() if arguments is None else arguments
    cells = [
        markdown(f"{words}\n\n{NEEDS.format(command=command, note=note)}"),
        markdown(INSTALL),
        code(INSTALLING, tags='["install"]'),
        markdown(f"{CHOOSE} {TFDS}" if ".tfds" in content or "add_arguments" in content else CHOOSE),
        code(f'ARGUMENTS = "{arguments}"  # @param {{type:"string"}}'),
    ]
    cells += as_files(script) if "sys.argv" in content else as_cells(script, tree)
    made = jupytext.reads("\n\n".join(cells) + "\n", fmt="py:percent")
    for number, cell in enumerate(made.cells):
        cell.id = f"{script.stem}-{number}".replace("_", "-")  # jupytext draws it
        cell.metadata.pop("lines_to_next_cell", None)
    made.metadata = {
        "colab": {"provenance": []},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    made.nbformat, made.nbformat_minor = 4, 5
    nbformat.validate(made)
    return made


def markdown(words):
    return "# %% [markdown]\n" + "\n".join(f"# {line}".rstrip() for line in words.split("\n"))


def code(lines, tags=None):
    return f"# %%{f' tags={tags}' if tags else ''}\n{lines}"


def docstring(words):
    """The text of the first cell, the first command in it and what is said of that."""
    title, _, words = words.partition("\n")
    commands = re.search(r"(?:^    .+\n?)+", words, re.MULTILINE)
    fenced = f"```sh\n{textwrap.dedent(commands[0]).rstrip()}\n```\n"
    first, _, note = commands[0].strip().split("\n")[0].partition("#")
    words = f"# {title.rstrip('.')}\n{words.replace(commands[0], fenced)}"
    return words, first.strip(), f" ({note.strip()})" if note else ""


def as_cells(script, tree):
    """The imports, the functions, and the body of `main`."""
    sources = [script, *(script.with_name(f"{name}.py") for name in local_imports(tree))]
    check_names({source: ast.parse(source.read_text()) for source in sources}, script)
    own = blocks(script)
    first = next(number for number, (node, _) in enumerate(own) if isinstance(node, (ast.FunctionDef, ast.ClassDef)))
    cells = [markdown("## Imports and settings"), code("\n\n".join(lines for _, lines in own[:first]))]
    for source in sources[1:]:
        _, idea, lines = source.read_text(encoding="utf-8").split('"""', 2)
        cells += [markdown(f"## `{source.name}`\n\n{idea}"), code(lines.strip())]
    cells.append(markdown("## The parts\n\nWhat the run below calls."))
    for node, lines in own[first:]:
        if getattr(node, "name", None) == "main":
            continue
        if heading := re.match(r"# (.+)\n\n+", lines):  # a comment that stands alone
            cells.append(markdown(f"### {heading[1]}"))
            lines = lines[heading.end():]
        cells.append(code(lines))
    cells.append(markdown("## The run"))
    cells += [code(paragraph) for paragraph in paragraphs(script, tree)]
    has_folder = "options.out" in script.read_text(encoding="utf-8")
    return cells + [markdown("## What it leaves"), code(LOOK)] * has_folder


def as_files(script):
    """The script and what it imports as files, and the command."""
    names = [*local_imports(ast.parse(script.read_text())), script.stem]
    cells = [
        markdown("## The script\n\nIt starts itself again, as further processes, so it has to be a file."),
        code("import sys\nfrom pathlib import Path\n\nPath(\"runs\").mkdir(exist_ok=True)"),
    ]
    cells += [code(f"%%writefile runs/{name}.py\n{(EXAMPLES / f'{name}.py').read_text().strip()}") for name in names]
    start = f"!{{sys.executable}} runs/{script.stem}.py {{ARGUMENTS}}"
    cells += [markdown("## The run"), code(f'{start}\nassert _exit_code == 0, "The script failed"')]
    return cells + [markdown("## What it leaves"), code(f"!ls -l runs/{script.stem}")]


def local_imports(tree):
    """Names of the modules beside the script that it imports."""
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return sorted(name for name in found if (EXAMPLES / f"{name}.py").exists())


def blocks(source):
    """Each statement of a file with its lines and the comments before it, without what a notebook does not need."""
    content = source.read_text(encoding="utf-8")
    tree, lines, found, end = ast.parse(content), content.split("\n"), [], 0
    for node in tree.body:
        begin, end = end, node.end_lineno
        part = re.sub(r"  # noqa: E402$", "", "\n".join(lines[begin:end]).strip("\n"), flags=re.MULTILINE)
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_local = isinstance(node, ast.ImportFrom) and (EXAMPLES / f"{node.module}.py").exists()
        if is_text or is_local or part.startswith("if __name__"):
            continue
        plain = not isinstance(node, (ast.FunctionDef, ast.ClassDef))
        if found and plain and not isinstance(found[-1][0], (ast.FunctionDef, ast.ClassDef)) and lines[begin]:
            found[-1] = node, f"{found[-1][1]}\n{part}"  # no line is free between them
        else:
            found.append((node, part))
    return found


def paragraphs(script, tree):
    """The body of `main`, cut where a line is free between two statements."""
    lines = script.read_text(encoding="utf-8").split("\n")
    body, found, end = main_of(tree).body, [], None
    for node in body:
        if end is None or not lines[end]:
            found.append([])
        found[-1] += lines[node.lineno - 1 if not found[-1] else end:node.end_lineno]
        end = node.end_lineno
    found = [textwrap.dedent("\n".join(part)) for part in found]
    whole = ast.dump(ast.parse("\n".join(found))) == ast.dump(ast.Module(body, []))
    assert whole, f"{script.name}: main is not what its paragraphs say"
    found[0] = found[0].replace("parser.parse_args()", "parser.parse_args(shlex.split(ARGUMENTS))")
    assert "ARGUMENTS" in found[0], f"{script.name}: main must begin with its parser"
    return [f"import shlex\n\n{found[0]}", *found[1:]]


def main_of(tree):
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")


def check_names(trees, script):
    """Raises where a name of `main`, or of an imported file, would overwrite another in the notebook."""
    owners = {}
    for source, tree in trees.items():
        for name in {name for node in tree.body for name in names_of(node)} - {"main"}:
            owners.setdefault(name, []).append(source.name)
    nodes = [node for part in main_of(trees[script]).body for node in ast.walk(part)]
    if any(isinstance(node, ast.Return) for node in nodes):
        raise ValueError(f"{script.name}: main must not return, its body becomes cells")
    for name in {node.id for node in nodes if is_assigned(node)}:
        owners.setdefault(name, []).append("main")
    twice = {name: where for name, where in owners.items() if len(where) > 1}
    if twice:
        raise ValueError(f"{script.name}: in a notebook these names would overwrite each other: {twice}. Rename one")


def names_of(node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    return [part.id for part in ast.walk(node) if is_assigned(part)]


def is_assigned(node):
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


if __name__ == "__main__":
    sys.exit(main())
