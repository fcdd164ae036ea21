"""Layouts: under which keys a kind of checkpoint holds which weight, and how they come into a Keras model."""

import dataclasses
import re
from typing import Callable

import numpy as np

SHOWN = 4  # keys in an error
# Which half of a checkpoint with two networks is the one that the papers evaluate.
EVALUATED = ("teacher.", "base_encoder.", "encoder_q.")


@dataclasses.dataclass(frozen=True)
class Layout:
    """The keys of one kind of checkpoint.

    Args:
        name: str, for the argument `layout` of `load`.
        mark: str, a key that no other layout has. What stands before it in a file stands before every key.
        keys: dict from keys to weights of the encoder, `"layer/weight"`. Several weights, with a space between, are
            joined in the file along the first axis. `{}` is the number of a block, which counts from 0 in the file.
        ignored: regular expression of keys without a part in the encoder: heads, mask tokens, counters.
        required: weights without which `build` cannot tell the size.
        build: function from `(weights, options, input_shape, pooling)` to the encoder; it may change the weights.
        options: dict, what `build` must know and shapes do not tell.
    """

    name: str
    mark: str
    keys: dict
    ignored: str
    required: tuple
    build: Callable
    options: dict = dataclasses.field(default_factory=dict)


class Selection:
    """Picks the tensors of one encoder out of a file, for `reader.read`; afterwards `layout` is theirs."""

    def __init__(self, layouts, path, name=None):
        self.layouts, self.path, self.layout = [x for x in layouts if name in (None, x.name)], path, None

    def __call__(self, tensors):
        marked = [(x, key) for x in self.layouts for key in tensors if f".{key}".endswith(f".{x.mark}")]
        if not marked:
            raise ValueError(
                f"{self.path!r} has none of the keys that tell a layout ({', '.join(x.mark for x in self.layouts)}). "
                f"It holds {_some(tensors) or 'no tensors'}."
            )
        for word in EVALUATED:
            marked = [pair for pair in marked if f".{word}" in f".{pair[1]}"] or marked
        if len(marked) > 1:
            raise ValueError(
                f"{self.path!r} holds several encoders, at {_some(key for _, key in marked)}: save the state_dict of "
                "one alone, or pass `layout` where they are of several kinds."
            )
        (self.layout, key), = marked
        prefix = key.removesuffix(self.layout.mark)
        inside = {k.removeprefix(prefix): tensor for k, tensor in tensors.items() if k.startswith(prefix)}
        return {k: tensor for k, tensor in inside.items() if not re.match(self.layout.ignored, k)}


def convert(arrays, layout, path):
    """The arrays of a file under the names of the weights in Keras, in the order of axes of Keras, in float32."""
    weights, unknown = {}, []
    for key, array in arrays.items():
        block = re.search(r"\.(\d+)\.", f".{key}") if key not in layout.keys else None
        number = block[1] if block else None
        names = layout.keys.get(key if number is None else f".{key}".replace(f".{number}.", ".{}.", 1)[1:])
        if names is None:
            unknown.append(key)
            continue
        names = names.split()
        if array.ndim == 0 or len(array) % len(names):
            raise ValueError(
                f"{path!r}: {key} has the shape {array.shape}, and {len(names)} equal parts were expected."
            )
        for name, part in zip(names, np.split(array, len(names)), strict=True):
            name = name if number is None else name.format(int(number) + 1)
            weights[name] = _turned(part.astype("float32"), name)
    if unknown:
        raise ValueError(
            f"{path!r} has {len(unknown)} keys that are no part of the layout '{layout.name}': {_some(unknown)}. It "
            "may be of another architecture or layout; where they are a head, save the encoder without it."
        )
    return weights


def require(weights, names, layout, path):
    """Fails where weights are missing, with their names in the file."""
    missing = [name for name in names if name not in weights]
    if missing:
        raise ValueError(
            f"{path!r} lacks {len(missing)} weights of the layout '{layout.name}': "
            f"{_some(_key(name, layout) for name in missing)}. It may be cut off, or of another architecture."
        )


def assign(encoder, weights, layout, path):
    """Gives all weights of an encoder their values."""
    variables = {"/".join(v.path.split("/")[-2:]): v for v in encoder.weights}
    require(weights, variables, layout, path)
    extra = [_key(name, layout) for name in weights if name not in variables]
    unlike = [
        f"{_key(name, layout)}: {weights[name].shape} in place of {tuple(variable.shape)}"
        for name, variable in variables.items()
        if weights[name].shape != tuple(variable.shape)
    ]
    if unlike or extra:
        raise ValueError(
            f"{path!r} does not fit the encoder '{encoder.name}', in the order of axes of Keras: "
            f"{_some(unlike + extra, '; ')}. It is of another architecture."
        )
    for name, variable in variables.items():
        variable.assign(weights[name])


def _turned(array, name):
    layer = name.split("/")[0]
    if layer in ("class_token", "registers"):
        return array.reshape(1, -1)
    if layer == "table":
        return array.reshape(-1, array.shape[-1])
    if name.endswith("/kernel"):  # (out, in, ...) to (..., in, out)
        return np.transpose(array, (2, 3, 1, 0)) if array.ndim == 4 else array.T
    return array


def _key(name, layout):
    """A weight's key in the file."""
    number = re.search(r"(?<=block)\d+(?=_)", name)
    template = name if not number or name in layout.keys.values() else re.sub(r"(?<=block)\d+(?=_)", "{}", name)
    for key, names in layout.keys.items():
        if template in names.split():
            return key.format(int(number[0]) - 1) if number else key
    return name


def _some(keys, between=", "):
    keys = list(keys)
    return between.join(keys[:SHOWN]) + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")
