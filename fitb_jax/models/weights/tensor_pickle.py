"""An interpreter of pickles that can only make tensors, and what holds them."""

import pickletools
from collections.abc import Iterator
from io import BytesIO
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

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


class WeightsError(ValueError):
    """A file of weights that cannot be read, or that holds something else than tensors."""


class _Global(NamedTuple):
    name: str


class Storage(NamedTuple):
    """A run of numbers that tensors look into: their type, its key and how many there are."""

    dtype: np.dtype
    key: str
    size: int


class Tensor(NamedTuple):
    """A view of a storage; offset and strides are in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_OTHERS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
}
# fmt: off
_NEEDED = (
    "STOP", "PROTO", "FRAME", "MARK", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "NONE", "NEWTRUE",
    "NEWFALSE", "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "TUPLE", "TUPLE1",
    "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL",
    "BINPERSID", "REDUCE", "BUILD", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE",
)
# fmt: on
_OPCODES = {op.code.encode("latin-1"): op for op in pickletools.opcodes if op.name in _NEEDED}
_GLOBALS = _OTHERS | {f"torch {name}" for name in _DTYPES}


def interpret(content: BytesIO) -> Any:
    """Go through one pickle and make what it describes.

    Args:
        content: it is left behind the pickle.

    Returns:
        Dicts, lists, tuples, numbers, text and `Tensor`.

    Raises:
        WeightsError: the pickle needs anything else, which is named.
        ValueError, IndexError, KeyError: it makes no sense.
    """
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
        return _expect(arguments[0], Tensor)
    if function.name == "torch._utils _rebuild_tensor_v2":
        storage, offset, shape, strides = arguments[:4]
        numbers = (_count(offset), *map(_count, shape), *map(_count, strides))
        if len(shape) != len(strides) or len(shape) > 32:
            raise WeightsError(f"a tensor has shape {shape} and strides {strides}")
        return Tensor(
            _expect(storage, Storage),
            numbers[0],
            tuple(numbers[1 : 1 + len(shape)]),
            tuple(numbers[1 + len(shape) :]),
        )
    raise WeightsError(f"its pickle calls {function.name.replace(' ', '.')!r}")


def _storage(identity: Any) -> Storage:
    kind, storage_type, key, _, size, *_ = _expect(identity, tuple)
    name = _expect(storage_type, _Global).name.removeprefix("torch ")
    if kind != "storage" or name not in _DTYPES:
        raise WeightsError("its pickle refers to something that is no storage")
    if "/" in _expect(key, str):
        raise WeightsError(f"the key {key!r} of a storage is no name")
    return Storage(np.dtype(_DTYPES[name]), key, _count(size))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
        raise WeightsError(f"a size, stride or offset is {value!r}")
    return value


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise WeightsError(f"its pickle has a {type(value).__name__} for a {kind.__name__}")
    return value
