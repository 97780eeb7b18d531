"""Run the grid of an experiment where it is continued if it was stopped."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import xarray as xr

from experiments.experiment import Options
from experiments.provenance import provenance
from fitb_jax import ablation

_LOG = logging.getLogger(__name__)


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


def method_grid(
    name: str,
    point_fn: Callable[..., Any],
    methods: Mapping[str, Any],
    images: Mapping[str, Any],
    image_names: Sequence[str],
    *,
    seed: int,
    shared: Mapping[str, Any],
    fields: Mapping[str, ablation.Field],
    chunk: int = 1,
    chunks_a_block: int = 1,
    more: Mapping[str, ablation.Axis] | None = None,
) -> GridRun:
    """Every method on every image; all methods have the same random keys.

    Args:
        name: of the grid.
        point_fn: of `method`, `image`, `key`, what is shared and the axes of `more`.
        methods: Python values by name, a compile each.
        images: arrays with one entry for each image.
        image_names: labels of the images.
        seed: of the keys.
        shared: what no axis varies.
        fields: of a point.
        chunk: images at once.
        chunks_a_block: what is lost when it is stopped; few where a point takes seconds.
        more: other axes.

    Returns:
        The grid.
    """
    axes = {
        "method": ablation.static([*methods.values()], labels=[*methods]),
        **(more or {}),
        "image": ablation.vmapped(dict(images), labels=image_names),
    }
    arguments = {
        "key": jax.random.key(seed),
        "key_axes": ("image",),
        "shared": shared,
        "fields": fields,
        "chunk": chunk,
        "block": chunks_a_block * chunk,
        # The masks and pixels of one image fill the cores.
        "lanes": 1,
    }
    return GridRun(name, point_fn, axes, arguments)


def run_grid(options: Options, run: GridRun) -> xr.Dataset:
    """`ablation.run`, in a store found again by the options, the commit and what is on the axes.

    Stores of others are left as they are; a new one beside them is said to be so.

    Args:
        options: of the experiment.
        run: the grid.

    Returns:
        The results.
    """
    found = provenance(options, "")
    config = {name: found[name] for name in ("options", "commit")}
    # Points do not depend on it, and less memory than there was is a reason to start again.
    config["options"] = {k: v for k, v in config["options"].items() if k != "chunk"}
    labels = {name: axis.labels.tolist() for name, axis in run.grid.items()}
    parts = [run.name, config, labels]
    identity = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    name = "".join(c if c.isalnum() else "-" for c in run.name)
    store = options.results / "grids" / f"{name}-{identity[:12]}.zarr"
    others = sorted(path.name for path in store.parent.glob(f"{name}-{'?' * 12}.zarr"))
    if others and not store.exists():
        _LOG.warning(
            "%s starts anew: %s are of other options, commits, methods or images",
            store.name,
            others,
        )
    return ablation.run(
        run.point_fn,
        run.grid,
        store=store,
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
