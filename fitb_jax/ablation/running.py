"""`run` evaluates a grid of points in chunks, block by block, on any devices, to a store on disk.

`plan` says beforehand what it will do. The identity by which `run` recognises its store is here as
well.
"""

import collections
import contextlib
import functools
import importlib.metadata
import inspect
import itertools
import json
import logging
import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import xarray as xr
from jax.sharding import Mesh
from tqdm.auto import tqdm

from fitb_jax import __version__, checks
from fitb_jax.ablation import store as disk
from fitb_jax.ablation.axes import (
    Axis,
    Block,
    Grid,
    Layout,
    as_grid,
    block_extents,
    check_survival,
    digest,
    label_digests,
)
from fitb_jax.ablation.devices import own_devices, point_mesh, wait_for_all
from fitb_jax.ablation.fields import Field, check_fields, judge
from fitb_jax.ablation.inspection import failure_count, failures
from fitb_jax.ablation.program import (
    Evaluator,
    Pieces,
    PointFn,
    Program,
    Task,
    assemble,
    bind,
    shape_text,
    static_label,
    trace_all,
)
from fitb_jax.ablation.store import Schema
from fitb_jax.types import Key

_LOG = logging.getLogger(__name__)
_CHUNKS_A_BLOCK = 64
_BLOCK_BYTES = 2**24
_BLOCK_POINTS = 2**20
_CPU_LANES = 64
_WRITES_IN_FLIGHT = 2
_LABELS = {"b": "booleans", "i": "integers", "u": "integers", "f": "floats", "U": "strings"}


class PointError(RuntimeError):
    """A point failed, or is not finite, in a strict run."""


class Plan(NamedTuple):
    """What a run will do, known before anything is evaluated.

    Attributes:
        axes: size of each axis.
        points: product of the sizes.
        compiles: number of compilations that are left, one for each value of the static axes.
        chunk: points evaluated at once.
        chunks: number of chunks in the whole grid.
        chunk_bytes: memory the first compiled program needs for a chunk; 0 where it is not known.
        block: largest number of points of a block, which is written as a whole, and lost if a run
            is killed.
        blocks: number of blocks in the whole grid.
        blocks_left: number of blocks that are not in the store yet.
        point_bytes: bytes of the fields of one point.
        store_bytes: bytes of the fields as they are kept, with statistics in place of reduced ones.
        work_bytes: further bytes on disk, from which statistics are pooled, also when the grid
            grows.
    """

    axes: dict[str, int]
    points: int
    compiles: int
    chunk: int
    chunks: int
    chunk_bytes: int
    block: int
    blocks: int
    blocks_left: int
    point_bytes: int
    store_bytes: int
    work_bytes: int

    def __str__(self) -> str:
        """One paragraph for a person."""
        axes = " x ".join(f"{size} {name}" for name, size in self.axes.items())
        work = f", {_bytes(self.work_bytes)} more to pool from" if self.work_bytes else ""
        return (
            f"{axes} = {self.points:,} points; {self.chunks:,} chunks of at most {self.chunk:,} "
            f"points ({_bytes(self.chunk_bytes)} each, by the first program) in {self.blocks:,} "
            f"blocks of at most "
            f"{self.block:,} points; to do: {_counted(self.blocks_left, 'block')}, "
            f"{_counted(self.compiles, 'compile')}; about {_bytes(self.store_bytes)} on disk{work}"
        )


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

    A run that was stopped continues when it is called again with the same arguments. The result of
    a point depends on its coordinates, `shared` and `key` alone: not on the rest of the grid, nor
    on chunks, blocks or devices. A point that fails, or is not finite, is recorded with its reason
    (`failures`), and the others go on.

    The store grows when an axis is given more labels behind the old ones. Its contents stay, bit
    for bit, and the new points are computed. The old labels and their values, `shared`, the key,
    the config and the program must be the same, or the store is refused. So nothing can be lost or
    mixed, and no option is needed.

    Args:
        point_fn: pure function of one point. It takes the axes and `shared` by name, and may take
            `key`; it returns a NamedTuple or a dict of arrays.
        grid: an `Axis`, or a sequence of numbers, which is a vmapped axis, by name. The results
            have these dimensions in this order.
        key: random key; each point gets its own, derived from its coordinates.
        store: folder of the zarr store, new, empty or that of an earlier run; None keeps the
            results in memory only.
        chunk: points evaluated at once, which sets the memory. "auto" takes as many as need
            `memory` bytes.
        mesh: devices that a chunk is divided over; by default all. With several processes each
            one computes and writes blocks of its own on its own devices.
        shared: arguments that no axis varies, pytrees of arrays by name.
        fields: what the outputs mean, and which are reduced over axes instead of kept.
        key_axes: axes that the keys depend on; by default all. Points that differ only on the other
            axes get the same key, for example the same mask for several networks.
        config: JSON values that are kept in the store and must be the same to continue.
        block: largest number of points of a block, which is written as a whole. By default 64
            chunks (2^20 points for chunk "auto"), fewer if they are more than 16 MiB, but at least
            one chunk. A store keeps the blocks that it was made with, also when it grows.
        lanes: points that a device vectorises together; it takes its part of a chunk in turns of so
            many. With one number of lanes the results have the same bits for every chunk and number
            of devices; with another they are rounded otherwise. On CPUs it is by default 64, since
            the intermediate values of more leave the cache, or a device's part of the chunk if that
            is less. Elsewhere it is that part.
        memory: bytes on each device for chunk "auto".
        strict: stop at the first point that fails or is not finite, also if an earlier run that
            was not strict has recorded it.
        progress: whether to show a bar.

    Returns:
        A dataset with the fields, or their statistics, and `status`: 1 = done, 2 = a field is not
        finite, 3 = failed. It is read from the store as it is used. netCDF and zarr 2 can hold it.

    Raises:
        TypeError, ValueError: an argument that does not fit, which is named. Also a number on an
            axis or in `shared` that devices cannot hold, such as a seed beyond 32 bits.
        StoreError: the store is of another run or version; the differences are listed.
        PointError: a point failed in a strict run.
        OSError: the store cannot be written; what is done is kept.

    Examples:
        >>> def point(*, target, seen):
        ...     update = fill.first_order(logits_fn, image, seen, target)
        ...     return {"norm": jnp.linalg.norm(update)}
        >>> parts = masks.partition((16, 16), 4, 4, key=key)
        >>> grid = {"target": jnp.arange(4), "seen": ablation.vmapped(parts)}
        >>> found = ablation.run(point, grid, progress=False)  # store="run.zarr" keeps it
        >>> dict(found["norm"].sizes)
        {'target': 4, 'seen': 4}
    """
    job = _prepare(
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
        return _run(job, Path(store).absolute(), strict=strict, progress=progress)
    if jax.process_count() > 1:
        raise ValueError("store must be given where several processes share a grid, got None")
    with tempfile.TemporaryDirectory() as folder:
        return _run(job, Path(folder) / "store", strict=strict, progress=progress).load()


def plan(
    point_fn: PointFn,
    grid: Mapping[str, Any],
    *,
    store: str | Path | None = None,
    **arguments: Any,
) -> Plan:
    """Say what `run` would do with the same arguments. One program is compiled, and none is run.

    Args:
        point_fn: as in `run`.
        grid: as in `run`.
        store: as in `run`; blocks that are in it count as done. Nothing is written.
        **arguments: the other arguments of `run`, but not `strict` and `progress`.

    Returns:
        The plan; `print` shows it as a paragraph.

    Raises:
        TypeError, ValueError, StoreError: as in `run`.
    """
    job = _prepare(point_fn, grid, **arguments)
    found = Path(store) if store is not None and disk.exists(Path(store)) else None
    schema = _schema(job, found)
    left = [*schema.layout.blocks()] if found is None else disk.pending(found, schema)
    return _make_plan(job.task, schema, job.evaluator(schema), left)


class _Job(NamedTuple):
    """A checked run. `identity` is a function of how many labels of each axis there are."""

    task: Task
    identity: Callable[[Mapping[str, int]], dict[str, Any]]
    chunk: int | None
    lanes: int | None
    block: int
    memory: int

    def evaluator(self, schema: Schema) -> Evaluator:
        return Evaluator(self.task, schema.extents, self.chunk, self.lanes, self.memory)


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
) -> _Job:
    if isinstance(chunk, str):
        checks.check_choice("chunk", chunk, ("auto",))
    else:
        checks.check_count("chunk", chunk)
    checks.check_count("memory", memory)
    for name, value in (("block", block), ("lanes", lanes)):
        if value is not None:
            checks.check_count(name, value)
    task, identity = _check(
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
        return _Job(task, identity, None, lanes, block or min(most, _BLOCK_POINTS), memory)
    # Whole chunks; a block of a single one is written without being copied.
    default = min(max(1, most // known_chunk), _CHUNKS_A_BLOCK) * known_chunk
    return _Job(task, identity, known_chunk, lanes, block or default, memory)


def _check(
    point_fn: PointFn,
    grid: Mapping[str, Any],
    *,
    key: jax.Array | None,
    shared: Mapping[str, Any],
    fields: Mapping[str, Field],
    key_axes: Sequence[str] | None,
    config: Mapping[str, Any],
    mesh: Mesh | None,
) -> tuple[Task, Callable[[Mapping[str, int]], dict[str, Any]]]:
    """Check the arguments of `run`, and trace the points of each static value."""
    checked = as_grid(grid)
    takes_key = _check_arguments(point_fn, checked, shared, is_key_given=key is not None)
    for name, values in shared.items():
        check_survival(f"shared {name!r}", values)
    if takes_key and key is None:
        raise ValueError("key must be given: point_fn takes one")
    key_axes = checked.names if key_axes is None else tuple(key_axes)
    if unknown := set(key_axes) - set(checked.names):
        raise ValueError(f"key_axes must be among {checked.names}, got {sorted(unknown)}")
    key_data, impl = _key_data(key)
    own_mesh = own_devices(point_mesh() if mesh is None else mesh)
    bind_point = functools.partial(bind, point_fn, takes_key=takes_key, impl=impl)
    traced = trace_all(bind_point, checked, dict(shared), key_data, own_mesh)
    for index, program in traced.programs.items():
        if isinstance(program, Exception):
            _LOG.warning(
                "every point of %s fails: %s: %s",
                static_label(checked, index),
                type(program).__name__,
                program,
            )
    task = Task(
        grid=checked,
        shared=dict(shared),
        key_data=key_data,
        key_digests={
            name: label_digests(name, checked.axes[name].labels)
            for name in (key_axes if takes_key else ())
        },
        fields=check_fields(fields, traced.outputs, checked),
        outputs=traced.outputs,
        programs=traced.programs,
        fingerprints=traced.fingerprints,
        mesh=own_mesh,
    )
    always = {
        "fields": {
            name: _describe_field(field, task.outputs[name]) for name, field in task.fields.items()
        },
        "order": list(checked.names),
        "key": key_data.tolist(),
        "key_axes": sorted(key_axes),
        "shared": {name: digest(values) for name, values in task.shared.items()},
        "versions": {
            "fitb_jax": __version__,
            **{name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy")},
        },
        "config": _as_json(config),
    }
    known: dict[tuple[str, int], dict[str, Any]] = {}
    return task, functools.partial(_identity, task, always, known)


def _identity(
    task: Task,
    always: Mapping[str, Any],
    known: dict[tuple[str, int], dict[str, Any]],
    sizes: Mapping[str, int],
) -> dict[str, Any]:
    """JSON values by which a store knows its run, with the first labels of each axis only.

    `known` keeps what was said of an axis, as the digest of many images takes its time.
    """
    grid = task.grid.head(sizes)
    names = grid.of_kind("static")
    places = itertools.product(*(range(grid.axes[name].size) for name in names))
    labels = [static_label(grid, index) for index in places]
    for name, axis in grid.axes.items():
        if (name, axis.size) not in known:
            known[name, axis.size] = _describe(axis)
    return {
        **always,
        "axes": {name: known[name, axis.size] for name, axis in grid.axes.items()},
        "program": {label: task.fingerprints[label] for label in labels},
    }


def _check_arguments(
    point_fn: PointFn, grid: Grid, shared: Mapping[str, Any], *, is_key_given: bool
) -> bool:
    """Whether `point_fn` takes a key; raise where its parameters are not the axes and `shared`."""
    if not callable(point_fn):
        raise TypeError(f"point_fn must be callable, got {type(point_fn).__name__}")
    given = {*grid.names, *shared}
    if overlap := set(grid.names) & set(shared):
        raise ValueError(f"shared must not hold axes of the grid, got {sorted(overlap)}")
    parameters = inspect.signature(point_fn).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    required = {
        name
        for name, p in parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    missing, unknown = required - given - {"key"}, given - parameters.keys()
    if missing or (unknown and not takes_any):
        raise TypeError(
            f"point_fn must take the axes and shared arguments by name: it takes "
            f"{sorted(parameters)}, given are {sorted(given)}"
        )
    return "key" in parameters or (takes_any and is_key_given)


def _key_data(key: jax.Array | None) -> tuple[np.ndarray, str | None]:
    if key is None:
        return np.zeros(2, np.uint32), None
    is_key = isinstance(key, jax.Array) and jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
    if is_key and key.shape == ():
        return np.asarray(jax.random.key_data(key)), str(jax.random.key_impl(key))
    raise TypeError(f"key must be one random key from jax.random.key, got {key!r}")


def _as_json(config: Mapping[str, Any]) -> Any:
    """As it will be read from the store: lists in place of tuples."""
    try:
        return json.loads(json.dumps(dict(config), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"config must be JSON values: {error}") from error


def _describe(axis: Axis) -> dict[str, Any]:
    labels = axis.labels.tolist()
    few = labels if len(labels) <= 20 else f"{len(labels)} labels {digest(_encoded(axis.labels))}"
    values = "" if axis.kind == "static" else digest(axis.values)
    # 1 and 1.0 are the same number, and not the same label: their keys differ.
    kind_of_label = _LABELS[axis.labels.dtype.kind]
    return {"kind": axis.kind, "labels": few, "labels_are": kind_of_label, "values": values}


def _encoded(labels: np.ndarray) -> np.ndarray:
    return np.char.encode(labels, "utf-8").view(np.uint8) if labels.dtype.kind == "U" else labels


def _describe_field(field: Field, output: Any) -> dict[str, Any]:
    reduction = field.reduction
    return {
        "array": shape_text(output),
        "dims": list(field.dims),
        "over": list(reduction.over) if reduction else [],
        "kept": list(reduction.statistics) if reduction else [],
        "nan_is_answer": field.nan_is_answer,
    }


def _run(job: _Job, place: Path, *, strict: bool, progress: bool) -> xr.Dataset:
    is_first = jax.process_index() == 0
    with disk.only_writer(place) if is_first else contextlib.nullcontext():
        _complete(job, place, strict=strict, progress=progress)
    if is_first and (count := failure_count(place)):
        first = next(failures(place))
        _LOG.warning(
            "%s: %s of %s failed or are not finite: ablation.failures lists them; first %s: %s",
            place.name,
            f"{count:,}",
            _counted(math.prod(job.task.grid.shape), "point"),
            first.coordinates,
            first.reason,
        )
    # How zarr 3 holds it would keep it from being written as zarr 2.
    return xr.open_zarr(place, consolidated=True).drop_encoding()


def _complete(job: _Job, place: Path, *, strict: bool, progress: bool) -> None:
    if jax.process_index() == 0:
        _make_or_grow(job, place)
    wait_for_all(f"made {place}")
    schema = _schema(job, place)
    if strict and (first := next(failures(place), None)):
        raise PointError(f"point {first.coordinates}, in the store already: {first.reason}")
    say = tqdm.write if progress else _LOG.info
    if disk.is_complete(place):
        say(f"{place.name}: {_counted(math.prod(job.task.grid.shape), 'point')}, all done")
        return
    pending = disk.pending(place, schema)
    wait_for_all(f"listed {place}")
    if jax.process_index() == 0:
        disk.remove_leftovers(place)
    wait_for_all(f"cleaned {place}")
    own = _deal(pending, jax.process_index(), jax.process_count())
    evaluator = job.evaluator(schema)
    if own:
        say(f"{place.name}: {_make_plan(job.task, schema, evaluator, pending)}")
    _compute(job.task, schema, evaluator, own, place, strict=strict, progress=progress)
    wait_for_all(f"written {place}")
    if jax.process_index() == 0:
        disk.finish(place, schema)
    wait_for_all(f"finished {place}")


def _make_or_grow(job: _Job, place: Path) -> None:
    disk.recover(place)
    if not disk.exists(place):
        schema = _schema(job, None)
        disk.create(place, schema, job.identity(_sizes(job.task.grid)))
        return
    schema = _schema(job, place)
    old, new = disk.read_meta(place)["sizes"], _sizes(job.task.grid)
    if mended := disk.replace_failed_programs(place, job.task.grid, job.identity(old)):
        _LOG.info("%s: computed again, as it raised before: %s", place.name, "; ".join(mended))
    if old != new:
        grown = ", ".join(f"{n} from {old[n]} to {new[n]}" for n in new if new[n] != old[n])
        _LOG.info("%s grows: %s", place.name, grown)
        disk.grow(place, schema, job.identity(new))


def _schema(job: _Job, place: Path | None) -> Schema:
    """With the blocks of the store if there is one, which must be of this run, or of a part."""
    task = job.task
    if place is None:
        reduced = {a for f in task.fields.values() if f.reduction for a in f.reduction.over}
        layout = Layout(task.grid, block_extents(task.grid, job.block, first=tuple(reduced)))
        return Schema(layout, task.fields, task.outputs)
    meta = disk.read_meta(place)
    sizes = {name: meta["sizes"].get(name, size) for name, size in _sizes(task.grid).items()}
    disk.check_identity(place, job.identity(sizes))
    former = {name: list(meta["former"].get(name, ())) for name in task.grid.names}
    for name, size in _sizes(task.grid).items():
        if size > sizes[name]:
            former[name].append(sizes[name])
    layout = Layout(task.grid, tuple(meta["extents"]), {n: at for n, at in former.items() if at})
    return Schema(layout, task.fields, task.outputs)


def _sizes(grid: Grid) -> dict[str, int]:
    return dict(zip(grid.names, grid.shape, strict=True))


def _deal(pending: list[Block], index: int, count: int) -> list[Block]:
    """The blocks of one process; those that share a chunk's file have the same writer."""
    turns: dict[tuple[int, ...], int] = {}
    for block in pending:
        turns.setdefault(block.chunk, len(turns))
    return [block for block in pending if turns[block.chunk] % count == index]


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
    to_do = sum(math.prod(block.shape) for block in own)
    is_alone = jax.process_count() == 1
    # Finished points belong to no process, so that one of several counts its own only.
    total = math.prod(task.grid.shape) if is_alone else to_do
    with (
        ThreadPoolExecutor(1) as writer,
        tqdm(
            total=total,
            initial=total - to_do,
            desc=place.name if is_alone else f"host {jax.process_index()}",
            unit="point",
            unit_scale=True,
            disable=not progress,
            # A file keeps every line.
            mininterval=0.1 if sys.stderr.isatty() else 10,
        ) as bar,
    ):
        for index, group in itertools.groupby(own, evaluator.static):
            same = list(group)
            points = sum(math.prod(block.shape) for block in same)
            name = static_label(task.grid, index)
            _LOG.info("%s: %d points in %d blocks", name, points, len(same))
            bar.set_postfix_str(f"compiling {name}" if index else "compiling")
            for block in same:
                pieces = evaluator.results(block, count=functools.partial(_count, bar, name))
                while len(writing) >= _WRITES_IN_FLIGHT:
                    writing.popleft().result()
                writing.append(writer.submit(_write, place, schema, block, pieces, strict))
        for write in writing:
            write.result()


def _count(bar: Any, name: str, points: int) -> None:
    bar.set_postfix_str(name, refresh=False)
    bar.update(points)


def _write(place: Path, schema: Schema, block: Block, pieces: Pieces, strict: bool) -> None:
    results = assemble(schema.outputs, block, pieces)
    judgement = judge(schema.fields, results)
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


def _make_plan(task: Task, schema: Schema, evaluator: Evaluator, pending: list[Block]) -> Plan:
    """Compile the first program, and add up what is known."""
    first = pending[0] if pending else next(schema.layout.blocks())
    program = _first_program(evaluator, itertools.chain([first], _one_of_each(schema, evaluator)))
    shapes = (block.shape for block in schema.layout.blocks())
    return Plan(
        axes=dict(zip(task.grid.names, task.grid.shape, strict=True)),
        points=math.prod(task.grid.shape),
        compiles=len({evaluator.static(block) for block in pending}),
        chunk=program.chunk,
        chunks=sum(math.ceil(math.prod(shape) / program.chunk) for shape in shapes),
        chunk_bytes=program.bytes,
        block=math.prod(schema.extents),
        blocks=math.prod(schema.layout.counts),
        blocks_left=len(pending),
        point_bytes=task.point_bytes,
        store_bytes=schema.kept_bytes,
        work_bytes=schema.work_bytes,
    )


def _one_of_each(schema: Schema, evaluator: Evaluator) -> Iterator[Block]:
    """The first block of each static value."""
    every = schema.layout.blocks()
    return (next(group) for _, group in itertools.groupby(every, evaluator.static))


def _first_program(evaluator: Evaluator, candidates: Iterable[Block]) -> Program:
    """Of the first block whose static value can be compiled; the others go on without it."""
    failed = None
    for block in candidates:
        try:
            return evaluator.program(block)
        except Exception as error:  # anything the user's function raises, or XLA
            failed = error
    raise failed or ValueError("a grid has at least one block")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _bytes(size: float | int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
