"""What a point returns: fields, which points can be used, and statistics over axes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from fitb_jax import checks
from fitb_jax.ablation.axes import RESERVED, Grid
from fitb_jax.moments import Moments

Statistic: TypeAlias = Literal["mean", "standard_error", "count"]


class Reduction(NamedTuple):
    """Statistics over axes in place of the values, so that a huge axis need not be stored.

    Values that are not finite are left out; "count" is the number of finite values.

    Attributes:
        over: names of the axes to reduce, which the results do not have.
        statistics: "mean", "standard_error" or "count", computed in float64.
    """

    over: tuple[str, ...]
    statistics: tuple[Statistic, ...] = ("mean", "standard_error")


class Field(NamedTuple):
    """What one array that a point returns means, and how it is kept.

    Attributes:
        dims: names of the array's own axes.
        units: of the values, such as "pixels".
        meaning: one line for a reader of the results.
        reduction: statistics to keep instead of every value.
        nan_is_answer: whether a value that is not finite is a valid result, and no failure.
    """

    dims: tuple[str, ...] = ()
    units: str = ""
    meaning: str = ""
    reduction: Reduction | None = None
    nan_is_answer: bool = False


NOT_COMPUTED, DONE, NOT_FINITE, FAILED = range(4)


class Results(NamedTuple):
    """What was computed for one block.

    Attributes:
        values: arrays by field, of the block's shape followed by the field's.
        failed: the reason for each point that raised, by its place in the block.
    """

    values: dict[str, np.ndarray]
    failed: dict[tuple[int, ...], str]


class Judgement(NamedTuple):
    """Which points of a block can be used.

    Attributes:
        status: DONE, NOT_FINITE or FAILED for each point, of the block's shape.
        reasons: the reason for each point that is not done, by its place in the block.
    """

    status: np.ndarray
    reasons: dict[tuple[int, ...], str]


def check_fields(
    fields: Mapping[str, Field], outputs: Mapping[str, Any], grid: Grid
) -> dict[str, Field]:
    """Check the fields, and make one for each output with its dims filled in.

    Args:
        fields: as the user gave them; an output without one gets `Field()`.
        outputs: shape and dtype of each output.
        grid: the grid.

    Returns:
        A field for each output.

    Raises:
        TypeError: a type that a store cannot hold, or statistics of complex numbers.
        ValueError: a field that is not an output or is empty, dims that do not fit, a reduction
            over what is no axis, a name that is taken or is no identifier.
    """
    if unknown := fields.keys() - outputs.keys():
        raise ValueError(f"fields must be among {sorted(outputs)}, got {sorted(unknown)}")
    found = {}
    sizes: dict[str, int] = {}
    for name, output in outputs.items():
        field = fields.get(name, Field())
        if not name.isidentifier():
            raise ValueError(f"names of fields must be Python identifiers, got {name!r}")
        if np.dtype(output.dtype).kind not in "biufc":
            raise TypeError(
                f"field {name!r} must be of a type that numpy has itself, got {output.dtype}: "
                "return it as float32"
            )
        if 0 in output.shape:
            raise ValueError(f"field {name!r} must hold something, got shape {output.shape}")
        if field.reduction and np.dtype(output.dtype).kind == "c":
            raise TypeError(f"field {name!r} is complex: no statistics are made of it")
        if name in grid.axes or name in RESERVED:
            raise ValueError(
                f"a field must not have the name of an axis or one of {RESERVED}, got {name!r}"
            )
        dims = field.dims or tuple(f"{name}_{axis}" for axis in range(len(output.shape)))
        if len(dims) != len(output.shape) or set(dims) & set(grid.axes):
            raise ValueError(
                f"dims of {name!r} must name its {len(output.shape)} axes otherwise than those of "
                f"the grid, got {dims}"
            )
        _check_reduction(name, field.reduction, grid)
        for dim, size in zip(dims, output.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise ValueError(
                    f"a name in dims must have one size, {dim!r} has {size} in {name!r} and "
                    f"{sizes[dim]} elsewhere"
                )
        found[name] = field._replace(dims=tuple(dims))
    for name, field in found.items():
        for which in get_args(Statistic) if field.reduction else ():
            if (taken := f"{name}_{which}") in (*found, *grid.axes):
                raise ValueError(f"{taken!r} is what {name!r} is reduced to: rename one of them")
    return found


def _check_reduction(name: str, reduction: Reduction | None, grid: Grid) -> None:
    if reduction is None:
        return
    unknown = [axis for axis in reduction.over if axis not in grid.axes]
    if unknown or not reduction.over or len(set(reduction.over)) < len(reduction.over):
        raise ValueError(
            f"{name!r} must be reduced over some of {grid.names}, each once, got {reduction.over}"
        )
    for which in reduction.statistics:
        checks.check_choice("statistics", which, get_args(Statistic))


def judge(fields: Mapping[str, Field], results: Results) -> Judgement:
    """Find the points that failed, or in which a number is not finite that should be.

    Args:
        fields: say which may be nan.
        results: of a block.

    Returns:
        The status of every point.
    """
    not_finite = {}
    for name, field in fields.items():
        values = results.values[name]
        if not field.nan_is_answer and values.dtype.kind in "fc":
            own = tuple(range(values.ndim - len(field.dims), values.ndim))
            not_finite[name] = ~all_finite(values, own)
    name, field = next(iter(fields.items()))
    values = results.values[name]
    shape = values.shape[: values.ndim - len(field.dims)]
    status = np.full(shape, DONE, np.uint8)
    status[np.any([np.zeros(shape, bool), *not_finite.values()], axis=0)] = NOT_FINITE
    reasons = {}
    for at in map(tuple, np.argwhere(status == NOT_FINITE).tolist()):
        reasons[at] = "not finite: " + ", ".join(n for n, bad in not_finite.items() if bad[at])
    for at in results.failed:
        status[at] = FAILED
    return Judgement(status, {**reasons, **results.failed})


def all_finite(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Whether all values are finite along some axes.

    Args:
        values: any shape.
        axes: axes to reduce, which disappear.

    Returns:
        Booleans, of the shape of the other axes.
    """
    # A sum is finite only if all are, unless it overflows, and is faster.
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.asarray(np.isfinite(values.sum(axis=axes)))
    return found if found.all() else np.asarray(np.isfinite(values).all(axis=axes))


def measure(values: np.ndarray, axes: Sequence[int]) -> Moments:
    """Moments of finite values over some axes.

    Args:
        values: any shape.
        axes: to be reduced; they stay with length 1.

    Returns:
        The moments, float64.
    """
    axes = tuple(axes)
    samples = np.moveaxis(values, axes, range(len(axes)))
    samples = samples.reshape(-1, *samples.shape[len(axes) :])
    # Choosing what is finite takes as long as the sums, and seldom has anything to choose.
    is_finite = bool(all_finite(samples, tuple(range(samples.ndim))))
    count, total, squares = (np.zeros(samples.shape[1:]) for _ in range(3))
    # Sample by sample, so that what is added to stays in the cache.
    for sample in samples:
        finite = True if is_finite else np.isfinite(sample)
        count += finite
        np.add(total, sample, out=total, where=finite)
    mean = total / np.maximum(count, 1)
    deviation = np.empty_like(mean)
    for sample in samples:
        finite = True if is_finite else np.isfinite(sample)
        if not is_finite:
            deviation.fill(0)
        np.subtract(sample, mean, where=finite, out=deviation)
        squares += np.square(deviation, out=deviation)
    return Moments(*(np.expand_dims(found, axes) for found in (count, mean, squares)))


def statistic(name: Statistic, found: Moments) -> Any:
    """One statistic of moments.

    Args:
        name: which.
        found: the moments.

    Returns:
        float64; nan where there are too few values for it.
    """
    if name == "count":
        return found.count
    if name == "mean":
        return np.where(found.count > 0, found.mean, np.nan)
    freedom = np.where(found.count > 1, found.count - 1, np.nan)
    return np.sqrt(found.squares / freedom / np.maximum(found.count, 1))
