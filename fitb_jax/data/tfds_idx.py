"""Builders that prepare MNIST and its replacements as stock TFDS data sets, without TensorFlow.

The stock builders can be read without TensorFlow, but need it to parse the idx files and to encode
the images. These differ from them in that alone: name, version, features, addresses and checksums
of the downloads are inherited.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from fitb_jax.data import idx
from fitb_jax.data.idx_folder import FILE_NAMES, Split
from fitb_jax.data.tfds_folder import FILE_FORMAT

DOWNLOADABLE = ("mnist", "fashion_mnist", "kmnist")
"""Data sets whose stock builder downloads the four idx files of `FILE_NAMES`."""

Arrays = tuple[UInt8[np.ndarray, "n h w"], UInt8[np.ndarray, " n"]]


def builder_from_download(name: str, data_dir: Path) -> tfds.core.DatasetBuilder:
    """Make a builder that downloads the original files.

    Args:
        name: one of `DOWNLOADABLE`.
        data_dir: TFDS directory that holds or will hold the data set.

    Returns:
        A builder that the stock one reads the output of.
    """
    return _builder(name, data_dir, local=None)


def write(name: str, data_dir: Path, splits: dict[Split, Arrays]) -> None:
    """Write arrays as the stock TFDS data set of that name.

    Args:
        name: one of `DOWNLOADABLE`.
        data_dir: TFDS directory; the data set must not be in it yet.
        splits: images (n, 28, 28) and labels (n,) of each split.

    Raises:
        OSError, RuntimeError: if it cannot be written; nothing is then left of it.
    """
    builder = _builder(name, data_dir, local=splits)
    with tempfile.TemporaryDirectory() as unused, contextlib.redirect_stdout(None):
        # TFDS announces a download on stdout and makes a folder for it; there is none.
        builder.download_and_prepare(
            file_format=FILE_FORMAT, download_dir=unused, download_config=download_config()
        )


def is_complete(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether a data set is prepared, that is, can be read.

    Args:
        builder: of the data set.

    Returns:
        False if nothing is there.

    Raises:
        FileExistsError: if its folder exists without a data set in it; TFDS itself would take
            that for one.
    """
    if not builder.data_path.exists():
        return False
    if not builder.is_prepared():
        raise FileExistsError(
            f"{builder.data_dir} exists but is not a complete TFDS data set; remove it first"
        )
    return True


def download_config() -> tfds.download.DownloadConfig:
    """Settings that suit preparation without TensorFlow.

    Returns:
        Never look for ready-made data, which are in another format.
    """
    return tfds.download.DownloadConfig(try_download_gcs=False)


def _builder(
    name: str, data_dir: Path, local: dict[Split, Arrays] | None
) -> tfds.core.DatasetBuilder:
    stock = tfds.builder_cls(name)

    # The base class is only known at run time, which no type checker follows.
    class Builder(stock, skip_registration=True):  # type: ignore[call-arg, misc, valid-type]
        # TFDS finds the checksums of the downloads, and records the origin, by these two.
        name = stock.name
        __module__ = stock.__module__

        def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
            splits = local or _download(dl_manager, self.URL)
            return {split: self._generate_examples(*splits[split]) for split in splits}

        def _generate_examples(
            self, images: np.ndarray, labels: np.ndarray
        ) -> Iterator[tuple[int, dict[str, Any]]]:
            for key, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield key, {"image": PIL.Image.fromarray(image), "label": int(label)}

    return Builder(data_dir=os.fspath(data_dir), file_format=FILE_FORMAT)


def _download(dl_manager: Any, url: str) -> dict[Split, Arrays]:
    # Not extracted: TFDS needs TensorFlow for that, and `idx` reads gzip.
    addresses = {
        split: [f"{url.rstrip('/')}/{name}.gz" for name in names]
        for split, names in FILE_NAMES.items()
    }
    files = dl_manager.download(addresses)
    return {split: idx.read_pair(*files[split]) for split in FILE_NAMES}
