"""Figure 22: how far from an image does a plane or a paraboloid stand for the classifier?

    python -m experiments local_approximation

The error of the first- and second-order Taylor model of J along what each explanation does to the
image. It resumes.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table, unless_asked
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.local_perturbations import FIELDS, OBJECTIVES, Perturbation, perturbations, point
from experiments.common.networks import Network, NetworkOptions, head, network
from fitb_jax import ablation
from fitb_jax.evaluation.intervals import Interval, bootstrap_interval, proportion_interval

ORDERS = ("first order", "second order")
CURVES = {
    "first-order update": "tab:blue",
    "Newton update": "tab:orange",
    "true fill": "tab:green",
    "to black": "tab:red",
    "SmoothGrad's noise": "tab:purple",
    "removal: gradient": "tab:brown",
    "removal: extremal INR": "tab:pink",
    "removal: random map": "tab:grey",
}
"""Those drawn as curves, and in which colour."""


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 22.

    Attributes:
        steps: shares of a perturbation at which the models are compared with J.
        shortest: the first of them; the last is 1, and they are evenly spaced as logarithms.
        tolerance: error within the radius, as a share of the largest change of J so far.
        share: of the pixels that a removal takes away.
        perturbations: names in the table; none means all.
    """

    test_images: int = 100
    steps: int = 25
    shortest: float = 1 / 64
    tolerance: float = 0.1
    share: float = 0.2
    perturbations: tuple[str, ...] = ()


def rows(config: Config) -> dict[str, Perturbation]:
    """The perturbations asked for.

    Args:
        config: options.

    Returns:
        By name.

    Raises:
        ValueError: a name that is not among them.
    """
    every = perturbations(config.architecture, config.share)
    if unknown := set(config.perturbations) - set(every):
        raise ValueError(f"perturbations must be among {list(every)}, got {sorted(unknown)}")
    return {name: every[name] for name in config.perturbations or every}


def grid(config: Config, every: dict[str, Perturbation], net: Network) -> GridRun:
    """The grid of perturbations and images.

    Args:
        config: options.
        every: perturbations by name.
        net: the network and its data.

    Returns:
        The grid.
    """
    images, labels = head(net.test, config.test_images)
    axes = {
        "perturbation": ablation.static([*every.values()], labels=[*every]),
        "image": ablation.vmapped({"pixels": images, "label": labels}),
    }
    steps = np.geomspace(config.shortest, 1, config.steps).astype(np.float32)
    arguments: dict[str, Any] = {
        "key": jax.random.key(config.seed),
        "key_axes": ("image",),
        "shared": {
            "network": net.trained,
            "colour": jnp.asarray(net.train.images.mean((0, 1, 2)), jnp.float32),
            "steps": steps,
            "tolerance": jnp.float32(config.tolerance),
        },
        "fields": FIELDS,
        "chunk": min(len(images), 50),
        "lanes": min(len(images), 50),
    }
    return GridRun("local_approximation", point, axes, arguments)


def plan(config: Config) -> list[str]:
    """What the grid will do.

    Args:
        config: options.

    Returns:
        One line.
    """
    return [plan_grid(grid(config, rows(config), network(config)))]


def compute(config: Config) -> Outcome:
    """Follow every perturbation of every image."""
    every = rows(config)
    net = network(config)
    run = grid(config, every, net)
    found = run_grid(config, run).transpose("perturbation", "image", ...).load()
    arrays = {name: found[name].values for name in FIELDS}
    arrays["steps"] = run.arguments["shared"]["steps"]
    arrays["perturbations"] = np.array(found["perturbation"].values.tolist())
    columns = ["perturbation", "length"]
    for objective in OBJECTIVES:
        columns += [f"{objective}, {order}: radius" for order in ORDERS]
        columns += [f"{objective}, {order}: distance" for order in ORDERS]
        columns += [f"{objective}, {order}: holds to the end" for order in ORDERS]
    body = [_row(arrays, at) for at in range(len(arrays["perturbations"]))]
    notes = [
        f"{net.label}: {arrays['length'].shape[1]} test images; {net.test.source}",
        "radius: share of the perturbation up to which the error is at most "
        f"{config.tolerance:g} of the largest change of J so far; 0 if it is above at "
        f"{config.shortest:g}; distance: the same in units of intensity, Euclidean",
    ]
    tables = {"local approximation": Table(columns, body)}
    return Outcome(arrays, {"accuracy": net.accuracy}, tables, notes)


def _row(arrays: dict[str, np.ndarray], at: int) -> list[Any]:
    row = [str(arrays["perturbations"][at]), f"{arrays['length'][at].mean():.2f}"]
    for j in range(len(OBJECTIVES)):
        radius = arrays["radius"][at, :, j]
        row += [str(bootstrap_interval(radius[:, o])) for o in range(len(ORDERS))]
        row += [f"{(radius[:, o] * arrays['length'][at]).mean():.2f}" for o in range(2)]
        row += [f"{proportion_interval(radius[:, o] == 1).estimate:.2f}" for o in range(2)]
    return row


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Error against step, and the radius of every perturbation."""
    return {"errors": _curves(config, outcome.arrays), "radius": _radii(config, outcome.arrays)}


def _curves(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots(1, len(OBJECTIVES), sharey=True)
    names = arrays["perturbations"].tolist()
    for j, (axis, objective) in enumerate(zip(axes, OBJECTIVES, strict=True)):
        for name, colour in CURVES.items():
            if name not in names:
                continue
            at = names.index(name)
            for field, line in (("first_error", "-"), ("second_error", "--")):
                # Not a mean: where J hardly changes an error is as large as one likes.
                median = np.nanmedian(arrays[field][at, :, j], axis=0)
                label = name if line == "-" else None
                median = np.where(median > 0, median, np.nan)
                axis.plot(arrays["steps"], median, line, color=colour, linewidth=1.3, label=label)
        axis.axhline(config.tolerance, color="black", linewidth=0.8, linestyle=":")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_ylim(1e-4, 30)
        axis.set_xlabel("share of the perturbation", fontsize=9)
        axis.set_title(f"J = {objective} of the class", fontsize=9)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error / largest change of J so far, median", fontsize=9)
    axes[0].plot([], [], "-", color="black", label="first-order model")
    axes[0].plot([], [], "--", color="black", label="second-order model")
    axes[0].plot([], [], ":", color="black", label=f"tolerance {config.tolerance:g}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _radii(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    names = arrays["perturbations"].tolist()
    figure = Figure(figsize=(11, 1.3 + 0.27 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(OBJECTIVES), sharey=True)
    places = np.arange(len(names))
    for j, (axis, objective) in enumerate(zip(axes, OBJECTIVES, strict=True)):
        for o, order in enumerate(ORDERS):
            found = np.array([bootstrap_interval(each) for each in arrays["radius"][:, :, j, o]])
            reach = [found[:, 0] - found[:, 1], found[:, 2] - found[:, 0]]
            axis.errorbar(
                found[:, 0],
                places + 0.18 * (2 * o - 1),
                xerr=np.clip(np.nan_to_num(reach), 0, None),
                fmt="os"[o],
                markersize=4,
                capsize=2,
                label=f"{order} model",
            )
        axis.set_yticks(places, names, fontsize=8)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_xlim(-0.02, 1.02)
        axis.set_xlabel(f"share of the perturbation within {config.tolerance:g}", fontsize=9)
        axis.set_title(f"J = {objective} of the class", fontsize=9)
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _said(arrays: dict[str, np.ndarray], objective: int, order: int) -> str:
    means: dict[str, Interval] = {
        name: bootstrap_interval(arrays["radius"][at, :, objective, order])
        for at, name in enumerate(arrays["perturbations"].tolist())
    }
    ordered = sorted(means, key=lambda name: -means[name].estimate)
    return "; ".join(f"{name} {means[name].estimate:.2f}" for name in ordered)


def caption(config: Config, outcome: Outcome) -> str:
    """State how far each model holds, and how often to the end."""
    arrays = outcome.arrays
    whole = (arrays["radius"] == 1).mean((0, 1))
    said = " ".join(
        f"J = {objective}: the whole perturbation is within the tolerance in {whole[j, 0]:.0%} of "
        f"the cases for the plane and {whole[j, 1]:.0%} for the paraboloid."
        for j, objective in enumerate(OBJECTIVES)
    )
    return (
        "Error of the first- and second-order Taylor model of J along what each explanation does "
        f"to {arrays['length'].shape[1]} digits, relative to the largest change of J up to the "
        f"step, and the mean share of the perturbation up to which it is at most "
        f"{config.tolerance:g}. Fills start at the masked digit, and their strongest pixel moves "
        f"by 1 (the Newton step has its own length); removals give the {config.share:.0%} most "
        f"important pixels the mean colour. {said} Radius of the plane of log p, from the longest: "
        f"{_said(arrays, 0, 0)}. Of the paraboloid: {_said(arrays, 0, 1)}."
    )


EXPERIMENT = Experiment(
    name="local_approximation",
    title="How far a local model of the classifier holds",
    regenerates="Figure 22",
    needs="nothing",
    duration="4 min",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    left_out=unless_asked("it explains by every method; run it by its name, or --full"),
    smoke={
        "epochs": 1,
        "test_images": 4,
        "steps": 5,
        "perturbations": ("first-order update", "Newton step", "to black", "removal: gradient"),
    },
    full={"test_images": 1000},
)
