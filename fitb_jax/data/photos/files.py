"""Finding and opening the files of photographs, with every failure named."""

import contextlib
import csv
import difflib
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Integer
from PIL import Image as Pictures

from fitb_jax import cropping
from fitb_jax.data.corrupt import CorruptFileError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
"""Of image files, in any case."""

_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError),
    *(struct.error, zlib.error, csv.Error, Pictures.DecompressionBombError),
)
"""What readers raise for damaged files; PIL has an own one for each format."""


@contextlib.contextmanager
def damage_named(path: Path, expected: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into an error that names it.

    Args:
        path: the file.
        expected: what it should be.

    Yields:
        Nothing.

    Raises:
        CorruptFileError: the file is absent or damaged.
        OSError: the machine failed, not the file.
    """
    try:
        yield
    except CorruptFileError:
        raise
    except FileNotFoundError as error:
        raise CorruptFileError(path, found="no such file", expected=expected) from error
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        found = f"{type(error).__name__}: {error}"
        raise CorruptFileError(path, found=found, expected=expected) from error


def read_picture(path: Path, size: tuple[int, int] | None = None) -> Pictures.Image:
    """Open an image file.

    Args:
        path: the file.
        size: (width, height) that its annotation claims.

    Returns:
        The whole picture in mode RGB.

    Raises:
        CorruptFileError: the file is absent, damaged, no image, or of another size.
    """
    with damage_named(path, "an image"):
        picture = cropping.open_picture(path)
    if size is not None:
        check_size(path, picture.size, size)
    return picture


def read_pixels(path: Path, mode: str, size: tuple[int, int]) -> Integer[np.ndarray, "h w ..."]:
    """Open an image file whose pixel values are class indices.

    Args:
        path: the file.
        mode: of PIL: "P" (also accepts "L") or "RGB".
        size: (width, height) of the photograph.

    Returns:
        The values as they are stored: (h, w), or (h, w, 3) for "RGB".

    Raises:
        CorruptFileError: the file is absent, damaged, or of another mode or size.
    """
    with damage_named(path, "a mask"), Pictures.open(path) as opened:
        opened.load()
        if opened.mode not in {mode, "L" if mode == "P" else mode}:
            raise CorruptFileError(
                path, found=f"pixels of mode {opened.mode}", expected=f"mode {mode}"
            )
        check_size(path, opened.size, size)
        return np.asarray(opened).astype(np.int32)


def check_size(path: Path, found: tuple[int, int], expected: tuple[int, int]) -> None:
    """Refuse a picture or mask that does not belong to its annotation.

    Args:
        path: the file.
        found: its width and height.
        expected: those that the annotation or the photograph says.

    Raises:
        CorruptFileError: they differ.
    """
    if tuple(found) != tuple(expected):
        sizes = [f"{width} x {height} pixels" for width, height in (found, expected)]
        raise CorruptFileError(path, found=sizes[0], expected=sizes[1])


def first_existing(root: Path, candidates: Sequence[str], what: str) -> Path:
    """The first of several places that exists.

    Args:
        root: folder the user gave.
        candidates: paths in it.
        what: is looked for, for the message.

    Returns:
        The place.

    Raises:
        FileNotFoundError: none exists; the message lists all of them.
    """
    places = [root / candidate for candidate in candidates]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        searched = "\n".join(f"  - {place}" for place in places)
        raise FileNotFoundError(f"{what} not found. Searched:\n{searched}")
    return found


def images_below(folder: Path) -> tuple[Path, ...]:
    """All image files in a folder and its subfolders, in the order of their paths.

    Args:
        folder: where to look.

    Returns:
        Files with one of `SUFFIXES`; hidden ones (names that begin with a dot) are left out.
    """
    files = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return tuple(sorted(path for path in files if not path.name.startswith(".")))


def inside(folder: Path, name: str, listed_in: Path) -> Path:
    """The path of a file that an annotation names.

    Args:
        folder: of the images.
        name: as the annotation says it.
        listed_in: the annotation.

    Returns:
        The path in the folder.

    Raises:
        CorruptFileError: the name leads out of the folder.
    """
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
        raise CorruptFileError(
            listed_in, found=f"the file name {name!r}", expected="a path inside the image folder"
        )
    return folder.joinpath(*parts)


def check_split(name: str, split: str, allowed: Collection[str]) -> None:
    """Refuse a split that a data set does not have.

    Args:
        name: of the data set.
        split: the one asked for.
        allowed: those it has.

    Raises:
        ValueError: the split is not among them; the message says which are, and the closest.
    """
    if split not in allowed:
        closest = difflib.get_close_matches(split, allowed, n=1, cutoff=0)
        near = f" (closest match: {closest[0]})" if closest else ""
        raise ValueError(
            f"unknown split {split!r} of {name}; expected one of {', '.join(allowed)}{near}"
        )
