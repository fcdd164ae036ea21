"""Own: encoders that this project has pretrained, in files that come with the package.

A file holds the weights under their names in Keras, `"layer/weight"`, in NumPy's compressed .npz: kernels and tables in
float16, vectors (biases, scales, statistics) in float32. Beside it lies its card, JSON with what the encoder is, how it
was made, and the SHA-256 of the file.

These are not the .keras files of `save`, which hold float32, twice as much, and one architecture that is fixed: here
`load` builds the encoder, of any input shape, pooling and levels, as it does for the public checkpoints.
"""

import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("weights")


def cards():
    """The cards of all of them, a list of dicts."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def read(path, digest):
    """The weights of a file, a dict of float32 arrays.

    Args:
        path: path of the file.
        digest: str, `"sha256:hex digits"`, that of its card.

    Raises:
        OSError: the file is not there.
        ValueError: it is not the file of which the card tells.
    """
    content = Path(path).read_bytes()
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != digest:
        raise ValueError(
            f"{str(path)!r} is not the file that came with keras_ssl: it has {found}, and {digest} was expected. "
            "Install the package again."
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name].astype("float32") for name in archive.files}


def write(encoder, card):
    """Writes the weights of an encoder and its card, each whole or not at all.

    Args:
        encoder: `keras.Model` of `encoders.vit` or of a resnet. Fixed positions are written as a table.
        card: dict that JSON can hold, with "name". "source" and "sha256" are added.

    Returns:
        `Path` of the weights.
    """
    arrays = {name: _packed(array) for name, array in _weights(encoder).items()}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    path = FOLDER / f"{card['name']}.npz"
    FOLDER.mkdir(exist_ok=True)
    _replace(path, stream.getvalue())
    write_card(card | {"source": path.name, "sha256": hashlib.sha256(stream.getvalue()).hexdigest()})
    return path


def write_card(card):
    text = json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    _replace(FOLDER / f"{card['name']}.json", text.encode())


def _weights(encoder):
    found = {"/".join(variable.path.split("/")[-2:]): variable.numpy() for variable in encoder.weights}
    names = {layer.name for layer in encoder.layers}
    if "positions" in names and "table/kernel" not in found:  # what the stage adds to patches of zeros
        zeros = np.zeros((1, *encoder.get_layer("patches").output.shape[1:]), "float32")
        found["table/kernel"] = np.asarray(encoder.get_layer("positions")(zeros))[0, "class_token/kernel" in found :]
    return found


def _packed(array):
    """float16 where it is many numbers; the variances of batch normalization can be too small for it."""
    with np.errstate(over="ignore"):  # told below
        packed = np.asarray(array, "float16" if np.ndim(array) > 1 else "float32")
    if not np.all(np.isfinite(packed)):
        raise ValueError("A weight is too large for float16, or not finite.")
    return packed


def _replace(path, content):
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
