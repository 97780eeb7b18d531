"""Files in the idx format of MNIST, plain or gzipped, read with every claim they make checked."""

import gzip
import hashlib
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fitb_jax.data.corrupt import CorruptFileError as CorruptFileError

MAX_BYTES = 2**30
"""Largest content that is read: far above MNIST (47 MB) and EMNIST (547 MB)."""

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_DEFLATE_RATIO = 1032


def read_images(path: str | os.PathLike[str]) -> UInt8[np.ndarray, "n h w"]:
    """Read an idx3 file of grey images.

    Args:
        path: the file, plain or gzipped (told apart by content, not by name).

    Returns:
        Intensities from 0 to 255, (n, h, w), read-only.

    Raises:
        CorruptFileError: if the file is truncated, damaged, or not an idx3 file of bytes.
        OSError: if it cannot be opened.
    """
    return _read(Path(path), dimensions=3)


def read_labels(path: str | os.PathLike[str], *, num_classes: int = 10) -> UInt8[np.ndarray, " n"]:
    """Read an idx1 file of labels.

    Args:
        path: the file, plain or gzipped (told apart by content, not by name).
        num_classes: labels are below this.

    Returns:
        Labels from 0 to num_classes - 1, (n,), read-only.

    Raises:
        CorruptFileError: if the file is truncated, damaged, not an idx1 file of bytes, or holds a
            label out of range.
        OSError: if it cannot be opened.
    """
    path = Path(path)
    labels = _read(path, dimensions=1)
    wrong = np.flatnonzero(labels >= num_classes)
    if wrong.size:
        raise CorruptFileError(
            path,
            found=f"label {labels[wrong[0]]} at position {wrong[0]}",
            expected=f"labels from 0 to {num_classes - 1}",
        )
    return labels


def read_pair(
    images_path: str | os.PathLike[str],
    labels_path: str | os.PathLike[str],
    *,
    num_classes: int = 10,
) -> tuple[UInt8[np.ndarray, "n h w"], UInt8[np.ndarray, " n"]]:
    """Read images and their labels.

    Args:
        images_path: an idx3 file.
        labels_path: an idx1 file with as many entries.
        num_classes: labels are below this.

    Returns:
        Images (n, h, w) from 0 to 255 and labels (n,) from 0 to num_classes - 1.

    Raises:
        CorruptFileError: if either file is refused, or their counts differ.
        OSError: if either cannot be opened.
    """
    images = read_images(images_path)
    labels = read_labels(labels_path, num_classes=num_classes)
    if len(images) != len(labels):
        raise CorruptFileError(
            Path(labels_path),
            found=f"{len(labels)} labels",
            expected=f"{len(images)}, one for each image of {images_path}",
        )
    return images, labels


def sha256(array: UInt8[np.ndarray, "..."]) -> str:
    """Digest of an array's plain idx file.

    Gzipped copies of one file differ between mirrors; their content does not.

    Args:
        array: what `read_images` or `read_labels` returned.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(_magic(array.ndim) + struct.pack(f">{array.ndim}I", *array.shape))
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _magic(dimensions: int) -> bytes:
    return bytes([0, 0, _UNSIGNED_BYTE, dimensions])


def _read(path: Path, dimensions: int) -> np.ndarray:
    with path.open("rb") as file:
        file_bytes = os.fstat(file.fileno()).st_size
        zipped = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        file.seek(0)
        if not zipped:
            return _read_stream(path, file, dimensions, content_limit=file_bytes)
        try:
            with gzip.GzipFile(fileobj=file) as content:
                limit = _MAX_DEFLATE_RATIO * file_bytes
                return _read_stream(path, content, dimensions, content_limit=limit)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CorruptFileError(
                path, found=f"a damaged or truncated gzip file ({error})", expected="a whole one"
            ) from error


def _read_stream(
    path: Path, stream: io.BufferedIOBase, dimensions: int, content_limit: int
) -> np.ndarray:
    """Read header and body; never ask for more bytes than the file can hold, plus one."""
    shape = _read_header(path, stream, dimensions)
    claimed = math.prod(shape)
    claim = f"{' x '.join(map(str, shape))} bytes, as its header says"
    if claimed > MAX_BYTES:
        raise CorruptFileError(path, found=claim, expected=f"at most {MAX_BYTES} bytes")
    if claimed > content_limit:
        room = f"room for at most {content_limit} bytes (truncated)"
        raise CorruptFileError(path, found=room, expected=claim)
    body = stream.read(claimed + 1)
    if len(body) < claimed:
        raise CorruptFileError(path, found=f"{len(body)} bytes (truncated)", expected=claim)
    if len(body) > claimed:
        raise CorruptFileError(path, found="more bytes after the last", expected=claim)
    return np.frombuffer(body, np.uint8).reshape(shape)


def _read_header(path: Path, stream: io.BufferedIOBase, dimensions: int) -> tuple[int, ...]:
    size = 4 + 4 * dimensions
    header = stream.read(size)
    if header[:4] != _magic(dimensions):
        raise CorruptFileError(
            path,
            found=f"the first bytes {header[:4].hex(' ') or '(none: it is empty)'}",
            expected=f"{_magic(dimensions).hex(' ')}, an idx{dimensions} file of unsigned bytes",
        )
    if len(header) < size:
        raise CorruptFileError(
            path, found=f"{len(header)} bytes (truncated)", expected=f"a header of {size}"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if 0 in shape:
        raise CorruptFileError(
            path, found=f"the empty shape {' x '.join(map(str, shape))}", expected="some data"
        )
    return shape
