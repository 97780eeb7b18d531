"""One entry for every source of labelled images."""

import difflib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import cast

from fitb_jax import extras
from fitb_jax.data.digits import embedded, idx_folder
from fitb_jax.data.digits.idx_folder import CLASS_NAMES, SPLITS, Split
from fitb_jax.data.digits.images import Images, from_bytes
from fitb_jax.data.folders import VARIABLE, folder_of
from fitb_jax.data.tfds_folder import FILE_FORMAT, default_data_dir, prepared_versions

NAMES = ("mnist_5k", "mnist", "fashion_mnist")
"""Data sets known by name. Besides, `tfds:NAME` is any that TensorFlow Datasets has."""

TFDS_PREFIX = "tfds:"

DEBIAN_FOLDERS = {"fashion_mnist": Path("/usr/share/datasets/fashion-mnist")}
"""What the Debian package `dataset-fashion-mnist` installs."""

_logger = logging.getLogger(__name__)


def load(name: str, *, split: str, data_dir: str | os.PathLike[str] | None = None) -> Images:
    """Load one split of a data set into memory.

    `mnist_5k` is embedded in a package; it needs no `data_dir` and ignores one.

    `mnist` and `fashion_mnist` are searched for, and the first found is taken. With a `data_dir`
    they are searched only there:

    - idx files in `data_dir/NAME`, then in `data_dir`;
    - a TFDS data set in `data_dir`.

    Without a `data_dir`:

    - idx files in `FITB_JAX_DATA/NAME`, where FITB_JAX_DATA is an environment variable;
    - the folder of Debian's `dataset-fashion-mnist`;
    - a TFDS data set in the default directory of TFDS;
    - for `mnist`, the embedded digits of `mnist_5k`.

    `tfds:NAME` or `tfds:NAME/config` is read from `data_dir` (default: that of TFDS), after a
    download if it is not there.

    Args:
        name: one of `NAMES`, or `tfds:NAME`.
        split: "train" or "test"; for `tfds:NAME`, any split that TFDS understands.
        data_dir: where to look.

    Returns:
        The images in [0, 1], labels, class names, and which source it was.

    Raises:
        ValueError: if name or split is unknown, or a TFDS data set has not one image of one size
            and one class per example.
        NotImplementedError: if a TFDS data set is there, but in a format that needs TensorFlow.
        CorruptFileError: if an idx file is damaged (a ValueError).
        FileNotFoundError: if no source has the data; the message lists all places searched.
        ImportError: if a package that the source needs is not installed.
    """
    root = None if data_dir is None else Path(data_dir).expanduser()
    if name.startswith(TFDS_PREFIX):
        loaded = _tfds_images(name).load(
            name.removeprefix(TFDS_PREFIX), split=split, data_dir=root or default_data_dir()
        )
    else:
        _check_name(name)
        loaded = _load_known(name, _check_split(split), root)
    _logger.info("%s: %d %s images from %s", name, len(loaded.images), split, loaded.source)
    return loaded


def _check_name(name: str) -> None:
    if name not in NAMES:
        closest = difflib.get_close_matches(name, NAMES, n=1, cutoff=0)[0]
        raise ValueError(
            f"unknown data set {name!r}; expected one of {', '.join(NAMES)}, or "
            f"{TFDS_PREFIX}NAME for any of TensorFlow Datasets (closest match: {closest})"
        )


def _check_split(split: str) -> Split:
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    return split


def _load_known(name: str, split: Split, data_dir: Path | None) -> Images:
    if name == "mnist_5k":
        return embedded.load(split)
    for folder in _idx_folders(name, data_dir):
        if idx_folder.holds_any(folder):
            images, labels = idx_folder.read(name, folder, split)
            source = f"the idx files in {folder}, {split} split"
            return from_bytes(images, labels, CLASS_NAMES[name], source)
    tfds_dir = data_dir or default_data_dir()
    for version, file_format in prepared_versions(tfds_dir, name).items():
        if file_format == FILE_FORMAT:
            # Without its version, TFDS would download the newest one if another is there.
            known = f"{name}:{version}"
            return cast(Images, _tfds_images(name).load(known, split=split, data_dir=tfds_dir))
    if name == "mnist" and data_dir is None:
        return embedded.load(split)
    raise FileNotFoundError(_not_found(name, data_dir))


def _idx_folders(name: str, data_dir: Path | None) -> tuple[Path, ...]:
    if data_dir is not None:
        return (data_dir / name, data_dir)
    candidates = (folder_of(name), DEBIAN_FOLDERS.get(name))
    return tuple(folder for folder in candidates if folder is not None)


def _tfds_images(name: str) -> ModuleType:
    with extras.needed(f'data.load("{name}")', extra="tfds"):
        from fitb_jax.data.digits import tfds_images
    return tfds_images


def _not_found(name: str, data_dir: Path | None) -> str:
    searched = "\n".join(f"  - {place}" for place in _places(name, data_dir))
    ways = "\n".join(f"  - {way}" for way in _ways_to_get(name))
    return f"{name} was not found. Searched:\n{searched}\nTo get it:\n{ways}"


def _places(name: str, data_dir: Path | None) -> Iterator[str]:
    for folder in _idx_folders(name, data_dir):
        yield f"{folder} for idx files" + ("" if folder.is_dir() else " (no such folder)")
    tfds_dir = data_dir or default_data_dir()
    place = f"{tfds_dir / name} for a TFDS data set"
    versions = prepared_versions(tfds_dir, name)
    found = (f" (found {version} in format {versions[version]})" for version in versions)
    yield place + "".join(found) + (f"; expected {FILE_FORMAT}" if versions else "")


def _ways_to_get(name: str) -> Iterator[str]:
    first_image_file, _ = idx_folder.FILE_NAMES["train"]
    yield f"pass as data_dir a folder with the four original files ({first_image_file}.gz, ...)"
    yield f"put them into the sub-folder {name} of a folder, and set {VARIABLE} to that folder"
    yield f"make a TFDS data set of them: python -m fitb_jax.data prepare {name} --from FOLDER"
    if name in DEBIAN_FOLDERS:
        yield "on Debian or Ubuntu, install the package dataset-fashion-mnist and pass no data_dir"
    yield f"load {TFDS_PREFIX}{name} instead, which downloads it"
    if name == "mnist":
        yield "load mnist_5k, the 5,000 digits that need no download"
