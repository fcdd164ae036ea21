"""Page: figures, scores and words as one HTML file."""

import base64
import html
import io
import os
import pathlib

STYLE = """
:root { color-scheme: light dark; --line: #d0d0d0; --soft: #666; --back: #fff; --ink: #1a1a1a; }
@media (prefers-color-scheme: dark) { :root { --line: #444; --soft: #aaa; --back: #161616; --ink: #eaeaea; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem;
       color: var(--ink); background: var(--back); }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.table { overflow-x: auto; } table { border-collapse: collapse; }
th, td { padding: .3rem .8rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; } figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.soft, .note { color: var(--soft); } .note { font-size: .9rem; }
.tiles, .grid { display: grid; gap: .8rem; }
.tiles { grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); margin: 1.2rem 0; }
.tile { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .8rem; }
.tile b { display: block; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .85rem; }
.grid { grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); align-items: start; }
.grid figure { margin: 0; } .grid img, .grid table { width: 100%; } .grid td:last-child { overflow-wrap: anywhere; }
.wide { overflow-x: auto; } .wide img { max-width: max(100%, 40rem); }
h3 { font-size: 1rem; margin: .8rem 0 .2rem; }
"""


def html_page(path, title, figures=None, tables=None, text=""):
    """Write one self-contained HTML page, readable on a telephone, in light and in dark, without any script.

    Args:
        path: where to write, for example `"report.html"`.
        title: string, the heading.
        figures: dict from a caption to a `matplotlib.figure.Figure`, in this order.
        tables: dict from a heading to a table: a list of dicts (rows, keys are the columns) or one dict (two
            columns). A `keras_ssl.eval.Score` counts as a dict.
        text: string, shown under the heading; an empty line starts a paragraph.

    Returns:
        `pathlib.Path` of the page.

    Raises:
        TypeError: a figure is not a Matplotlib figure, or a table is not one of the above.

    Example:
        ```python
        score = keras_ssl.eval.knn(encoder, train, test)
        keras_ssl.visualize.html_page("map.html", "SimCLR", {"A map": drawn}, {"k-NN": score}, "ResNet-18, 100 epochs")
        ```
    """
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += [f"<p>{html.escape(part.strip())}</p>" for part in text.split("\n\n") if part.strip()]
    parts += [f"<h2>{html.escape(name)}</h2>\n{as_table(table)}" for name, table in (tables or {}).items()]
    parts += [as_figure(name, drawn) for name, drawn in (figures or {}).items()]
    return write_page(path, title, parts)


def write_page(path, title, parts):
    """One file of the parts of its body, strings of HTML."""
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts) + "\n</body>\n</html>\n"
    )
    path = pathlib.Path(os.fspath(path))
    path.write_text(page, encoding="utf-8")
    return path


def as_figure(name, drawn):
    if not hasattr(drawn, "savefig"):
        raise TypeError(f"figures must map captions to Matplotlib figures. Received: {name!r}: {type(drawn).__name__}")
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=150)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    caption = html.escape(name)
    picture = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure>\n{picture}\n<figcaption>{caption}</figcaption>\n</figure>"


def as_table(table):
    if hasattr(table, "to_dict"):
        table = table.to_dict()
    if isinstance(table, dict):
        rows, columns = [list(pair) for pair in table.items()], None
    elif isinstance(table, (list, tuple)):
        entries = [entry.to_dict() if hasattr(entry, "to_dict") else entry for entry in table]
        if not all(isinstance(entry, dict) for entry in entries):
            raise TypeError("A table must be a dict or a list of dicts (or of scores).")
        columns = list(dict.fromkeys(key for entry in entries for key in entry))
        rows = [[entry.get(key) for key in columns] for entry in entries]
    else:
        raise TypeError(f"A table must be a dict or a list of dicts. Received: {type(table).__name__}")
    numeric = [all(is_number(row[column]) or row[column] is None for row in rows) for column in range(len(rows[0]))]
    head = "" if columns is None else f"<tr>{''.join(cell('th', *pair) for pair in zip(columns, numeric))}</tr>\n"
    body = "\n".join(f"<tr>{''.join(cell('td', *pair) for pair in zip(row, numeric))}</tr>" for row in rows)
    return f'<div class="table"><table>\n{head}{body}\n</table></div>'


def cell(tag, value, number):
    shown = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    mark = ' class="number"' if number else ""
    return f"<{tag}{mark}>{html.escape(shown)}</{tag}>"


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)
