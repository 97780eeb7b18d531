"""Idx files made on the spot, by an encoder that shares no code with the package."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REAL_DATA

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def _encode(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def _write_folder(folder: Path, *, seed: int = 0, train: int = 30, test: int = 20) -> dict:
    """Write the four files; return the arrays by split. No two images are alike."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for split, count in (("train", train), ("test", test)):
        images = generator.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in zip(FILES[split], (images, labels), strict=True):
            (folder / f"{name}.gz").write_bytes(gzip.compress(_encode(array)))
        arrays[split] = images, labels
    return arrays


@pytest.fixture(scope="session")
def encode() -> Callable[[np.ndarray], bytes]:
    return _encode


@pytest.fixture(scope="session")
def write_folder() -> Callable[..., dict]:
    return _write_folder


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    """Debian's folder (tmp_path/debian) and TFDS's default one (returned) do not exist."""
    monkeypatch.setattr(
        "fitb_jax.data.digits.loading.DEBIAN_FOLDERS", {"fashion_mnist": tmp_path / "debian"}
    )
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "default_tfds"))
    return tmp_path / "default_tfds"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the original files of MNIST and Fashion-MNIST."""
    for name in ("mnist", "fashion_mnist"):
        if not (REAL_DATA / name).is_dir():
            pytest.skip(f"{name}/ is not in FITB_JAX_DATA ({REAL_DATA})")
    return REAL_DATA
