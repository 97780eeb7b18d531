"""What a point returns, and statistics over axes that are pooled from block to block."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from fitb_jax import checks
from fitb_jax.ablation.grid import RESERVED, Grid

Statistic: TypeAlias = Literal["mean", "standard_error", "count"]


class Reduction(NamedTuple):
    """Statistics over axes in place of the values, so that a huge axis need not be stored.

    Values that are not finite are left out, and the count says how many were not.

    Attributes:
        over: axes that disappear.
        statistics: what is kept; mean and standard error are exact and of float64 on the way.
        quantiles: in [0, 1]. No summary of bounded size gives these exactly: the values lie on
            disk until the grid is complete.
    """

    over: tuple[str, ...]
    statistics: tuple[Statistic, ...] = ("mean", "standard_error")
    quantiles: tuple[float, ...] = ()


class Field(NamedTuple):
    """What one array that a point returns means, and how it is kept.

    Attributes:
        dims: names of its own axes.
        units: such as "pixels".
        meaning: one line for a reader of the results.
        reduction: statistics over axes instead of every value.
        nan_is_answer: a value that is not finite says that there is none, and is no failure.
    """

    dims: tuple[str, ...] = ()
    units: str = ""
    meaning: str = ""
    reduction: Reduction | None = None
    nan_is_answer: bool = False


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations, element by element."""

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray


def all_finite(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Whether all values are finite along some axes.

    Args:
        values: any shape.
        axes: that disappear.

    Returns:
        Of the other axes.
    """
    # A sum is finite only if all are, unless it overflows, and is faster.
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.asarray(np.isfinite(values.sum(axis=axes)))
    return found if found.all() else np.asarray(np.isfinite(values).all(axis=axes))


def moments(values: np.ndarray, axes: Sequence[int]) -> Moments:
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


def pool(found: Moments, axes: Sequence[int]) -> Moments:
    """Moments of several samples together, each of which has a place on some axes.

    Args:
        found: of the samples.
        axes: that count the samples; they are removed.

    Returns:
        Those of their union, whatever their order.

    Source: Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm".
    """
    axes = tuple(axes)
    count = found.count.sum(axis=axes, keepdims=True)
    mean = (found.count * found.mean).sum(axis=axes, keepdims=True) / np.maximum(count, 1)
    deviations = found.squares + found.count * (found.mean - mean) ** 2
    squares = deviations.sum(axis=axes, keepdims=True)
    return Moments(count.squeeze(axes), mean.squeeze(axes), squares.squeeze(axes))


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


def check_fields(
    fields: Mapping[str, Field], outputs: Mapping[str, Any], grid: Grid
) -> dict[str, Field]:
    """One `Field` for each output, with its dims filled in.

    Args:
        fields: as the user gave them; a missing one is plain.
        outputs: shape and dtype of each output.
        grid: the grid.

    Returns:
        A field for each output.

    Raises:
        TypeError: a type that a store cannot hold, or statistics of complex numbers.
        ValueError: a field that is not an output, dims that do not fit, a reduction over what is
            no axis, a name that is taken or is no identifier.
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
        for statistic in (*get_args(Statistic), "quantile") if field.reduction else ():
            if (taken := f"{name}_{statistic}") in (*found, *grid.axes):
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
    for quantile in reduction.quantiles:
        checks.check_number("quantiles", quantile, least=0, most=1)
