"""Files of `torch.save` written by hand, also such as PyTorch would never write. No PyTorch is needed."""

import struct
import sys
import zipfile
from typing import NamedTuple

import numpy as np

KINDS = {"float32": "FloatStorage", "float16": "HalfStorage", "float64": "DoubleStorage", "int64": "LongStorage",
         "uint16": "BFloat16Storage"}


class Global(NamedTuple):
    """Whatever the file names, as "module name"."""

    name: str


class Call(NamedTuple):
    """A call of it."""

    function: object
    args: tuple


class Build(NamedTuple):
    """A change of an object's state."""

    made: object
    state: object


class Tensor(NamedTuple):
    """A view of an array that is stored flat."""

    storage: np.ndarray
    offset: int
    shape: tuple
    strides: tuple


def write_zip(path, content, folder="archive"):
    arrays = []
    code = b"\x80\x02" + _code(content, arrays, legacy=False) + b"."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder}/data.pkl", code)
        archive.writestr(f"{folder}/byteorder", sys.byteorder)
        for i, array in enumerate(arrays):
            archive.writestr(f"{folder}/data/{i}", array.tobytes())
        archive.writestr(f"{folder}/version", "3\n")


def write_legacy(path, content):
    arrays = []
    parts = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}, content]
    code = b"".join(b"\x80\x02" + _code(part, arrays, legacy=True) + b"." for part in parts)
    keys = b"\x80\x02" + _code([str(i) for i in range(len(arrays))], [], legacy=True) + b"."
    data = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in arrays)
    path.write_bytes(code + keys + data)


def _code(value, arrays, legacy):
    """The opcodes that make a value, protocol 2."""
    code = lambda x: _code(x, arrays, legacy)
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, (int, np.integer)):
        value = int(value)
        data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, Global):
        return b"c" + value.name.replace(" ", "\n").encode() + b"\n"
    if isinstance(value, Call):
        return code(value.function) + code(tuple(value.args)) + b"R"
    if isinstance(value, Build):
        return code(value.made) + code(value.state) + b"b"
    if isinstance(value, np.ndarray):
        strides = tuple(step // value.itemsize for step in value.strides)
        flat = np.lib.stride_tricks.as_strided(value, (value.size,), (value.itemsize,)) if value.size else value.ravel()
        return code(Tensor(flat, 0, value.shape, strides))
    if isinstance(value, Tensor):
        arrays.append(value.storage)
        kind = Global(f"torch {KINDS[value.storage.dtype.name]}")
        saved = ("storage", kind, str(len(arrays) - 1), "cpu", int(value.storage.size)) + ((None,) if legacy else ())
        args = (value.offset, tuple(map(int, value.shape)), tuple(map(int, value.strides)), False)
        hooks = Call(Global("collections OrderedDict"), ())
        storage = code(saved) + b"Q"
        tail = b"".join(code(x) for x in (*args, hooks))
        return code(Global("torch._utils _rebuild_tensor_v2")) + b"(" + storage + tail + b"tR"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(code, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(code, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(code(x) for pair in value.items() for x in pair) + b"u"
    raise TypeError(f"no opcodes for {value!r}")
