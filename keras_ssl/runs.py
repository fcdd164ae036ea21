"""Runs: the folder that `python -m keras_ssl pretrain` leaves, and how it is read again.

It holds `run.json` (arguments, versions, history), `checkpoints/` (see `keras_ssl.Checkpoint`) and, at the end,
`encoder.keras`, which plain Keras loads. `evaluate` adds `scores.json`.
"""

import json
import math
import os
from pathlib import Path

RECORD, SCORES, ENCODER, CHECKPOINTS = "run.json", "scores.json", "encoder.keras", "checkpoints"


def read(folder):
    """What is known of a run.

    Args:
        folder: the folder of the run.

    Returns:
        dict of `run.json`: `"arguments"`, `"versions"`, `"status"`, `"history"` (a list of dicts, one an epoch) and
        others; with `"scores"`, a dict from the name of an evaluation to what `evaluate` found, where it did.

    Raises:
        FileNotFoundError: there is no such file, so the folder is not of a run.
        ValueError: the file is damaged.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise FileNotFoundError(
            f"{str(folder)!r} is not the folder of a run: it has no {RECORD}. `python -m keras_ssl pretrain --out "
            "FOLDER` makes one."
        )
    record = parsed(path)
    kinds = {"arguments": dict, "history": list}
    found = record if isinstance(record, dict) else {}
    lacks = [name for name, kind in kinds.items() if not isinstance(found.get(name), kind)]
    if lacks:
        lacking = " and no ".join(lacks)
        raise ValueError(f"The file {str(path)!r} is damaged, or of another program: it has no {lacking}")
    scores = Path(folder) / SCORES
    return record | {"scores": parsed(scores) if scores.is_file() else {}}


def write(folder, record):
    """Writes `run.json`, whole or not at all."""
    write_json(Path(folder) / RECORD, {name: value for name, value in record.items() if name != "scores"})


def add_scores(folder, scores):
    """Adds evaluations, a dict from names to dicts, to those that the run has."""
    path = Path(folder) / SCORES
    write_json(path, (parsed(path) if path.is_file() else {}) | scores)


def is_run(path):
    return (Path(path) / RECORD).is_file()


def load_model(folder):
    """The method of the newest checkpoint, a `keras_ssl.Method`, without its optimizer."""
    from keras_ssl import checkpoint, saving

    files = checkpoint.Checkpoint(Path(folder) / CHECKPOINTS).files()
    if not files:
        raise FileNotFoundError(f"The run in {str(folder)!r} has no checkpoint yet.")
    return saving.load(files[-1], compile=False)


def load_encoder(path):
    """The encoder of a run, or of a file.

    Args:
        path: the folder of a run, or a `.keras` file: of an encoder, or of a whole method. Or either as a model.

    Returns:
        `keras.Model`.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: it is neither of them.
    """
    from keras_ssl import method, saving

    if hasattr(path, "get_config"):
        return path.evaluated_encoder if isinstance(path, method.Method) else path
    path = Path(path)
    if path.is_dir():
        read(path)
        path = path / ENCODER
        if not path.is_file():  # the run is not finished
            return load_model(path.parent).evaluated_encoder
    if not path.exists():
        raise FileNotFoundError(f"There is no {str(path)!r}.")
    if path.suffix != ".keras":
        raise ValueError(f"An encoder is the folder of a run or a .keras file. Received: {str(path)!r}")
    return load_encoder(saving.load(path, compile=False))


def check_file(path, endings, name="--out"):
    """Raises where a result could not be written to a path, before it is computed; makes the path's folder."""
    path = Path(path)
    if endings and path.suffix not in endings:
        raise ValueError(f"{name} must end in {' or '.join(endings)}. Received: {str(path)!r}")
    if path.is_dir():
        raise ValueError(f"{name} must be a file, but {str(path)!r} is a folder")
    above = next((one for one in path.parents if one.exists()), path.parent)
    if not above.is_dir():
        raise ValueError(f"{name} must be a file in a folder, but {str(above)!r} is a file. Received: {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)


def parsed(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"The file {str(path)!r} is damaged: {error}") from error


def write_json(path, document):
    part = path.with_name(path.name + ".part")
    part.write_text(as_json(document) + "\n", encoding="utf-8")
    os.replace(part, path)


def as_json(document):
    """Strict JSON: a number that is not finite is null."""
    return json.dumps(plain(document), indent=1, allow_nan=False)


def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, (str, bool, int, type(None))):
        return value
    if hasattr(value, "tolist"):  # NumPy
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
