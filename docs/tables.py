"""Tables: of `benchmarks/results/*.json`, as Markdown.

A file has a `title`; it says what was measured (`what`), on which `data`, by which `command`, on which `machine`, with
which `seeds`; what its `columns` are called; and its `rows`, each with a `name` and a number for some of the columns.
It may say how numbers `spread`, and what has `changed` since they were measured.
"""

import json
import re
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
PLACE = re.compile(r"^<!-- table: (\w+)(?: rows: (.*?))? -->$", re.MULTILINE)


def read(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


def names():
    return sorted(path.stem for path in RESULTS.glob("*.json"))


def put(markdown, link=str):
    """A page with its `<!-- table: NAME -->`, or `<!-- table: NAME rows: A, B -->`, replaced by the tables.

    `link` makes Markdown of the name of a row.
    """
    return PLACE.sub(lambda match: whole(match[1], match[2] and match[2].split(", "), link), markdown)


def whole(name, chosen, link):
    """A table, and below it what was measured; all rows where none are chosen."""
    found = read(name)
    rows = [row for row in found["rows"] if chosen is None or row["name"] in chosen]
    return f"{table(found['columns'], rows, link=link)}\n\n{note(found)}"


def note(found):
    """The same, folded away below its table."""
    return f'??? note "{found["title"]}: how it was measured"\n\n    {said(found)}'


def said(found):
    """What was measured, on what, and how to measure it again."""
    seeds = found.get("seeds")
    seeds = f", {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}" if seeds else ""
    spread, changed = (f" {found[key]}" if key in found else "" for key in ("spread", "changed"))
    command = f"`{found['command']}`, on {found['machine']}{seeds}."
    return f"{found['what']}{spread} Data: {found['data']}. {command}{changed}"


def table(columns, rows, bold=None, link=str):
    """Rows of dicts under the columns that any of them has."""
    columns = {key: title for key, title in columns.items() if any(key in row for row in rows)}
    lines = ["| | " + " | ".join(columns.values()) + " |", "|---|" + "--:|" * len(columns)]
    for row in rows:
        cells = [link(row["name"]), *(shown(row[key]) if key in row else "" for key in columns)]
        cells = [f"**{cell}**" if row["name"] == bold and cell else cell for cell in cells]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(number):
    return f"{number:,}" if isinstance(number, int) else str(number)
