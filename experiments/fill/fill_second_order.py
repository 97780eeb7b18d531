"""Figure 6: First against second order.

    python -m experiments fill_second_order    # 30 s

Expected: p(target) after filling is 0.994 [0.990, 0.997] with the damped Newton update.

Signed updates of four second-order directions with their fills, and how well they fill in.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import networks
from experiments.core.experiment import Sweep, Tables
from experiments.core.labelled import pictures
from experiments.fill import _fidelity
from fitb_jax import data, fill, masks, plotting
from fitb_jax.evaluation.tables import interval_table, paired_difference
from fitb_jax.types import Image, LogitsFn, UpdateFn

FIRST = "first order"
METHODS: tuple[fill.Method, ...] = ("newton", "gauss_newton", "principal", "curvature")
ROWS = ("network", "update")
_DIAGNOSED = 200


@dataclasses.dataclass(frozen=True)
class Config(_fidelity.FidelityOptions):
    """Options of Figure 6.

    Attributes:
        digits: labels of the test images shown (the first of each).
        ratio: share of the patches that are blank.
        patch: side of a patch in pixels.
        damping: of newton and gauss_newton, above 1.
        steps: Lanczos steps.
        test_images: 0, so that the table is over the whole test split.
    """

    digits: tuple[int, ...] = (3, 5, 8)
    ratio: float = 0.5
    patch: int = 4
    damping: float = 1.5
    steps: int = 8
    test_images: int = 0

    ZERO_ALLOWED = frozenset({"digits"})

    @property
    def solver(self) -> dict[str, Any]:
        """How the curvature is found and damped."""
        return {"damping": self.damping, "steps": self.steps}

    @property
    def updates(self) -> dict[str, UpdateFn]:
        """By name in the table."""
        second = functools.partial(fill.second_order, **self.solver)
        every: dict[str, UpdateFn] = {FIRST: fill.first_order}
        return every | {method: functools.partial(second, method=method) for method in METHODS}


def sweep(config: Config, net: networks.Network) -> Sweep:
    """Every direction of both networks over the test images, under one mask each."""
    return _fidelity.fidelity_sweep(config, net, config.updates, [(config.ratio, config.patch)])


def compute(config: Config, net: networks.Network, found: xr.Dataset) -> xr.Dataset:
    """The fidelity, every direction for the digits shown, and how far Newton can be trusted."""

    def draw_mask(image: Image, key: jax.Array) -> jax.Array:
        return masks.random_patches(image.shape[:2], config.ratio, config.patch, key=key)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0, 0, 0))
    def explain(
        logits_fn: LogitsFn, image: Image, target: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        mask = draw_mask(image, key)
        every = [update(logits_fn, image, mask, target) for update in config.updates.values()]
        fills = jax.vmap(lambda update: fill.fill(image, mask, update))(jnp.stack(every))
        p = jax.nn.softmax(jax.vmap(logits_fn)(fills))[:, target]
        return mask, {"shown_update": jnp.stack(every), "shown_fill": fills, "shown_p": p}

    @jax.jit
    def diagnose(logits_fn: LogitsFn, image: Image, target: jax.Array, key: jax.Array) -> jax.Array:
        newton = fill.second_order_with_diagnostics(
            logits_fn, image, draw_mask(image, key), target, **config.solver
        )
        return jnp.stack([newton.residual, newton.curvature_error / jnp.abs(newton.curvature)])

    image = jnp.asarray(data.first_of_classes(net.test, config.digits))
    keys = jax.random.split(jax.random.key(config.seed), len(image))
    mask, by_update = explain(net.trained, image, jnp.asarray(config.digits), keys)
    images, labels = networks.head(net.test, _DIAGNOSED)
    keys = jax.random.split(jax.random.key(config.seed), len(images))
    trust = jax.vmap(diagnose, in_axes=(None, 0, 0, 0))(net.trained, images, labels, keys)
    found = found.squeeze("setting", drop=True).assign(
        pictures("digit", shown_image=image, shown_mask=mask)
        | pictures("digit", "update", **by_update)
        | pictures("diagnosed", residual=trust[:, 0], curvature_error=trust[:, 1])
    )
    return networks.with_network(found.assign_coords(digit=[*config.digits]), net)


def numbers(config: Config, found: xr.Dataset) -> dict[str, object]:
    """How exact Newton's step and its leading curvature are."""
    return {
        **networks.accuracies(config, found),
        "newton, median relative residual": found["residual"].median(),
        "newton, median error bound of the leading curvature, relative": (
            found["curvature_error"].median()
        ),
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """The measures of every direction, and what it has more than the first order, paired."""
    masked = _fidelity.unfilled(found.sel(network=["trained"], update=[FIRST]))
    masked = masked.assign_coords(network=["none"], update=["none (masked)"])
    more = paired_difference(found["probability_filled"], update=FIRST)
    gain = interval_table(more, rows=ROWS, over="image", title=f"p(target) minus {FIRST}")
    measures = _fidelity.score_table(found, rows=ROWS).join(gain)
    lines = [_fidelity.score_table(masked, rows=ROWS), measures]
    table = pd.concat(lines).fillna("").rename_axis(["network of the updates", "update"])
    return {"directions over the test split": table}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Signed updates with their fills, and the measures with their intervals."""
    rows = []
    for i, digit in enumerate(config.digits):
        of = found.isel(digit=i)
        image, mask = of["shown_image"].values, of["shown_mask"].values
        updates = [plotting.overlay(image, mask, each) for each in of["shown_update"].values]
        fills = [f"p({digit}) {p:.2f}" for p in of["shown_p"].values]
        rows.append([(plotting.masked(image, mask), f"a {digit}, masked")])
        rows[-1] += [(update, "") for update in updates]
        rows.append([(image, "whole"), *zip(of["shown_fill"].values, fills, strict=True)])
    grid = plotting.captioned_grid(rows, column_titles=["", *found["update"].values])
    return {"second_order": grid, "second_order_fidelity": _chart(found)}


def _chart(found: xr.Dataset) -> Figure:
    broken = [str(name).replace("_", "\n").replace(" ", "\n") for name in found["update"].values]
    sources = [f"{name} network" for name in found["network"].values]
    found = found.assign_coords(update=broken, network=sources)
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, len(_fidelity.MEASURES))
    title = "{} (95 % interval)"
    _fidelity.measure_charts(axes, found, groups="update", bars="network", title=title)
    axes[-1].legend(fontsize=7)
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State the directions and the numbers of the two that are compared."""
    table = tables(config, found)["directions over the test split"].loc["trained"]
    p, correlation = table["p(target)"], table["correlation"]
    return (
        "The gradient and four second-order directions on the hidden pixels, red to add and blue "
        f"to take away, with the fill below each. Over {found.sizes['image']} test images the "
        f"damped Newton update reaches p(target) {p['newton']}, first order {p[FIRST]}. The "
        "curvature along the first-order fill correlates with the hidden pixels by "
        f"{correlation['curvature']}: near a maximum its sign is that of the gradient turned round."
    )


load = networks.network

SMOKE = {"epochs": 1, "digits": (3,), "test_images": 20, "chunk": 20, "steps": 2}

FULL = {"dataset": "mnist"}
