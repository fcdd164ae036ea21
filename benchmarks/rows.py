"""Rows: what a benchmark has measured, kept after each training, and the table that is made of it."""

import json
import os
from pathlib import Path

import numpy as np


class Rows:
    """The finished rows, in a JSON file: a run that was stopped goes on with those that are missing.

    Args:
        path: the file.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def all(self):
        return json.loads(self.path.read_text()) if self.path.exists() else []

    def measure(self, name, seed, settings, function):
        """Adds what `function()` returns, a dict of numbers, unless the row is there with the same settings."""
        settings = json.loads(json.dumps(settings, default=str))
        if any((row["name"], row["seed"], row["settings"]) == (name, seed, settings) for row in self.all()):
            return
        found = function()
        others = [row for row in self.all() if (row["name"], row["seed"]) != (name, seed)]
        write(self.path, [*others, {"name": name, "seed": seed, "settings": settings, **found}])
        print(name, f"seed {seed}", found, flush=True)

    def table(self, names, columns, **said):
        """The rows as a file of `benchmarks/results`: means over the seeds, and in words how far these are apart.

        Args:
            names: the rows, in their order.
            columns: dict from keys to titles.
            said: the other entries of the file, such as `what`, `data` and `command`.
        """
        rows, apart = [], dict.fromkeys(columns, 0.0)
        for name in names:
            own = [row for row in self.all() if row["name"] == name]
            values = {key: [row[key] for row in own if key in row] for key in columns}
            values = {key: found for key, found in values.items() if found}
            apart |= {key: max(apart[key], float(np.ptp(found))) for key, found in values.items()}
            if values:
                rows.append({"name": name} | {key: round(float(np.mean(found)), 1) for key, found in values.items()})
        spread = ", ".join(f"{columns[key]} {value:.1f}" for key, value in apart.items())
        several = len({row["seed"] for row in self.all()}) > 1
        spread = {"spread": f"Means over the seeds, which differ by at most: {spread}."} if several else {}
        return {**said, **spread, "columns": columns, "rows": rows}


def write(path, document):
    part = Path(path).with_suffix(".part")
    part.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(part, path)
