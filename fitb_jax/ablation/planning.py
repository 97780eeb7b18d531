"""What a run will do, before it does it."""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fitb_jax.ablation.evaluation import Evaluator
from fitb_jax.ablation.grid import Block, blocks
from fitb_jax.ablation.program import Program
from fitb_jax.ablation.schema import Schema
from fitb_jax.ablation.task import Task


class Plan(NamedTuple):
    """What a run will do, known before anything is evaluated.

    Attributes:
        axes: size of each axis.
        points: product of the sizes.
        compiles: one for each value of the static axes.
        chunk: points evaluated at once.
        chunks: how many of them the whole grid is.
        chunk_bytes: memory the first compiled program needs for a chunk; 0 where it is not known.
        block: most points of a block: what is written, and lost if a run is killed.
        blocks: how many there are.
        blocks_left: how many are not in the store yet.
        point_bytes: of the fields of one point.
        store_bytes: of the fields as they are kept, statistics in place of what is reduced.
        work_bytes: on disk besides, until the grid is complete.
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
        work = f", {_bytes(self.work_bytes)} more until it is complete" if self.work_bytes else ""
        return (
            f"{axes} = {self.points:,} points; {self.compiles} compiles; {self.chunks:,} chunks of "
            f"at most {self.chunk:,} points ({_bytes(self.chunk_bytes)} each) in {self.blocks:,} "
            f"blocks of at most {self.block:,} points, {self.blocks_left:,} to do; about "
            f"{_bytes(self.store_bytes)} on disk{work}"
        )


def make_plan(task: Task, schema: Schema, evaluator: Evaluator, pending: list[Block]) -> Plan:
    """Compile the first program, and add up what is known.

    Args:
        task: the run.
        schema: its blocks.
        evaluator: of the task; it keeps the program.
        pending: blocks that are not done.

    Returns:
        The plan.

    Raises:
        Exception: what tracing or compiling raised, if it did so for every static value.
    """
    first = pending[0] if pending else next(blocks(schema.grid, schema.extents))
    program = _first_program(evaluator, itertools.chain([first], _one_of_each(schema, evaluator)))
    shapes = (block.shape for block in blocks(schema.grid, schema.extents))
    return Plan(
        axes=dict(zip(task.grid.names, task.grid.shape, strict=True)),
        points=math.prod(task.grid.shape),
        compiles=len(task.programs),
        chunk=program.chunk,
        chunks=sum(math.ceil(math.prod(shape) / program.chunk) for shape in shapes),
        chunk_bytes=program.bytes,
        block=math.prod(schema.extents),
        blocks=math.prod(schema.counts),
        blocks_left=len(pending),
        point_bytes=task.point_bytes,
        store_bytes=schema.kept_bytes,
        work_bytes=schema.work_bytes,
    )


def _one_of_each(schema: Schema, evaluator: Evaluator) -> Iterator[Block]:
    """The first block of each static value."""
    every = blocks(schema.grid, schema.extents)
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


def _bytes(size: float | int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
