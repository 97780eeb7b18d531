"""What a run will do, before it does it."""

import itertools
import math
from typing import NamedTuple

from fitb_jax.ablation.evaluation import Evaluator
from fitb_jax.ablation.grid import Block, blocks
from fitb_jax.ablation.schema import Schema
from fitb_jax.ablation.task import Task


class Plan(NamedTuple):
    """What a run will do, known before anything is evaluated.

    Attributes:
        axes: size of each axis.
        points: product of the sizes.
        compiles: one for each value of the structural axes.
        chunk: points evaluated at once.
        chunk_bytes: memory the first compiled program needs for a chunk; 0 where it is not known.
        block: most points of a block: what is written, and lost if a run is killed.
        blocks: how many there are.
        blocks_left: how many are not in the store yet.
        point_bytes: of the fields of one point.
        store_bytes: of the fields as they are kept, statistics in place of what is reduced.
    """

    axes: dict[str, int]
    points: int
    compiles: int
    chunk: int
    chunk_bytes: int
    block: int
    blocks: int
    blocks_left: int
    point_bytes: int
    store_bytes: int

    def __str__(self) -> str:
        """One paragraph for a person."""
        axes = " x ".join(f"{size} {name}" for name, size in self.axes.items())
        return (
            f"{axes} = {self.points:,} points; {self.compiles} compiles; chunks of {self.chunk:,} "
            f"points ({_bytes(self.chunk_bytes)} each); {self.blocks:,} blocks of at most "
            f"{self.block:,} points, {self.blocks_left:,} to do; about "
            f"{_bytes(self.store_bytes)} on disk"
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
    """
    first = pending[0] if pending else next(blocks(schema.grid, schema.extents))
    broken = {index for index, one in task.programs.items() if isinstance(one, Exception)}
    every = itertools.chain([first], blocks(schema.grid, schema.extents))
    program = evaluator.program(next(b for b in every if evaluator.structural(b) not in broken))
    return Plan(
        axes=dict(zip(task.grid.names, task.grid.shape, strict=True)),
        points=math.prod(task.grid.shape),
        compiles=len(task.programs),
        chunk=program.chunk,
        chunk_bytes=program.bytes,
        block=math.prod(schema.extents),
        blocks=math.prod(schema.counts),
        blocks_left=len(pending),
        point_bytes=task.point_bytes,
        store_bytes=schema.kept_bytes,
    )


def _bytes(size: float | int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
