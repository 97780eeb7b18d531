"""Finding and opening the files of photographs, with every failure named."""

import contextlib
import csv
import difflib
import errno
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Integer
from PIL import Image as Pictures

from fitb_jax import cropping
from fitb_jax.data.corrupt import CorruptFileError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
"""Suffixes of image files, in upper or lower case."""

_HIDDEN = frozenset({"__MACOSX", "@eaDir"})
"""Besides names that begin with a dot: what archives of macOS and disks of Synology add."""

_DAMAGE = (*cropping.PICTURE_DAMAGE, csv.Error, RuntimeError)
"""What readers raise for damaged files; those of records and of JSON too deep a RuntimeError."""

_NO_FILE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}
)
"""What the machine says of a name that leads to no file."""


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
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in _NO_FILE:
            raise CorruptFileError(path, found="no such file", expected=expected) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise
        found = f"{type(error).__name__}: {error}"
        raise CorruptFileError(path, found=found, expected=expected) from error


def read_picture(
    path: Path, size: tuple[int, int] | None = None, *, upright: bool = False
) -> Pictures.Image:
    """Open an image file.

    Args:
        path: the file.
        size: (width, height) that its annotation claims.
        upright: turn it as its camera noted; not where something is annotated on its pixels.

    Returns:
        The whole picture in mode RGB.

    Raises:
        CorruptFileError: the file is absent, damaged, no image, or of another size.
    """
    with damage_named(path, "an image"):
        picture = cropping.open_picture(path, upright=upright)
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
        what: what is looked for, for the message.

    Returns:
        The first path that exists.

    Raises:
        FileNotFoundError: none exists; the message lists all of them.
    """
    places = [root / candidate for candidate in candidates]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        searched = "\n".join(f"  - {place}" for place in places)
        raise FileNotFoundError(f"{what} not found. Searched:\n{searched}")
    return found


def visible(folder: Path) -> list[Path]:
    """What is in a folder and not hidden, in the order of the names.

    Args:
        folder: where to look; its own name does not matter.

    Returns:
        Files, folders and links.
    """
    entries = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in entries if path.name not in _HIDDEN)


def files_below(folder: Path, suffixes: Collection[str]) -> tuple[Path, ...]:
    """The files of a kind in a folder and its subfolders, in the order of their paths.

    Links are followed, but not into a folder that they are in. What is hidden is left out.

    Args:
        folder: where to look; need not exist.
        suffixes: of the names, in lower case.

    Returns:
        The files. Links that lead nowhere are among them, so that reading them raises.
    """
    found = _walk(folder, ()) if folder.is_dir() else ()
    return tuple(path for path in found if path.suffix.lower() in suffixes)


def _walk(folder: Path, parents: tuple[Path, ...]) -> Iterator[Path]:
    place = folder.resolve()
    if place in parents:
        return
    for path in visible(folder):
        if path.is_dir():
            yield from _walk(path, (*parents, place))
        elif path.is_file() or path.is_symlink():
            yield path


def images_below(folder: Path) -> tuple[Path, ...]:
    """All image files in a folder and its subfolders; see `files_below`.

    Args:
        folder: where to look.

    Returns:
        Files with one of `SUFFIXES`.
    """
    return files_below(folder, SUFFIXES)


def names_of(paths: Sequence[Path], folder: Path) -> tuple[str, ...]:
    """Unique names of photographs.

    Args:
        paths: of the photographs.
        folder: that they are in.

    Returns:
        Their names without the suffix where no two are alike, else their paths in the folder.
    """
    stems = tuple(path.stem for path in paths)
    if len(set(stems)) == len(stems):
        return stems
    return tuple(path.relative_to(folder).as_posix() for path in paths)


def beside(
    paths: Sequence[Path], folder: Path, others: Sequence[Path], other_folder: Path
) -> Callable[[Path], Path | None]:
    """Make the function that finds the annotation of a photograph.

    The annotation has the photograph's path but for the suffix, or else its name in another
    subfolder.

    Args:
        paths: of the photographs.
        folder: that they are in.
        others: the annotations.
        other_folder: that these are in.

    Returns:
        From one of the paths to its annotation, or None. It raises `CorruptFileError` where names
        leave open which of several belong together.
    """
    keys = Counter(path.relative_to(folder).with_suffix("") for path in paths)
    by_key = {other.relative_to(other_folder).with_suffix(""): other for other in others}
    stems = Counter(key.name for key in keys.elements() if key not in by_key)
    by_stem = defaultdict(list)
    for key, other in by_key.items():
        if key not in keys:
            by_stem[key.name].append(other)

    def find(path: Path) -> Path | None:
        key = path.relative_to(folder).with_suffix("")
        at_path = by_key.get(key)
        candidates = by_stem.get(key.name, []) if at_path is None else [at_path]
        alike = stems[key.name] if at_path is None else keys[key]
        if len(candidates) > 1 or (candidates and alike > 1):
            raise CorruptFileError(
                path,
                found=f"{alike} photographs and {len(candidates)} annotations named {key.name}",
                expected=f"one of each, or annotations in {other_folder} by the path of the image",
            )
        return candidates[0] if candidates else None

    return find


def as_integer(value: Any) -> int:
    """A whole number as files write it: 8, 8.0 or "8".

    Args:
        value: what the file says.

    Returns:
        The integer.

    Raises:
        TypeError, ValueError, OverflowError: it is none.
    """
    number = float(value)
    if isinstance(value, bool) or number != int(number):
        raise ValueError(f"{value!r}, which is no whole number")
    return int(number)


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
