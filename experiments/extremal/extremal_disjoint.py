"""Figure 17: Several masks that do not overlap.

    python -m experiments extremal_disjoint    # 4 min

Needs: nothing (five photographs of scikit-image).
Expected: TODO.

One after the other (Byra & Skibbe 2025, algorithm 1) or all at once. Where the photographs come
with boxes or masks of their objects: how much of each mask is on the object?
"""

import dataclasses
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from experiments.common.photographs import PhotographOptions, recognised
from experiments.experiment import Experiment, Outcome, Table, unless_asked
from fitb_jax import evaluation, extremal, plotting
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.types import Array, Float, Image, LogitsFn

METHODS = get_args(extremal.DisjointMethod)
SHOWN = 5
"""Photographs in the figure; the table has all."""


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 14.

    Attributes:
        masks: of each photograph.
        area: of each mask.
        steps: of each fit; one mask is seen at a step, not several areas.
        controls: random smooth regions, as large as all masks together, removed instead.
    """

    masks: int = 3
    area: float = 0.08
    steps: int = 150
    controls: int = 8


def compute(config: Config) -> Outcome:
    """Find the masks of every photograph by both methods, and score them binarised."""
    net = recognised(config)
    settings = extremal.InrConfig(steps=config.steps)
    areas = jnp.full(config.masks, config.area, jnp.float32)

    def score(
        logits_fn: LogitsFn, image: Image, target: Array, truth: Array, *, method: Any, key: Array
    ) -> dict[str, Array]:
        shape = image.shape[0], image.shape[1]
        fit_key, control_key = jax.random.split(key)
        found = extremal.disjoint_masks(
            logits_fn, image, target, areas, settings, key=fit_key, method=method
        )
        binary = binarise_apart(found.masks, areas)
        nothing, everything = jnp.zeros((1, *shape)), jnp.ones((1, *shape))
        random = jax.vmap(
            lambda key: (
                1
                - extremal.binarise(
                    evaluation.control_maps.random_smooth(shape, key=key), config.masks * areas[0]
                )
            )
        )(jax.random.split(control_key, config.controls))
        left = 1 - binary.sum(0)[None]
        seen = jnp.concatenate([binary, left, everything, nothing, random])
        p = extremal.probabilities_through(logits_fn, image, target, seen)
        shown, rest = jnp.split(p, [config.masks])
        return {
            "masks": binary,
            "p": shown,
            "p_left": rest[0],
            "p_whole": rest[1],
            "p_blank": rest[2],
            "p_left_random": rest[3:].mean(),
            "inside": jax.vmap(lambda mask: evaluation.precision(mask, truth))(binary),
            "overlap_soft": _largest_overlap(found.overlap),
            "converged": found.converged,
        }

    keys = jax.random.split(jax.random.key(config.seed), len(net.images))
    solve = jax.jit(score, static_argnames="method")
    inputs = list(zip(net.images, net.targets, net.truths, keys, strict=True))
    found: dict[str, list[Any]] = {method: [] for method in METHODS}
    for method in METHODS:
        for image, target, truth, key in tqdm(inputs, desc=method, disable=not config.progress):
            arguments = (jnp.asarray(image), jnp.asarray(target), jnp.asarray(truth))
            solved = solve(net.pretrained.logits_fn, *arguments, method=method, key=key)
            found[method].append(jax.tree.map(np.asarray, solved))
    arrays = {
        name: np.stack([[one[name] for one in found[method]] for method in METHODS])
        for name in found[METHODS[0]][0]
    }
    is_known = net.truths.any((1, 2))
    arrays |= {
        "images": net.images[:SHOWN],
        "object_area": np.where(is_known, net.truths.mean((1, 2)), np.nan),
        "class_names": np.array([net.class_name(target) for target in net.targets]),
    }
    arrays["masks"] = arrays["masks"][:, :SHOWN] > 0.5
    notes = [f"{len(net.names)} photographs: {net.source}"]
    if not is_known.any():
        notes.append("nobody has marked their objects; --photo-dir tells which masks are on them")
    return Outcome(arrays, {}, {"disjoint masks": _table(arrays)}, notes)


def binarise_apart(masks: Float[Array, "k h w"], areas: Float[Array, "k"]) -> Float[Array, "k h w"]:
    """Zeros and ones of the exact areas; a pixel that an earlier mask has is not for later ones.

    Args:
        masks: (k, h, w) in [0, 1].
        areas: (k,), together at most 1.

    Returns:
        (k, h, w), which do not overlap.
    """

    def take(taken: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        mask, area = inputs
        binary = extremal.binarise(jnp.where(taken > 0, -1.0, mask), area)
        return taken + binary, binary

    return jax.lax.scan(take, jnp.zeros(masks.shape[1:]), (masks, areas))[1]


def _largest_overlap(overlap: Float[Array, "k k"]) -> Array:
    return jnp.where(jnp.eye(overlap.shape[0], dtype=bool), 0, overlap).max()


def _table(arrays: dict[str, np.ndarray]) -> Table:
    count = arrays["p"].shape[2]
    columns = ["method", *(f"p(class), mask {i + 1}" for i in range(count))]
    columns += ["all removed", "random regions removed", "all less random, paired"]
    columns += ["whole", "blank"]
    columns += [*(f"on the object, mask {i + 1}" for i in range(count)), "object's area"]
    columns += [f"mask {i + 1} less object's area, paired" for i in range(count)]
    rows: list[list[Any]] = []
    for i, method in enumerate(METHODS):
        left, random = arrays["p_left"][i], arrays["p_left_random"][i]
        on_object, object_area = arrays["inside"][i].T, arrays["object_area"]
        values = [*arrays["p"][i].T, left, random, left - random]
        values += [arrays["p_whole"][i], arrays["p_blank"][i]]
        values += [*on_object, object_area, *(on_object - object_area)]
        rows.append([method, *map(_cell, values)])
    return Table([*columns, "largest overlap, soft"], _with_overlap(rows, arrays))


def _with_overlap(rows: list[list[Any]], arrays: dict[str, np.ndarray]) -> list[list[Any]]:
    return [
        [*row, f"{overlap.max():.3f}"]
        for row, overlap in zip(rows, arrays["overlap_soft"], strict=True)
    ]


def _cell(values: np.ndarray) -> str:
    return str(mean_interval(values)) if np.isfinite(values).any() else "not known"


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Each photograph through each mask and without all; and the numbers of every photograph."""
    arrays = outcome.arrays
    pictures, captions, row_titles = [], [], []
    for i, image in enumerate(arrays["images"]):
        for j, method in enumerate(METHODS):
            masks = arrays["masks"][j, i] * 1.0
            shown = [plotting.masked(image, mask) for mask in masks]
            pictures.append([image, *shown, plotting.masked(image, 1 - masks.sum(0))])
            inside = arrays["inside"][j, i]
            known = [f", {share:.0%} on object" if np.isfinite(share) else "" for share in inside]
            captions.append(
                [
                    f"{arrays['class_names'][i]}: p {arrays['p_whole'][j, i]:.2f}",
                    *(f"p {p:.2f}{text}" for p, text in zip(arrays["p"][j, i], known, strict=True)),
                    f"p {arrays['p_left'][j, i]:.2f}, random {arrays['p_left_random'][j, i]:.2f}",
                ]
            )
            row_titles.append(method)
    titles = ["photograph", *(f"mask {i + 1}" for i in range(config.masks)), "all removed"]
    grid = plotting.image_grid(
        pictures, column_titles=titles, row_titles=row_titles, captions=captions, size=1.5
    )
    return {"masks": grid, "scores": _charts(config, arrays)}


def _charts(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    known = np.isfinite(arrays["object_area"])
    panels = 1 + bool(known.any())
    figure = Figure(figsize=(5 * panels, 3.4), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    labels = [*(f"mask {i + 1}" for i in range(config.masks)), "all removed", "random\nremoved"]
    values = np.concatenate(
        [arrays["p"], arrays["p_left"][..., None], arrays["p_left_random"][..., None]], axis=2
    )
    _points(axes[0], values, labels, "p(class) of binary masks, each photograph and mean")
    # Below the panels: inside of one it hides photographs.
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    if panels == 1:
        return figure
    inside = arrays["inside"][:, known]
    area = np.broadcast_to(arrays["object_area"][known][None, :, None], (*inside.shape[:2], 1))
    shares = np.concatenate([inside, area], axis=2)
    labels = [*labels[: config.masks], "object's\narea"]
    _points(axes[1], shares, labels, "share of the mask on the object")
    return figure


def _points(axis: Axes, values: np.ndarray, labels: list[str], title: str) -> None:
    """Photographs as dots, their mean as a bar, by method."""
    for j, each in enumerate(values):
        places = np.arange(len(labels)) + (j - 0.5) * 0.24
        (dots,) = axis.plot(
            np.broadcast_to(places, each.shape).ravel(), each.ravel(), ".", alpha=0.6, markersize=5
        )
        axis.plot(
            places,
            np.nanmean(each, axis=0),
            "_",
            markersize=16,
            markeredgewidth=2,
            color=dots.get_color(),
            label=METHODS[j],
        )
    axis.set_xticks(range(len(labels)), labels, fontsize=8)
    axis.set_ylim(-0.03, 1.03)
    axis.set_title(title, fontsize=9)
    axis.grid(axis="y", alpha=0.3)


def caption(config: Config, outcome: Outcome) -> str:
    """State how many masks are enough alone, what is left, and what is on the object."""
    arrays = outcome.arrays
    parts = []
    for j, method in enumerate(METHODS):
        p = ", ".join(f"{value:.2f}" for value in arrays["p"][j].mean(0))
        keep = np.mean((arrays["p"][j] >= 0.5 * arrays["p_whole"][j][:, None]).sum(1))
        text = (
            f"{method}: p(class) {p}, {keep:.1f} of them at least half of the whole photograph's; "
            f"{arrays['p_left'][j].mean():.2f} left when all are removed"
        )
        if np.isfinite(arrays["inside"][j]).any():
            inside = ", ".join(f"{share:.2f}" for share in np.nanmean(arrays["inside"][j], axis=0))
            text += f", share on the object {inside}"
        parts.append(text)
    chance = ""
    if np.isfinite(arrays["object_area"]).any():
        chance = f" The objects take {np.nanmean(arrays['object_area']):.2f} of the photographs."
    return (
        f"{config.masks} masks of area {config.area:g} that do not overlap, binarised and shown on "
        f"a blur, mean of {arrays['p'].shape[1]} photographs. {'; '.join(parts)}. Random regions "
        f"as large as all of them leave {arrays['p_left_random'].mean():.2f}; the whole has "
        f"{arrays['p_whole'].mean():.2f}, the blur {arrays['p_blank'].mean():.2f}.{chance}"
    )


EXPERIMENT = Experiment(
    name="extremal_disjoint",
    title="Several masks that do not overlap",
    regenerates="Figure 14",
    needs="nothing (five photographs of scikit-image)",
    duration="4 min",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    left_out=unless_asked("it fits for minutes; run it by its name, or --full"),
    smoke={"count": 2, "masks": 2, "steps": 2, "controls": 2},
    full={"masks": 5, "steps": 400},
)
