"""The four files of MNIST and of its drop-in replacements, in a folder."""

import logging
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from fitb_jax.data.digits import idx

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")

FILE_NAMES: dict[Split, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""Names of images and labels; each may end in `.gz`, and some mirrors write `.idx` for `-idx`."""

CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "mnist": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}
"""The classes of each data set that has this form."""

_STOCK_COUNT: dict[Split, int] = {"train": 60_000, "test": 10_000}

_SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    },
}
"""Of the content of each original file, without gzip."""

_ORIGINS = {
    digest: (dataset, name) for dataset, files in _SHA256.items() for name, digest in files.items()
}

_logger = logging.getLogger(__name__)


def holds_any(folder: Path) -> bool:
    """Whether a folder holds at least one of the four files.

    Args:
        folder: may be absent.

    Returns:
        True if it does.
    """
    return any(_find(folder, name) for names in FILE_NAMES.values() for name in names)


def read(
    dataset: str, folder: Path, split: Split
) -> tuple[UInt8[np.ndarray, "n h w"], UInt8[np.ndarray, " n"]]:
    """Read one split, and say if the files are not the original ones.

    A file of the original size with other content logs a warning: data may be modified on purpose.
    A file that is the original of another data set is refused, because all of them share these
    file names and a mistaken folder would otherwise pass unseen.

    Args:
        dataset: a key of `CLASS_NAMES`.
        folder: where the files are.
        split: "train" or "test".

    Returns:
        Images (n, h, w) from 0 to 255 and labels (n,).

    Raises:
        FileNotFoundError: if one of the two files is missing.
        CorruptFileError: if a file is damaged or belongs elsewhere, or the two do not match.
    """
    images_path, labels_path = (find(folder, name) for name in FILE_NAMES[split])
    images, labels = idx.read_pair(images_path, labels_path, num_classes=len(CLASS_NAMES[dataset]))
    for path, array in ((images_path, images), (labels_path, labels)):
        _check_origin(dataset, split, path, array)
    return images, labels


def _find(folder: Path, name: str) -> Path | None:
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = (folder / f"{each}{end}" for each in spellings for end in (".gz", ""))
    return next((path for path in candidates if path.is_file()), None)


def find(folder: Path, name: str) -> Path:
    """The file that one of `FILE_NAMES` stands for.

    Args:
        folder: where it is.
        name: one of `FILE_NAMES`.

    Returns:
        Its path, as it is spelled.

    Raises:
        FileNotFoundError: there is none.
    """
    path = _find(folder, name)
    if path is None:
        raise FileNotFoundError(
            f"{folder} holds neither {name}.gz nor {name}, nor one with .idx for -idx"
        )
    return path


def _check_origin(dataset: str, split: Split, path: Path, array: np.ndarray) -> None:
    if len(array) != _STOCK_COUNT[split]:
        return
    stock = (dataset, path.name.removesuffix(".gz").replace(".idx", "-idx"))
    digest = idx.sha256(array)
    origin = _ORIGINS.get(digest)
    if origin is None:
        _logger.warning(
            "%s has the size of the original file of %s but other content (SHA-256 %s)",
            path,
            dataset,
            digest,
        )
    elif origin != stock:
        raise idx.CorruptFileError(
            path, found=f"the file {origin[1]} of {origin[0]}", expected=f"that of {dataset}"
        )
