"""Look into a store: which points failed, and whether the files are still what was written."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fitb_jax.ablation.fields import DONE
from fitb_jax.ablation.store import (
    arrays_of,
    chunks_of,
    forget,
    missing,
    only_writer,
    open_root,
    part_file,
    read_meta,
    written,
)


class Failure(NamedTuple):
    """A point without a usable result.

    Attributes:
        coordinates: of the point, by axis.
        reason: what was raised, or which fields are not finite.
    """

    coordinates: dict[str, Any]
    reason: str


def failures(path: str | os.PathLike[str]) -> Iterator[Failure]:
    """Points of a store that failed or are not finite, read block by block.

    Args:
        path: of the store.

    Yields:
        Their coordinates and reasons.

    Raises:
        StoreError: it is not the store of a grid.
    """
    path = Path(path)
    extents = read_meta(path)["extents"]
    root = open_root(path, "r")
    status, reason = root["status"], root["work/reason"]
    names = status.metadata.dimension_names
    labels = {name: root[name][:] for name in names}
    for index in chunks_of(path):
        start = [i * e for i, e in zip(index, extents, strict=True)]
        region = tuple(slice(a, a + e) for a, e in zip(start, extents, strict=True))
        places = np.argwhere(status[region] > DONE)
        reasons = reason[region] if len(places) else np.zeros(0)
        for place in places:
            coordinates = {
                name: np.asarray(labels[name][a + p]).item()
                for name, a, p in zip(names, start, place, strict=True)
            }
            text = bytes(reasons[tuple(place)]).rstrip(b"\0").decode(errors="replace")
            yield Failure(coordinates, text)


def failure_count(path: Path) -> int:
    """How many points failed or are not finite.

    Args:
        path: of the store.

    Returns:
        The number of these points.
    """
    return sum(_failed_chunks(path).values())


def forget_failures(path: str | os.PathLike[str]) -> int:
    """Forget the blocks with points that failed or are not finite, such as for want of memory.

    Running the grid again computes just them. Where the point function was wrong for a whole static
    value, so that it raised for each of its points, mend it and run again: nothing need be
    forgotten.

    Args:
        path: of the store.

    Returns:
        The number of these points.

    Raises:
        StoreError: it is not the store of a grid, or another process is writing to it.
    """
    path = Path(path)
    read_meta(path)
    with only_writer(path):
        if found := _failed_chunks(path):
            forget(path, found)
    return sum(found.values())


def _failed_chunks(path: Path) -> dict[tuple[int, ...], int]:
    """How many points of each block are not good, of those blocks that have such points."""
    status = open_root(path, "r")["status"]
    counts = {i: int((status.get_block_selection(i) > DONE).sum()) for i in chunks_of(path)}
    return {index: count for index, count in counts.items() if count}


def verify(path: str | os.PathLike[str]) -> list[str]:
    """Read everything that is on disk, check it against its checksums, and find what is missing.

    Args:
        path: of the store.

    Returns:
        The damaged and the missing files, as paths in the store; empty if there are none.

    Raises:
        StoreError: it is not the store of a grid.
    """
    path = Path(path)
    read_meta(path)
    wrong = set(missing(path))
    for name, array in arrays_of(path).items():
        wrong |= {(name, i) for i in written(path, name, array) if not _is_readable(array, i)}
    return sorted(str(part_file(path, *part).relative_to(path)) for part in wrong)


def _is_readable(array: Any, index: tuple[int, ...]) -> bool:
    try:
        array.get_block_selection(index)
    except Exception:  # a checksum, a length, a decompressor: all mean the same here
        return False
    return True
