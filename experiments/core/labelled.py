"""Labelled results: what experiments add to the datasets that sweeps return."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr

from fitb_jax.evaluation.intervals import Interval
from fitb_jax.evaluation.tables import ENDS


def interval_variable(interval: Interval) -> xr.DataArray:
    """An interval as a variable of a dataset; `Interval(*variable.values)` is the inverse."""
    return xr.DataArray([*interval], {"interval": [*ENDS]}, ("interval",))


def pictures(*dims: str, **values: Any) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Images, masks or numbers as variables of a dataset."""
    named = (*dims, "row", "column", "channel")
    return {name: (named[: np.ndim(value)], np.asarray(value)) for name, value in values.items()}


def with_notes(found: xr.Dataset, *notes: str) -> xr.Dataset:
    """A dataset with what a reader must know, such as a data set that was not found."""
    return found.assign_attrs(notes=json.dumps([*notes_of(found), *notes]))


def notes_of(found: xr.Dataset) -> list[str]:
    """The notes of a dataset."""
    notes: list[str] = json.loads(found.attrs.get("notes", "[]"))
    return notes


def as_json(value: Any) -> Any:
    """Numbers, arrays, paths, intervals, tables and what holds them as JSON values."""
    if isinstance(value, Interval):
        return dict(zip(ENDS, (as_json(float(end)) for end in value), strict=True))
    if isinstance(value, pd.DataFrame):
        rows = value.reset_index() if value.index.names != [None] else value
        columns = [str(column) for column in rows.columns]
        return {"columns": columns, "rows": as_json(rows.to_numpy(object).tolist())}
    if isinstance(value, Mapping):
        return {str(name): as_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, np.generic | np.ndarray | jax.Array | xr.DataArray):
        return as_json(np.asarray(value).tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
