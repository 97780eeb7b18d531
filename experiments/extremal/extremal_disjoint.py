"""Figure 19: Several masks that do not overlap.

    python -m experiments extremal_disjoint    # 4 min

Needs: nothing (five photographs of scikit-image).
Expected: p(class) of the first of three masks 0.428 [0.288, 0.567] (`--photographs coco_polygons
--photo-dir DIR --count 24`).

One after the other (Byra & Skibbe 2025, algorithm 1) or all at once. Where the photographs come
with boxes or masks of their objects: how much of each mask is on the object?
"""

import dataclasses
import functools
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.masks import with_steps
from experiments.common.photographs import Explained, PhotographOptions, recognised
from experiments.core.experiment import Tables, unless_asked
from experiments.core.labelled import with_notes
from experiments.extremal import _explaining as photographs
from fitb_jax import evaluation, extremal, models, plotting
from fitb_jax.evaluation.tables import interval_table
from fitb_jax.types import Array, Bool, Float, Image, Key, LogitsFn, Target

METHODS = get_args(extremal.DisjointMethod)
LEFT, WHOLE, BLANK, RANDOM, CONTROL = BESIDES = (
    "all removed",
    "whole",
    "blank",
    "random regions removed",
    "random region",
)
"""What is seen besides the masks; the last is as large as one of them."""

SHOWN = 5
"""Photographs in the figure; the table has all."""


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 19.

    Attributes:
        masks: of each photograph.
        area: of each mask.
        steps: of each fit; one mask is seen at a step, not several areas.
        controls: random smooth regions. As large as one mask they are shown, and as large as all
            masks together they are removed.
        judge: a network that takes no part.
    """

    masks: int = 3
    area: float = 0.08
    steps: int = 150
    controls: int = 8
    judge: str = "efficientnet_lite2"

    @property
    def mask_names(self) -> list[str]:
        """Labels of the masks."""
        return [f"mask {i + 1}" for i in range(self.masks)]


def compute(config: Config, net: Explained) -> xr.Dataset:
    """Find the masks of every photograph by both methods, and score them binarised."""
    settings = with_steps(extremal.InrConfig(), config.steps)
    areas = jnp.full(config.masks, config.area, jnp.float32)

    @functools.partial(jax.jit, static_argnames="method")
    def find(
        logits_fn: LogitsFn,
        image: Image,
        target: Target,
        truth: Bool[Array, "h w"],
        key: Key,
        *,
        method: extremal.DisjointMethod,
        judge_fn: LogitsFn,
    ) -> dict[str, Array]:
        shape = image.shape[0], image.shape[1]
        fit_key, control_key = jax.random.split(key)
        found = extremal.disjoint_masks(
            logits_fn, image, target, areas, settings, key=fit_key, method=method
        )
        binary = extremal.binarise_apart(found.masks, areas)

        def random_region(key: Key, area: Float[Array, ""]) -> Float[Array, "h w"]:
            return extremal.binarise(evaluation.control_maps.random_smooth(shape, key=key), area)

        drawn = jax.vmap(random_region, in_axes=(0, None))
        control_keys = jax.random.split(control_key, config.controls)
        removed, shown = 1 - drawn(control_keys, areas.sum()), drawn(control_keys, areas[0])
        nothing, everything = jnp.zeros((1, *shape)), jnp.ones((1, *shape))
        left = 1 - binary.sum(0)[None]
        seen = jnp.concatenate([binary, left, everything, nothing, removed, shown])

        def p_by(network: LogitsFn) -> Float[Array, "seen"]:
            p = extremal.probabilities_through(network, image, target, seen)
            own, random = jnp.split(p, [config.masks + 3])
            return jnp.append(own, random.reshape(2, config.controls).mean(1))

        overlap = found.overlap
        return {
            "masks": binary,
            "p": p_by(logits_fn),
            "p_judge": p_by(judge_fn),
            "inside": jax.vmap(lambda mask: evaluation.precision(mask, truth))(binary),
            "overlap_soft": jnp.where(jnp.eye(len(overlap), dtype=bool), 0, overlap).max(),
            "converged": found.converged,
        }

    keys = jax.random.split(jax.random.key(config.seed), len(net.images))
    judge = models.load(config.judge)
    judge_fn = models.at_size(judge.logits_fn, judge.size)
    parts = [
        photographs.explain(
            net,
            functools.partial(find, method=method, judge_fn=judge_fn),
            net.truths,
            keys,
            dims={
                "masks": ("mask", *photographs.MASK),
                **dict.fromkeys(("p", "p_judge"), ("seen",)),
                **dict.fromkeys(("inside", "converged"), ("mask",)),
            },
            progress=config.progress,
            coords={"mask": config.mask_names, "seen": [*config.mask_names, *BESIDES]},
        )
        for method in METHODS
    ]
    is_known = net.truths.any((1, 2))
    object_area = np.where(is_known, net.truths.mean((1, 2)), np.nan)
    about = {**photographs.photographs_of(net), "object_area": ("image", object_area)}
    found = xr.concat(parts, pd.Index(METHODS, name="method")).assign(about)
    first = found[["pixels", "masks"]].isel(image=slice(SHOWN)).rename(image="shown")
    found = found.assign(pixels=first["pixels"], masks=first["masks"] > 0.5)
    notes = [f"{len(net.names)} photographs: {net.source}"]
    if not is_known.any():
        notes.append("nobody has marked their objects; --photo-dir tells which masks are on them")
    return with_notes(found, *notes)


def tables(config: Config, found: xr.Dataset) -> Tables:
    """p(class) through and without the masks, and how much of them is on the object."""
    p, p_judge = found["p"], found["p_judge"]
    inside, object_area = found["inside"], found["object_area"]
    columns = {
        "p(class), {seen}": p,
        "p(class) by another network, {seen}": p_judge,
        "{seen} less random region by another network, paired": (
            p_judge.sel(seen=config.mask_names) - p_judge.sel(seen=CONTROL, drop=True)
        ),
        "all less random, paired": p.sel(seen=LEFT) - p.sel(seen=RANDOM),
        "on the object, {mask}": inside,
        "object's area": object_area.expand_dims(method=found["method"]),
        "{mask} less object's area, paired": inside - object_area,
    }
    over_images = functools.partial(interval_table, rows="method", over="image")
    parts = [over_images(each, title=title) for title, each in columns.items()]
    table = pd.concat(parts, axis=1)
    table = table.map(lambda cell: cell if np.isfinite(cell.estimate) else "not known")
    table["largest overlap, soft"] = found["overlap_soft"].max("image").values
    return {"disjoint masks": table}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Each photograph through each mask and without all; and the numbers of every photograph."""
    pictures, captions = [], []
    for place in range(found.sizes["shown"]):
        for method in METHODS:
            one = found.sel({"method": method}).isel(image=place, shown=place)
            image, masks = one["pixels"].values, one["masks"].values * 1.0
            shown = [plotting.masked(image, mask) for mask in masks]
            pictures.append([image, *shown, plotting.masked(image, 1 - masks.sum(0))])
            p = one["p"].to_series()
            scores = [
                f"p {p[mask]:.2f}" + (f", {share:.0%} on object" if np.isfinite(share) else "")
                for mask, share in one["inside"].to_series().items()
            ]
            whole = f"{one['class_name'].item()}: p {p[WHOLE]:.2f}"
            captions.append([whole, *scores, f"p {p[LEFT]:.2f}, random {p[RANDOM]:.2f}"])
    grid = plotting.image_grid(
        pictures,
        column_titles=["photograph", *config.mask_names, LEFT],
        row_titles=METHODS * found.sizes["shown"],
        captions=captions,
        size=1.5,
    )
    return {"masks": grid, "scores": _charts(config, found)}


def _charts(config: Config, found: xr.Dataset) -> Figure:
    removed = {LEFT: LEFT, RANDOM: "random\nremoved"}
    p = found["p"].sel(seen=[*config.mask_names, *removed])
    charts = {"p(class) of binary masks, each photograph and mean": p}
    known = found.dropna("image", subset=["object_area"])
    if known.sizes["image"]:
        area = known["object_area"].expand_dims(method=found["method"], mask=["object's\narea"])
        on_object = xr.concat([known["inside"], area], "mask").rename(mask="seen")
        charts["share of the mask on the object"] = on_object
    figure = Figure(figsize=(5 * len(charts), 3.4), layout="constrained")
    axes = figure.subplots(1, len(charts), squeeze=False)[0]
    for axis, (title, values) in zip(axes, charts.items(), strict=True):
        plotting.dots(axis, values, groups="seen", cases="image", bars="method", spread=0.24)
        axis.set_ylim(-0.03, 1.03)
        axis.set_title(title, fontsize=9)
        labels = [removed.get(label, label) for label in values["seen"].values]
        axis.set_xticks(range(len(labels)), labels, fontsize=8)
    plotting.legend_below(figure, axes[0], columns=2)
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State how many masks are enough alone, and what is left without them."""
    p = found["p"]
    is_enough = p.sel(seen=config.mask_names) >= 0.5 * p.sel(seen=WHOLE)
    enough = is_enough.sum("seen").mean("image").to_series()
    left = p.sel(seen=LEFT).mean("image").to_series()
    parts = (f"{name}: {enough[name]:.1f} and {left[name]:.2f}" for name in METHODS)
    judged = found["p_judge"].sel(seen=[config.mask_names[0], CONTROL]).mean("image")
    first, control = (judged.sel(seen=seen).to_series() for seen in judged["seen"].values)
    by_judge = ", ".join(f"{name}: {first[name]:.2f}" for name in METHODS)
    return (
        f"{config.masks} masks of area {config.area:g} that do not overlap, binarised and shown on "
        f"a blur, of {found.sizes['image']} photographs. How many have at least half of the whole "
        f"photograph's p(class), and what is left when all are removed: {', '.join(parts)}. Random "
        f"regions as large as all of them leave {p.sel(seen=RANDOM).mean():.2f}. "
        f"{config.judge} took no part. By it, p(class) of the first mask is {by_judge}, and of a "
        f"random region of its size {control.mean():.2f}."
    )


load = recognised

left_out = unless_asked("it fits for minutes; run it by its name, or --full")

SMOKE = {"count": 2, "masks": 2, "steps": 2, "controls": 2}

FULL = {"masks": 5, "steps": 400}
