"""The compiled programs of a grid: traced, sized to fit, and evaluated chunk by chunk."""

import collections
import hashlib
import itertools
import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fitb_jax.ablation.axes import Block, Grid, key_words
from fitb_jax.ablation.devices import POINTS
from fitb_jax.ablation.fields import Field, Results

_LOG = logging.getLogger(__name__)
_IN_FLIGHT = 2
_PROBE = 32

PointFn: TypeAlias = Callable[..., Any]
OneFn: TypeAlias = jax.stages.Wrapped
"""(shared, looped, vmapped, words, key data) of one point -> its fields."""


class Inputs(NamedTuple):
    """Arguments of a chunk's program.

    Attributes:
        shared: arguments that no axis varies, by name.
        looped: one value of each looped axis, by name.
        values: the values in the block of each vmapped axis, by name.
        key_data: data of the run's random key.
    """

    shared: Any
    looped: Any
    values: Any
    key_data: Any


class Points(NamedTuple):
    """The points of a chunk.

    Attributes:
        places: indices of the points within the block on each vmapped axis, (chunk,) each.
        words: words from which the random key of each point is made, (chunk, 2).
    """

    places: dict[str, Any]
    words: Any


class Program(NamedTuple):
    """A compiled program.

    Attributes:
        call: (inputs, points) -> fields, leading axis `chunk`.
        chunk: points at once.
        bytes: memory it needs, arguments and results included; 0 where it is not known.
    """

    call: Callable[[Inputs, Points], dict[str, jax.Array]]
    chunk: int
    bytes: int


def bind(
    point_fn: PointFn, static: Mapping[str, Any], *, takes_key: bool, impl: str | None
) -> OneFn:
    """Make a function of arrays alone from the user's, for one value of each static axis.

    Args:
        point_fn: the user's function of one point.
        static: a Python value for each static axis.
        takes_key: whether it has an argument `key`.
        impl: implementation of the random key.

    Returns:
        A function of one point. On one device it is traced once, and the trace is vectorised for a
        chunk.
    """

    def one(
        shared: Any, looped: Any, values: Any, words: jax.Array, key_data: jax.Array
    ) -> dict[str, jax.Array]:
        arguments = {**shared, **static, **looped, **values}
        if takes_key:
            key = jax.random.wrap_key_data(key_data, impl=impl)
            for word in (words[0], words[1]):
                key = jax.random.fold_in(key, word)
            arguments["key"] = key
        found = point_fn(**arguments)
        fields = found._asdict() if hasattr(found, "_asdict") else found
        if not isinstance(fields, Mapping) or not fields:
            raise TypeError(
                f"point_fn must return a NamedTuple or a dict of arrays, got {type(found).__name__}"
            )
        return {name: jnp.asarray(value) for name, value in fields.items()}

    return jax.jit(one, inline=True)


StaticIndex = tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """A checked grid with its point functions, before anything is compiled.

    Attributes:
        grid: the axes.
        shared: arguments that no axis varies.
        key_data: data of the run's random key; zeros if the points take none.
        key_digests: digests of the labels of each axis that the points' keys depend on; empty
            without keys.
        fields: what a point returns.
        outputs: shape and dtype of each field.
        programs: the function of one point for each place on the static axes, or the exception that
            tracing it raised.
        fingerprints: digest of the computation of each static value, by `static_label`.
        mesh: devices of this process.
    """

    grid: Grid
    shared: dict[str, Any]
    key_data: np.ndarray
    key_digests: dict[str, np.ndarray]
    fields: dict[str, Field]
    outputs: dict[str, Any]
    programs: dict[StaticIndex, OneFn | Exception]
    fingerprints: dict[str, str]
    mesh: Mesh

    @property
    def point_bytes(self) -> int:
        """Bytes of one point's fields."""
        return sum(
            int(np.prod(output.shape)) * np.dtype(output.dtype).itemsize
            for output in self.outputs.values()
        )


class Traced(NamedTuple):
    """The points of every static value, traced.

    Attributes:
        outputs: shape and dtype of each field, the same for all static values.
        programs: the function of one point for each place on the static axes, or the exception that
            tracing it raised.
        fingerprints: digest of the computation of each static value, by `static_label`.
    """

    outputs: dict[str, Any]
    programs: dict[StaticIndex, OneFn | Exception]
    fingerprints: dict[str, str]


def trace_all(
    bind_point: Callable[[dict[str, Any]], OneFn],
    grid: Grid,
    shared: dict[str, Any],
    key_data: np.ndarray,
    mesh: Mesh,
) -> Traced:
    """Trace the point of each static value.

    Args:
        bind_point: makes the function of arrays for one value of each static axis; see `bind`.
        grid: the axes.
        shared: arguments that no axis varies.
        key_data: of the run's key.
        mesh: devices of this process.

    Returns:
        The traced functions with their outputs.

    Raises:
        ValueError: static values return arrays of different shapes.
        Exception: what the function raised, if it did so for every static value.
    """
    programs: dict[StaticIndex, OneFn | Exception] = {}
    names = grid.of_kind("static")
    values = {name: grid.axes[name].values for name in grid.of_kind("looped", "vmapped")}
    looped = {
        name: jax.tree.map(lambda leaf: leaf[0], values[name]) for name in grid.of_kind("looped")
    }
    inputs = Inputs(
        shared, looped, {name: values[name] for name in grid.of_kind("vmapped")}, key_data
    )
    outputs: dict[str, Any] = {}
    fingerprints, failed = {}, None
    for index in itertools.product(*(range(grid.axes[name].size) for name in names)):
        static = {n: grid.axes[n].values[i] for n, i in zip(names, index, strict=True)}
        one = bind_point(static)
        label = static_label(grid, index)
        try:
            found, fingerprints[label] = _trace(one, inputs, mesh)
        except Exception as error:  # anything the user's function raises is that value's result
            programs[index], failed = error, error
            fingerprints[label] = f"raises {type(error).__name__}"
            continue
        programs[index] = one
        described = {name: shape_text(output) for name, output in found.items()}
        expected = {name: shape_text(output) for name, output in (outputs or found).items()}
        if described != expected:
            raise ValueError(
                "point_fn must return the same shapes for every static value, got "
                f"{described} for {label} after {expected}"
            )
        outputs = found
    if failed is not None and not outputs:
        raise failed
    return Traced(outputs, programs, fingerprints)


def static_label(grid: Grid, index: StaticIndex) -> str:
    """The values of the static axes as text.

    Args:
        grid: the grid.
        index: place on each static axis.

    Returns:
        Such as "order=first, steps=8"; "all" without static axes.
    """
    names = grid.of_kind("static")
    labels = (f"{n}={grid.axes[n].labels[i]}" for n, i in zip(names, index, strict=True))
    return ", ".join(labels) or "all"


def shape_text(output: Any) -> str:
    """Type and shape of an array.

    Args:
        output: anything with `dtype` and `shape`.

    Returns:
        Such as "float32[6, 6, 1]".
    """
    return f"{np.dtype(output.dtype)}{list(output.shape)}"


def _trace(one: OneFn, inputs: Inputs, mesh: Mesh) -> tuple[dict[str, Any], str]:
    """Shape and dtype of each field of a point, and a digest of the computation.

    The digest changes when the code, or an array it closes over, does.
    """
    # As `compile_chunk` sees it on one device, so that it finds what is traced here.
    sharding = NamedSharding(Mesh(mesh.devices.ravel()[:1], (POINTS,)), PartitionSpec())
    point = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding, weak_type=leaf.weak_type
        ),
        jax.eval_shape(_one_point, inputs),
    )
    lowered = one.lower(*point)
    text = lowered.as_text()
    # The address of a Python callback differs from process to process.
    text = re.sub(r"\d{9,}", "", text) if "callback" in text else text
    return lowered.out_info, hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _one_point(inputs: Inputs) -> tuple[Any, ...]:
    values = jax.tree.map(lambda leaf: leaf[0], inputs.values)
    return inputs.shared, inputs.looped, values, jnp.zeros(2, jnp.uint32), inputs.key_data


def compile_chunk(
    one: OneFn, inputs: Inputs, places: list[str], chunk: int, lanes: int, mesh: Mesh
) -> Program:
    """Compile the program for chunks of one size.

    Args:
        one: from `bind`.
        inputs: of any block; all blocks have the same shapes.
        places: names of the vmapped axes.
        chunk: points at once; a multiple of the number of devices times `lanes`.
        lanes: points that are vectorised together; a device takes its part of a chunk in turns of
            so many.
        mesh: devices of this process that the points are divided over.

    Returns:
        The program.
    """

    def evaluate(inputs: Inputs, points: Points) -> dict[str, jax.Array]:
        def at(places: dict[str, jax.Array], words: jax.Array) -> dict[str, jax.Array]:
            values = {
                name: jax.tree.map(lambda leaf, i=index: leaf[i], inputs.values[name])
                for name, index in places.items()
            }
            return one(inputs.shared, inputs.looped, values, words, inputs.key_data)

        turns = jax.tree.map(lambda leaf: leaf.reshape(-1, lanes, *leaf.shape[1:]), points)
        found = jax.lax.map(lambda some: jax.vmap(at)(some.places, some.words), turns)
        return {name: value.reshape(-1, *value.shape[2:]) for name, value in found.items()}

    function: Callable[..., Any] = evaluate
    sharding = NamedSharding(mesh, PartitionSpec(POINTS))
    if mesh.size > 1:
        function = jax.shard_map(
            evaluate,
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(POINTS)),
            out_specs=PartitionSpec(POINTS),
            check_vma=False,  # carries of a scan that start as constants vary with the points
        )
    points = Points(
        {name: jax.ShapeDtypeStruct((chunk,), np.int32, sharding=sharding) for name in places},
        jax.ShapeDtypeStruct((chunk, 2), np.uint32, sharding=sharding),
    )
    compiled = jax.jit(function).lower(inputs, points).compile()
    analysis = compiled.memory_analysis()
    size = 0
    if analysis is not None:
        size = (
            analysis.argument_size_in_bytes
            + analysis.output_size_in_bytes
            + analysis.temp_size_in_bytes
        )
    return Program(compiled, chunk, size)


def on_devices(tree: Any, mesh: Mesh) -> Any:
    """Copy arrays to every device.

    Args:
        tree: pytree of arrays on the host.
        mesh: the devices.

    Returns:
        The arrays on the devices.
    """
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def is_out_of_memory(error: Exception) -> bool:
    """Whether a smaller chunk might help.

    Args:
        error: raised by a program or its compilation.

    Returns:
        True for the errors of allocators.
    """
    text = str(error)
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "ut of memory" in text


class Pieces(NamedTuple):
    """What was computed for a block, before it is put together.

    Attributes:
        kept: index of the first point, and fields, of each chunk.
        failed: the reason for each point that raised, by its index in the block.
    """

    kept: list[tuple[int, dict[str, np.ndarray]]]
    failed: dict[int, str]


def assemble(outputs: Mapping[str, Any], block: Block, pieces: Pieces) -> Results:
    """Put the chunks of a block together; this may run in another thread than the evaluation.

    Args:
        outputs: shape and dtype of each field.
        block: the block.
        pieces: from `Evaluator.results`.

    Returns:
        The fields in the block's shape; nan, or 0 of integers, where a point raised.
    """
    values = {}
    for name, output in outputs.items():
        if len(pieces.kept) == 1 and not pieces.failed:
            values[name] = pieces.kept[0][1][name].reshape(*block.shape, *output.shape)
            continue
        flat = np.empty((math.prod(block.shape), *output.shape), output.dtype)
        for start, fields in pieces.kept:
            flat[start : start + len(fields[name])] = fields[name]
        flat[list(pieces.failed)] = np.nan if flat.dtype.kind in "fc" else 0
        values[name] = flat.reshape(*block.shape, *output.shape)
    return Results(values, {_place(at, block): why for at, why in pieces.failed.items()})


class Evaluator:
    """Keeps the compiled program of one static value and the block's inputs on the devices."""

    def __init__(
        self,
        task: Task,
        extents: tuple[int, ...],
        chunk: int | None,
        lanes: int | None,
        memory: int,
    ) -> None:
        """Keep the settings; nothing is compiled yet.

        Args:
            task: what is evaluated.
            extents: of the largest blocks on each axis.
            chunk: points at once; None for as many as `memory` allows.
            lanes: points that are vectorised together; None for all of a chunk.
            memory: bytes on each device.
        """
        self._task, self._extents, self._memory = task, extents, memory
        self._lanes = lanes
        self._chunk = None if chunk is None else self._rounded(chunk)
        self._programs: dict[tuple[int, ...], Program] = {}
        self._held: dict[str, tuple[Any, Any]] = {}
        self._constant: Any = None

    def static(self, block: Block) -> tuple[int, ...]:
        """Place of a block on each static axis.

        Args:
            block: which.

        Returns:
            The index of its program.
        """
        grid = self._task.grid
        return tuple(block.start[grid.place(name)] for name in grid.of_kind("static"))

    def program(self, block: Block) -> Program:
        """The program for a block's static value, compiled at the first use.

        Args:
            block: any of that value.

        Returns:
            The program.

        Raises:
            Exception: what tracing or compiling raised.
        """
        index = self.static(block)
        if index not in self._programs:
            self._programs.clear()  # blocks of one value come together
            one = self._task.programs[index]
            if isinstance(one, Exception):
                raise one
            self._programs[index] = self._compile_to_fit(one, self._inputs(block))
        return self._programs[index]

    def results(self, block: Block, *, count: Callable[[int], Any] = lambda _: None) -> Pieces:
        """Evaluate every point of a block.

        Args:
            block: which.
            count: called with the number of points that have been finished since the last call.

        Returns:
            The fields chunk by chunk, and the reasons of points that raised; see `assemble`.
        """
        pieces = Pieces([], {})
        try:
            self.program(block)
        except Exception as error:  # the whole static value fails, the others go on
            pieces.failed.update(dict.fromkeys(range(math.prod(block.shape)), _reason(error)))
            count(math.prod(block.shape))
        else:
            self._fill(block, pieces, count)
        return pieces

    def _fill(self, block: Block, pieces: Pieces, count: Callable[[int], Any]) -> None:
        """Two chunks are on the way at any time, so that the device does not wait for the host."""
        inputs, everything = self._inputs(block), self._points(block)
        points_of_block = math.prod(block.shape)
        program = self.program(block)
        sent = done = 0
        flying: collections.deque[tuple[int, int, Any]] = collections.deque()
        while done < points_of_block:
            try:
                program = self.program(block)  # anew after chunks became smaller
                while sent < points_of_block and len(flying) < _IN_FLIGHT:
                    stop = min(sent + program.chunk, points_of_block)
                    points = self._chunk_of(everything, sent, stop, program.chunk)
                    flying.append((sent, stop, program.call(inputs, points)))
                    sent = stop
                start, stop, found = flying[0]
                _keep(start, stop, found, pieces)
                flying.popleft()
                count(stop - done)
                done = stop
            except Exception as error:  # XLA raises its own types for what a point raises
                flying.clear()
                if is_out_of_memory(error) and program.chunk > self._task.mesh.size:
                    self._smaller(program.chunk)
                    self._programs.pop(self.static(block), None)
                    sent = done
                    continue
                stop = min(done + program.chunk, points_of_block)
                for at in range(done, stop):
                    self._one_by_one(block, everything, at, pieces)
                count(stop - done)
                sent = done = stop

    def _one_by_one(self, block: Block, everything: Points, at: int, pieces: Pieces) -> None:
        """Find out which point of a failed chunk it was."""
        index = (*self.static(block), -1)
        if index not in self._programs:
            one = self._task.programs[self.static(block)]
            self._programs[index] = self._compile(one, self._inputs(block), self._rounded(1))
        program = self._programs[index]
        points = self._chunk_of(everything, at, at + 1, program.chunk)
        try:
            found = program.call(self._inputs(block), points)
            _keep(at, at + 1, found, pieces)
        except Exception as error:  # as above
            pieces.failed[at] = _reason(error)

    def _compile(self, one: Any, inputs: Inputs, chunk: int) -> Program:
        names = list(self._task.grid.of_kind("vmapped"))
        lanes = self._lanes or chunk // self._task.mesh.size
        return compile_chunk(one, inputs, names, chunk, lanes, self._task.mesh)

    def _compile_to_fit(self, one: OneFn, inputs: Inputs) -> Program:
        """With the chunk asked for, or the one that the memory allows; less if that fails."""
        points = math.prod(self._extents)
        chunk = self._evened(self._chunk or self._largest_chunk(one, inputs), points)
        while True:
            try:
                program = self._compile(one, inputs, chunk)
            except Exception as error:  # XLA raises its own types
                if not is_out_of_memory(error) or chunk <= self._task.mesh.size:
                    raise
                chunk = self._smaller(chunk)
                continue
            is_least = chunk == self._task.mesh.size
            if self._chunk is not None or program.bytes <= self._memory or is_least:
                return program
            if self._lanes is not None and chunk == self._rounded(1):
                self._lanes = max(1, self._lanes // 2)
            # Not all of it grew in proportion, and a whole number of turns may be the same again.
            wanted = int(chunk * 0.9 * self._memory / program.bytes)
            chunk = min(self._rounded(wanted), chunk - self._rounded(1)) or self._rounded(1)

    def _largest_chunk(self, one: OneFn, inputs: Inputs) -> int:
        """From the memory of a small program: all but its arguments grows with the chunk."""
        try:
            small = self._compile(one, inputs, self._rounded(_PROBE))
        except Exception as error:  # XLA raises its own types
            if is_out_of_memory(error):
                return self._task.mesh.size
            raise
        fixed = sum(leaf.nbytes for leaf in jax.tree.leaves(inputs))
        each = max(1, small.bytes - fixed) * self._task.mesh.size / small.chunk
        return max(1, int((self._memory - fixed) / each)) * self._task.mesh.size

    def _evened(self, chunk: int, points: int) -> int:
        """Chunks of one size for a whole block, so that none is mostly padding."""
        return self._rounded(math.ceil(points / math.ceil(points / min(chunk, points))))

    def _smaller(self, chunk: int) -> int:
        """Half a chunk, if need be by half the lanes."""
        if self._lanes is not None and chunk == self._rounded(1):
            self._lanes = max(1, self._lanes // 2)
        self._chunk = self._rounded(chunk // 2)
        _LOG.warning("out of memory: chunks of %d points instead of %d", self._chunk, chunk)
        return self._chunk

    def _rounded(self, chunk: int) -> int:
        """Every device gets the same number of points, and whole turns of them."""
        together = self._task.mesh.size * (self._lanes or 1)
        return max(1, math.ceil(chunk / together)) * together

    def _chunk_of(self, points: Points, start: int, stop: int, chunk: int) -> Points:
        """Some points; the last chunk of a block repeats its last point."""
        at = np.minimum(np.arange(start, start + chunk), stop - 1)
        return jax.tree.map(lambda leaf: leaf[at], points)

    def _points(self, block: Block) -> Points:
        """Every point of a block, on the host."""
        grid = self._task.grid
        within = np.unravel_index(np.arange(math.prod(block.shape)), block.shape)
        here = dict(zip(grid.names, within, strict=True))
        everywhere = {name: here[name] + block.start[grid.place(name)] for name in grid.names}
        words = key_words(self._task.key_digests, everywhere)
        places = {name: here[name].astype(np.int32) for name in grid.of_kind("vmapped")}
        return Points(places, words)

    def _inputs(self, block: Block) -> Inputs:
        """What the block's points are made of, on the devices; what the last block had is kept."""
        task, grid = self._task, self._task.grid

        def looped(name: str) -> Any:
            at = block.start[grid.place(name)]
            return jax.tree.map(lambda leaf: leaf[at], grid.axes[name].values)

        def values(name: str) -> Any:
            axis, place = grid.axes[name], grid.place(name)
            at = block.start[place] + np.arange(self._extents[place])
            # All blocks have one shape, for one compiled program: what is less repeats its end.
            return jax.tree.map(lambda leaf: leaf[np.minimum(at, axis.size - 1)], axis.values)

        def held(name: str, make: Callable[[str], Any]) -> Any:
            at = block.start[grid.place(name)]
            if self._held.get(name, (None,))[0] != at:
                self._held[name] = (at, on_devices(make(name), task.mesh))
            return self._held[name][1]

        if self._constant is None:
            self._constant = on_devices((task.shared, task.key_data), task.mesh)
        shared, key_data = self._constant
        return Inputs(
            shared,
            {name: held(name, looped) for name in grid.of_kind("looped")},
            {name: held(name, values) for name in grid.of_kind("vmapped")},
            key_data,
        )


def _keep(start: int, stop: int, found: Any, pieces: Pieces) -> None:
    """Wait for a chunk; on a CPU its memory is looked at and not copied."""
    fields = jax.device_get(found)
    pieces.kept.append((start, {name: field[: stop - start] for name, field in fields.items()}))


def _place(at: int, block: Block) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(at, block.shape))


def _reason(error: Exception) -> str:
    """The first and the last line: between them, XLA and others print where it was raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' ... '.join(dict.fromkeys(lines[:1] + lines[-1:]))}"
