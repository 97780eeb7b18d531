"""Read the tensors of a PyTorch file without PyTorch, and without unpickling anything.

The pickle inside is not executed: `tensor_pickle` goes through its opcodes and knows how to make
dicts, lists, tuples, numbers, text and tensors. An optimiser's state, the arguments of a script or
an object of one's own beside the weights is never made.
"""

import math
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fitb_jax.models.weights.tensor_pickle import Opaque, Storage, Tensor, WeightsError, interpret

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
# What training scripts call the weights in a checkpoint, and their running average, by preference.
_NESTED = (
    "state_dict", "model_state_dict", "model_state", "model", "net_state_dict", "net", "network",
    "module", "classifier", "weights", "params", "parameters",
    "state_dict_ema", "model_ema_state_dict", "ema_state_dict", "model_ema", "ema_model", "ema",
    "shadow",
)  # fmt: skip
_MOST_NESTED = 100


def read_torch(path: str | Path, *, entry: str | None = None) -> dict[str, np.ndarray]:
    """The state dict in a file written by `torch.save`, in its legacy or its zip format.

    Args:
        path: a `.pth`, `.pt`, `.ckpt` or `.bin` file.
        entry: where the state dict is in a checkpoint of a training, such as "ema"; dots lead into
            dicts, and the last part may be a prefix of the names in the state dict. By default one
            of the usual entries ("state_dict", "model", ...), the weights before their running
            average. A warning lists the others.

    Returns:
        Tensors by name, as contiguous arrays.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is damaged, or there is no state dict or no such entry in it.
    """
    path = Path(path)
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        try:
            tensors, others, load = (_read_zip if is_zip else _read_legacy)(file, entry)
            arrays = _arrays(tensors, load)
        except WeightsError as error:
            raise WeightsError(f"{path} cannot be read: {error}") from None
        except _DAMAGE as error:
            raise WeightsError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    if len(others) > 1:
        warnings.warn(
            f"{path} holds several state dicts: {', '.join(others)}. {others[0]} is taken; "
            f"entry={others[1]!r} takes another",
            stacklevel=2,
        )
    return arrays


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


class _Found(NamedTuple):
    """A state dict, the entries of all state dicts to choose from, and what loads a storage."""

    tensors: dict[str, Tensor]
    choices: list[str]
    load: _Load


def _read_legacy(file: BinaryIO, entry: str | None) -> _Found:
    content = BytesIO(file.read())
    if interpret(content).tree != _MAGIC or interpret(content).tree != _PROTOCOL:
        raise WeightsError("it does not begin as a file of torch.save does")
    about = interpret(content).tree
    if not isinstance(about, dict) or about.get("little_endian") is not True:
        raise WeightsError("it was written on a big-endian machine")
    tree, storages = interpret(content)
    keys = interpret(content).tree
    if not isinstance(keys, list):
        raise WeightsError("its list of storages is missing")
    tensors, choices = _state_dict(tree, entry)
    data, place = content.getbuffer(), content.tell()
    found: dict[str, np.ndarray] = {}
    for key in keys:
        if not isinstance(key, str) or key not in storages:
            raise WeightsError("a storage belongs to no tensor that can be read")
        (count,) = struct.unpack_from("<q", data, place)
        place += 8
        dtype = storages[key].dtype
        if count < 0 or place + count * dtype.itemsize > len(data):
            raise WeightsError(f"storage {key[:100]!r} of {count} numbers is cut off")
        found[key] = np.frombuffer(data, dtype, count, place)
        place += count * dtype.itemsize
    return _Found(tensors, choices, lambda storage: found[storage.key])


def _read_zip(file: BinaryIO, entry: str | None) -> _Found:
    archive = zipfile.ZipFile(file)
    names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise WeightsError(f"it has {len(names)} entries data.pkl instead of one")
    root = names[0].removesuffix("data.pkl")

    def read(name: str) -> bytes:
        info = archive.getinfo(root + name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise WeightsError(f"entry {name!r} is compressed, which torch.save never does")
        return archive.read(info)

    if f"{root}byteorder" in archive.namelist() and read("byteorder") != b"little":
        raise WeightsError("it was written on a big-endian machine")
    tensors, choices = _state_dict(interpret(BytesIO(read("data.pkl"))).tree, entry)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    found = {
        key: np.frombuffer(read(f"data/{key}"), storage.dtype) for key, storage in storages.items()
    }
    return _Found(tensors, choices, lambda storage: found[storage.key])


def _state_dict(tree: Any, entry: str | None) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of one state dict by name, and the entries that one can choose between."""
    inside = tree if entry is None else find_entry(tree, entry)
    choices = _usual_entries(inside, set()) or _unusual_entries(inside)
    found = find_entry(inside, choices[0]) if choices else inside
    whole = found
    if isinstance(found, dict) and not choices:
        whole = next((found[name] for name in _NESTED if name in found), found)
    if isinstance(whole, Opaque):
        raise WeightsError(
            f"it holds an object of {whole.name!r}, which is not made, instead of a state dict: "
            "save the module's state_dict()"
        )
    if not isinstance(found, dict):
        raise WeightsError(f"it holds a {type(found).__name__} instead of a state dict")
    strange = [name for name, value in found.items() if _is_strange_tensor(value)]
    if strange:
        raise WeightsError(f"it has tensors that are not dense: {few(strange)}")
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"it holds no state dict, but {few(found)}")
    return tensors, choices if entry is None else []


def _is_strange_tensor(value: Any) -> bool:
    return isinstance(value, Opaque) and value.name.startswith("torch._utils._rebuild")


def _usual_entries(tree: Any, seen: set[int]) -> list[str]:
    """Where state dicts lie under the usual names, the preferred one first; "" is here."""
    if not isinstance(tree, dict) or id(tree) in seen or len(seen) > _MOST_NESTED:
        return []
    seen.add(id(tree))
    nested = [
        f"{name}.{path}" if path else name
        for name in _NESTED
        for path in _usual_entries(tree.get(name), seen)
    ]
    return nested or ([""] if _holds_tensors(tree) and not _unusual_entries(tree) else [])


def _unusual_entries(tree: Any) -> list[str]:
    """The only dict of tensors in a dict, whatever it is called.

    Raises:
        WeightsError: there are several.
    """
    names = [
        name
        for name, value in (tree.items() if isinstance(tree, dict) else ())
        if isinstance(name, str) and _holds_tensors(value)
    ]
    if len(names) > 1:
        raise WeightsError(
            f"it has several dicts of tensors: {few(names)}; say which: entry={names[0][:100]!r}"
        )
    return names


def _holds_tensors(tree: Any) -> bool:
    return isinstance(tree, dict) and any(isinstance(value, Tensor) for value in tree.values())


def find_entry(tree: Any, entry: str) -> Any:
    """Find an entry in nested dicts.

    Args:
        tree: the nested dicts.
        entry: names of dicts, and at last a prefix of the names in a state dict, joined by dots; ""
            is the tree itself.

    Returns:
        The dict of this entry, its names without the prefix.

    Raises:
        WeightsError: there is no such entry; names those that there are.
    """
    if not entry:
        return tree
    names = tree if isinstance(tree, dict) else {}
    for head, rest in ((entry, ""), entry.partition(".")[::2]):
        if isinstance(names.get(head), dict | Opaque):
            return find_entry(names[head], rest)
    start = f"{entry}."
    found = {
        name.removeprefix(start): value
        for name, value in names.items()
        if isinstance(name, str) and name.startswith(start)
    }
    if not found:
        raise WeightsError(f"entry {entry!r} is not there, but {few(names)}")
    return found


def few(names: Iterable[Any], most: int = 5) -> str:
    """The first of several names, each cut short, and how many more there are.

    Args:
        names: texts or numbers.
        most: how many are written out.

    Returns:
        Joined by commas.
    """
    texts = [name[:60] if isinstance(name, str) else f"{type(name).__name__}" for name in names]
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more if texts else "nothing"


def _arrays(tensors: dict[str, Tensor], load: _Load) -> dict[str, np.ndarray]:
    found = {}
    for name, tensor in tensors.items():
        values = load(tensor.storage)
        if values.dtype != tensor.storage.dtype:
            raise WeightsError(
                f"{name[:60]!r} and another tensor disagree on the type of a storage"
            )
        last = tensor.offset + sum(
            (size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)
        )
        count = math.prod(tensor.shape)
        # Also no more numbers than are stored: a tensor expanded by zero strides could be any size.
        if count and (last >= len(values) or count > len(values)):
            raise WeightsError(f"{name[:60]!r} of shape {tensor.shape} reaches beyond its storage")
        strides = [stride * values.dtype.itemsize for stride in tensor.strides]
        view = np.lib.stride_tricks.as_strided(
            values[tensor.offset :] if count else values[:0], tensor.shape, strides, writeable=False
        )
        found[name] = np.array(view, order="C")
    return found
