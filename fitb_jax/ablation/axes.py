"""A grid of points: named axes, the keys of its points, and the blocks it is computed in."""

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import numpy as np

from fitb_jax import checks

Kind: TypeAlias = Literal["vmapped", "looped", "static"]
RESERVED = ("key", "status", "work")
"""Names of what is in a store besides its axes and fields."""


@dataclass(frozen=True)
class Axis:
    """One axis of a grid; made by `vmapped`, `looped` or `static`.

    Attributes:
        kind: how the values reach the compiled program: see these three functions.
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

    def head(self, size: int) -> "Axis":
        """The axis with its first values only.

        Args:
            size: how many values to keep; at most as many as there are.

        Returns:
            The axis.
        """
        cut = slice(0, size)
        values = (
            self.values[cut]
            if self.kind == "static"
            else jax.tree.map(lambda leaf: leaf[cut], self.values)
        )
        return replace(self, labels=self.labels[cut], values=values)


def vmapped(
    values: Any, *, labels: Sequence[Any] | None = None, units: str = "", meaning: str = ""
) -> Axis:
    """Make an axis of values that are evaluated together, by `vmap` over all vmapped axes at once.

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
    """Make an axis of values that the same compiled program takes one after the other.

    It suits values that are too large to be copied for every point, such as the parameters of
    networks. A product with one matrix for all points of a batch is fast; one with a matrix for
    each point is not.

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
    values: Sequence[Any] | np.ndarray,
    *,
    labels: Sequence[Any] | None = None,
    units: str = "",
    meaning: str = "",
) -> Axis:
    """Make an axis of Python values that change the program, such as a number of steps or a model.

    Args:
        values: any Python values; each costs one compilation.
        labels: the coordinate; by default the values, if they are numbers or strings.
        units: of the coordinate.
        meaning: one line for a reader of the results.

    Returns:
        The axis.

    Raises:
        ValueError: no values, or labels that do not fit or repeat.
    """
    values = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
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

    def head(self, sizes: Mapping[str, int]) -> "Grid":
        """The grid with the first values of its axes only.

        Args:
            sizes: how many values of each axis to keep; a larger number than it has keeps all.

        Returns:
            The grid.
        """
        return Grid({name: axis.head(sizes[name]) for name, axis in self.axes.items()})


def as_grid(grid: Mapping[str, Any]) -> Grid:
    """Check the axes of a grid; a plain sequence of numbers becomes a vmapped axis.

    Args:
        grid: an `Axis` or a sequence of numbers by name.

    Returns:
        The grid.

    Raises:
        TypeError: an axis that is neither.
        ValueError: no axes, a name that is no Python identifier or is taken, or values that do not
            survive the type that devices hold them in.
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
            if array.dtype.kind == "O" and array.ndim == 1:
                check_survival(f"axis {name!r}", array, labels=array)
            if array.ndim != 1 or array.dtype.kind not in "biuf":
                raise TypeError(
                    f"axis {name!r} must be numbers, or made by ablation.vmapped (arrays), looped "
                    f"(networks) or static (functions, names), got {type(axis).__name__}"
                )
            axis = vmapped(array)
        if axis.kind != "static":
            check_survival(f"axis {name!r}", axis.values, labels=axis.labels)
        axes[name] = axis
    return Grid(axes)


def check_survival(what: str, values: Any, *, labels: np.ndarray | None = None) -> None:
    """Raise where a device would hold another number than the one that was given.

    Without `jax_enable_x64` devices have 32 bits: an integer beyond them loses its upper half, a
    large float becomes infinite and a small one 0. The rounding of ordinary floats is no loss.

    Args:
        what: says in the message what the values are.
        values: pytree of arrays and numbers.
        labels: one for each entry of the leading axis, if it is an axis of a grid.

    Raises:
        ValueError: a value does not survive; the first one is named.
    """
    for path, leaf in jax.tree_util.tree_flatten_with_path(values)[0]:
        if isinstance(leaf, jax.Array):
            continue
        array = np.asarray(leaf)
        wanted = np.dtype(np.int32)
        if array.dtype.kind in "iufc":
            wanted = np.dtype(jax.dtypes.canonicalize_dtype(array.dtype))
        elif array.dtype.kind != "O":
            continue
        if wanted == array.dtype:
            continue
        lost = _lost(array, wanted)
        if not lost.any():
            continue
        at = tuple(int(i) for i in np.argwhere(lost)[0])
        place = f" at index {at}" if at else ""
        if labels is not None and at:
            place = f" at label {np.asarray(labels[at[0]]).item()!r}"
            place += f", index {at[1:]}" if at[1:] else ""
        raise ValueError(
            f"{what}{jax.tree_util.keystr(path)} must hold {_range(wanted)}, which is what devices "
            f"hold unless jax_enable_x64 is set, got {array[at]!s}{place}"
        )


def _lost(array: np.ndarray, wanted: np.dtype[Any]) -> np.ndarray:
    if array.dtype.kind == "O":  # integers beyond 64 bits, or what is no number and fails later
        whole = [isinstance(value, int) and abs(value) >= 2**63 for value in array.flat]
        return np.asarray(whole, bool).reshape(array.shape)
    with np.errstate(all="ignore"):
        held = array.astype(wanted)
    if array.dtype.kind in "iu":
        return np.asarray(held != array)
    return np.asarray((np.isfinite(array) & ~np.isfinite(held)) | ((held == 0) & (array != 0)))


def _range(dtype: np.dtype[Any]) -> str:
    if dtype.kind in "iu":
        whole = np.iinfo(dtype)
        return f"integers from {whole.min} to {whole.max} ({dtype})"
    limits = np.finfo(dtype)
    return f"0 or magnitudes from {limits.smallest_subnormal:.0e} to {limits.max:.0e} ({dtype})"


def block_extents(grid: Grid, points: int, *, first: Sequence[str] = ()) -> tuple[int, ...]:
    """Choose the extents of blocks of at most `points` points, as even as the axes allow.

    Args:
        grid: the grid; blocks hold one value of its looped and static axes.
        points: largest number of points of a block, at least 1.
        first: axes to divide as little as possible, such as those that are averaged over.

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


class Block(NamedTuple):
    """A rectangle of the grid, which is computed and written as a whole.

    Attributes:
        chunk: which chunk of the stored arrays it lies in, along each axis.
        piece: which piece of each axis it is; the same as `chunk` unless the grid has grown.
        start: first place on each axis.
        shape: number of places on each axis; less than the extent at the end of an axis, and where
            the grid ended before it grew.
    """

    chunk: tuple[int, ...]
    piece: tuple[int, ...]
    start: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def region(self) -> tuple[slice, ...]:
        """The block in an array over the whole grid."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.shape, strict=True))


class Layout(NamedTuple):
    """How a grid is cut into blocks.

    The chunks of the stored arrays are all of one shape. A block is a chunk. Where the grid has
    grown, a chunk at the former end of an axis is cut there, so that earlier results are a block of
    their own.

    Attributes:
        grid: the axes.
        extents: number of points of a chunk along each axis.
        former: sizes of each axis before it grew, by name.
    """

    grid: Grid
    extents: tuple[int, ...]
    former: Mapping[str, Sequence[int]] = {}

    def pieces(self, name: str) -> list[tuple[int, int]]:
        """First place and length of each piece of an axis; new ones only come behind old ones.

        Args:
            name: of the axis.

        Returns:
            The pieces, in order.
        """
        size, extent = self.grid.axes[name].size, self.extents[self.grid.place(name)]
        starts = sorted({*range(0, size, extent), *self.former.get(name, ())})
        return [(a, b - a) for a, b in itertools.pairwise([*starts, size])]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of pieces of each axis."""
        return tuple(len(self.pieces(name)) for name in self.grid.names)

    def is_whole(self, block: Block) -> bool:
        """Whether a block is all that there is in its chunk."""
        return block.shape == tuple(
            min(extent, size - chunk * extent)
            for extent, size, chunk in zip(self.extents, self.grid.shape, block.chunk, strict=True)
        )

    def blocks(self) -> Iterator[Block]:
        """All blocks, those of one static value together, then those of one looped value.

        Yields:
            The blocks.
        """
        grid = self.grid
        slow = [grid.place(name) for name in grid.of_kind("static")]
        slow += [grid.place(name) for name in grid.of_kind("looped")]
        slow += [grid.place(name) for name in grid.of_kind("vmapped")]
        pieces = [self.pieces(name) for name in grid.names]
        for found in itertools.product(*(range(len(pieces[axis])) for axis in slow)):
            piece = tuple(found[slow.index(axis)] for axis in range(len(pieces)))
            start, shape = zip(*(pieces[i][at] for i, at in enumerate(piece)), strict=True)
            chunk = tuple(a // extent for a, extent in zip(start, self.extents, strict=True))
            yield Block(chunk, piece, start, shape)


def on_host(leaf: Any) -> Any:
    """Convert an array to NumPy; random keys, which NumPy does not have, stay as they are.

    Args:
        leaf: any array.

    Returns:
        The array on the host.
    """
    if isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf
    return np.asarray(leaf)


def key_words(digests: Mapping[str, np.ndarray], places: Mapping[str, np.ndarray]) -> np.ndarray:
    """Two 32-bit words for the random key of each point, from the labels of its coordinates alone.

    The digests of all coordinates are added, so that neither the order of the axes nor the other
    values on them matter.

    Args:
        digests: `label_digests` of each axis that the keys depend on.
        places: of each axis the places of the points, (n,).

    Returns:
        (n, 2), uint32.
    """
    total = np.zeros(len(next(iter(places.values()))), np.uint64)
    for name, of_labels in digests.items():
        total += of_labels[places[name]]
    return np.stack([total >> np.uint64(32), total & np.uint64(2**32 - 1)], 1).astype(np.uint32)


def label_digests(name: str, labels: np.ndarray) -> np.ndarray:
    """A digest of each label of an axis.

    Args:
        name: of the axis.
        labels: (n,).

    Returns:
        (n,), uint64.
    """
    words = (f"{name}={label!r}".encode() for label in labels.tolist())
    digests = [hashlib.blake2b(word, digest_size=8).digest() for word in words]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def digest(tree: Any) -> str:
    """A fingerprint of the names, shapes, types and values of a pytree of arrays.

    Args:
        tree: pytree of arrays; random keys are allowed.

    Returns:
        32 hexadecimal digits.
    """
    found = hashlib.blake2b(digest_size=16)
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        leaf = on_host(leaf)
        if not isinstance(leaf, np.ndarray):
            leaf = np.asarray(jax.random.key_data(leaf))
        found.update(f"{jax.tree_util.keystr(path)}{leaf.dtype.str}{leaf.shape}".encode())
        # As bytes, because the types of `ml_dtypes` have no buffer.
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()
