"""Builders that prepare MNIST and its replacements as stock TFDS data sets, without TensorFlow.

The stock builders can be read without TensorFlow, but need it to parse the idx files and to encode
the images. These differ from them in that alone: name, version, features, addresses and checksums
of the downloads are inherited.
"""

import contextlib
import difflib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from fitb_jax.data.digits import idx
from fitb_jax.data.digits.idx_folder import FILE_NAMES, Split
from fitb_jax.data.tfds_folder import FILE_FORMAT

DOWNLOADABLE = ("mnist", "fashion_mnist", "kmnist")
"""Data sets whose stock builder downloads the four idx files of `FILE_NAMES`."""

Arrays = tuple[UInt8[np.ndarray, "n h w"], UInt8[np.ndarray, " n"]]


def find_builder(name: str, data_dir: Path) -> tfds.core.DatasetBuilder:
    """The builder of a data set, which need not be prepared yet.

    Args:
        name: of the data set, with an optional config: "NAME" or "NAME/config".
        data_dir: TFDS directory that holds or will hold it.

    Returns:
        A builder that needs no TensorFlow, where there is one.

    Raises:
        ValueError: if TFDS has no such data set; the message says which names are close.
    """
    try:
        builder = tfds.builder(name, data_dir=os.fspath(data_dir))
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        closest = difflib.get_close_matches(name.partition("/")[0], known, n=3, cutoff=0)
        raise ValueError(
            f"TensorFlow Datasets has no {name!r}; the closest names are {', '.join(closest)}"
        ) from error
    if name in DOWNLOADABLE and not is_complete(builder):
        return builder_from_download(name, data_dir)
    return builder


def prepare(name: str, builder: tfds.core.DatasetBuilder) -> None:
    """Download a data set and write it in the format that needs no TensorFlow.

    Args:
        name: of the data set, for messages.
        builder: of the data set.

    Raises:
        ImportError: if preparing it needs TensorFlow.
    """
    try:
        builder.download_and_prepare(file_format=FILE_FORMAT, download_config=download_config())
    except Exception as error:
        if _lacks_tensorflow(error):
            raise ImportError(
                f"TFDS can read {name} without TensorFlow, but not prepare it. Run "
                f"`tfds build {name} --file_format={FILE_FORMAT}` where TensorFlow is "
                "installed, and pass the directory it writes to as data_dir"
            ) from error
        error.add_note(
            f"while downloading and preparing {name}. If this machine is offline, prepare it on "
            f"another one with file_format={FILE_FORMAT!r} and pass the directory as "
            "data_dir"
        )
        raise


def _lacks_tensorflow(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ImportError) and (error.name or "").startswith("tensorflow"):
            return True
        error = error.__cause__ or error.__context__
    return False


def builder_from_download(name: str, data_dir: Path) -> tfds.core.DatasetBuilder:
    """Make a builder that downloads the original files.

    Args:
        name: one of `DOWNLOADABLE`.
        data_dir: TFDS directory that holds or will hold the data set.

    Returns:
        A builder whose data set the stock builder can read.
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
        Settings that never look for ready-made data, which are in another format.
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
