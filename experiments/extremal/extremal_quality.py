"""Table 4: one coordinate network for all areas, or a free mask for each?

    python -m experiments extremal_quality --photographs manifest --photo-dir DIR --count 40

Binary masks at their exact areas, and how the masks of neighbouring areas fit together. It resumes.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table
from experiments.grids import GridRun, method_grid, plan_grid, run_grid
from experiments.common.masks import DENSE, INR, SCORE_FIELDS, MaskRow, controls, mask_methods
from experiments.common.photographs import AreaOptions, Explained, recognised
from experiments.common.timing import median_seconds
from fitb_jax import plotting
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.extremal import DenseConfig, InrConfig, MaskScores, score_masks
from fitb_jax.types import LogitsFn


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Table 4.

    Attributes:
        steps: of the coordinate networks.
        penalty_steps: of the one with a penalty; 0 means as many.
        dense_steps: of the dense masks.
    """

    steps: int = InrConfig().steps
    penalty_steps: int = 0
    dense_steps: int = DenseConfig().steps
    chunk: int = 1

    ZERO_ALLOWED = frozenset({"penalty_steps"})


def point(
    *,
    trained: LogitsFn,
    untrained: LogitsFn,
    areas: jax.Array,
    method: MaskRow,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> MaskScores:
    """Find the masks of one photograph, and score them.

    Args:
        trained: the classifier, which judges all masks.
        untrained: the control.
        areas: of the masks.
        method: how they are found.
        image: `pixels` and `target`.
        key: of the method.

    Returns:
        The scores.
    """
    image = method.asked(trained, image, key=key)
    masks = method.masks(trained, untrained, image, areas, key=key)
    return score_masks(trained, image["pixels"], image["target"], masks, areas)


def grid(config: Config, net: Explained) -> GridRun:
    """The grid of methods and photographs.

    Args:
        config: options.
        net: the network and the photographs.

    Returns:
        The grid.
    """
    return method_grid(
        "extremal_quality",
        point,
        _methods(config),
        net.cases,
        net.names,
        seed=config.seed,
        shared={
            **net.networks,
            "areas": jnp.asarray(config.areas, jnp.float32),
        },
        fields=SCORE_FIELDS,
        chunk=config.chunk,
    )


def _methods(config: Config) -> dict[str, MaskRow]:
    """The controls first: a run that is stopped has what is cheap."""
    methods = mask_methods(config.steps, config.dense_steps, config.penalty_steps)
    blind = controls(InrConfig(steps=config.steps))
    return {**blind, **{name: MaskRow(each) for name, each in methods.items()}}


def plan(config: Config) -> list[str]:
    """What the grid will do.

    Args:
        config: options.

    Returns:
        One line.
    """
    return [plan_grid(grid(config, recognised(config)))]


def compute(config: Config) -> Outcome:
    """Score the masks of every method on every photograph, and time one photograph of each."""
    net = recognised(config)
    found = run_grid(config, grid(config, net)).transpose("method", "image", ...).load()
    arrays = {name: found[name].values for name in MaskScores._fields}
    methods = _methods(config)
    arrays |= {
        "areas": np.asarray(config.areas),
        "methods": np.array([*methods]),
        "seconds": np.array([_seconds(config, net, method) for method in methods.values()]),
    }
    tables = {
        "p of the class, binary masks": _probabilities(arrays, "binary"),
        "p of the class, soft masks": _probabilities(arrays, "soft"),
        "masks": _consistency(arrays),
    }
    notes = [f"{len(net.names)} photographs that {config.model} recognises: {net.source}"]
    return Outcome(arrays, {}, tables, notes)


def _seconds(config: Config, net: Explained, method: MaskRow) -> float:
    """Of one photograph."""
    image = {name: jnp.asarray(values[0]) for name, values in net.cases.items()}
    inputs = (net.pretrained.logits_fn, net.untrained, image)
    areas, key = jnp.asarray(config.areas, jnp.float32), jax.random.key(config.seed)
    find = jax.jit(method.masks)
    return median_seconds(lambda: find(*inputs, areas, key=key))


def _probabilities(arrays: dict[str, np.ndarray], name: str) -> Table:
    """Of every method at every area, and what the default has more, paired."""
    methods = arrays["methods"].tolist()
    columns = ["method", *(f"area {area:g}" for area in arrays["areas"]), "seconds a photograph"]
    rows: list[list[object]] = [
        [method, *(str(mean_interval(p)) for p in found.T), f"{seconds:.1f}"]
        for method, found, seconds in zip(methods, arrays[name], arrays["seconds"], strict=True)
    ]
    rows += [
        [
            f"{INR} less {method}",
            *(str(mean_interval(p)) for p in _default_less(method, arrays, name)),
            "",
        ]
        for method in methods
        if method != INR
    ]
    return Table(columns, rows)


def _default_less(method: str, arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Differences of the same photograph, (areas, images)."""
    methods = arrays["methods"].tolist()
    values = arrays[name]
    difference: np.ndarray = (values[methods.index(INR)] - values[methods.index(method)]).T
    return difference


def _consistency(arrays: dict[str, np.ndarray]) -> Table:
    measures = ("nestedness", "continuity", "softness", "total_variation")
    columns = ["method", "calibration", *(name.replace("_", " ") for name in measures)]
    columns += [f"components, area {area:g}" for area in arrays["areas"]]
    rows: list[list[object]] = [
        [
            method,
            f"{arrays['calibration'][i].mean():.1e}",
            *(str(mean_interval(arrays[name][i])) for name in measures),
            *(f"{count:.1f}" for count in arrays["components"][i].mean(0)),
        ]
        for i, method in enumerate(arrays["methods"].tolist())
    ]
    return Table(columns, rows)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """p(target) at each area by method, and every photograph's difference from the dense masks."""
    arrays = outcome.arrays
    methods = arrays["methods"].tolist()
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    labels = [f"area {area:g}" for area in arrays["areas"]]
    means = [[mean_interval(p) for p in found.T] for found in arrays["binary"]]
    plotting.interval_chart(
        left,
        np.array(means).transpose(1, 0, 2),
        group_labels=labels,
        bar_labels=methods,
        title="p(class) of binary masks on a blur: mean and 95 % interval",
    )
    left.legend(fontsize=8)
    difference = _default_less(DENSE, arrays, "binary")
    right.axhline(0, color="grey", linewidth=0.8)
    spread = np.linspace(-0.25, 0.25, difference.shape[1]) if difference.shape[1] > 1 else [0.0]
    for i, values in enumerate(difference):
        right.plot(i + np.asarray(spread), np.sort(values), ".", markersize=4)
    right.set_xticks(range(len(labels)), labels, fontsize=8)
    right.set_title(f"{INR} less {DENSE}, each photograph (sorted)", fontsize=9)
    right.grid(axis="y", alpha=0.3)
    return {"extremal_quality": figure}


def caption(config: Config, outcome: Outcome) -> str:
    """State which masks are better, at which areas, by how much."""
    arrays = outcome.arrays
    methods = arrays["methods"].tolist()
    pairs = "; ".join(
        f"area {area:g}: {mean_interval(p)}"
        for area, p in zip(arrays["areas"], _default_less(DENSE, arrays, "binary"), strict=True)
    )
    seconds = ", ".join(
        f"{method} {value:.1f} s" for method, value in zip(methods, arrays["seconds"], strict=True)
    )
    return (
        f"Masks of {arrays['binary'].shape[1]} photographs, binarised at the exact area and shown "
        f"on a blur. p(class) of the coordinate network's masks ({config.steps} steps) less that "
        f"of dense masks ({config.dense_steps} steps), mean of the photographs' differences with "
        f"its 95 % interval: {pairs}. One photograph, all areas, compiled before: {seconds}."
    )


def left_out(config: Config) -> str | None:
    """Why `reproduce` leaves it out.

    Args:
        config: options.

    Returns:
        The reason, None if photographs were given.
    """
    return None if config.photo_dir else "the default photographs are too few; give --photo-dir"


EXPERIMENT = Experiment(
    name="extremal_quality",
    title="One network for all areas against a mask for each",
    regenerates="Table 4",
    needs="photographs, `--photographs LAYOUT --photo-dir DIR`",
    duration="150 s a photograph",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    left_out=left_out,
    smoke={"count": 2, "areas": (0.1, 0.3), "steps": 2, "dense_steps": 2},
    full={},
)
