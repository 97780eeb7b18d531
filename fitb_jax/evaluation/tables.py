"""Means with intervals of labelled results, as arrays for charts and as tables for people."""

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
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

    Tables of several variables stand side by side by `interval_columns`.

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


def interval_columns(
    found: xr.Dataset,
    titles: Mapping[str, str],
    *,
    rows: str | Sequence[str],
    over: str | Sequence[str],
    of: Mapping[str, Callable[[np.ndarray], Interval]] | None = None,
) -> pd.DataFrame:
    """Tables of intervals of several variables side by side.

    Args:
        found: with a variable for each of `titles`, of any dimensions.
        titles: by variable, the titles of its columns, as in `interval_table`.
        rows: dimensions whose labels are the lines.
        over: dimensions of the independent cases.
        of: by variable, from the cases (n,) to an interval; `mean_interval` for the others.

    Returns:
        The table; every cell is an `Interval`.

    Raises:
        KeyError, ValueError: a variable or a dimension that is missing.
    """
    rules = of or {}
    return pd.concat(
        [
            interval_table(
                found[name], rows=rows, over=over, title=title, of=rules.get(name, mean_interval)
            )
            for name, title in titles.items()
        ],
        axis=1,
    )


def paired_difference(values: xr.DataArray, **reference: Hashable) -> xr.DataArray:
    """Subtract the values of one label from those of all other labels, case by case.

    Args:
        values: of any dimensions.
        **reference: dimension and label of what is subtracted, such as `method="gradient"`.

    Returns:
        The differences, without the reference itself.

    Raises:
        KeyError: there is no such label.
    """
    with xr.set_options(keep_attrs=True):
        difference = values - values.sel(reference, drop=True)
    return difference.drop_sel({name: [label] for name, label in reference.items()})


def pair_correlations(
    values: xr.DataArray,
    pairs: Iterable[tuple[Hashable, Hashable]],
    *,
    between: str,
    along: Sequence[str],
) -> xr.DataArray:
    """Pearson correlation of the values of two labels of a dimension, for pairs of labels.

    Args:
        values: of any dimensions; nan is left out.
        pairs: of labels, at least one.
        between: the dimension of these labels.
        along: dimensions over which values are correlated, such as those of a picture.

    Returns:
        The correlations, in [-1, 1], of the other dimensions and, first, `pair`.

    Raises:
        KeyError: there is no such label.
        ValueError: no pair.
    """
    flat = values.stack(case=along)
    sides = ((flat.sel({between: a}), flat.sel({between: b})) for a, b in pairs)
    return xr.concat([xr.corr(a, b, dim="case") for a, b in sides], "pair")


def _names(dimensions: str | Sequence[str]) -> list[str]:
    return [dimensions] if isinstance(dimensions, str) else [*dimensions]


def _labels(values: xr.DataArray, name: str) -> list[Any]:
    labels: list[Any] = values[name].to_numpy().tolist()
    return labels
