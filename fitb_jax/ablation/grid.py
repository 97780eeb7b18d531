"""A grid of points: named axes, and the blocks it is computed in."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jax
import numpy as np

from fitb_jax import checks
from fitb_jax.ablation.identity import on_host

Kind: TypeAlias = Literal["vmapped", "looped", "static"]
RESERVED = ("key", "status", "work", "quantile")
"""Names of what is in a store besides its axes and fields."""


@dataclass(frozen=True)
class Axis:
    """One axis of a grid; made by `vmapped`, `looped` or `static`.

    Attributes:
        kind: how the values reach the compiled program.
        labels: the coordinate, (n,), numbers or strings without repetition.
        values: pytree of arrays with leading axis n; a tuple of n Python values if static.
        units: of the coordinate, such as "pixels".
        meaning: one line for a reader of the results.
    """

    kind: Kind
    labels: np.ndarray
    values: Any
    units: str = ""
    meaning: str = ""

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.labels)


def vmapped(
    values: Any, *, labels: Sequence[Any] | None = None, units: str = "", meaning: str = ""
) -> Axis:
    """Values that are evaluated together: flattened with the other vmapped axes and `vmap`ped.

    Args:
        values: pytree of arrays with one common leading axis; each point gets one slice of it.
        labels: the coordinate; by default the values if they are numbers, else 0, 1, 2, ...
        units: of the coordinate.
        meaning: one line for a reader of the results.

    Returns:
        The axis.

    Raises:
        ValueError: leading axes that differ or are empty, or labels that do not fit or repeat.
    """
    return _array_axis("vmapped", values, labels, units, meaning)


def looped(
    values: Any, *, labels: Sequence[Any] | None = None, units: str = "", meaning: str = ""
) -> Axis:
    """Values that are taken one after the other by the same compiled program.

    For what is too large to be copied for every point, such as the parameters of networks: a
    product with one matrix for all points of a batch is fast, one with a matrix each is not.

    Args:
        values: pytree of arrays with one common leading axis, such as `models.stack` makes.
        labels: the coordinate; by default the values if they are numbers, else 0, 1, 2, ...
        units: of the coordinate.
        meaning: one line for a reader of the results.

    Returns:
        The axis.

    Raises:
        ValueError: leading axes that differ or are empty, or labels that do not fit or repeat.
    """
    return _array_axis("looped", values, labels, units, meaning)


def static(
    values: Sequence[Any],
    *,
    labels: Sequence[Any] | None = None,
    units: str = "",
    meaning: str = "",
) -> Axis:
    """Python values that change the program: a method's name, a number of steps, a model.

    Args:
        values: any Python values; each costs one compile.
        labels: the coordinate; by default the values if they are numbers or strings.
        units: of the coordinate.
        meaning: one line for a reader of the results.

    Returns:
        The axis.

    Raises:
        ValueError: no values, or labels that do not fit or repeat.
    """
    values = tuple(values)
    if not values:
        raise ValueError("a static axis must have at least one value, got none")
    if labels is None and not all(isinstance(value, str | int | float) for value in values):
        raise ValueError(f"labels must be given for values that are no names or numbers: {values}")
    return Axis("static", _labels(values if labels is None else labels), values, units, meaning)


def _array_axis(
    kind: Kind, values: Any, labels: Sequence[Any] | None, units: str, meaning: str
) -> Axis:
    if isinstance(values, list | tuple) and all(np.isscalar(value) for value in values):
        values = np.asarray(values)
    values = jax.tree.map(on_host, values)
    shapes = [leaf.shape for leaf in jax.tree.leaves(values)]
    lengths = {shape[:1] for shape in shapes}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(
            f"values of a {kind} axis must have one common leading axis of at least 1, got shapes "
            f"{shapes}"
        )
    ((size,),) = lengths
    is_coordinate = isinstance(values, np.ndarray) and values.ndim == 1
    default = values if is_coordinate else np.arange(size)
    found = _labels(default if labels is None else labels)
    if len(found) != size:
        raise ValueError(f"labels must be one for each of {size} values, got {len(found)}")
    return Axis(kind, found, values, units, meaning)


def _labels(labels: Any) -> np.ndarray:
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "biufU":
        raise ValueError(f"labels must be numbers or strings on one axis, got {labels}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"labels must be finite, got {labels}")
    if len(np.unique(array)) != len(array):
        raise ValueError(f"labels must not repeat, got {labels}")
    return array


@dataclass(frozen=True)
class Block:
    """A rectangle of the grid: what is written, and resumed, at once.

    Attributes:
        index: which block along each axis.
        start: first place on each axis.
        shape: number of places on each axis; less than the extent at the end of an axis.
    """

    index: tuple[int, ...]
    start: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def region(self) -> tuple[slice, ...]:
        """The block in an array over the whole grid."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.shape, strict=True))


@dataclass(frozen=True)
class Grid:
    """Named axes in the order of the result's dimensions.

    Attributes:
        axes: by name.
    """

    axes: dict[str, Axis]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return tuple(axis.size for axis in self.axes.values())

    def of_kind(self, *kinds: Kind) -> tuple[str, ...]:
        """Names of the axes of some kinds."""
        return tuple(name for name, axis in self.axes.items() if axis.kind in kinds)

    def place(self, name: str) -> int:
        """Position of an axis."""
        return self.names.index(name)


def as_grid(grid: Mapping[str, Any]) -> Grid:
    """Check the axes; a plain sequence of numbers is a vmapped axis.

    Args:
        grid: name to `Axis` or numbers.

    Returns:
        The grid.

    Raises:
        TypeError: an axis that is neither.
        ValueError: no axes, or a name that is no Python identifier or is taken.
    """
    if not grid:
        raise ValueError("grid must have at least one axis, got none")
    axes = {}
    for name, axis in grid.items():
        if not name.isidentifier() or name in RESERVED:
            raise ValueError(
                f"names of axes must be Python identifiers other than {RESERVED}, got {name!r}"
            )
        if not isinstance(axis, Axis):
            array = np.asarray(axis)
            if array.ndim != 1 or array.dtype.kind not in "biuf":
                raise TypeError(
                    f"axis {name!r} must be numbers, or made by ablation.vmapped, looped or "
                    f"static, got {type(axis).__name__}"
                )
            axis = vmapped(array)
        axes[name] = axis
    return Grid(axes)


def block_extents(grid: Grid, points: int, *, first: Sequence[str] = ()) -> tuple[int, ...]:
    """Sides of blocks of at most `points` points, as even as the axes allow.

    Args:
        grid: the grid; blocks hold one value of its looped and static axes.
        points: most points of a block, at least 1.
        first: axes to be taken as whole as possible, such as those that are averaged over.

    Returns:
        The extent on each axis.
    """
    checks.check_count("block", points)
    names = grid.of_kind("vmapped")
    order = [name for name in names if name in first]
    order += [name for name in reversed(names) if name not in first]
    extents, room = dict.fromkeys(grid.names, 1), points
    for name in order:
        size = grid.axes[name].size
        pieces = math.ceil(size / room)
        extents[name] = math.ceil(size / pieces)
        room = room // size if pieces == 1 else 1
    return tuple(extents.values())


def blocks(grid: Grid, extents: Sequence[int]) -> Iterator[Block]:
    """All blocks, those of one static value together, then those of one looped value.

    Args:
        grid: the grid.
        extents: of a block on each axis.

    Yields:
        The blocks.
    """
    counts = [math.ceil(n / e) for n, e in zip(grid.shape, extents, strict=True)]
    slow = [grid.place(name) for name in grid.of_kind("static")]
    slow += [grid.place(name) for name in grid.of_kind("looped")]
    slow += [grid.place(name) for name in grid.of_kind("vmapped")]
    for found in itertools.product(*(range(counts[axis]) for axis in slow)):
        index = tuple(found[slow.index(axis)] for axis in range(len(counts)))
        start = tuple(i * e for i, e in zip(index, extents, strict=True))
        shape = tuple(min(e, n - a) for e, n, a in zip(extents, grid.shape, start, strict=True))
        yield Block(index, start, shape)
