import io
import os
import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

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


def _pickled(value: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=2).dump(value)
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


MALICIOUS = {
    "system": (_Shell(), r"asks for '(posix|nt)\.system', which is no tensor's"),
    "eval": (_Eval(), r"asks for '(__builtin__|builtins)\.eval'"),
    "nested": ({"a": [(_Shell(),)], **_tree(TENSORS)}, r"asks for '(posix|nt)\.system'"),
    "ordered dict of a call": (OrderedDict(a=_Eval()), "asks for|calls 'collections.OrderedDict'"),
    "numpy": ({"a": np.zeros(3)}, "asks for 'numpy"),
    "call of a storage type": ({"a": _Call(_Named("torch", "FloatStorage"), 3)}, "calls 'torch.Fl"),
    "no tensors": ({"a": 3}, r"holds what is no tensor: \['a'\]"),
    "a list": ([1, 2], "holds a list instead of a state dict"),
    "path as key": (
        {"a": _Call(_Named("torch._utils", "_rebuild_tensor_v2"),
                    _Storage("../../x", np.dtype("float32"), 1), 0, (1,), (1,))},
        "the key '../../x' of a storage is no name",
    ),
    "huge by strides of zero": (
        {"a": _Call(_Named("torch._utils", "_rebuild_tensor_v2"),
                    _Storage("0", np.dtype("float32"), 12), 0, (10**6, 10**6), (0, 0))},
        "'a' of shape .* reaches beyond its storage",
    ),
    "beyond the end": (
        {"a": _Call(_Named("torch._utils", "_rebuild_tensor_v2"),
                    _Storage("0", np.dtype("float32"), 12), 5, (4, 2), (2, 1))},
        "reaches beyond its storage",
    ),
    "negative offset": (
        {"a": _Call(_Named("torch._utils", "_rebuild_tensor_v2"),
                    _Storage("0", np.dtype("float32"), 12), -1, (2,), (1,))},
        "a size, stride or offset is -1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MALICIOUS)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_anything_but_tensors_is_refused_by_name(name: str, write: Any, tmp_path: Path) -> None:
    tree, message = MALICIOUS[name]
    one = {"stem.weight": TENSORS["stem.weight"]}
    with pytest.raises(WeightsError, match=message):
        _read(write(tree, one), tmp_path)
    assert not Path("/tmp/fitb_jax_was_here").exists()


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


@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(1200)
def test_mutated_files_are_read_or_refused(count: int, tmp_path: Path) -> None:
    dice = random.Random(count)
    whole = [write(_tree(TENSORS)) for write in WRITERS.values()]
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
