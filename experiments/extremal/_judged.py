"""Rows of masks judged in the sample and out of it: what tables of methods and settings share."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.common.judges import (
    BLANK_TELLS,
    FIELDS,
    Judged,
    JudgedOptions,
    judge_row,
)
from experiments.common.masks import MaskRow
from experiments.common.timing import median_seconds
from experiments.core.experiment import Sweep, Tables, method_sweep
from experiments.core.labelled import with_notes
from fitb_jax import objectives, plotting
from fitb_jax.evaluation.tables import (
    interval_columns,
    interval_table,
    intervals,
    paired_difference,
)


@dataclasses.dataclass(frozen=True)
class RowOptions(JudgedOptions):
    """Options of a table of masks.

    Attributes:
        methods: names of the rows; none means all but those that take minutes a photograph.
        steps: of the coordinate networks; 0 means each one's own.
        tolerance: of the pointing game, in pixels.
    """

    methods: tuple[str, ...] = ()
    steps: int = 0
    tolerance: int = 15

    ZERO_ALLOWED = frozenset({"steps", "tolerance"})

    @property
    def area(self) -> float:
        """That of figures and captions: a tenth, if it is among the areas."""
        return 0.1 if 0.1 in self.areas else self.areas[0]


def row_sweeps(config: RowOptions, net: Judged, rows: Mapping[str, MaskRow]) -> Iterator[Sweep]:
    """Every row on every photograph; each has a store, so that rows may be added later."""
    for name, row in rows.items():
        yield method_sweep(
            judge_row,
            {name: row},
            net.net.located,
            net.net.names,
            seed=config.seed,
            fields=FIELDS,
            shared={
                **net.shared,
                "areas": jnp.asarray(config.areas, jnp.float32),
                "tolerance": jnp.float32(config.tolerance),
            },
            about={"area": ("area", [*config.areas])},
            chunk=config.chunk,
            name=name,
            options=dataclasses.replace(config, methods=()),
        )


def with_seconds(
    config: RowOptions, net: Judged, rows: Mapping[str, MaskRow], *swept: xr.Dataset
) -> xr.Dataset:
    """The scores, what is known of the photographs, and what the masks of one take."""
    found = xr.concat(swept, "method", combine_attrs="override")
    logits_fn = net.net.pretrained.logits_fn
    image = {name: jnp.asarray(values[0]) for name, values in net.net.cases.items()}
    inputs = (logits_fn, net.net.untrained, image, jnp.asarray(config.areas, jnp.float32))
    more = {"key": jax.random.key(config.seed), "backgrounds": jnp.asarray(net.seen)}
    seconds = [
        median_seconds(functools.partial(jax.jit(row.masks), *inputs, **more))
        for row in rows.values()
    ]
    look = jax.jit(lambda image, target: jax.nn.softmax(logits_fn(image))[target])
    whole = [float(look(*each)) for each in zip(net.net.images, net.net.targets, strict=True)]
    found = found.assign(
        seconds=("method", seconds),
        is_outline=("image", net.is_outline),
        p_whole=("image", whole),
    )
    blank = found["p_blank"].isel(method=0)
    told = int(objectives.blank_has_class(blank, found["p_whole"]).sum())
    return with_notes(
        found,
        f"{len(net.net.names)} photographs that {config.model} recognises, {net.is_outline.sum()} "
        f"with outlines, the others with boxes; another network is {config.judge}, other "
        f"backgrounds are {len(net.held_out)} photographs that no fit has seen",
        f"where nothing is shown p(class) is {float(blank.mean()):.3f} on average; {told} "
        f"photographs {BLANK_TELLS}",
    )


PANELS = {
    "p": "the fit's network and blur",
    "p_judge": "another network",
    "kept": "share of other backgrounds",
    "iou_keys": "overlap of two keys",
    "iou_moved": "overlap when moved",
    "precision": "share on the object",
    "parts": "connected parts",
}

DIFFERENCES = {**PANELS, "pointing": "pointing game"}
"""Scores whose differences from one row are shown."""


def tables(found: xr.Dataset, base: str) -> Tables:
    """In the sample and out of it, and what a row has more, paired by photograph."""
    columns = functools.partial(interval_columns, rows="method", over="image")
    asked = {
        "p": "the fit's network and blur, area {area:g}",
        "p_judge": "another network, area {area:g}",
        "is_first": "its first class, area {area:g}",
        "kept": "other backgrounds, area {area:g}",
    }
    draws = {
        "iou_keys": "overlap of two keys, area {area:g}",
        "rank_keys": "rank correlation of two keys",
        "iou_moved": "overlap when moved, area {area:g}",
        "rank_moved": "rank correlation when moved",
    }
    seconds = found["seconds"].to_series().rename("seconds")
    made = {
        "p of the class": pd.concat([columns(found, asked), seconds], axis=1),
        "other draws": _known(columns(found, draws)),
        "the object": _on_objects(found),
    }
    if base in found["method"] and found.sizes["method"] > 1:
        less = []
        for name, title in DIFFERENCES.items():
            more = paired_difference(found[name], method=base)
            title += ", area {area:g}" if "area" in more.dims else ""
            less.append(interval_table(more, rows="method", over="image", title=title))
        made[f"less {base}"] = _known(pd.concat(less, axis=1))
    return made


def _known(table: pd.DataFrame) -> pd.DataFrame:
    """Rows and cells of which something is known: not all methods are asked everything."""
    known = table.map(lambda cell: not np.isnan(cell.estimate))
    return table.astype(object).where(known, "")[known.any(axis=1)]


def _on_objects(found: xr.Dataset) -> pd.DataFrame:
    """Where the object is known by its outline, and where by a box."""
    table = functools.partial(interval_table, rows="method", over="image")
    columns = [table(found["parts"], title="connected parts, area {area:g}")]
    is_outline = found["is_outline"].values
    for title, is_there in (("outlines", is_outline), ("boxes", ~is_outline)):
        of = found.isel(image=np.flatnonzero(is_there))
        if of.sizes["image"]:
            columns += [
                table(of["pointing"], title=f"pointing game, {title}"),
                table(of["precision"], title=f"precision on {title}, area {{area:g}}"),
                table(of["rank_accuracy"], title=f"rank accuracy, {title}"),
            ]
    return pd.concat(columns, axis=1)


def chart(config: RowOptions, found: xr.Dataset) -> Figure:
    """The scores of one area, line by line."""
    figure = Figure(figsize=(15, 1.6 + 0.28 * found.sizes["method"]), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for panel, (name, title) in zip(panels, PANELS.items(), strict=True):
        means = intervals(found[name].sel(area=config.area), over="image")
        plotting.interval_chart(panel, means, groups="method", title=title, is_horizontal=True)
        if name == "parts":
            panel.set_xscale("log")
            is_wide = float(means.max()) > 100
            panel.xaxis.set_major_locator(LogLocator(subs=(1.0,) if is_wide else (1.0, 2.0, 5.0)))
            panel.xaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_minor_formatter(NullFormatter())
    figure.suptitle(f"The best {config.area:.0%} of the pixels: mean, 95 % interval", fontsize=10)
    return figure


def against_seconds(config: RowOptions, found: xr.Dataset) -> Figure:
    """What the masks of each row are worth out of sample, and how long they take."""
    titles = {"p_judge": "p(class) by another network", "iou_moved": "overlap when moved"}
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    for axis, (name, title) in zip(figure.subplots(1, len(titles)), titles.items(), strict=True):
        of = intervals(found[name].sel(area=config.area), over="image")
        for method in found["method"].values:
            mean, low, high = of.sel({"method": method}).values
            seconds = float(found["seconds"].sel({"method": method}))
            axis.errorbar(seconds, mean, [[mean - low], [high - mean]], fmt="o", markersize=4)
            axis.annotate(
                method, (seconds, mean), xytext=(4, 3), textcoords="offset points", fontsize=6
            )
        axis.set_xscale("log")
        axis.margins(x=0.3)
        axis.set_xlabel("seconds a photograph", fontsize=8)
        axis.set_title(f"{title}, the best {config.area:.0%} of the pixels", fontsize=9)
        axis.grid(alpha=0.3)
    return figure


def said(config: RowOptions, found: xr.Dataset, method: str) -> Callable[[str], str]:
    """The interval of a score of a method, for a caption."""

    def of(name: str) -> str:
        values = found[name].sel({"method": [method], "area": config.area})
        return str(interval_table(values, rows="method", over="image", title="p").iat[0, 0])

    return of
