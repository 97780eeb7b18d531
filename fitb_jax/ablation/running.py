"""`run`: a grid of points in chunks, block by block, on any devices, to a store on disk."""

import collections
import itertools
import logging
import math
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import xarray as xr
from jax.sharding import Mesh
from tqdm.auto import tqdm

from fitb_jax import checks
from fitb_jax.ablation import store as disk
from fitb_jax.ablation.evaluation import Evaluator, Pieces, assemble
from fitb_jax.ablation.fields import Field
from fitb_jax.ablation.grid import Block, block_extents, blocks
from fitb_jax.ablation.inspection import failures
from fitb_jax.ablation.mesh import wait_for_all
from fitb_jax.ablation.planning import Plan, make_plan
from fitb_jax.ablation.program import PointFn
from fitb_jax.ablation.schema import Schema, judge
from fitb_jax.ablation.task import Task, prepare, static_label
from fitb_jax.types import Key

_LOG = logging.getLogger(__name__)
_CHUNKS_A_BLOCK = 64
_BLOCK_BYTES = 2**24
_BLOCK_POINTS = 2**20
_CPU_LANES = 64
_WRITES_IN_FLIGHT = 2


class PointError(RuntimeError):
    """A point failed, or is not finite, in a strict run."""


def run(
    point_fn: PointFn,
    grid: Mapping[str, Any],
    *,
    key: Key | None = None,
    store: str | Path | None = None,
    chunk: int | Literal["auto"] = 256,
    mesh: Mesh | None = None,
    shared: Mapping[str, Any] | None = None,
    fields: Mapping[str, Field] | None = None,
    key_axes: Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
    block: int | None = None,
    lanes: int | None = None,
    memory: int = 2**30,
    strict: bool = False,
    progress: bool = True,
) -> xr.Dataset:
    """Evaluate a function at every point of a grid, and keep the results in a store.

    Run again with the same arguments it continues where it was stopped, whatever stopped it. The
    result of a point depends on its coordinates, `shared` and `key` alone: not on the rest of the
    grid, nor on chunks, blocks or devices. A point that fails, or is not finite, is recorded with
    its reason (`failures`) and the others go on.

    Args:
        point_fn: pure function of one point. It takes the axes and `shared` by name, and `key` if
            it likes to; it returns a NamedTuple or a dict of arrays.
        grid: name to `Axis`, or to a sequence of numbers, which is a vmapped axis. The results
            have these dimensions in this order.
        key: random key; each point gets its own, derived from its coordinates.
        store: folder of the zarr store; None keeps the results in memory only.
        chunk: points evaluated at once: the one knob for memory. "auto" takes as many as need
            `memory` bytes.
        mesh: devices that a chunk is divided over; by default all. With several processes each
            one computes and writes blocks of its own on its own devices.
        shared: arguments that no axis varies, pytrees of arrays.
        fields: what the outputs mean, and which are reduced over axes instead of kept.
        key_axes: axes that the keys depend on; by default all. Points that differ in the others
            only get the same key, such as the same mask for several networks.
        config: JSON values that are kept in the store and must be the same to continue.
        block: most points of a block, which is written at once; by default 64 chunks (2^20
            points for chunk "auto"), less if they are more than 16 MiB, but at least one chunk. A
            store keeps the blocks that it was made with.
        lanes: points that a device vectorises together, taking those of its part of a chunk in
            turns. With one number of lanes the results have the same bits for every chunk and
            number of devices; other lanes round otherwise. By default 64 on CPUs, where the
            intermediate values of more leave the cache, or a device's part of the chunk if that
            is less; elsewhere always that part.
        memory: bytes on each device for chunk "auto".
        strict: stop at the first point that fails or is not finite, also if an earlier run that
            was not strict has recorded it.
        progress: whether to show a bar.

    Returns:
        A dataset with the fields, or their statistics, and `status` (1 = done, 2 = a field is not
        finite, 3 = failed), read from the store as it is used.

    Raises:
        TypeError, ValueError: an argument that does not fit, named.
        StoreError: the store is of another run or version; the differences are listed.
        PointError: a point failed in a strict run.
        OSError: the store cannot be written; what is done is kept.
    """
    task, sizes = _prepare(
        point_fn,
        grid,
        key=key,
        chunk=chunk,
        mesh=mesh,
        shared=shared,
        fields=fields,
        key_axes=key_axes,
        config=config,
        block=block,
        lanes=lanes,
        memory=memory,
    )
    if store is not None:
        return _run(task, sizes, Path(store), strict=strict, progress=progress)
    if jax.process_count() > 1:
        raise ValueError("store must be given where several processes share a grid, got None")
    with tempfile.TemporaryDirectory() as folder:
        return _run(task, sizes, Path(folder) / "store", strict=strict, progress=progress).load()


def plan(
    point_fn: PointFn,
    grid: Mapping[str, Any],
    *,
    store: str | Path | None = None,
    **arguments: Any,
) -> Plan:
    """What `run` would do with the same arguments. The first program is compiled, none is run.

    Args:
        point_fn: as in `run`.
        grid: the axes.
        store: of `run`; blocks that are in it already are not left to do. Nothing is written.
        **arguments: the others of `run`, but `strict` and `progress`.

    Returns:
        The plan; its text says it all.

    Raises:
        TypeError, ValueError, StoreError: as in `run`.
    """
    task, sizes = _prepare(point_fn, grid, **arguments)
    found = Path(store) if store is not None and disk.exists(Path(store)) else None
    schema = _schema(task, sizes, found)
    evaluator = Evaluator(task, schema, sizes.chunk, sizes.lanes, sizes.memory)
    return make_plan(task, schema, evaluator, _pending(schema, found))


class _Sizes(NamedTuple):
    chunk: int | None
    lanes: int | None
    block: int
    memory: int


def _prepare(
    point_fn: PointFn,
    grid: Mapping[str, Any],
    *,
    key: Key | None = None,
    chunk: int | str = 256,
    mesh: Mesh | None = None,
    shared: Mapping[str, Any] | None = None,
    fields: Mapping[str, Field] | None = None,
    key_axes: Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
    block: int | None = None,
    lanes: int | None = None,
    memory: int = 2**30,
) -> tuple[Task, _Sizes]:
    if isinstance(chunk, str):
        checks.check_choice("chunk", chunk, ("auto",))
    else:
        checks.check_count("chunk", chunk)
    checks.check_count("memory", memory)
    for name, value in (("block", block), ("lanes", lanes)):
        if value is not None:
            checks.check_count(name, value)
    task = prepare(
        point_fn,
        grid,
        key=key,
        shared=shared or {},
        fields=fields or {},
        key_axes=key_axes,
        config=config or {},
        mesh=mesh,
    )
    known_chunk = None if isinstance(chunk, str) else chunk
    most = max(1, _BLOCK_BYTES // max(1, task.point_bytes))
    if lanes is None and all(device.platform == "cpu" for device in task.mesh.devices.flat):
        on_each = most if known_chunk is None else math.ceil(known_chunk / task.mesh.size)
        lanes = min(_CPU_LANES, on_each)
    if known_chunk is None:
        return task, _Sizes(None, lanes, block or min(most, _BLOCK_POINTS), memory)
    # Whole chunks; a block of a single one is written without being copied.
    default = min(max(1, most // known_chunk), _CHUNKS_A_BLOCK) * known_chunk
    return task, _Sizes(known_chunk, lanes, block or default, memory)


def _run(task: Task, sizes: _Sizes, place: Path, *, strict: bool, progress: bool) -> xr.Dataset:
    if jax.process_index() == 0 and not disk.exists(place):
        disk.create(place, _schema(task, sizes, None), task.identity)
    if jax.process_index() == 0:
        disk.forget_blocks(place)
    wait_for_all(f"made {place}")
    if strict and (first := next(failures(place), None)):
        raise PointError(f"point {first.coordinates}, in the store already: {first.reason}")
    schema = _schema(task, sizes, place)
    if not disk.is_complete(place):
        pending = _pending(schema, place)
        wait_for_all(f"listed {place}")
        if jax.process_index() == 0:
            disk.remove_leftovers(place)
        wait_for_all(f"cleaned {place}")
        own = pending[jax.process_index() :: jax.process_count()]
        evaluator = Evaluator(task, schema, sizes.chunk, sizes.lanes, sizes.memory)
        if own:
            said = f"{place.name}: {make_plan(task, schema, evaluator, pending)}"
            tqdm.write(said) if progress else _LOG.info(said)
        _compute(task, schema, evaluator, own, place, strict=strict, progress=progress)
        wait_for_all(f"written {place}")
        if jax.process_index() == 0:
            disk.finish(place, schema)
        wait_for_all(f"finished {place}")
    if jax.process_index() == 0 and (first := next(failures(place), None)):
        _LOG.warning(
            "some points failed or are not finite, see ablation.failures; first: %s", first
        )
    return xr.open_zarr(place, consolidated=False)


def _schema(task: Task, sizes: _Sizes, place: Path | None) -> Schema:
    """With the blocks of the store if there is one, which must be of this run."""
    if place is not None:
        extents = disk.check_identity(place, task.identity)
    else:
        reduced = {a for f in task.fields.values() if f.reduction for a in f.reduction.over}
        extents = block_extents(task.grid, sizes.block, first=tuple(reduced))
    return Schema(task.grid, task.fields, task.outputs, extents)


def _pending(schema: Schema, place: Path | None) -> list[Block]:
    every = blocks(schema.grid, schema.extents)
    return [block for block in every if place is None or not disk.is_done(place, block)]


def _compute(
    task: Task,
    schema: Schema,
    evaluator: Evaluator,
    own: list[Block],
    place: Path,
    *,
    strict: bool,
    progress: bool,
) -> None:
    """Evaluate blocks while those before them are written; what is finished is always kept."""
    writing: collections.deque[Future[None]] = collections.deque()
    total = sum(math.prod(block.shape) for block in own)
    label = f"host {jax.process_index()}" if jax.process_count() > 1 else place.name
    with (
        ThreadPoolExecutor(1) as writer,
        tqdm(total=total, desc=label, unit="point", unit_scale=True, disable=not progress) as bar,
    ):
        for index, group in itertools.groupby(own, evaluator.static):
            same = list(group)
            points = sum(math.prod(block.shape) for block in same)
            name = static_label(task.grid, index)
            _LOG.info("%s: %d points in %d blocks", name, points, len(same))
            for block in same:
                pieces = evaluator.results(block, count=bar.update)
                while len(writing) >= _WRITES_IN_FLIGHT:
                    writing.popleft().result()
                writing.append(writer.submit(_write, place, schema, block, pieces, strict))
        for write in writing:
            write.result()


def _write(place: Path, schema: Schema, block: Block, pieces: Pieces, strict: bool) -> None:
    results = assemble(schema, block, pieces)
    judgement = judge(schema, results)
    if strict and judgement.reasons:
        at, reason = next(iter(judgement.reasons.items()))
        axes = schema.grid.axes.values()
        labels = {
            name: axis.labels[start + where].item()
            for name, axis, start, where in zip(
                schema.grid.names, axes, block.start, at, strict=True
            )
        }
        raise PointError(f"point {labels}: {reason}")
    disk.write(place, schema, block, results, judgement)
