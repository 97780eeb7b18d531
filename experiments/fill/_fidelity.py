"""How well updates fill in images under masks: the sweep that several experiments share."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common.networks import Network, NetworkOptions, head
from experiments.core.experiment import Sweep
from fitb_jax import ablation, fill, masks, models, plotting
from fitb_jax.evaluation.intervals import Interval, mean_interval, proportion_interval
from fitb_jax.evaluation.tables import interval_columns, intervals
from fitb_jax.types import LogitsFn, UpdateFn

Settings = Sequence[tuple[float, int]]
"""Share of the patches that are blank, and the side of a patch in pixels, of each mask."""

MEASURES = {
    "probability_filled": "p(target)",
    "correct_filled": "accuracy",
    "correlation": "correlation",
}
"""Those that tables show of a filled image, and what they are called there."""

TITLES = {
    "probability_filled": "p(target), filled",
    "correct_filled": "accuracy, filled",
    "correlation": "correlation with hidden pixels",
}
"""The same, where nothing else says that it is of filled images."""

ORDERS = {"first": fill.first_order, "second": fill.second_order}

FIELDS = {
    "correlation": ablation.Field(
        meaning="correlation of the update with the hidden pixels", nan_is_answer=True
    ),
    "probability_filled": ablation.Field(meaning="p(target) of the filled image"),
    "correct_filled": ablation.Field(meaning="whether the filled image is classified right"),
}


def fidelity_point(
    *,
    judge: LogitsFn,
    update: UpdateFn,
    network: LogitsFn,
    setting: dict[str, jax.Array],
    image: dict[str, jax.Array],
    key: jax.Array,
) -> fill.Fidelity:
    """How well one update of one network fills in one image under one random mask."""
    pixels, label = image["pixels"], image["label"]
    mask = masks.random_patches(pixels.shape[:2], setting["ratio"], setting["patch"], key=key)
    return fill.fidelity(judge, pixels, mask, label, update(network, pixels, mask, label))


@dataclasses.dataclass(frozen=True)
class FidelityOptions(NetworkOptions):
    """Options of an experiment that sweeps over masks and test images.

    Attributes:
        chunk: points (an image under a mask) evaluated at once.
    """

    chunk: int = 256


@dataclasses.dataclass(frozen=True)
class GridOptions(FidelityOptions):
    """Options of an experiment at every mask ratio and patch size.

    Attributes:
        ratios: shares of the patches that are blank.
        patches: sides of a patch in pixels.
    """

    ratios: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9)
    patches: tuple[int, ...] = (1, 2, 4, 7)


SMOKE_GRID: dict[str, Any] = {"epochs": 1, "ratios": (0.25, 0.5), "patches": (4, 7)}
FULL_GRID: dict[str, Any] = {
    "dataset": "mnist",
    "ratios": tuple(round(0.05 * i, 2) for i in range(1, 20)),
    "patches": (1, 2, 4, 7, 14),
}


def fidelity_sweep(
    options: FidelityOptions,
    net: Network,
    updates: Mapping[str, UpdateFn],
    settings: Settings,
    *,
    name: str = "",
) -> Sweep:
    """Fidelity of the updates of a trained network and of its untrained control, over test images.

    The trained network judges both, on the same images under the same masks.
    """
    images, labels = head(net.test, options.test_images)
    ratios, patches = zip(*settings, strict=True)
    return Sweep(
        name=name,
        point=fidelity_point,
        axes={
            "update": ablation.static([*updates.values()], labels=[*updates]),
            "network": ablation.looped(
                models.stack([net.trained, net.untrained]), labels=["trained", "untrained"]
            ),
            "setting": ablation.vmapped(
                {"ratio": np.array(ratios, np.float32), "patch": np.array(patches, np.int32)},
                labels=[f"ratio {ratio:g}, patch {patch}" for ratio, patch in settings],
            ),
            "image": ablation.vmapped({"pixels": images, "label": labels}),
        },
        fields=FIELDS,
        key=jax.random.key(options.seed),
        key_axes=("setting", "image"),
        shared={"judge": net.trained},
        about={"ratio": ("setting", [*ratios]), "patch": ("setting", [*patches])},
        chunk=options.chunk,
    )


def unfilled(found: xr.Dataset) -> xr.Dataset:
    """The masked images in place of the filled ones, as a line of a table of `MEASURES`."""
    return found.assign(
        probability_filled=found["probability_masked"],
        correct_filled=found["correct_masked"],
        correlation=xr.full_like(found["correlation"], np.nan),
    )


def score_table(
    found: xr.Dataset,
    *,
    rows: Sequence[str],
    titles: Mapping[str, str] = MEASURES,
    over: str = "image",
) -> pd.DataFrame:
    """Scores side by side with their intervals; "accuracy" is a share, the unknown stays empty."""
    rules = {name: _interval_of(title) for name, title in titles.items()}
    table = interval_columns(found, titles, rows=rows, over=over, of=rules)
    return table.map(lambda cell: "" if np.isnan(cell.estimate) else cell)


def setting_maps(
    panels: Sequence[Sequence[tuple[xr.DataArray, str]]],
    *,
    size: tuple[float, float],
    correlation: tuple[float, float],
) -> Figure:
    """Heat maps with titles over ratios and patches; `correlation` limits the colours of those."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(panels), len(panels[0]), squeeze=False)
    for line, row in zip(axes, panels, strict=True):
        for axis, (values, title) in zip(line, row, strict=True):
            limits = correlation if values.name == "correlation" else (0.0, 1.0)
            plotting.heat_map(
                axis, values, rows="ratio", columns="patch", title=title, limits=limits
            )
            axis.set_xlabel("patch (pixels)", fontsize=8)
            axis.set_ylabel("ratio", fontsize=8)
    return figure


def measure_charts(
    axes: Sequence[Axes], found: xr.Dataset, *, groups: str, bars: str, title: str
) -> None:
    """`MEASURES` with their intervals over images, a chart each; `title` has a `{}` for theirs."""
    for axis, (name, measure) in zip(axes, MEASURES.items(), strict=True):
        values = intervals(found[name], over="image", of=_interval_of(measure))
        plotting.interval_chart(axis, values, groups=groups, bars=bars, title=title.format(measure))
        if measure == "correlation":
            axis.axhline(0, color="grey", linewidth=0.8)
        else:
            axis.set_ylim(0, 1.03)


def _interval_of(title: str) -> Callable[[np.ndarray], Interval]:
    return proportion_interval if title == "accuracy" else mean_interval
