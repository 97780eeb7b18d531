"""Read the tensors of a PyTorch file without PyTorch, and without unpickling anything.

The pickle inside is not executed: `tensor_pickle` goes through its opcodes and knows how to make
dicts, lists, tuples, numbers, text and tensors. Any other global is refused by name.
"""

import math
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fitb_jax.models.weights.tensor_pickle import Storage, Tensor, WeightsError, interpret

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_NESTED = ("state_dict", "model_state_dict", "model")


def read_torch(path: str | Path) -> dict[str, np.ndarray]:
    """The state dict in a file written by `torch.save`, in its legacy or its zip format.

    Args:
        path: a `.pth` or `.pt` file.

    Returns:
        Tensors by name, as contiguous arrays.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is damaged, or holds a global that is no tensor's, which is named.
    """
    path = Path(path)
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        try:
            tree, load = _read_zip(file) if is_zip else _read_legacy(file)
            return _arrays(tree, load)
        except WeightsError as error:
            raise WeightsError(f"{path} cannot be read: {error}") from None
        except _DAMAGE as error:
            raise WeightsError(f"{path} is damaged: {type(error).__name__}: {error}") from error


# What the parsers of the standard library and NumPy raise for bytes that make no sense.
_DAMAGE = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    EOFError,
    struct.error,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    OSError,
)

_Load = Callable[[Storage], np.ndarray]


def _read_legacy(file: BinaryIO) -> tuple[Any, _Load]:
    content = BytesIO(file.read())
    if interpret(content) != _MAGIC or interpret(content) != _PROTOCOL:
        raise WeightsError("it does not begin as a file of torch.save does")
    about = interpret(content)
    if not isinstance(about, dict) or about.get("little_endian") is not True:
        raise WeightsError("it was written on a big-endian machine")
    tree = interpret(content)
    keys = interpret(content)
    if not isinstance(keys, list):
        raise WeightsError("its list of storages is missing")
    data, place = content.getbuffer(), content.tell()
    sizes = {storage.key: storage for storage in _storages(tree)}
    found: dict[str, np.ndarray] = {}
    for key in keys:
        if key not in sizes:
            raise WeightsError(f"storage {key!r} belongs to no tensor")
        (count,) = struct.unpack_from("<q", data, place)
        place += 8
        dtype = sizes[key].dtype
        if count < 0 or place + count * dtype.itemsize > len(data):
            raise WeightsError(f"storage {key!r} of {count} numbers is cut off")
        found[key] = np.frombuffer(data, dtype, count, place)
        place += count * dtype.itemsize
    return tree, lambda storage: found[storage.key]


def _read_zip(file: BinaryIO) -> tuple[Any, _Load]:
    archive = zipfile.ZipFile(file)
    names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise WeightsError(f"it has {len(names)} entries data.pkl instead of one")
    root = names[0].removesuffix("data.pkl")

    def entry(name: str) -> bytes:
        info = archive.getinfo(root + name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise WeightsError(f"entry {name!r} is compressed, which torch.save never does")
        return archive.read(info)

    if f"{root}byteorder" in archive.namelist() and entry("byteorder") != b"little":
        raise WeightsError("it was written on a big-endian machine")
    tree = interpret(BytesIO(entry("data.pkl")))
    found: dict[str, np.ndarray] = {}

    def load(storage: Storage) -> np.ndarray:
        if storage.key not in found:
            found[storage.key] = np.frombuffer(entry(f"data/{storage.key}"), storage.dtype)
        return found[storage.key]

    tensors = list(_storages(tree))
    for storage in tensors:
        load(storage)
    archive.close()
    return tree, load


def _storages(tree: Any) -> list[Storage]:
    return [tensor.storage for tensor in _state_dict(tree).values()]


def _state_dict(tree: Any) -> dict[str, Tensor]:
    for name in _NESTED:
        if isinstance(tree, dict) and isinstance(tree.get(name), dict):
            tree = tree[name]
    if not isinstance(tree, dict):
        raise WeightsError(f"it holds a {type(tree).__name__} instead of a state dict")
    others = [name for name, value in tree.items() if not isinstance(value, Tensor)]
    if others or not tree:
        raise WeightsError(f"it holds what is no tensor: {others[:5]}")
    return tree


def _arrays(tree: Any, load: _Load) -> dict[str, np.ndarray]:
    found = {}
    for name, tensor in _state_dict(tree).items():
        values = load(tensor.storage)
        if values.dtype != tensor.storage.dtype:
            raise WeightsError(f"{name!r} and another tensor disagree on the type of a storage")
        last = tensor.offset + sum(
            (size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)
        )
        count = math.prod(tensor.shape)
        # Also no more numbers than are stored: a tensor expanded by zero strides could be any size.
        if count and (last >= len(values) or count > len(values)):
            raise WeightsError(f"{name!r} of shape {tensor.shape} reaches beyond its storage")
        strides = [stride * values.dtype.itemsize for stride in tensor.strides]
        view = np.lib.stride_tricks.as_strided(
            values[tensor.offset :] if count else values[:0], tensor.shape, strides, writeable=False
        )
        found[name] = np.array(view, order="C")
    return found
