"""Figure 4: Progressive masking.

    python -m experiments fill_progressive --digits 3 8    # 10 s

Expected: with no original pixel left, mean p(target) is 0.99.

Parts of a digit are replaced one after the other by what the network would paint there.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import networks
from experiments.core.experiment import Tables
from experiments.core.labelled import pictures
from experiments.fill._fidelity import score_table
from fitb_jax import batching, data, fill, masks, plotting
from fitb_jax.evaluation.tables import intervals
from fitb_jax.types import Image, LogitsFn

MODES: tuple[fill.Mode, ...] = ("parallel", "sequential")
SCORES = {"p": "p(target)", "correct": "accuracy"}


@dataclasses.dataclass(frozen=True)
class Config(networks.NetworkOptions):
    """Options of Figure 4.

    Attributes:
        digits: labels of the test images shown (the first of each).
        parts: masks; each blanks 1 / parts of the image.
        patch: side of a patch in pixels.
        order: of the update, "first" or "second".
        quantile: of the hidden values, above which a value is filled.
        chunk: images evaluated at once.
    """

    digits: tuple[int, ...] = (2, 3, 8)
    parts: int = 4
    patch: int = 4
    order: fill.Order = "first"
    quantile: float = fill.DEFAULT_QUANTILE
    chunk: int = 100

    ZERO_ALLOWED = frozenset({"digits"})


def compute(config: Config, net: networks.Network) -> xr.Dataset:
    """All stages for the digits shown, and p(target) after each stage over the test images."""
    fill_fn = functools.partial(fill.fill, quantile=config.quantile)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, None, 0, 0, 0))
    def run(
        updating: LogitsFn, judge: LogitsFn, image: Image, target: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        parts = masks.partition(image.shape[:2], config.parts, config.patch, key=key)
        asked = (updating, image, parts, target)
        how: dict[str, Any] = {"order": config.order, "fill_fn": fill_fn}
        images = jnp.stack([fill.progressive(*asked, mode=mode, **how) for mode in MODES])
        logits = jax.vmap(jax.vmap(judge))(images)
        p, correct = jax.nn.softmax(logits)[..., target], jnp.argmax(logits, -1) == target
        return parts, images, {"p": p, "correct": correct}

    def judged(updating: LogitsFn) -> dict[str, np.ndarray]:
        keys = jax.random.split(jax.random.key(config.seed), len(images))
        return batching.stream(
            lambda *chunk: run(updating, net.trained, *chunk)[2],
            images,
            labels,
            keys,
            chunk=config.chunk,
            label="progressive",
            progress=config.progress,
        )

    shown = jnp.asarray(data.first_of_classes(net.test, config.digits))
    keys = jax.random.split(jax.random.key(config.seed), len(shown))
    mask, stage, shown_scores = run(
        net.trained, net.trained, shown, jnp.asarray(config.digits), keys
    )
    images, labels = networks.head(net.test, config.test_images)
    before = jax.nn.softmax(jax.jit(jax.vmap(net.trained))(images))
    p_before = jnp.take_along_axis(before, labels[:, None], 1)[:, 0]
    whole = xr.Dataset(
        pictures("image", p=p_before, correct=jnp.argmax(before, -1) == labels)
    ).expand_dims(replaced=[0])
    parts = np.arange(1, config.parts + 1)
    stages = [
        xr.Dataset(pictures("image", "mode", "replaced", **judged(logits_fn)), {"replaced": parts})
        for logits_fn in (net.trained, net.untrained)
    ]
    after = xr.concat(stages, xr.Variable("network", ["trained", "untrained"]))
    found = xr.concat([whole, after], "replaced").assign(
        pictures("digit", shown_image=shown)
        | pictures("digit", "part", shown_mask=mask)
        | pictures("digit", "mode", "part", shown_stage=stage)
        | pictures("digit", "mode", "part", **{f"shown_{k}": v for k, v in shown_scores.items()})
    )
    found = found.assign_coords(digit=[*config.digits], part=parts, mode=[*MODES])
    return networks.with_network(found, net)


def tables(config: Config, found: xr.Dataset) -> Tables:
    """p(target) and accuracy of the whole image, and after each stage."""
    whole = found.isel(network=[0], mode=[0], replaced=[0])
    whole = whole.assign_coords(network=["none"], mode=["none"])
    lines = [
        score_table(each, rows=("network", "mode", "replaced"), titles=SCORES)
        for each in (whole, found.sel(replaced=slice(1, None)))
    ]
    names = ["network of the updates", "mode", "parts replaced"]
    return {"after each stage": pd.concat(lines).rename_axis(names)}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Two rows per digit, one per mode, and p(target) against the number of parts replaced."""
    rows = []
    for i, digit in enumerate(config.digits):
        of_digit = found.isel(digit=i)
        image, mask = of_digit["shown_image"].values, of_digit["shown_mask"].sel(part=1).values
        for mode in MODES:
            of = of_digit.sel(mode=mode)
            after = [f"p({digit}) {p:.2f}" for p in of["shown_p"].values]
            stages = zip(of["shown_stage"].values, after, strict=True)
            first = [(image, f"a {digit}"), (plotting.masked(image, mask), "part 1 hidden")]
            rows.append([*first, *stages])
    titles = ["image", "mask 1", *(f"{part} of {config.parts}" for part in found["part"].values)]
    modes = [*MODES] * len(config.digits)
    grid = plotting.captioned_grid(rows, column_titles=titles, row_titles=modes)
    return {"progressive": grid, "progressive_curve": _curve(found)}


def _curve(found: xr.Dataset) -> Figure:
    figure = Figure(figsize=(5.5, 3.2), layout="constrained")
    axis = figure.subplots()
    means = intervals(found["p"], over="image")
    for source, line in (("trained", "-"), ("untrained", ":")):
        for mode, colour in zip(MODES, ("C0", "C1"), strict=True):
            plotting.band(
                axis,
                means.sel(network=source, mode=mode),
                along="replaced",
                label=f"{mode}, {source} network",
                linestyle=line,
                color=colour,
                markersize=4,
            )
    axis.set_xticks(found["replaced"].values)
    axis.set(xlabel="parts replaced by fill-ins", ylabel="mean p(target)", ylim=(0, 1.02))
    axis.legend(fontsize=7)
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State both modes and what remains of the prediction without one original pixel."""
    last = found["p"].sel(replaced=config.parts).mean("image").transpose("network", "mode")
    trained, control = last.sel(network="trained").values, last.sel(network="untrained").values
    return (
        f"{config.parts} masks whose blanks partition the image. Parallel: each part is predicted "
        "from the original rest; sequential: from the parts filled before. Without one original "
        f"pixel the mean p(target) of {found.sizes['image']} test images is {trained[0]:.2f} "
        f"(parallel) and {trained[1]:.2f} (sequential), with the updates of an untrained network "
        f"{control[0]:.2f} and {control[1]:.2f}: the fills show what is taken for the class."
    )


load = networks.network

numbers = networks.accuracies

SMOKE = {"epochs": 1, "digits": (3,), "test_images": 50, "chunk": 50}

FULL = {"dataset": "mnist", "test_images": 0}
