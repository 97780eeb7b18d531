"""The figures of `stability`, from what it saved."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments.experiment import Outcome
from experiments.stability_points import MEASURES
from experiments.stability_results import HEADLINE
from fitb_jax import plotting
from fitb_jax.evaluation.intervals import bootstrap_interval


def draw(config: Any, outcome: Outcome) -> dict[str, Figure]:
    """Agreement with its floor and controls; of both architectures; maps of one digit.

    Args:
        config: options of the experiment.
        outcome: what was saved.

    Returns:
        The figures.
    """
    return {
        "agreement": _agreement(outcome.arrays),
        "architectures": _architectures(outcome.arrays),
        "maps": _maps(outcome.arrays),
    }


def _agreement(arrays: dict[str, np.ndarray]) -> Figure:
    names = arrays["methods"].tolist()
    figure = Figure(figsize=(15, 1.6 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(MEASURES), sharey=True)
    first = arrays["architectures"][0]
    for m, (axis, label) in enumerate(zip(axes, MEASURES.values(), strict=True)):
        networks = arrays["networks"][:, :, :, 0, m]
        bars = np.array([bootstrap_interval(each) for each in networks[:, 0]])
        colours = ["grey" if name in listed.CONTROLS else "tab:blue" for name in names]
        _bars(axis, bars, colours=colours, label=f"{first} networks, trained")
        places = np.arange(len(names))
        for field, marker, colour, words in (
            ("images", "|", "black", "floor: digits of a class"),
            ("draws", "x", "tab:green", "same network, other draws"),
        ):
            values = np.nanmean(arrays[field][:, 0, :, 0, m], axis=1)
            size = 13 if marker == "|" else 4
            axis.plot(values, places, marker, color=colour, markersize=size, label=words, zorder=4)
        axis.plot(
            np.nanmean(networks[:, 1], axis=1),
            places,
            "o",
            color="tab:red",
            markersize=3.5,
            label="untrained networks",
            zorder=5,
        )
        axis.set_title(label, fontsize=9)
        _rows(axis, names)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def _architectures(arrays: dict[str, np.ndarray]) -> Figure:
    names, architectures = arrays["methods"].tolist(), arrays["architectures"].tolist()
    pairings = [*architectures, "between"] if len(architectures) == 2 else architectures
    figure = Figure(figsize=(7, 1.2 + 0.34 * len(names)), layout="constrained")
    axis = figure.subplots()
    colours = ("tab:blue", "tab:orange", "tab:purple", "tab:cyan")
    for p, pairing in enumerate(pairings):
        values = arrays["networks"][:, 0, :, p, HEADLINE]
        found = np.array([bootstrap_interval(each) for each in values])
        at = np.arange(len(names)) + (p - (len(pairings) - 1) / 2) * 0.22
        axis.errorbar(
            found[:, 0],
            at,
            xerr=_reach(found),
            fmt="o",
            markersize=3.5,
            capsize=2,
            color=colours[p % len(colours)],
            label=f"{pairing} networks" if pairing != "between" else "one of each",
        )
    _rows(axis, names)
    axis.set_title(f"{[*MEASURES.values()][HEADLINE]}, trained networks", fontsize=9)
    figure.legend(loc="outside lower center", ncols=len(pairings), fontsize=8)
    return figure


def _bars(axis: Axes, found: np.ndarray, *, colours: list[str], label: str) -> None:
    drawn = axis.barh(np.arange(len(found)), found[:, 0], color=colours, alpha=0.55, label=label)
    drawn.set_label(label)
    axis.errorbar(
        found[:, 0],
        np.arange(len(found)),
        xerr=_reach(found),
        fmt="none",
        ecolor="black",
        elinewidth=0.9,
        capsize=2,
    )


def _reach(found: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num([found[:, 0] - found[:, 1], found[:, 2] - found[:, 0]]), 0, None)


def _rows(axis: Axes, names: list[str]) -> None:
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.axvline(0, color="grey", linewidth=0.8)
    axis.grid(axis="x", alpha=0.3)
    axis.tick_params(axis="x", labelsize=8)


def _maps(arrays: dict[str, np.ndarray]) -> Figure:
    count = arrays["maps"].shape[1]
    pictures: list[list[np.ndarray | None]] = []
    for maps in arrays["maps"]:
        mean, error = _mean(maps)
        # A mean of n equal maps has no error; what rounding leaves is none.
        certain = np.abs(mean) / np.maximum(error, 1e-3)
        row = [arrays["pixels"], *(plotting.heat(one) for one in maps), plotting.heat(mean)]
        pictures.append([*row, plotting.heat(np.minimum(certain, 10.0))])
    titles = ["digit", *(f"network {i + 1}" for i in range(count))]
    return plotting.image_grid(
        pictures,
        column_titles=[*titles, "mean map", "|mean| / error"],
        row_titles=arrays["methods"].tolist(),
        size=0.95,
    )


def _mean(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `evaluation.mean_map`, of saved maps."""
    spread = maps.std((1, 2), keepdims=True)
    alike = (maps - maps.mean((1, 2), keepdims=True)) / np.where(spread > 0, spread, 1)
    return alike.mean(0), alike.std(0, ddof=1) / np.sqrt(len(maps))
