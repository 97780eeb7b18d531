import argparse
import datetime
import io
import os
import pickle
import random
import struct
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from fitb_jax.models import WeightsError, read_torch

RNG = np.random.default_rng(0)
TENSORS = {
    "stem.weight": RNG.normal(size=(4, 3)).astype(np.float32),
    "stem.bias": RNG.normal(size=4).astype(np.float64),
    "steps": np.array(7, np.int64),
    "seen": np.array([True, False]),
}
STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
    "bool": "BoolStorage",
}


class _Named:
    """Pickled as a global that need not exist here."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Storage:
    def __init__(self, key: str, dtype: np.dtype, size: int) -> None:
        self.identity = ("storage", _Named("torch", STORAGES[dtype.name]), key, "cpu", size)


class _Call:
    def __init__(self, function: _Named, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments


class _Pickler(pickle._Pickler):
    """Writes what `torch.save` writes, without PyTorch."""

    def persistent_id(self, value: Any) -> Any:
        return value.identity if isinstance(value, _Storage) else None

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, _Named):
            self.write(b"c" + value.module.encode() + b"\n" + value.name.encode() + b"\n")
        elif isinstance(value, _Call):
            self.save(value.function)
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


def _pickled(value: Any, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol).dump(value)
    return file.getvalue()


def _tree(tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    def tensor(key: str, array: np.ndarray) -> _Call:
        strides = tuple(stride // array.itemsize for stride in array.strides)
        function = _Named("torch._utils", "_rebuild_tensor_v2")
        hooks = _Call(_Named("collections", "OrderedDict"))
        storage = _Storage(key, array.dtype, array.size)
        return _Call(function, storage, 0, array.shape, strides, False, hooks)

    return {name: tensor(str(i), array) for i, (name, array) in enumerate(tensors.items())}


def _legacy(tree: Any, tensors: dict[str, np.ndarray] = TENSORS) -> bytes:
    about = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    parts = [_pickled(part) for part in (0x1950A86A20F9469CFC6C, 1001, about, tree)]
    parts.append(_pickled([str(i) for i in range(len(tensors))]))
    for array in tensors.values():
        parts += [struct.pack("<q", array.size), array.tobytes()]
    return b"".join(parts)


def _zipped(tree: Any, tensors: dict[str, np.ndarray] = TENSORS, **changes: bytes) -> bytes:
    file = io.BytesIO()
    entries = {"data.pkl": _pickled(tree), "byteorder": b"little"}
    entries |= {f"data/{i}": array.tobytes() for i, array in enumerate(tensors.values())}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {**entries, **changes}.items():
            archive.writestr(f"net/{name}", content)
    return file.getvalue()


def _read(content: bytes, tmp_path: Path) -> dict[str, np.ndarray]:
    (tmp_path / "net.pth").write_bytes(content)
    return read_torch(tmp_path / "net.pth")


WRITERS = {"legacy": _legacy, "zip": _zipped}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("nested", [False, True])
def test_tensors_are_read(write: Any, nested: bool, tmp_path: Path) -> None:
    tree = _tree(TENSORS)
    found = _read(write({"state_dict": tree, "epoch": 3} if nested else tree), tmp_path)
    assert list(found) == list(TENSORS)
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].flags.c_contiguous


def test_files_of_pytorch_itself_are_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is no dependency of the package")
    tensors = {
        "turned": torch.arange(12.0).reshape(3, 4).T,
        "slice": torch.arange(10)[3:7],
        "bfloat16": torch.randn(3).bfloat16(),
        "half": torch.randn(2, 2).half(),
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "empty": torch.zeros(0, 3),
    }
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).state_dict()
    for new in (True, False):
        for saved in (tensors, module):
            torch.save(saved, tmp_path / "net.pth", _use_new_zipfile_serialization=new)
            found = read_torch(tmp_path / "net.pth")
            assert list(found) == list(saved)
            for name, tensor in saved.items():
                expected = tensor.detach().double().numpy()
                np.testing.assert_array_equal(found[name].astype(np.float64), expected)


class _Shell:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/fitb_jax_was_here",)


class _Eval:
    def __reduce__(self) -> Any:
        return eval, ("1 / 0",)


class _Own:
    """Of a training script: made, it would be seen."""

    made: ClassVar[list[Any]] = []

    def __setstate__(self, state: Any) -> None:
        _Own.made.append(state)

    def __getstate__(self) -> Any:
        return {"state_dict": {"wrong": 1}}


_REBUILD = _Named("torch._utils", "_rebuild_tensor_v2")
_FLOATS = _Storage("0", np.dtype("float32"), 12)
REFUSED = {
    "a call": (_Shell(), r"an object of '(posix|nt)\.system', which is not made"),
    "a module": (
        {"model": _Own(), "epoch": 3},
        r"an object of '.*_Own', .*save the module's state_d",
    ),
    "numpy": ({"a": np.zeros(3)}, r"holds no state dict, but a$"),
    "no tensors": ({"a": 3, 4: {}}, "holds no state dict, but a, int"),
    "sparse": (
        {**_tree(TENSORS), "b": _Call(_Named("torch._utils", "_rebuild_sparse_tensor"), 1)},
        "tensors that are not dense: b",
    ),
    "several": (
        {"a": _tree(TENSORS), "b": _tree(TENSORS)},
        "several dicts of tensors: a, b; .*='a'",
    ),
    "a list": ([1, 2], "holds a list instead of a state dict"),
    "path as key": (
        {"a": _Call(_REBUILD, _Storage("../../x", np.dtype("float32"), 1), 0, (1,), (1,))},
        "the key '../../x' of a storage is no name",
    ),
    "huge by strides of zero": (
        {"a": _Call(_REBUILD, _FLOATS, 0, (10**6, 10**6), (0, 0))},
        "'a' of shape .* reaches beyond its storage",
    ),
    "beyond the end": ({"a": _Call(_REBUILD, _FLOATS, 5, (4, 2), (2, 1))}, "beyond its storage"),
    "negative": ({"a": _Call(_REBUILD, _FLOATS, -1, (2,), (1,))}, "size, stride or offset is -1"),
    "no number": ({"a": _Call(_REBUILD, _FLOATS, 0, ((1,),), (1,))}, "or offset is a tuple"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_holds_no_weights_is_refused_in_a_few_words(
    name: str, write: Any, tmp_path: Path
) -> None:
    tree, message = REFUSED[name]
    with pytest.raises(WeightsError, match=message) as raised:
        _read(write(tree, {"stem.weight": TENSORS["stem.weight"]}), tmp_path)
    assert len(str(raised.value)) < 400
    assert not Path("/tmp/fitb_jax_was_here").exists()


def _checkpoint(weights: Any, tensors: dict[str, Any]) -> dict[Any, Any]:
    """What training scripts keep beside the weights, and what nobody should."""
    loop: dict[str, Any] = {"more": [_Shell(), {"x": (_Eval(),)}], (1, 2): _Eval()}
    loop["itself"] = loop
    state = {0: {"momentum_buffer": tensors["stem.weight"], "step": 3}}
    return {
        "epoch": 3,
        "best": np.float64(0.7),
        "best_tensor": tensors["steps"],
        "args": argparse.Namespace(lr=0.1, out=Path("x"), day=datetime.date(2020, 1, 2)),
        "optimizer": {"state": state, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "history": defaultdict(list, loss=[1.0, 2**70], seen={1, 2}, none=frozenset((b"x", None))),
        "own": _Own(),
        "loop": loop,
        "rng": np.arange(3),
        "ordered": OrderedDict(a=_Shell()),
        **weights,
    }


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("name", ["state_dict", "model_state", "model.module", "own_name"])
def test_weights_of_a_training_are_read_and_nothing_else_is_made(
    name: str, write: Any, tmp_path: Path
) -> None:
    tensors = _tree(TENSORS)
    nested: Any = tensors
    for part in reversed(name.split(".")):
        nested = {part: nested}
    # An own name beside which there is no tensor but those of the optimiser.
    checkpoint = _checkpoint(nested, tensors)
    found = _read(write(checkpoint), tmp_path)
    assert list(found) == list(TENSORS)
    for entry, array in TENSORS.items():
        np.testing.assert_array_equal(found[entry], array)
    assert not _Own.made
    assert not Path("/tmp/fitb_jax_was_here").exists()


@pytest.mark.parametrize("protocol", [3, 5])
def test_newer_pickles_are_read(protocol: int, tmp_path: Path) -> None:
    tensors = _tree(TENSORS)
    content = _pickled(_checkpoint({"net": tensors}, tensors), protocol)
    found = _read(_zipped(None, **{"data.pkl": content}), tmp_path)
    np.testing.assert_array_equal(found["stem.weight"], TENSORS["stem.weight"])


def test_the_weights_are_taken_before_their_average_unless_it_is_asked_for(tmp_path: Path) -> None:
    tensors = _tree(TENSORS)
    model = {name: tensors[name] for name in ("stem.weight", "stem.bias")}
    ema = {"module": {"stem.weight": tensors["stem.weight"]}, "decay": 0.9}
    path = tmp_path / "net.pth"
    path.write_bytes(_zipped({"ema": ema, "model": model, "best": tensors["steps"]}))
    with pytest.warns(
        UserWarning, match=r"several state dicts: model, ema\.module\. model is taken"
    ):
        assert list(read_torch(path)) == list(model)
    assert list(read_torch(path, entry="ema")) == ["stem.weight"]
    assert list(read_torch(path, entry="ema.module.stem")) == ["weight"]
    with pytest.raises(WeightsError, match="entry 'swa' is not there, but ema, model, best"):
        read_torch(path, entry="swa")


def test_messages_of_nested_tuples_stay_short(tmp_path: Path) -> None:
    """Printed, or hashed as a key, this shape would take for ever."""
    shape: tuple[Any, ...] = (1,)
    for _ in range(60):
        shape = (shape, shape)
    with pytest.raises(WeightsError, match="offset is a tuple"):
        _read(_zipped({"a": _Call(_REBUILD, _FLOATS, 0, shape, shape)}), tmp_path)


def test_a_compressed_entry_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", _pickled(_tree(TENSORS)))
    with pytest.raises(WeightsError, match=r"entry 'data\.pkl' is compressed"):
        _read(file.getvalue(), tmp_path)


def test_big_endian_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="big-endian"):
        _read(_zipped(_tree(TENSORS), byteorder=b"big"), tmp_path)


def test_a_missing_file_and_what_is_no_file_of_torch(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_torch(tmp_path / "absent.pth")
    for content in (b"", b"hello", b"PK\x03\x04", pickle.dumps(3), b"\x80\x02}."):
        with pytest.raises(WeightsError, match=r"net\.pth (is damaged|cannot be read)"):
            _read(content, tmp_path)


@pytest.mark.parametrize("count", [1000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:.*several state dicts")
@pytest.mark.timeout(1200)
def test_mutated_files_are_read_or_refused(count: int, tmp_path: Path) -> None:
    dice = random.Random(count)
    tensors = _tree(TENSORS)
    nested = _checkpoint({"state_dict": tensors, "ema": tensors}, tensors)
    whole = [write(tree) for write in WRITERS.values() for tree in (tensors, nested)]
    refused = 0
    for _ in range(count):
        content = bytearray(dice.choice(whole))
        for _ in range(dice.randint(1, 4)):
            _mutate(content, dice)
        try:
            found = _read(bytes(content), tmp_path)
        except WeightsError:
            refused += 1
        else:
            assert sum(array.nbytes for array in found.values()) < 10**6
    assert 0.3 * count < refused < count
    assert not _Own.made
    assert not Path("/tmp/fitb_jax_was_here").exists()


def _mutate(content: bytearray, dice: random.Random) -> None:
    at, kind = dice.randrange(len(content)), dice.randrange(5)
    if kind == 0:
        content[at] ^= 1 << dice.randrange(8)
    elif kind == 1:
        content[at] = dice.choice(b"\x00\xff.(}]RbcQqrhj\x80\x8a\x8b\x8c\x8d\x93\x94\x95\x96")
    elif kind == 2:
        del content[at : at + dice.randint(1, 20)]
        content += b"\0" if not content else b""
    elif kind == 3:
        content[at:at] = bytes(dice.randrange(256) for _ in range(dice.randint(1, 8)))
    else:
        other = dice.randrange(len(content))
        content[at : at + 8] = content[other : other + 8]
