"""An interpreter of pickles that makes tensors and what holds them; all else stays opaque.

Nothing is imported and nothing is called: a global is its name, and what a call, a class or a state
would make of it is a placeholder that remembers this name only.
"""

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
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
    "ComplexFloatStorage": np.complex64,
    "ComplexDoubleStorage": np.complex128,
}


class WeightsError(ValueError):
    """A file of weights that cannot be read, or that holds something else than tensors."""


class _Global(NamedTuple):
    name: str


@dataclass(frozen=True, eq=False)
class Opaque:
    """Something that is no tensor and was not made.

    Attributes:
        name: of the class or function that would have made it.
    """

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


# fmt: off
_NEEDED = (
    "STOP", "PROTO", "FRAME", "MARK", "POP", "POP_MARK", "DUP", "EMPTY_DICT", "EMPTY_LIST",
    "EMPTY_TUPLE", "EMPTY_SET", "NONE", "NEWTRUE", "NEWFALSE", "BINPUT", "LONG_BINPUT", "MEMOIZE",
    "BINGET", "LONG_BINGET", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "DICT", "LIST", "FROZENSET",
    "APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "BINPERSID",
    "REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD", "BININT", "BININT1", "BININT2", "LONG1", "LONG4",
    "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)
# fmt: on
_OPCODES = {op.code.encode("latin-1"): op for op in pickletools.opcodes if op.name in _NEEDED}
_DICTS = ("collections OrderedDict", "collections defaultdict")
# Of these alone is the hash of any value cheap: that of nested tuples grows exponentially.
_KEYS = (str, int, float, bool, bytes, type(None))


class Pickled(NamedTuple):
    """What a pickle describes.

    Attributes:
        tree: dicts, lists, tuples, numbers, text, bytes, `Tensor` and `Opaque`.
        storages: every storage that it refers to, by key.
    """

    tree: Any
    storages: dict[str, Storage]


def interpret(content: BytesIO) -> Pickled:
    """Go through one pickle and make what it describes.

    Args:
        content: it is left behind the pickle.

    Returns:
        The tree. Entries of a dict whose key is no number or text are left out.

    Raises:
        WeightsError: the pickle uses what no pickle of tensors does, which is named.
        ValueError, IndexError, KeyError: it makes no sense.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    storages: dict[str, Storage] = {}

    def since_mark() -> list[Any]:
        at = marks.pop()
        items = stack[at:]
        del stack[at:]
        return items

    def popped(count: int) -> list[Any]:
        if count > len(stack):
            raise IndexError("its stack is empty")
        items = stack[-count:]
        del stack[-count:]
        return items

    for opcode, argument in _opcodes(content):
        match opcode:
            case "STOP":
                return Pickled(stack.pop(), storages)
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                marks.append(len(stack))
            case "POP":
                stack.pop()
            case "POP_MARK":
                since_mark()
            case "DUP":
                stack.append(stack[-1])
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_SET":
                stack.append(Opaque("builtins.set"))
            case "FROZENSET":
                since_mark()
                stack.append(Opaque("builtins.frozenset"))
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
                stack.append(tuple(popped(int(opcode[-1]))))
            case "LIST":
                stack.append(since_mark())
            case "DICT":
                items = since_mark()
                stack.append({})
                _set_items(stack[-1], items)
            case "APPEND":
                items = popped(1)
                _extend(stack[-1], items)
            case "APPENDS" | "ADDITEMS":
                items = since_mark()
                _extend(stack[-1], items)
            case "SETITEM":
                items = popped(2)
                _set_items(stack[-1], items)
            case "SETITEMS":
                items = since_mark()
                _set_items(stack[-1], items)
            case "GLOBAL":
                stack.append(_Global(argument))
            case "STACK_GLOBAL":
                module, name = (_expect(part, str) for part in popped(2))
                stack.append(_Global(f"{module} {name}"))
            case "BINPERSID":
                storage = _storage(stack.pop())
                if isinstance(storage, Storage):
                    storages[storage.key] = storage
                stack.append(storage)
            case "REDUCE" | "NEWOBJ":
                function, arguments = popped(2)
                stack.append(_call(function, arguments))
            case "NEWOBJ_EX":
                function, arguments, _ = popped(3)
                stack.append(_call(function, arguments))
            case "BUILD":
                # The state of an object; torch.save keeps versions of modules in a state dict's.
                popped(1)
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
            module, name = (content.readline().decode("utf-8").rstrip("\n") for _ in range(2))
            yield opcode.name, f"{module} {name}"
        else:
            yield opcode.name, None if opcode.arg is None else opcode.arg.reader(content)


def _extend(target: Any, items: list[Any]) -> None:
    if not isinstance(target, Opaque):
        _expect(target, list).extend(items)


def _set_items(target: Any, items: list[Any]) -> None:
    if not isinstance(target, Opaque):
        pairs = zip(items[::2], items[1::2], strict=True)
        _expect(target, dict).update((key, value) for key, value in pairs if type(key) in _KEYS)


def _call(function: Any, arguments: Any) -> Any:
    """A dict or a tensor, or the placeholder of whatever else the call would make."""
    if not isinstance(function, _Global):
        return Opaque(getattr(function, "name", type(function).__name__))
    match function.name, arguments:
        case "collections OrderedDict", ([*pairs],):
            found: dict[Any, Any] = {}
            _set_items(found, [entry for pair in pairs for entry in _expect(pair, list | tuple)])
            return found
        case name, _ if name in _DICTS:
            return {}
        case ("torch._utils _rebuild_parameter", (Tensor() as tensor, *_)) | (
            "torch._utils _rebuild_parameter_with_state",
            (Tensor() as tensor, *_),
        ):
            return tensor
        case "torch._tensor _rebuild_from_type_v2", (inner, _, tuple() as its, *_):
            return _call(inner, its)
        case "torch._utils _rebuild_tensor_v2", (Storage() as storage, offset, shape, strides, *_):
            return _tensor(storage, offset, _expect(shape, tuple), _expect(strides, tuple))
    return Opaque(function.name.replace(" ", ".")[:200])


def _tensor(
    storage: Storage, offset: Any, shape: tuple[Any, ...], strides: tuple[Any, ...]
) -> Tensor:
    if len(shape) != len(strides) or len(shape) > 32:
        raise WeightsError(f"a tensor has {len(shape)} sizes and {len(strides)} strides")
    return Tensor(storage, _count(offset), tuple(map(_count, shape)), tuple(map(_count, strides)))


def _storage(identity: Any) -> Storage | Opaque:
    match identity:
        case ("storage", _Global(name), str(key), _, size, *views):
            kind = name.removeprefix("torch ")
        case _:
            return Opaque("persistent id")
    if kind not in _DTYPES or any(view is not None for view in views):
        return Opaque(name.replace(" ", ".")[:200])
    if "/" in key:
        raise WeightsError(f"the key {key[:100]!r} of a storage is no name")
    return Storage(np.dtype(_DTYPES[kind]), key, _count(size))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise WeightsError(f"a size, stride or offset is a {type(value).__name__}")
    if not 0 <= value < 2**40:
        raise WeightsError(f"a size, stride or offset is {value:.4g}")
    return value


def _expect(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        wanted = getattr(kind, "__name__", kind)
        raise WeightsError(f"its pickle has a {type(value).__name__} for a {wanted}")
    return value
