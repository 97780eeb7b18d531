"""Run the grid of an experiment where it is continued if it was stopped."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import xarray as xr

from experiments.experiment import Options
from experiments.provenance import provenance
from fitb_jax import ablation


class GridRun(NamedTuple):
    """A grid of an experiment, before it is run.

    Attributes:
        name: part of the store's name.
        point_fn: function of one point.
        grid: its axes.
        arguments: others of `ablation.run`.
    """

    name: str
    point_fn: Callable[..., Any]
    grid: dict[str, Any]
    arguments: dict[str, Any]


def run_grid(options: Options, run: GridRun) -> xr.Dataset:
    """`ablation.run`, in a store found again by the options, commit and versions.

    Args:
        options: of the experiment.
        run: the grid.

    Returns:
        The results.
    """
    found = provenance(options, "")
    config = {name: found[name] for name in ("options", "commit")}
    identity = hashlib.sha256(json.dumps([run.name, config], sort_keys=True).encode()).hexdigest()
    name = "".join(c if c.isalnum() else "-" for c in run.name)
    return ablation.run(
        run.point_fn,
        run.grid,
        store=options.results / "grids" / f"{name}-{identity[:12]}.zarr",
        config=config,
        strict=options.strict,
        progress=options.progress,
        **run.arguments,
    )


def plan_grid(run: GridRun) -> str:
    """What a grid will do, as text.

    Args:
        run: the grid.

    Returns:
        Its name and plan.
    """
    return f"{run.name}: {ablation.plan(run.point_fn, run.grid, **run.arguments)}"
