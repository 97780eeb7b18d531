"""Evaluate the points of one block in chunks, whatever goes wrong with some of them."""

import collections
import logging
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from fitb_jax.ablation.grid import Block
from fitb_jax.ablation.identity import key_words
from fitb_jax.ablation.program import (
    Inputs,
    OneFn,
    Points,
    Program,
    compile_chunk,
    is_out_of_memory,
    on_devices,
)
from fitb_jax.ablation.schema import Results, Schema
from fitb_jax.ablation.task import Task

_LOG = logging.getLogger(__name__)
_IN_FLIGHT = 2
_PROBE = 32


class Pieces(NamedTuple):
    """What was computed for a block, before it is put together.

    Attributes:
        kept: first point and fields of each chunk.
        failed: why, for each point that raised.
    """

    kept: list[tuple[int, dict[str, np.ndarray]]]
    failed: dict[int, str]


def assemble(schema: Schema, block: Block, pieces: Pieces) -> Results:
    """Put the chunks of a block together; apart from the evaluation, so that another thread can.

    Args:
        schema: the fields.
        block: which.
        pieces: from `Evaluator.results`.

    Returns:
        The fields in the block's shape; nan, or 0 of integers, where a point raised.
    """
    values = {}
    for name, output in schema.outputs.items():
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
        self, task: Task, schema: Schema, chunk: int | None, lanes: int | None, memory: int
    ) -> None:
        """Nothing is compiled yet.

        Args:
            task: what is evaluated.
            schema: the blocks.
            chunk: points at once; None for as many as `memory` allows.
            lanes: points that are vectorised together; None for all of a chunk.
            memory: bytes on each device.
        """
        self._task, self._schema, self._memory = task, schema, memory
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
            count: is told how many points more are finished.

        Returns:
            The fields chunk by chunk, and why points raised; see `assemble`.
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
        points = math.prod(self._schema.extents)
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
            at = block.start[place] + np.arange(self._schema.extents[place])
            # All blocks have one shape, for one compiled program: the last one repeats its end.
            return jax.tree.map(lambda leaf: leaf[np.minimum(at, axis.size - 1)], axis.values)

        def held(name: str, make: Callable[[str], Any]) -> Any:
            at = block.index[grid.place(name)]
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
