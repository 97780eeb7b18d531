"""Turn idx files into a TFDS data set with the stock name, offline and without TensorFlow."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from fitb_jax import extras
from fitb_jax.data.digits import idx_folder
from fitb_jax.data.digits.idx import CorruptFileError
from fitb_jax.data.digits.idx_folder import CLASS_NAMES, SPLITS
from fitb_jax.data.tfds_folder import default_data_dir

IMAGE_SHAPE = (28, 28)
"""The shape that the stock data sets promise."""


class Prepared(NamedTuple):
    """A TFDS data set on disk.

    Attributes:
        path: its folder, which ends in name/version.
        is_new: False if it was there before, and has been left as it was.
    """

    path: Path
    is_new: bool


def prepare(
    name: str,
    source_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
) -> Prepared:
    """Write the idx files of a folder as the TFDS data set that `tfds.data_source(name)` reads.

    All files are checked before anything is written, and the data set appears under its name only
    when complete.

    Args:
        name: "mnist" or "fashion_mnist".
        source_dir: folder with the four idx files, plain or gzipped, or with a sub-folder `name`
            that has them.
        data_dir: TFDS directory to write to; default: that of TFDS.

    Returns:
        The folder, and whether it is new.

    Raises:
        ValueError: if the name is unknown.
        CorruptFileError: if a file is damaged or its images are not 28 x 28 (a ValueError).
        FileNotFoundError: if one of the four files is missing.
        FileExistsError: if something that is no data set is in its place.
        ImportError: if TFDS is not installed; names the extra.
        OSError, RuntimeError: if the data set cannot be written. The library that writes the
            records raises RuntimeError, for example on a full disk.
    """
    if name not in CLASS_NAMES:
        raise ValueError(f"cannot prepare {name!r}; expected one of {', '.join(CLASS_NAMES)}")
    with extras.needed("python -m fitb_jax.data prepare", extra="tfds"):
        import tensorflow_datasets as tfds

        from fitb_jax.data import tfds_builders

    root = default_data_dir() if data_dir is None else Path(data_dir).expanduser()
    stock = tfds.builder(name, data_dir=os.fspath(root))
    path = Path(stock.data_dir)
    if tfds_builders.is_complete(stock):
        return Prepared(path, is_new=False)
    folder = _source_folder(name, Path(source_dir).expanduser())
    splits = {split: idx_folder.read(name, folder, split) for split in SPLITS}
    for split, (images, _) in splits.items():
        if images.shape[1:] != IMAGE_SHAPE:
            raise CorruptFileError(
                idx_folder.find(folder, idx_folder.FILE_NAMES[split][0]),
                found=f"images of {images.shape[1]} x {images.shape[2]}",
                expected=f"{IMAGE_SHAPE[0]} x {IMAGE_SHAPE[1]}, the stock shape of {name}",
            )
    tfds_builders.write(name, root, splits)
    _remove_interrupted(path)
    return Prepared(path, is_new=True)


def _source_folder(name: str, folder: Path) -> Path:
    return folder / name if idx_folder.holds_any(folder / name) else folder


def _remove_interrupted(path: Path) -> None:
    """Remove what killed runs left beside a finished data set.

    A run that is still writing there loses nothing: it could no longer take the name.
    """
    for remains in path.parent.glob(f"incomplete.*_{path.name}"):
        shutil.rmtree(remains, ignore_errors=True)
