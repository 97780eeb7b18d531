"""Means with intervals of labelled results, as arrays for charts and as tables for people."""

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from fitb_jax.evaluation.intervals import Interval, mean_interval

ENDS = ("estimate", "low", "high")
"""Labels of the dimension `interval`."""


def intervals(
    values: xr.DataArray,
    *,
    over: str | Sequence[str],
    of: Callable[[np.ndarray], Interval] = mean_interval,
) -> xr.DataArray:
    """Reduce the independent cases of labelled values to an estimate with its interval.

    Args:
        values: of any dimensions.
        over: dimensions of the cases, such as "image".
        of: from the cases (n,), without those that are nan, to an interval.

    Returns:
        The other dimensions and, last, `interval` with the labels `ENDS`.

    Raises:
        ValueError: a dimension that `values` lacks.
    """
    cases = _names(over)
    if missing := [name for name in cases if name not in values.dims]:
        raise ValueError(f"over must be among the dimensions {values.dims}, got {missing}")
    rest = [name for name in values.dims if name not in cases]
    ordered = values.transpose(*rest, *cases)
    shape = tuple(ordered.sizes[name] for name in rest)
    flat = ordered.to_numpy().reshape(*shape, math.prod(values.sizes[name] for name in cases))
    found = np.empty((*shape, len(ENDS)))
    for place in np.ndindex(shape):
        known = flat[place][~np.isnan(flat[place].astype(float))]
        found[place] = of(known) if known.size else (np.nan,) * len(ENDS)
    labels = {name: values[name] for name in rest if name in values.coords}
    return xr.DataArray(
        found,
        {**labels, "interval": [*ENDS]},
        (*rest, "interval"),
        name=values.name,
        attrs=values.attrs,
    )


def interval_table(
    values: xr.DataArray,
    *,
    rows: str | Sequence[str],
    over: str | Sequence[str],
    title: str,
    of: Callable[[np.ndarray], Interval] = mean_interval,
) -> pd.DataFrame:
    """A table of intervals: a line for each label of `rows`, a column for each of what is left.

    Tables of the same lines stand side by side by `pandas.concat(..., axis=1)`.

    Args:
        values: of any dimensions.
        rows: dimensions whose labels are the lines.
        over: dimensions of the independent cases.
        title: of a column; labels of the dimensions that are left are filled in, such as
            "p(class), area {area:g}".
        of: from the cases (n,) to an interval.

    Returns:
        The table; every cell is an `Interval`.

    Raises:
        ValueError: a dimension that `values` lacks.
    """
    lines = _names(rows)
    found = intervals(values, over=over, of=of)
    left = [str(name) for name in found.dims if name not in (*lines, "interval")]
    found = found.transpose(*lines, *left, "interval")
    columns = [
        title.format(**dict(zip(left, labels, strict=True)))
        for labels in itertools.product(*(_labels(found, name) for name in left))
    ]
    index = pd.MultiIndex.from_product([_labels(found, name) for name in lines], names=lines)
    cells = found.to_numpy().reshape(len(index), len(columns), len(ENDS))
    table = pd.DataFrame(index=index, columns=columns, dtype=object)
    for at in np.ndindex(cells.shape[:2]):
        table.iat[at] = Interval(*map(float, cells[at]))
    return table if len(lines) > 1 else table.set_axis(index.get_level_values(0))


def paired_difference(values: xr.DataArray, **reference: Hashable) -> xr.DataArray:
    """What each line has more than one of them, case by case.

    Args:
        values: of any dimensions.
        **reference: dimension and label of what is taken off, such as `method="gradient"`.

    Returns:
        The differences, without the reference itself.

    Raises:
        KeyError: there is no such label.
    """
    with xr.set_options(keep_attrs=True):
        difference = values - values.sel(reference, drop=True)
    return difference.drop_sel({name: [label] for name, label in reference.items()})


def _names(dimensions: str | Sequence[str]) -> list[str]:
    return [dimensions] if isinstance(dimensions, str) else [*dimensions]


def _labels(values: xr.DataArray, name: str) -> list[Any]:
    labels: list[Any] = values[name].to_numpy().tolist()
    return labels
