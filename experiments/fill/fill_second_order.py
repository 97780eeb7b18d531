"""Figure 5: first against second order, the four second-order directions side by side.

    python -m experiments fill_second_order

About 30 s on 2 cores.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table
from experiments.fidelity import fidelity_arrays, fidelity_grid, from_arrays, intervals
from experiments.grids import GridRun, plan_grid
from experiments.common.networks import Network, NetworkOptions, head, network
from fitb_jax import fill, masks, plotting
from fitb_jax.evaluation.intervals import mean_interval, proportion_interval
from fitb_jax.types import Image, LogitsFn, UpdateFn

METHODS: tuple[fill.Method, ...] = ("newton", "gauss_newton", "principal", "curvature")
NUMBERS = ("p(target)", "accuracy", "correlation")
_DIAGNOSED = 200


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 5.

    Attributes:
        digits: labels of the test images shown (the first of each).
        ratio: share of the patches that are blank.
        patch: side of a patch in pixels.
        damping: of newton and gauss_newton, above 1.
        steps: Lanczos steps.
        chunk: points evaluated at once.
        test_images: 0, so that the table is over the whole test split.
    """

    digits: tuple[int, ...] = (3, 5, 8)
    ratio: float = 0.5
    patch: int = 4
    damping: float = 1.5
    steps: int = 8
    chunk: int = 256
    test_images: int = 0

    ZERO_ALLOWED = frozenset({"digits"})


def compute(config: Config) -> Outcome:
    """Every direction for the digits shown, and its fidelity over the test split."""
    net = network(config)
    updates = _updates(config)
    arrays = _shown(config, net.trained, net.test.images, net.test.labels, updates)
    arrays |= fidelity_arrays(config, _grid(config, net, updates))
    images, labels = head(net.test, _DIAGNOSED)
    residual, error = _trust(config, net.trained, images, labels)
    numbers = {
        "test accuracy": net.accuracy,
        "newton, median relative residual": residual,
        "newton, median error bound of the leading curvature, relative": error,
    }
    tables = {"directions over the test split": _table(arrays, list(updates))}
    return Outcome(arrays, numbers, tables, [f"{net.label}; {net.test.source}"])


def plan(config: Config) -> list[str]:
    """What the grid will do."""
    return [plan_grid(_grid(config, network(config), _updates(config)))]


def _updates(config: Config) -> dict[str, UpdateFn]:
    updates: dict[str, UpdateFn] = {"first order": fill.first_order}
    for method in METHODS:
        updates[method] = functools.partial(
            fill.second_order, method=method, damping=config.damping, steps=config.steps
        )
    return updates


def _grid(config: Config, net: Network, updates: dict[str, UpdateFn]) -> GridRun:
    return fidelity_grid(
        "fill_second_order",
        net,
        updates,
        [(config.ratio, config.patch)],
        count=config.test_images,
        seed=config.seed,
        chunk=config.chunk,
    )


def _shown(
    config: Config,
    logits_fn: LogitsFn,
    images: np.ndarray,
    labels: np.ndarray,
    updates: dict[str, UpdateFn],
) -> dict[str, np.ndarray]:
    shown = jnp.asarray(
        np.stack([images[np.flatnonzero(labels == digit)[0]] for digit in config.digits])
    )

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0, 0, 0))
    def explain(
        logits_fn: LogitsFn, image: Image, target: jax.Array, key: jax.Array
    ) -> dict[str, jax.Array]:
        mask = masks.random_patches(image.shape[:2], config.ratio, config.patch, key=key)
        found = jnp.stack([update(logits_fn, image, mask, target) for update in updates.values()])
        fills = jax.vmap(lambda update: fill.fill(image, mask, update))(found)
        p = jax.nn.softmax(jax.vmap(logits_fn)(fills))[:, target]
        return {"mask": mask, "update": found, "fill": fills, "p": p}

    keys = jax.random.split(jax.random.key(config.seed), len(config.digits))
    found = explain(logits_fn, shown, jnp.asarray(config.digits), keys)
    arrays = {f"shown_{name}": np.asarray(value) for name, value in found.items()}
    return {"shown_image": np.asarray(shown), **arrays}


def _trust(
    config: Config, logits_fn: LogitsFn, images: jax.Array, labels: jax.Array
) -> tuple[float, float]:
    """Medians of the relative residual and of the relative error bound of the curvature."""

    @jax.jit
    def diagnose(logits_fn: LogitsFn, image: Image, target: jax.Array, key: jax.Array) -> jax.Array:
        mask = masks.random_patches(image.shape[:2], config.ratio, config.patch, key=key)
        found = fill.second_order_with_diagnostics(
            logits_fn, image, mask, target, damping=config.damping, steps=config.steps
        )
        return jnp.stack([found.residual, found.curvature_error / jnp.abs(found.curvature)])

    keys = jax.random.split(jax.random.key(config.seed), len(images))
    found = jax.vmap(diagnose, in_axes=(None, 0, 0, 0))(logits_fn, images, labels, keys)
    residual, error = np.nanmedian(np.asarray(found), axis=0)
    return float(residual), float(error)


def _table(arrays: dict[str, np.ndarray], names: list[str]) -> Table:
    columns = ["network of the updates", "update", *NUMBERS, "p(target) minus first order"]
    rows: list[list[object]] = []
    for source in ("trained", "untrained"):
        found = from_arrays(source, arrays)
        first = found["first order"].probability_filled[:, 0]
        if source == "trained":
            masked = found["first order"]
            rows.append(
                [
                    "none",
                    "none (masked)",
                    str(mean_interval(masked.probability_masked[:, 0])),
                    str(proportion_interval(masked.correct_masked[:, 0])),
                    "",
                    "",
                ]
            )
        for name in names:
            values = intervals(found[name], 0)
            gain = mean_interval(found[name].probability_filled[:, 0] - first)
            difference = "" if name == "first order" else str(gain)
            rows.append([source, name, *(str(values[n]) for n in NUMBERS), difference])
    return Table(columns, rows)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Signed updates with their fills, and the numbers with their intervals."""
    arrays = outcome.arrays
    names = ["first order", *METHODS]
    pictures, captions = [], []
    for i, digit in enumerate(config.digits):
        image, mask = arrays["shown_image"][i], arrays["shown_mask"][i]
        updates = [plotting.overlay(image, mask, update) for update in arrays["shown_update"][i]]
        pictures.append([plotting.masked(image, mask), *updates])
        captions.append([f"a {digit}, masked"] + [""] * len(names))
        fills = [plotting.as_rgb(filled) for filled in arrays["shown_fill"][i]]
        pictures.append([plotting.as_rgb(image), *fills])
        captions.append(["whole"] + [f"p({digit}) {p:.2f}" for p in arrays["shown_p"][i]])
    grid = plotting.image_grid(pictures, column_titles=["", *names], captions=captions)
    return {"second_order": grid, "second_order_fidelity": _chart(arrays, names)}


def _chart(arrays: dict[str, np.ndarray], names: list[str]) -> Figure:
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, len(NUMBERS))
    sources = ("trained", "untrained")
    for axis, number in zip(axes, NUMBERS, strict=True):
        values = np.array(
            [
                [intervals(from_arrays(source, arrays)[name], 0)[number] for source in sources]
                for name in names
            ]
        )
        plotting.interval_chart(
            axis,
            values,
            group_labels=[name.replace("_", "\n").replace(" ", "\n") for name in names],
            bar_labels=[f"{source} network" for source in sources],
            title=f"{number} (95 % interval)",
        )
        if number == "correlation":
            axis.axhline(0, color="grey", linewidth=0.8)
        else:
            axis.set_ylim(0, 1.03)
    axes[-1].legend(fontsize=7)
    return figure


def caption(config: Config, outcome: Outcome) -> str:
    """State the directions and the numbers of the two that are compared."""
    found = from_arrays("trained", outcome.arrays)
    first, newton, curvature = (
        intervals(found[name], 0) for name in ("first order", "newton", "curvature")
    )
    gain = mean_interval(
        found["newton"].probability_filled[:, 0] - found["first order"].probability_filled[:, 0]
    )
    return (
        f"The gradient and four second-order directions on the hidden pixels (ratio "
        f"{config.ratio:g}, patch {config.patch}), red to add and blue to take away, with the fill "
        f"below each. Over {len(found['newton'].correlation)} test images the damped Newton update "
        f"(damping {config.damping:g}, {config.steps} Lanczos steps) reaches p(target) "
        f"{newton['p(target)']} and correlation {newton['correlation']} with the hidden pixels; "
        f"first order {first['p(target)']} and {first['correlation']}; paired gain in p(target) "
        f"{gain}. The curvature along the first-order fill correlates with the hidden pixels by "
        f"{curvature['correlation']}: near a maximum the gradient shrinks along itself, so "
        "its sign is that of the gradient turned round."
    )


EXPERIMENT = Experiment(
    name="fill_second_order",
    title="First against second order",
    regenerates="Figure 5",
    needs="nothing",
    duration="30 s",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    smoke={"epochs": 1, "digits": (3,), "test_images": 20, "chunk": 20, "steps": 2},
    full={"dataset": "mnist"},
)
