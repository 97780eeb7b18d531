"""Where explanations go: a folder for each photograph, whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

NUMBERS = "explanation.json"
"""A file in every folder of an explanation; a folder without it is never replaced."""

PAGE = "index.html"

MARK = '<meta name="generator" content="fitb-jax explain">'
"""A mark in every page; a page without it is never replaced."""

_PREFIX = ".explaining-"


def plan(photographs: Sequence[Path], out: Path, overwrite: bool) -> list[Path]:
    """Choose a folder for each photograph, by its name without the ending.

    Args:
        photographs: files.
        out: folder that those folders are in.
        overwrite: whether folders of earlier explanations may be replaced.

    Returns:
        The folders; a name that an earlier photograph has is followed by a number.

    Raises:
        ValueError: a folder is there and may not be replaced, or nothing can be written.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: {out} is a file")
    existing = next(
        folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists()
    )
    if not os.access(existing, os.W_OK):
        raise ValueError(f"--out: nothing can be written to {existing}")
    index = out / PAGE
    if index.exists() and MARK not in index.read_text("utf-8", errors="replace"):
        raise ValueError(f"--out: {index} is another page than one of this command; choose another")
    stems = {file.stem.casefold() for file in photographs}
    taken = {PAGE}
    places = []
    for file in photographs:
        name, count = file.stem, 1
        while name.casefold() in taken or (count > 1 and name.casefold() in stems):
            count += 1
            name = f"{file.stem}_{count}"
        taken.add(name.casefold())
        places.append(out / name)
    there = [place for place in places if place.exists() or place.is_symlink()]
    if foreign := [place for place in there if not (place / NUMBERS).is_file()]:
        raise ValueError(
            f"--out: {_listed(foreign)} is there already and no explanation; choose another --out"
        )
    if there and not overwrite:
        raise ValueError(
            f"{_listed(there)} is there already; give --overwrite to replace it, or another --out"
        )
    return places


@contextlib.contextmanager
def whole_or_not_at_all(place: Path) -> Iterator[Path]:
    """Write a folder under another name, and give it its own at the end.

    Args:
        place: the folder; one that is there is replaced.

    Yields:
        An empty folder to write to.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=place.parent) as scratch:
        part, old = Path(scratch, "part"), Path(scratch, "old")
        part.mkdir()
        yield part
        if place.exists():
            place.rename(old)
        part.rename(place)


def write_whole(file: Path, text: str) -> None:
    """Write a text under another name, and give it its own at the end.

    Args:
        file: to write; one that is there is replaced.
        text: all of it.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=file.parent) as scratch:
        part = Path(scratch, file.name)
        part.write_text(text, "utf-8")
        os.replace(part, file)


def _listed(places: Sequence[Path]) -> str:
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return ", ".join(map(str, places[:3])) + more
