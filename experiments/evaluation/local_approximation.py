"""Figure 30: How far a local model of the classifier holds.

    python -m experiments local_approximation    # 4 min

Expected: the plane of log p holds to 0.115 [0.093, 0.139] of a removal by the gradient.

The error of the first- and second-order Taylor model of J along what each explanation does to the
image. It resumes.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments.common.networks import Network, NetworkOptions, accuracies, head, network
from experiments.core.experiment import Sweep, Tables, unless_asked
from experiments.core.labelled import interval_variable, with_notes
from fitb_jax import ablation, evaluation, fill, masks, models, objectives, plotting
from fitb_jax.attribution.noisy_gradients import NOISE
from fitb_jax.evaluation.intervals import bootstrap_interval
from fitb_jax.evaluation.tables import interval_table, intervals
from fitb_jax.types import Array, Image, Key, LogitsFn, Objective, SaliencyFn, Target

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

OBJECTIVES: dict[str, Objective] = {"log p": objectives.log_prob, "logit": objectives.logit}
Line: TypeAlias = tuple[Image, Image]
"""Where the model touches J, and the whole perturbation."""

Perturbation: TypeAlias = Callable[..., Line]
"""`(logits_fn, image, target, colour, *, key) -> (start, direction)`."""

_ERROR = functools.partial(ablation.Field, ("objective", "step"), nan_is_answer=True)
FIELDS = {
    "first_error": _ERROR(meaning="of the first-order model"),
    "second_error": _ERROR(meaning="of the second-order model"),
    "change": ablation.Field(("objective", "step"), units="nats", meaning="of the objective"),
    "radius": ablation.Field(
        ("objective", "order"), meaning="share of the perturbation within the tolerance"
    ),
    "length": ablation.Field(units="intensity", meaning="of the perturbation, Euclidean"),
}


def point(
    *,
    perturbation: Perturbation,
    image: dict[str, jax.Array],
    network: LogitsFn,
    colour: jax.Array,
    steps: jax.Array,
    tolerance: jax.Array,
    key: Key,
) -> dict[str, Array]:
    """How well two models of each objective hold along one perturbation of one image."""
    label = image["label"]
    start, direction = perturbation(network, image["pixels"], label, colour, key=key)
    each = [
        evaluation.local_models(network, start, label, direction, steps, objective=objective)
        for objective in OBJECTIVES.values()
    ]
    found = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    radius = jax.vmap(functools.partial(evaluation.local_radius, steps, tolerance=tolerance))
    return {
        "first_error": found.first_error,
        "second_error": found.second_error,
        "change": found.change,
        "radius": jnp.stack([radius(found.first_error), radius(found.second_error)], axis=1),
        "length": jnp.sqrt((direction**2).sum()),
    }


@dataclasses.dataclass(frozen=True)
class Update:
    """The fill that an update proposes, from the masked image; equal to another of the same."""

    order: str
    """"first" or "second"; "random" and "true" are controls that ask no network."""

    is_scaled: bool = True
    """Whether the strongest pixel moves by 1; the update's own length otherwise."""

    ratio: float = 0.5
    patch: int = 4

    def __call__(
        self, logits_fn: LogitsFn, image: Image, target: Target, colour: Array, *, key: Key
    ) -> Line:
        """The masked image, and the update of its hidden pixels."""
        del colour
        mask_key, draw_key = jax.random.split(key)
        mask = masks.random_patches(image.shape[:2], self.ratio, self.patch, key=mask_key)
        mask = mask.astype(image.dtype)
        start = masks.apply(image, mask)
        updates = {
            "random": lambda: jax.random.normal(draw_key, image.shape, image.dtype),
            "true": lambda: image - start,
            "first": lambda: fill.first_order(logits_fn, image, mask, target),
            "second": lambda: fill.second_order(logits_fn, image, mask, target),
        }
        update = updates[self.order]()
        hidden = masks.apply(update, masks.complement(mask))
        largest = jnp.abs(hidden).max()
        scale = jnp.where(largest > 0, largest, 1) if self.is_scaled else 1.0
        return start, hidden / scale


@dataclasses.dataclass(frozen=True)
class Removal:
    """The most important pixels become the mean colour; equal to another of the same."""

    method: SaliencyFn
    share: float = 0.2

    def __call__(
        self, logits_fn: LogitsFn, image: Image, target: Target, colour: Array, *, key: Key
    ) -> Line:
        """The image, and what takes its pixels away."""
        saliency = self.method(logits_fn, image, target, key=key)
        weights = evaluation.ranking.top_weights(saliency, self.share)[:, :, None]
        return image, weights * (jnp.broadcast_to(colour, image.shape) - image)


def to_black(logits_fn: LogitsFn, image: Image, target: Target, colour: Array, *, key: Key) -> Line:
    """The path of integrated gradients."""
    del logits_fn, target, colour, key
    return image, -image


def noise(logits_fn: LogitsFn, image: Image, target: Target, colour: Array, *, key: Key) -> Line:
    """One draw of SmoothGrad's noise."""
    del logits_fn, target, colour
    scale = NOISE * (image.max() - image.min())
    return image, scale * jax.random.normal(key, image.shape, image.dtype)


def perturbations(architecture: models.Architecture, share: float) -> dict[str, Perturbation]:
    """The perturbation of every method and of controls."""
    controls = listed.controls()
    removed = listed.small_methods(architecture)
    removed |= {name: controls[name] for name in ("random map", "Sobel edges")}
    return {
        "first-order update": Update("first"),
        "Newton update": Update("second"),
        "Newton step": Update("second", is_scaled=False),
        "true fill": Update("true"),
        "random update": Update("random"),
        "to black": to_black,
        "SmoothGrad's noise": noise,
        **{f"removal: {name}": Removal(method, share) for name, method in removed.items()},
    }


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 30.

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

    @property
    def rows(self) -> dict[str, Perturbation]:
        """The perturbations asked for, in that order."""
        every = perturbations(self.architecture, self.share)
        if unknown := set(self.perturbations) - set(every):
            raise ValueError(f"perturbations must be among {list(every)}, got {sorted(unknown)}")
        return {name: every[name] for name in self.perturbations or every}


def load(config: Config) -> Network:
    """The network; unknown perturbations are refused before it is trained."""
    _ = config.rows
    return network(config)


def sweep(config: Config, net: Network) -> Sweep:
    """Every perturbation of every image."""
    images, labels = head(net.test, config.test_images)
    rows = config.rows
    steps = np.geomspace(config.shortest, 1, config.steps).astype(np.float32)
    return Sweep(
        point=point,
        axes={
            "perturbation": ablation.static([*rows.values()], labels=[*rows]),
            "image": ablation.vmapped({"pixels": images, "label": labels}),
        },
        fields=FIELDS,
        key=jax.random.key(config.seed),
        key_axes=("image",),
        shared={
            "network": net.trained,
            "colour": jnp.asarray(net.train.images.mean((0, 1, 2)), jnp.float32),
            "steps": steps,
            "tolerance": jnp.float32(config.tolerance),
        },
        about={
            "objective": ("objective", [*OBJECTIVES]),
            "order": ("order", [*ORDERS]),
            "step": ("step", steps),
        },
        chunk=min(len(images), 50),
        lanes=min(len(images), 50),
    )


def compute(config: Config, net: Network, found: xr.Dataset) -> xr.Dataset:
    """The errors and radii, and what a radius is."""
    return with_notes(
        found.assign(accuracy=interval_variable(net.accuracy)),
        f"{net.label}: {found.sizes['image']} test images; {net.test.source}",
        "radius: share of the perturbation up to which the error is at most "
        f"{config.tolerance:g} of the largest change of J so far; 0 if it is above at "
        f"{config.shortest:g}; distance: the same in units of intensity, Euclidean",
    )


def tables(config: Config, found: xr.Dataset) -> Tables:
    """How far each model of each objective holds along every perturbation."""
    radius, length = found["radius"], found["length"]
    columns = [length.mean("image").to_series().rename("length")]
    for objective in OBJECTIVES:
        of = radius.sel(objective=objective, drop=True)
        title = f"{objective}, {{order}}: radius"
        radii = interval_table(
            of, rows="perturbation", over="image", title=title, of=bootstrap_interval
        )
        distance = (of * length).mean("image").to_pandas()
        whole = (of == 1).mean("image").to_pandas()
        columns += [radii, distance.add_prefix(f"{objective}, ").add_suffix(": distance")]
        columns.append(whole.add_prefix(f"{objective}, ").add_suffix(": holds to the end"))
    return {"local approximation": pd.concat(columns, axis=1)}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Error against step, and the radius of every perturbation."""
    return {"errors": _curves(config, found), "radius": _radii(config, found)}


def _curves(config: Config, found: xr.Dataset) -> Figure:
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots(1, len(OBJECTIVES), sharey=True)
    # Not a mean: where J hardly changes an error is as large as one likes.
    median = found[["first_error", "second_error"]].median("image")
    drawn = [name for name in CURVES if name in found["perturbation"]]
    for axis, objective in zip(axes, OBJECTIVES, strict=True):
        for name in drawn:
            of = median.sel(perturbation=name, objective=objective)
            for field, line in (("first_error", "-"), ("second_error", "--")):
                style = {"color": CURVES[name], "linewidth": 1.3}
                label = name if line == "-" else None
                axis.plot(found["step"], of[field].where(of[field] > 0), line, label=label, **style)
        axis.axhline(config.tolerance, color="black", linewidth=0.8, linestyle=":")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_ylim(1e-4, 30)
        axis.set_xlabel("share of the perturbation", fontsize=9)
        axis.set_title(f"J = {objective} of the class", fontsize=9)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error / largest change of J so far, median", fontsize=9)
    lines = {"-": "first-order model", "--": "second-order model"}
    for line, label in {**lines, ":": f"tolerance {config.tolerance:g}"}.items():
        axes[0].plot([], [], line, color="black", label=label)
    plotting.legend_below(figure, axes[0], columns=4)
    return figure


def _radii(config: Config, found: xr.Dataset) -> Figure:
    figure = Figure(figsize=(11, 1.3 + 0.27 * found.sizes["perturbation"]), layout="constrained")
    axes = figure.subplots(1, len(OBJECTIVES), sharey=True)
    models_of = found["radius"].assign_coords(order=[f"{order} model" for order in ORDERS])
    reached = intervals(models_of, over="image", of=bootstrap_interval)
    for axis, objective in zip(axes, OBJECTIVES, strict=True):
        plotting.interval_chart(
            axis,
            reached.sel(objective=objective),
            groups="perturbation",
            bars="order",
            title=f"J = {objective} of the class",
            is_horizontal=True,
            spread=0.36,
        )
        axis.set_xlim(-0.02, 1.02)
        axis.set_xlabel(f"share of the perturbation within {config.tolerance:g}", fontsize=9)
    plotting.legend_below(figure, axes[0], columns=2)
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State how often each model holds to the end."""
    whole = (found["radius"] == 1).mean(("perturbation", "image"))
    said = (f"{each['objective'].item()} {each[0]:.0%} and {each[1]:.0%}" for each in whole)
    return (
        "Error of the first- and second-order Taylor model of J along what each explanation does "
        f"to {found.sizes['image']} digits, relative to the largest change of J up to the step, "
        f"and the mean share of the perturbation up to which it is at most {config.tolerance:g}. "
        f"Perturbations that are within it to the end, by each model: {'; '.join(said)}."
    )


numbers = accuracies

left_out = unless_asked("it explains by every method; run it by its name, or --full")

SMOKE = {
    "epochs": 1,
    "test_images": 4,
    "steps": 5,
    "perturbations": ("first-order update", "Newton step", "to black", "removal: gradient"),
}

FULL = {"test_images": 1000}
