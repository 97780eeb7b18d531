"""Read the tensors of a PyTorch file without PyTorch, and without unpickling anything.

The pickle inside is not executed: a small interpreter goes through its opcodes and knows how to
make dicts, lists, tuples, numbers, text and tensors. Any other global is refused by name.
"""

import math
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_NESTED = ("state_dict", "model_state_dict", "model")


class WeightsError(ValueError):
    """A file of weights that cannot be read, or that holds something else than tensors."""


class _Global(NamedTuple):
    name: str


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_OTHERS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
}
_NEEDED = [
    "STOP",
    "PROTO",
    "FRAME",
    "MARK",
    "EMPTY_DICT",
    "EMPTY_LIST",
    "EMPTY_TUPLE",
    "NONE",
    "NEWTRUE",
    "NEWFALSE",
    "BINPUT",
    "LONG_BINPUT",
    "MEMOIZE",
    "BINGET",
    "LONG_BINGET",
    "TUPLE",
    "TUPLE1",
    "TUPLE2",
    "TUPLE3",
    "APPEND",
    "APPENDS",
    "SETITEM",
    "SETITEMS",
    "GLOBAL",
    "STACK_GLOBAL",
    "BINPERSID",
    "REDUCE",
    "BUILD",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
    "BINUNICODE",
    "SHORT_BINUNICODE",
]
_OPCODES = {op.code.encode("latin-1"): op for op in pickletools.opcodes if op.name in _NEEDED}
_GLOBALS = _OTHERS | {f"torch {name}" for name in _DTYPES}


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

_Load = Callable[[_Storage], np.ndarray]


def _read_legacy(file: BinaryIO) -> tuple[Any, _Load]:
    content = BytesIO(file.read())
    if _interpret(content) != _MAGIC or _interpret(content) != _PROTOCOL:
        raise WeightsError("it does not begin as a file of torch.save does")
    about = _interpret(content)
    if not isinstance(about, dict) or about.get("little_endian") is not True:
        raise WeightsError("it was written on a big-endian machine")
    tree = _interpret(content)
    keys = _interpret(content)
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
    tree = _interpret(BytesIO(entry("data.pkl")))
    found: dict[str, np.ndarray] = {}

    def load(storage: _Storage) -> np.ndarray:
        if storage.key not in found:
            found[storage.key] = np.frombuffer(entry(f"data/{storage.key}"), storage.dtype)
        return found[storage.key]

    tensors = list(_storages(tree))
    for storage in tensors:
        load(storage)
    archive.close()
    return tree, load


def _storages(tree: Any) -> list[_Storage]:
    return [tensor.storage for tensor in _state_dict(tree).values()]


def _state_dict(tree: Any) -> dict[str, _Tensor]:
    for name in _NESTED:
        if isinstance(tree, dict) and isinstance(tree.get(name), dict):
            tree = tree[name]
    if not isinstance(tree, dict):
        raise WeightsError(f"it holds a {type(tree).__name__} instead of a state dict")
    others = [name for name, value in tree.items() if not isinstance(value, _Tensor)]
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


def _interpret(content: BytesIO) -> Any:
    """Go through one pickle; `content` is left behind it."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        at = marks.pop()
        items = stack[at:]
        del stack[at:]
        return items

    items: Any
    for opcode, argument in _opcodes(content):
        match opcode:
            case "STOP":
                return stack.pop()
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                marks.append(len(stack))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode == "NEWTRUE")
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode[-1])
                items = tuple(stack[-count:])
                del stack[-count:]
                stack.append(items)
            case "APPEND":
                value = stack.pop()
                _expect(stack[-1], list).append(value)
            case "APPENDS":
                items = since_mark()
                _expect(stack[-1], list).extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _expect(stack[-1], dict)[_expect(key, str)] = value
            case "SETITEMS":
                items = since_mark()
                target = _expect(stack[-1], dict)
                for key, value in zip(items[::2], items[1::2], strict=True):
                    target[_expect(key, str)] = value
            case "GLOBAL":
                stack.append(_known_global(argument))
            case "STACK_GLOBAL":
                name, module = _expect(stack.pop(), str), _expect(stack.pop(), str)
                stack.append(_known_global(f"{module} {name}"))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments = _expect(stack.pop(), tuple)
                stack.append(_reduce(_expect(stack.pop(), _Global), arguments))
            case "BUILD":
                # torch.save keeps the versions of modules as an attribute of the state dict.
                stack.pop()
                _expect(stack[-1], dict)
            case _:
                stack.append(argument)
    raise WeightsError("its pickle does not end")


def _opcodes(content: BytesIO) -> Iterator[tuple[str, Any]]:
    """Names and arguments of opcodes; what is not needed is refused before it is decoded."""
    while code := content.read(1):
        if code not in _OPCODES:
            raise WeightsError(f"its pickle uses the opcode {code!r}, which no tensor needs")
        opcode = _OPCODES[code]
        if opcode.name == "GLOBAL":
            module, name = (content.readline().decode("ascii").rstrip("\n") for _ in range(2))
            yield opcode.name, f"{module} {name}"
        else:
            yield opcode.name, None if opcode.arg is None else opcode.arg.reader(content)


def _known_global(name: str) -> _Global:
    if name not in _GLOBALS:
        raise WeightsError(f"its pickle asks for {name.replace(' ', '.')!r}, which is no tensor's")
    return _Global(name)


def _reduce(function: _Global, arguments: tuple[Any, ...]) -> Any:
    if function.name == "collections OrderedDict" and arguments in ((), ([],)):
        return {}
    if function.name == "torch._utils _rebuild_parameter":
        return _expect(arguments[0], _Tensor)
    if function.name == "torch._utils _rebuild_tensor_v2":
        storage, offset, shape, strides = arguments[:4]
        numbers = (_count(offset), *map(_count, shape), *map(_count, strides))
        if len(shape) != len(strides) or len(shape) > 32:
            raise WeightsError(f"a tensor has shape {shape} and strides {strides}")
        return _Tensor(
            _expect(storage, _Storage),
            numbers[0],
            tuple(numbers[1 : 1 + len(shape)]),
            tuple(numbers[1 + len(shape) :]),
        )
    raise WeightsError(f"its pickle calls {function.name.replace(' ', '.')!r}")


def _storage(identity: Any) -> _Storage:
    kind, storage_type, key, _, size, *_ = _expect(identity, tuple)
    name = _expect(storage_type, _Global).name.removeprefix("torch ")
    if kind != "storage" or name not in _DTYPES:
        raise WeightsError("its pickle refers to something that is no storage")
    if "/" in _expect(key, str):
        raise WeightsError(f"the key {key!r} of a storage is no name")
    return _Storage(np.dtype(_DTYPES[name]), key, _count(size))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
        raise WeightsError(f"a size, stride or offset is {value!r}")
    return value


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise WeightsError(f"its pickle has a {type(value).__name__} for a {kind.__name__}")
    return value
