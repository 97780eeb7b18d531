"""A grid's results on disk: a zarr store, written block by block, that xarray opens.

A block is done when its part of `status` is there: that part is written last, and whole.
"""

import contextlib
import itertools
import json
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from fitb_jax import extras
from fitb_jax.ablation.axes import Block, Grid, Layout
from fitb_jax.ablation.fields import (
    FAILED,
    NOT_COMPUTED,
    Field,
    Judgement,
    Results,
    measure,
    statistic,
)
from fitb_jax.ablation.program import static_label
from fitb_jax.moments import Moments, pool

with extras.needed("fitb_jax.ablation", extra="grids"):
    import filelock
    import zarr
    from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
    from zarr.errors import ZarrUserWarning

FORMAT = 2
META = "fitb_jax_ablation"
REASON_BYTES = 256

_PATIENCE = 5
"""Seconds: whoever only opens a finished store is done by then."""


class StoreError(ValueError):
    """A store that is of another run or version, or that cannot be read."""


class Schema(NamedTuple):
    """What a store holds.

    Attributes:
        layout: the grid and its blocks.
        fields: of a point, by name.
        outputs: shape and dtype of each field.
    """

    layout: Layout
    fields: dict[str, Field]
    outputs: dict[str, Any]

    @property
    def grid(self) -> Grid:
        """The axes."""
        return self.layout.grid

    @property
    def extents(self) -> tuple[int, ...]:
        """Number of points of a chunk of the stored arrays along each axis."""
        return self.layout.extents

    @property
    def kept_bytes(self) -> int:
        """Bytes of the fields on disk, with statistics for reduced ones and without work files."""
        total = 0
        for name, field in self.fields.items():
            size = math.prod(self.outputs[name].shape)
            over = self.over(name)
            points = math.prod(n for i, n in enumerate(self.grid.shape) if i not in over)
            if field.reduction is None:
                total += points * size * np.dtype(self.outputs[name].dtype).itemsize
            else:
                kept = len(field.reduction.statistics)
                total += points * size * kept * np.dtype(np.float64).itemsize
        return total + math.prod(self.grid.shape)

    @property
    def work_bytes(self) -> int:
        """Bytes of the work files that statistics are pooled from, also when the grid grows."""
        total, counts = 0, self.layout.counts
        for name, field in self.fields.items():
            if field.reduction is None:
                continue
            size, over = math.prod(self.outputs[name].shape), self.over(name)
            rest = math.prod(n for i, n in enumerate(self.grid.shape) if i not in over)
            times = math.prod(n for i, n in enumerate(counts) if i in over)
            total += len(Moments._fields) * rest * times * size * np.dtype(np.float64).itemsize
        return total

    def over(self, name: str) -> tuple[int, ...]:
        """Positions of the axes that a field is reduced over; none if it is not."""
        reduction = self.fields[name].reduction
        return tuple(self.grid.place(axis) for axis in reduction.over) if reduction else ()


@contextlib.contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep other processes from writing to a store; one that is killed keeps nobody.

    Args:
        path: its folder, which need not exist. What is locked is an empty file beside it, which
            goes when the process is done.

    Yields:
        Nothing.

    Raises:
        StoreError: another process is writing to it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name}.lock")
    lock = filelock.FileLock(file)
    try:
        with contextlib.suppress(filelock.Timeout):
            lock.acquire(timeout=0)
        if not lock.is_locked and file.exists():
            lock.acquire(timeout=_PATIENCE)
    except filelock.Timeout:
        raise StoreError(
            f"store: another process is writing to {path}. Wait until it ends, or stop it: what it "
            "has written is kept"
        ) from None
    except (OSError, NotImplementedError):
        pass  # a place without locks, or one that can only be read: what needs to write says so
    try:
        yield
    finally:
        if lock.is_locked:
            # While it is held: whoever has opened it sees that it is gone, and makes another.
            file.unlink(missing_ok=True)
            lock.release()


def open_root(path: Path, mode: Literal["r", "r+"]) -> Any:
    """Open the root group of a store.

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
        True if there is one; False also for an empty folder, in which one can be made.

    Raises:
        StoreError: something else is there.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return False
    read_meta(path)
    return True


def create(path: Path, schema: Schema, identity: Mapping[str, Any]) -> None:
    """Make an empty store; it appears whole or not at all.

    Args:
        path: its folder, which may exist if it is empty.
        schema: what it will hold.
        identity: JSON values that say which run this is; see `check_identity`.

    Raises:
        OSError: it cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        _create_arrays(scratch / "store", schema, identity)
        (scratch / "store").rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check_identity(path: Path, identity: Mapping[str, Any]) -> None:
    """Refuse a store that is of another run.

    A program that raised has no results, so that another may take its place: see
    `replace_failed_programs`.

    Args:
        path: of the store.
        identity: of the run, with as many labels of each axis as the store has.

    Raises:
        StoreError: it is of another version or run; every difference is listed.
    """
    found, wanted = dict(_flat(read_meta(path)["identity"])), dict(_flat(identity))
    differences = [
        f"{name}: the store has its results, and this run {wanted[name]}: mend the code"
        if name.startswith("program.") and _raised(wanted.get(name))
        else f"{name}: the store has {found.get(name, 'nothing')}, this run has "
        f"{wanted.get(name, 'nothing')}{' first' if name.endswith('.labels') else ''}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
        and not (name.startswith("program.") and _raised(found.get(name)))
    ]
    if any(difference.startswith("axes.") for difference in differences):
        differences.append(
            "an axis grows by labels behind those that the store has, which must stay as they are; "
            "for fewer labels, ask for all and select"
        )
    if any(difference.startswith("program.") for difference in differences):
        differences.append(
            "these are digests of what a point computes: the code of the point function, or "
            "of what it calls there, has changed"
        )
    if any(difference.startswith("shared.") for difference in differences):
        differences.append(
            "these are digests of numbers, bit by bit. A network that is trained anew differs: "
            "models.train_or_restore keeps the first"
        )
    if differences:
        raise StoreError(
            f"store {path} is of another run; choose another place, delete it, or give what is "
            "new a label behind those of an axis:\n  " + "\n  ".join(differences)
        )


def replace_failed_programs(path: Path, grid: Grid, identity: Mapping[str, Any]) -> list[str]:
    """Let what raised for every point of a static value be computed by the program of this run.

    If this is stopped halfway, the next call does the rest.

    Args:
        path: of the store.
        grid: of the run.
        identity: of the run, with as many labels of each axis as the store has.

    Returns:
        The static values whose points are to be computed again.
    """
    meta = read_meta(path)
    known, own = meta["identity"]["program"], identity["program"]
    mended = [label for label, said in known.items() if _raised(said) and own[label] != said]
    if not mended:
        return []
    at = [grid.place(name) for name in grid.of_kind("static")]
    # A chunk holds one value of each static axis.
    forget(
        path,
        (i for i in chunks_of(path) if static_label(grid, tuple(i[a] for a in at)) in mended),
    )
    meta["identity"]["program"] = {**known, **{label: own[label] for label in mended}}
    open_root(path, "r+").attrs[META] = json.dumps(meta)
    return mended


def chunks_of(path: Path) -> Iterator[tuple[int, ...]]:
    """The chunks that the points of a store lie in.

    Args:
        path: of the store.

    Returns:
        Their indices, in order.
    """
    return itertools.product(*map(range, open_root(path, "r")["status"].cdata_shape))


def _raised(program: Any) -> bool:
    return str(program).startswith("raises ")


def read_meta(path: Path) -> dict[str, Any]:
    """Read the description of a store.

    Args:
        path: its folder.

    Returns:
        JSON values: `extents` of the chunks, `sizes` of the axes, their `former` sizes, and the
        `identity` of the run.

    Raises:
        StoreError: it is not the store of a grid, or one of another version.
    """
    try:
        found = open_root(path, "r").attrs[META]
        meta: dict[str, Any] = json.loads(found) if isinstance(found, str) else dict(found)
        version = meta["format"]
    except Exception as error:  # zarr raises many types for what is no store
        raise StoreError(f"{path} is not the store of a grid: {error}") from error
    if version != FORMAT:
        raise StoreError(
            f"store {path} has format {version}, this version of fitb_jax reads {FORMAT}"
        )
    return meta


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, list(value) if isinstance(value, tuple) else value


def is_complete(path: Path) -> bool:
    """Whether every block is done and every statistic written, and nothing has been lost since.

    Args:
        path: of the store.

    Returns:
        True if nothing is left to do.
    """
    return _is_said_complete(path) and not any(missing(path))


def _is_said_complete(path: Path) -> bool:
    return bool(open_root(path, "r").attrs["completeness"] == "complete")


def missing(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Find the chunks that have been written, and whose files are lost.

    Args:
        path: of the store.

    Yields:
        The name of the array and the index of the chunk.
    """
    arrays, is_complete = arrays_of(path), _is_said_complete(path)
    status = arrays["status"]
    for name, array in arrays.items():
        if name == "work/reason":  # written only where there is one
            continue
        dims = array.metadata.dimension_names or ()
        of_points = dims[: status.ndim] == status.metadata.dimension_names
        needed: Iterable[tuple[int, ...]] = ()
        if is_complete or dims == (name,):
            needed = itertools.product(*map(range, array.cdata_shape))
        elif of_points and not name.startswith("work/"):
            rest = (0,) * (array.ndim - status.ndim)
            needed = (index + rest for index in written(path, "status", status))
        yield from ((name, index) for index in needed if not _is_there(path, name, index))


def arrays_of(path: Path) -> dict[str, Any]:
    """The arrays of a store.

    Args:
        path: of the store.

    Returns:
        Zarr arrays by name, such as "work/reason".
    """
    members = open_root(path, "r").members(max_depth=None)
    return {name: member for name, member in members if isinstance(member, zarr.Array)}


def written(path: Path, name: str, array: Any) -> Iterator[tuple[int, ...]]:
    """Chunks of an array that are on disk.

    Args:
        path: of the store.
        name: of the array.
        array: the zarr array.

    Returns:
        Their indices.
    """
    every = itertools.product(*map(range, array.cdata_shape))
    return (index for index in every if _is_there(path, name, index))


def _is_there(path: Path, name: str, index: tuple[int, ...]) -> bool:
    return part_file(path, name, index).is_file()


def forget(path: Path, chunks: Iterable[tuple[int, ...]]) -> None:
    """Mark blocks as not done. Even if this is stopped halfway, the store counts as incomplete.

    Args:
        path: of the store.
        chunks: the chunks that the blocks lie in.
    """
    open_root(path, "r+").attrs["completeness"] = "incomplete"
    for index in chunks:
        part_file(path, "status", index).unlink(missing_ok=True)


def pending(path: Path, schema: Schema) -> list[Block]:
    """Blocks that are not on disk, or not all of them.

    Args:
        path: of the store, which may be smaller than the grid, before it grows.
        schema: what it holds.

    Returns:
        The blocks that are missing, in order.
    """
    status = open_root(path, "r")["status"]

    def is_done(block: Block) -> bool:
        if any(place.stop > n for place, n in zip(block.region, status.shape, strict=True)):
            return False
        if not all(_is_there(path, *part) for part in _parts_of(schema, block)):
            return False
        return schema.layout.is_whole(block) or bool(status[block.start] != NOT_COMPUTED)

    return [block for block in schema.layout.blocks() if not is_done(block)]


def _parts_of(schema: Schema, block: Block) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Arrays and their chunks that a block is written to."""
    yield "status", block.chunk
    for name, field in schema.fields.items():
        rest = (0,) * len(field.dims)
        if field.reduction is None:
            yield name, block.chunk + rest
            continue
        over = schema.over(name)
        both = enumerate(zip(block.chunk, block.piece, strict=True))
        index = tuple(piece if i in over else chunk for i, (chunk, piece) in both)
        for part in Moments._fields:
            yield f"work/{name}/{part}", index + rest


def grow(path: Path, schema: Schema, identity: Mapping[str, Any]) -> None:
    """Give a store more labels; the results on disk stay as they are.

    A larger store is made beside it, with links to its files, and then takes its place. If this is
    stopped halfway, `recover` leaves either the old store or the new one.

    Args:
        path: of the store.
        schema: of the larger one; its layout knows the former sizes.
        identity: of the run.

    Raises:
        OSError: it cannot be written there; the store is as it was.
    """
    growing, grown, old = _beside(path)
    try:
        _create_arrays(growing, schema, identity)
        kept = ["status", "work/reason"]
        for name, field in schema.fields.items():
            parts = [f"work/{name}/{part}" for part in Moments._fields]
            kept += parts if field.reduction else [name]
        for name in kept:
            _link_files(part_file(path, name, ()), part_file(growing, name, ()))
        growing.rename(grown)
    finally:
        shutil.rmtree(growing, ignore_errors=True)
    path.rename(old)
    grown.rename(path)
    shutil.rmtree(old)


def recover(path: Path) -> None:
    """Repair a store that was stopped while it grew: it is then the old one or the new one.

    Args:
        path: of the store; nobody else may be writing to it.
    """
    growing, grown, old = _beside(path)
    if grown.exists() and not path.exists():
        grown.rename(path)
    for leftover in (growing, grown, old):
        shutil.rmtree(leftover, ignore_errors=True)


def _beside(path: Path) -> tuple[Path, Path, Path]:
    growing, grown, old = (path.with_name(f".{path.name}.{s}") for s in ("growing", "grown", "old"))
    return growing, grown, old


def _link_files(source: Path, target: Path) -> None:
    for folder, _, files in os.walk(source):
        into = target / Path(folder).relative_to(source)
        into.mkdir(parents=True, exist_ok=True)
        for file in (file for file in files if not file.endswith(".partial")):
            os.link(Path(folder, file), into / file)


def part_file(path: Path, name: str, index: tuple[int, ...]) -> Path:
    """The file of a chunk of an array.

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
            _writable(root, name)[block.region] = values
            continue
        over = schema.over(name)
        failed = (judgement.status == FAILED).reshape(block.shape + (1,) * len(field.dims))
        values = np.where(failed, np.nan, values) if failed.any() else values
        at = tuple(
            slice(block.piece[i], block.piece[i] + 1) if i in over else place
            for i, place in enumerate(block.region)
        )
        for part, found in measure(values, over)._asdict().items():
            _writable(root, f"work/{name}/{part}")[at] = found
    if judgement.reasons:
        text = np.zeros((*block.shape, REASON_BYTES), np.uint8)
        for place, reason in judgement.reasons.items():
            encoded = reason.encode()[:REASON_BYTES]
            text[place][: len(encoded)] = np.frombuffer(encoded, np.uint8)
        root["work/reason"][block.region] = text
    root["status"][block.region] = judgement.status


def _writable(root: Any, name: str) -> Any:
    """An array that writes chunks of nan or 0 too: a file that is not there has been lost."""
    return root[name].with_config({"write_empty_chunks": True})


def finish(path: Path, schema: Schema) -> None:
    """Pool the statistics of all blocks, restore lost labels, and say that the store is complete.

    Args:
        path: of the store.
        schema: what it holds.

    Raises:
        StoreError: a block is not done.
    """
    if left := pending(path, schema):
        raise StoreError(f"store {path} lacks {len(left)} blocks")
    root = open_root(path, "r+")
    for name, field in schema.fields.items():
        if field.reduction is None:
            continue
        over = schema.over(name)
        for index in _indices_of_the_rest(schema, over):
            part = tuple(slice(None) if i in over else s for i, s in enumerate(index))
            kept = tuple(s for i, s in enumerate(index) if i not in over)
            work = {p: root[f"work/{name}/{p}"][part] for p in Moments._fields}
            pooled = pool(Moments(**work), over)
            for which in field.reduction.statistics:
                _writable(root, f"{name}_{which}")[kept] = statistic(which, pooled)
    for name in {name for name, _ in missing(path)} & set(schema.grid.names):
        labels = schema.grid.axes[name].labels
        _writable(root, name)[:] = labels.astype(object) if labels.dtype.kind == "U" else labels
    root.attrs["completeness"] = "complete"


def _indices_of_the_rest(schema: Schema, over: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Regions of one chunk on the axes that stay."""
    sizes = list(zip(schema.grid.shape, schema.extents, strict=True))
    starts = (range(1) if i in over else range(0, n, e) for i, (n, e) in enumerate(sizes))
    for start in itertools.product(*starts):
        yield tuple(slice(a, min(a + e, n)) for a, (n, e) in zip(start, sizes, strict=True))


def _create_arrays(path: Path, schema: Schema, identity: Mapping[str, Any]) -> None:
    """Write an empty store; the metadata of all arrays lies in one file as well."""
    grid, extents = schema.grid, schema.extents
    coordinates = {
        name: (
            name,
            axis.labels.astype(object) if axis.labels.dtype.kind == "U" else axis.labels,
            _said(units=axis.units, long_name=axis.meaning, kind=axis.kind),
        )
        for name, axis in grid.axes.items()
    }
    meta = {
        "format": FORMAT,
        "extents": extents,
        "sizes": dict(zip(grid.names, grid.shape, strict=True)),
        "former": schema.layout.former,
        "identity": identity,
    }
    # As text, since netCDF and zarr 2 hold no nested attributes.
    attributes = {META: json.dumps(meta), "completeness": "incomplete"}
    dataset = xr.Dataset(coords=coordinates, attrs=attributes)
    codecs = {"compressors": [ZstdCodec(), Crc32cCodec()]}
    dataset.to_zarr(
        path,
        mode="w",
        zarr_format=3,
        consolidated=False,
        write_empty_chunks=True,
        encoding=dict.fromkeys(coordinates, codecs),
    )
    root: Any = zarr.open_group(path, mode="r+")
    meaning = "0 not computed, 1 done, 2 a field is not finite, 3 failed"
    _array(root, "status", grid.names, grid.shape, extents, np.uint8, {"long_name": meaning})
    work = root.create_group("work")
    work.create_array(
        "reason",
        shape=(*grid.shape, REASON_BYTES),
        chunks=(*extents, REASON_BYTES),
        dtype=np.uint8,
        fill_value=0,
        compressors=[ZstdCodec(), Crc32cCodec()],
    )
    counts = schema.layout.counts
    for name, field in schema.fields.items():
        shape = tuple(schema.outputs[name].shape)
        dtype = np.dtype(schema.outputs[name].dtype)
        about = _said(units=field.units, long_name=field.meaning)
        whole = (grid.names + field.dims, grid.shape + shape, extents + shape)
        if field.reduction is None:
            _array(root, name, *whole, dtype, about)
            continue
        over = schema.over(name)
        parts = work.create_group(name)
        part_shape = tuple(counts[i] if i in over else n for i, n in enumerate(grid.shape))
        part_chunks = tuple(1 if i in over else e for i, e in enumerate(extents))
        for part in Moments._fields:
            _array(parts, part, whole[0], part_shape + shape, part_chunks + shape, np.float64, {})
        dims, sizes, chunks = (
            tuple(value for i, value in enumerate(values) if i not in over) for values in whole
        )
        for which in field.reduction.statistics:
            _array(root, f"{name}_{which}", dims, sizes, chunks, np.float64, about)
    with warnings.catch_warnings():
        # Written by zarr and xarray alike, and read by both, though not yet in the specification.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(path)


def _said(**attributes: str) -> dict[str, str]:
    """Attributes that say something."""
    return {name: value for name, value in attributes.items() if value}


def _array(
    group: zarr.Group,
    name: str,
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: Any,
    attributes: Mapping[str, str],
) -> None:
    """An array with checksums; without compression, which updates do not yield to."""
    dtype = np.dtype(dtype)
    group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(1, chunk) for chunk in chunks),
        dtype=dtype,
        fill_value=np.nan if dtype.kind in "fc" else dtype.type(0),
        serializer=BytesCodec() if dtype.itemsize > 1 else BytesCodec(endian=None),
        compressors=[Crc32cCodec()],
        dimension_names=dims,
        attributes=dict(attributes),
    )
