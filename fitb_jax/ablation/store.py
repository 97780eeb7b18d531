"""A grid's results on disk: a zarr store, written block by block, that xarray opens.

A block is done when its part of `status` is there: that part is written last, and whole.
"""

import itertools
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from fitb_jax.ablation.fields import Moments, moments, pool, statistic
from fitb_jax.ablation.grid import Block, blocks
from fitb_jax.ablation.schema import (
    FAILED,
    FORMAT,
    META,
    PARTS,
    QUANTILE,
    REASON_BYTES,
    Judgement,
    Results,
    Schema,
    create_arrays,
)

_FORGOTTEN = "every block is being forgotten"


class StoreError(ValueError):
    """A store that is of another run or version, or that cannot be read."""


def open_root(path: Path, mode: Literal["r", "r+"]) -> Any:
    """The root group, whose members are arrays, of which the type checker cannot know.

    Args:
        path: of the store.
        mode: to read, or also to write.

    Returns:
        The zarr group.
    """
    return zarr.open_group(path, mode=mode)


def exists(path: Path) -> bool:
    """Whether there is a store of a grid, finished or not.

    Args:
        path: its folder.

    Returns:
        True if there is one.

    Raises:
        StoreError: something else is there.
    """
    if not path.exists():
        return False
    read_meta(path)
    return True


def create(path: Path, schema: Schema, identity: Mapping[str, Any]) -> None:
    """Make an empty store; it appears whole or not at all.

    Args:
        path: its folder.
        schema: what it will hold.
        identity: JSON values that say which run this is; see `check_identity`.

    Raises:
        OSError: it cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        create_arrays(scratch / "store", schema, identity)
        (scratch / "store").rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check_identity(path: Path, identity: Mapping[str, Any]) -> tuple[int, ...]:
    """Make sure that a store is of this very run.

    Args:
        path: of the store.
        identity: of the run.

    Returns:
        The extents of its blocks.

    Raises:
        StoreError: it is of another version or run; every difference is listed.
    """
    meta = read_meta(path)
    if meta["format"] != FORMAT:
        raise StoreError(
            f"store {path} has format {meta['format']}, this version of fitb_jax reads {FORMAT}"
        )
    found, wanted = dict(_flat(meta["identity"])), dict(_flat(identity))
    differences = [
        f"{name}: the store has {found.get(name, 'nothing')}, this run has "
        f"{wanted.get(name, 'nothing')}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        raise StoreError(
            f"store {path} is of another run; choose another place or delete it:\n  "
            + "\n  ".join(differences)
        )
    return tuple(meta["extents"])


def read_meta(path: Path) -> dict[str, Any]:
    """Format, extents of the blocks and identity of a store.

    Args:
        path: its folder.

    Returns:
        JSON values.

    Raises:
        StoreError: it is not the store of a grid.
    """
    try:
        attributes = open_root(path, "r").attrs.asdict()
        return dict(attributes[META])
    except Exception as error:  # zarr raises many types for what is no store
        raise StoreError(f"{path} is not the store of a grid: {error}") from error


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, list(value) if isinstance(value, tuple) else value


def is_complete(path: Path) -> bool:
    """Whether every block is done and every statistic written.

    Args:
        path: of the store.

    Returns:
        True if nothing is left to do.
    """
    return open_root(path, "r").attrs["completeness"] == "complete"


def forget(path: Path, every: bool, indices: Iterable[tuple[int, ...]] = ()) -> None:
    """Let blocks count as not done. Whatever stops it, the store never reads as complete then.

    Args:
        path: of the store.
        every: all of them; else those of `indices`.
        indices: of blocks.
    """
    attributes = open_root(path, "r+").attrs
    attributes["completeness"] = _FORGOTTEN if every else "incomplete"
    forget_blocks(path)
    for index in indices:
        part_file(path, "status", index).unlink(missing_ok=True)


def forget_blocks(path: Path) -> None:
    """Finish what `forget` began for all blocks, if it was stopped.

    Args:
        path: of the store.
    """
    if open_root(path, "r").attrs["completeness"] == _FORGOTTEN:
        shutil.rmtree(path / "status" / "c", ignore_errors=True)
        open_root(path, "r+").attrs["completeness"] = "incomplete"


def is_done(path: Path, block: Block) -> bool:
    """Whether a block is on disk.

    Args:
        path: of the store.
        block: which.

    Returns:
        True if it need not be computed again.
    """
    return part_file(path, "status", block.index).is_file()


def part_file(path: Path, name: str, index: tuple[int, ...]) -> Path:
    """Where a chunk of an array lies.

    Args:
        path: of the store.
        name: of the array.
        index: of the chunk.

    Returns:
        The file.
    """
    return path.joinpath(name, "c", *map(str, index))


def remove_leftovers(path: Path) -> None:
    """Delete the half-written files of a run that was killed.

    Args:
        path: of the store; nobody else may be writing to it.
    """
    for leftover in path.rglob("*.partial"):
        leftover.unlink(missing_ok=True)


def write(path: Path, schema: Schema, block: Block, results: Results, judgement: Judgement) -> None:
    """Write one block; its status comes last.

    Args:
        path: of the store.
        schema: what it holds.
        block: which.
        results: of its points.
        judgement: which of them can be used.

    Raises:
        OSError: the disk is full or cannot be written; the block counts as not done.
    """
    root = open_root(path, "r+")
    for name, field in schema.fields.items():
        values = results.values[name]
        if field.reduction is None:
            root[name][block.region] = values
            continue
        over = schema.over(name)
        failed = (judgement.status == FAILED).reshape(block.shape + (1,) * len(field.dims))
        values = np.where(failed, np.nan, values) if failed.any() else values
        at = tuple(
            slice(block.index[i], block.index[i] + 1) if i in over else place
            for i, place in enumerate(block.region)
        )
        for part, found in vars(moments(values, over)).items():
            root[f"work/{name}/{part}"][at] = found
        if field.reduction.quantiles:
            root[f"work/{name}/values"][block.region] = values
    if judgement.reasons:
        text = np.zeros((*block.shape, REASON_BYTES), np.uint8)
        for place, reason in judgement.reasons.items():
            encoded = reason.encode()[:REASON_BYTES]
            text[place][: len(encoded)] = np.frombuffer(encoded, np.uint8)
        root["work/reason"][block.region] = text
    root["status"][block.region] = judgement.status


def finish(path: Path, schema: Schema) -> None:
    """Pool the statistics of all blocks, and say that the store is complete.

    Args:
        path: of the store.
        schema: what it holds.

    Raises:
        StoreError: a block is not done.
    """
    missing = sum(not is_done(path, block) for block in blocks(schema.grid, schema.extents))
    if missing:
        raise StoreError(f"store {path} lacks {missing} blocks")
    root = open_root(path, "r+")
    for name, field in schema.fields.items():
        if field.reduction is None:
            continue
        over = schema.over(name)
        for index in _indices_of_the_rest(schema, over):
            part = tuple(slice(None) if i in over else s for i, s in enumerate(index))
            kept = tuple(s for i, s in enumerate(index) if i not in over)
            work = {p: root[f"work/{name}/{p}"][part] for p in PARTS}
            pooled = pool(Moments(**work), over)
            for which in field.reduction.statistics:
                root[f"{name}_{which}"][kept] = statistic(which, pooled)
            if field.reduction.quantiles:
                values = np.moveaxis(root[f"work/{name}/values"][part], over, range(len(over)))
                root[f"{name}_{QUANTILE}"][:, *kept] = _quantiles(
                    values.reshape(-1, *values.shape[len(over) :]), root[QUANTILE][:]
                )
    root.attrs["completeness"] = "complete"
    for name, field in schema.fields.items():
        if field.reduction is not None and field.reduction.quantiles:
            shutil.rmtree(path / "work" / name / "values" / "c", ignore_errors=True)


def _indices_of_the_rest(schema: Schema, over: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Regions of one block on the axes that stay."""
    counts = (1 if i in over else n for i, n in enumerate(schema.counts))
    for index in itertools.product(*map(range, counts)):
        yield tuple(
            slice(i * e, min((i + 1) * e, n))
            for i, e, n in zip(index, schema.extents, schema.grid.shape, strict=True)
        )


def _quantiles(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Over the first axis, of what is finite; nan where nothing is."""
    finite = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    empty = np.isnan(finite).all(axis=0)
    found = np.nanquantile(np.where(empty, 0, finite), wanted, axis=0)
    return np.where(empty, np.nan, found)
