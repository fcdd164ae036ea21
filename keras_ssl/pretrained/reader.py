"""Reader: the tensors of a checkpoint of PyTorch or safetensors, without PyTorch and without running what it says.

A file of `torch.save` is a pickle, and a pickle is a program: it may call whatever it names. Here it may name what
weights are made of, and nothing else: tensors, their storages, OrderedDict. Any other name ends the reading before it
is looked up.
"""

import collections
import contextlib
import os
import pickle
import struct
import zipfile
from typing import NamedTuple

import numpy as np

# What torch calls the storages, and what NumPy calls their elements. bfloat16 is the upper half of a float32.
STORAGES = {
    "FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "bfloat16",
    "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}
LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
LARGEST_PICKLE = 2**26  # bytes, without the tensors; those of the field have less than 2**20


def read(path, select):
    """The arrays of a checkpoint.

    Args:
        path: str or path of a file of `torch.save` (either format of it), of `torch.jit.save` or of safetensors.
        select: function from all tensors, a dict of dotted keys such as `"teacher.blocks.0.norm1.weight"`, to the dict
            of those that are wanted, under any keys. Only these are read.

    Returns:
        dict of NumPy arrays, under the keys of `select`.

    Raises:
        ValueError: the file is not one of these, is damaged, or names what weights do not need.
    """
    path = os.fspath(path)
    with open(path, "rb") as stream:
        start = stream.read(8)
    if start[:4] == b"PK\x03\x04":
        opened = _open_zip(path)
    elif start[:1] == b"\x80":
        opened = _open_legacy(path)
    elif path.endswith(".safetensors"):
        opened = _open_safetensors(path)
    else:
        raise ValueError(
            f"{path!r} is no checkpoint: it begins with {start!r}, not as a file of torch.save does, and does not end "
            "in '.safetensors'. Download it again, or save it anew with a current PyTorch."
        )
    with contextlib.ExitStack() as stack:
        with _damage_named(path):
            content, array = stack.enter_context(opened)
            tensors = flatten(content)
        wanted = select(tensors)
        with _damage_named(path):
            return {key: array(tensor) for key, tensor in wanted.items()}


class Tensor(NamedTuple):
    """A tensor that has not been read yet. Immutable: a pickle can change the attributes of what it has made."""

    storage: tuple
    offset: int
    shape: tuple
    strides: tuple


class Storage(NamedTuple):
    """Numbers in the file: their kind, the key under which they are, and how many they are."""

    kind: str
    key: str
    size: int


class Refused(ValueError):
    """A file names what weights do not need."""


def flatten(content):
    """Nested dicts of tensors as one dict with dotted keys. What is neither is left out."""
    found, seen = {}, set()

    def visit(part, key):
        if isinstance(part, Tensor):
            found[key] = part
        elif isinstance(part, dict) and id(part) not in seen:  # once: a pickle can put a dict into itself
            seen.add(id(part))
            for name, value in part.items():
                visit(value, f"{key}.{name}" if key else str(name))

    visit(content, "")
    return found


@contextlib.contextmanager
def _damage_named(path):
    try:
        yield
    except (Refused, OSError, MemoryError, ImportError):
        raise
    except Exception as error:  # a damaged pickle fails in any way
        raise ValueError(
            f"{path!r} is damaged or no checkpoint: {type(error).__name__}: {error}. Remove it and download it again."
        ) from error


# The two formats of torch.save. Each yields the content and a function from one of its tensors to an array.


@contextlib.contextmanager
def _open_zip(path):
    with zipfile.ZipFile(path) as archive:
        found = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(found) != 1:
            raise Refused(f"{path!r} is a zip archive, but not one of torch.save: it holds no single 'data.pkl'.")
        folder = found[0].removesuffix("data.pkl")
        big = False
        if f"{folder}byteorder" in archive.namelist():
            with archive.open(f"{folder}byteorder") as stream:
                big = stream.read(4) == b"big"
        size = archive.getinfo(found[0]).file_size
        if size > LARGEST_PICKLE:
            raise Refused(f"{path!r} holds a pickle of {size} bytes beside its tensors, which no checkpoint needs.")
        with archive.open(found[0]) as stream:
            content = _Unpickler(stream, path).load()

        def load(storage):
            member = archive.getinfo(f"{folder}data/{storage.key}")
            if member.compress_type != zipfile.ZIP_STORED:  # torch never does, and it can hide any size
                raise Refused(f"{path!r} is compressed inside, which torch.save does not do.")
            if member.file_size != storage.size * _itemsize(storage.kind):
                raise ValueError(f"storage {storage.key} has {member.file_size} bytes for {storage.size} numbers")
            return archive.read(member)

        yield content, lambda tensor: _array(tensor, load, ">" if big else "<")


@contextlib.contextmanager
def _open_legacy(path):
    """Before PyTorch 1.6: five pickles one after the other, then the storages, each with its length before it."""
    with open(path, "rb") as stream:
        if _Unpickler(stream, path).load() != LEGACY_MAGIC or _Unpickler(stream, path).load() != LEGACY_PROTOCOL:
            raise Refused(f"{path!r} is a pickle, but not one of torch.save.")
        order = "<" if _Unpickler(stream, path).load()["little_endian"] else ">"
        unpickler = _Unpickler(stream, path)
        content = unpickler.load()
        places = {}
        for key in _Unpickler(stream, path).load():
            storage = unpickler.storages[key]
            (size,) = struct.unpack(f"{order}q", stream.read(8))
            if size != storage.size:
                raise ValueError(f"storage {key} has {size} numbers in place of {storage.size}")
            places[storage.key] = stream.tell()
            stream.seek(size * _itemsize(storage.kind), os.SEEK_CUR)
        if stream.tell() > os.path.getsize(path):
            raise ValueError(f"it has {os.path.getsize(path)} of {stream.tell()} bytes")

        def load(storage):
            stream.seek(places[storage.key])
            return stream.read(storage.size * _itemsize(storage.kind))

        yield content, lambda tensor: _array(tensor, load, order)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream, path):
        super().__init__(stream, encoding="utf-8")
        self.path, self.storages = path, {}

    def find_class(self, module, name):
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if module.split(".")[0] == "__torch__":  # the classes of a torch.jit archive
            return _ScriptModule
        found = ALLOWED.get(f"{module}.{name}")
        if found is None:
            raise Refused(
                f"{self.path!r} names '{module}.{name}', which weights do not need, and was not read further; nothing "
                "of it was executed. Where you trust the file, open it in PyTorch and save the weights alone: "
                "torch.save(model.state_dict(), path)."
            )
        return found

    def persistent_load(self, saved):
        mark, kind, key, _, size, *view = saved
        if mark != "storage" or kind not in STORAGES.values() or any(part is not None for part in view):
            raise Refused(f"{self.path!r} holds a storage of an unknown kind: {saved}. Save it anew with PyTorch.")
        return self.storages.setdefault(key, Storage(kind, str(key), int(size)))


class _Function:
    """A function that a pickle can call but not change."""

    __slots__ = ("function",)

    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        return self.function(*args)

    def __setstate__(self, state):
        raise Refused("The file tries to change a function of the reader.")


class _ScriptModule(dict):
    """The attributes of a module in a torch.jit archive; its code is another file of the archive and stays there."""

    __slots__ = ()

    def __setstate__(self, state):
        self.update(state)


def _tensor(storage, offset, shape, strides, *_):
    if not isinstance(storage, Storage):
        raise Refused("The file holds a tensor without a storage.")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


ALLOWED = {
    "collections.OrderedDict": collections.OrderedDict,
    "torch._utils._rebuild_tensor_v2": _Function(_tensor),
    "torch._utils._rebuild_tensor": _Function(_tensor),
    "torch._utils._rebuild_parameter": _Function(lambda tensor, *_: tensor),
    # how a torch.jit archive writes lists with a type
    **{f"torch.jit._pickle.build_{kind}list": _Function(lambda x: x) for kind in ("int", "double", "bool", "tensor")},
    "torch.jit._pickle.restore_type_tag": _Function(lambda x, _: x),
}


def _itemsize(kind):
    return 2 if kind == "bfloat16" else np.dtype(kind).itemsize


def _array(tensor, load, order):
    kind, _, size = tensor.storage
    whole = [tensor.offset, *tensor.shape, *tensor.strides]
    last = tensor.offset + sum((side - 1) * step for side, step in zip(tensor.shape, tensor.strides, strict=True))
    if not all(isinstance(x, int) and x >= 0 for x in whole) or 0 not in tensor.shape and last >= size:
        raise ValueError(f"a tensor of shape {tensor.shape} reaches beyond its storage of {size} numbers")
    if np.prod(tensor.shape, dtype="float64") > size:
        raise ValueError(f"a tensor of shape {tensor.shape} repeats its storage of {size} numbers")
    numbers = np.frombuffer(load(tensor.storage), f"{order}u2" if kind == "bfloat16" else f"{order}{kind}")
    steps = [step * numbers.itemsize for step in tensor.strides]
    found = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, steps, writeable=False)
    if kind == "bfloat16":
        return (found.astype("uint32") << 16).view("float32")
    return found.astype(np.dtype(kind))  # a copy, in the byte order of this machine


@contextlib.contextmanager
def _open_safetensors(path):
    try:
        import safetensors
    except ImportError as error:
        raise ImportError("Files of safetensors need that package: pip install keras_ssl[pretrained]") from error
    with safetensors.safe_open(path, framework="np") as file:
        shapes = {key: Tensor(key, 0, tuple(file.get_slice(key).get_shape()), ()) for key in file.keys()}
        yield shapes, lambda tensor: file.get_tensor(tensor.storage)
