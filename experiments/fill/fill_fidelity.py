"""Table 1: fidelity of the fill-ins per data set, network and order, against the untrained control.

    python -m experiments fill_fidelity --datasets mnist_5k fashion_mnist

About 100 s on 2 cores, half of it for Fashion-MNIST, whose networks are trained as well.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table
from experiments.fidelity import fidelity_arrays, fidelity_grid, from_arrays, intervals
from experiments.grids import GridRun, plan_grid
from experiments.common.networks import Network, NetworkOptions, network
from fitb_jax import fill, models, plotting
from fitb_jax.evaluation.intervals import Interval, mean_interval, proportion_interval

NUMBERS = ("p(target)", "accuracy", "correlation")
ORDERS = {"first": fill.first_order, "second": fill.second_order}


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of the table; `architecture` and `activation` are replaced by `networks`.

    Attributes:
        datasets: one that is not found is left out with a note.
        networks: architecture and activation of each.
        ratios: share of the patches that are blank, one per mask setting.
        patches: side of a patch in pixels, one per mask setting.
        chunk: points (an image under a mask) evaluated at once.
    """

    datasets: tuple[str, ...] = ("mnist_5k", "fashion_mnist")
    networks: tuple[tuple[models.Architecture, models.Activation], ...] = (
        ("cnn", "gelu"),
        ("cnn", "relu"),
        ("mlp", "gelu"),
        ("mlp", "relu"),
    )
    ratios: tuple[float, ...] = (0.25, 0.5, 0.5, 0.75)
    patches: tuple[int, ...] = (7, 4, 7, 4)
    test_images: int = 500
    chunk: int = 256


def compute(config: Config) -> Outcome:
    """Fidelity of both orders for every data set and network, trained and untrained."""
    arrays: dict[str, np.ndarray] = {}
    numbers: dict[str, object] = {}
    notes: list[str] = []
    rows: list[list[object]] = []
    for net in _networks(config, notes):
        numbers[f"{net.label}: test accuracy"] = net.accuracy
        arrays |= fidelity_arrays(config, _grid(config, net), f"{net.label}:")
        rows += _rows(arrays, net.label, _settings(config))
    if not rows:
        raise FileNotFoundError(f"none of the data sets {config.datasets} was found: {notes}")
    columns = ["network", "ratio", "patch", "updates", *NUMBERS]
    gains = _gains(arrays, _settings(config))
    numbers["second order below first: estimates"] = sum(
        gain.estimate < 0 for row in gains for gain in row[3:]
    )
    numbers["second order below first: whole interval"] = sum(
        gain.high < 0 for row in gains for gain in row[3:]
    )
    tables = {
        "fidelity": Table(columns, rows),
        "second order minus first, paired over images": Table(
            ["network", "ratio", "patch", *NUMBERS],
            [[*row[:3], *(_signed(gain) for gain in row[3:])] for row in gains],
        ),
    }
    return Outcome(arrays, numbers, tables, notes)


def plan(config: Config) -> list[str]:
    """What the grid of each data set and network will do."""
    notes: list[str] = []
    return [plan_grid(_grid(config, net)) for net in _networks(config, notes)] + notes


def _networks(config: Config, notes: list[str]) -> Iterator[Network]:
    """Those whose data set is here; the others become notes."""
    for dataset in config.datasets:
        for architecture, activation in config.networks:
            options = dataclasses.replace(
                config, dataset=dataset, architecture=architecture, activation=activation
            )
            try:
                yield network(options)
            except FileNotFoundError as error:
                notes.append(f"{dataset} is left out: {error}")
                break


def _settings(config: Config) -> list[tuple[float, int]]:
    if len(config.ratios) != len(config.patches):
        raise ValueError(
            "ratios and patches must have one entry per mask setting, got "
            f"{len(config.ratios)} and {len(config.patches)}"
        )
    return list(zip(config.ratios, config.patches, strict=True))


def _grid(config: Config, net: Network) -> GridRun:
    return fidelity_grid(
        f"fill_fidelity {net.label}",
        net,
        ORDERS,
        _settings(config),
        count=config.test_images,
        seed=config.seed,
        chunk=config.chunk,
    )


def _rows(
    arrays: dict[str, np.ndarray], label: str, settings: list[tuple[float, int]]
) -> list[list[object]]:
    trained, untrained = (from_arrays(f"{label}:{s}", arrays) for s in ("trained", "untrained"))
    rows: list[list[object]] = []
    for index, (ratio, patch) in enumerate(settings):
        masked = trained["first"]
        before: list[Interval | str] = [
            mean_interval(masked.probability_masked[:, index]),
            proportion_interval(masked.correct_masked[:, index]),
            "",
        ]
        rows.append([label, ratio, patch, "none (masked)", *map(str, before)])
        for source, found in (("", trained), (", untrained", untrained)):
            for order in ORDERS:
                values = intervals(found[order], index)
                rows.append(
                    [
                        label,
                        ratio,
                        patch,
                        f"{order} order{source}",
                        *(str(values[n]) for n in NUMBERS),
                    ]
                )
    return rows


def _gains(
    arrays: dict[str, np.ndarray], settings: list[tuple[float, int]]
) -> list[tuple[Any, ...]]:
    """Second order minus first, with intervals of the paired differences, trained networks only."""
    gains = []
    for label in _labels(arrays):
        found = from_arrays(f"{label}:trained", arrays)
        for index, setting in enumerate(settings):
            differences = (
                mean_interval(
                    getattr(found["second"], field)[:, index]
                    - getattr(found["first"], field)[:, index]
                )
                for field in ("probability_filled", "correct_filled", "correlation")
            )
            gains.append((label, *setting, *differences))
    return gains


def _signed(interval: Interval) -> str:
    return f"{interval.estimate:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def _labels(arrays: dict[str, np.ndarray]) -> list[str]:
    return list(dict.fromkeys(name.rsplit(":", 1)[0] for name in arrays))


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """The numbers of the table with their intervals, one panel per network and number."""
    labels = _labels(outcome.arrays)
    figure = Figure(figsize=(11, 2.6 * len(labels)), layout="constrained")
    axes = figure.subplots(len(labels), len(NUMBERS), squeeze=False)
    settings = [f"{r:g}, {p}" for r, p in zip(config.ratios, config.patches, strict=True)]
    for row, label in enumerate(labels):
        for axis, number in zip(axes[row], NUMBERS, strict=True):
            kinds = [(source, order) for source in ("trained", "untrained") for order in ORDERS]
            found = {
                source: from_arrays(f"{label}:{source}", outcome.arrays) for source, _ in kinds
            }
            values = np.array(
                [
                    [intervals(found[source][order], index)[number] for source, order in kinds]
                    for index in range(len(settings))
                ]
            )
            plotting.interval_chart(
                axis,
                values,
                group_labels=settings,
                bar_labels=[f"{order} order, {source}" for source, order in kinds],
                title=f"{label}\n{number}",
            )
            axis.set_xlabel("mask ratio, patch (pixels)", fontsize=7)
            if number != "correlation":
                axis.set_ylim(0, 1.03)
    axes[0, -1].legend(fontsize=6)
    return {"fidelity": figure}


def caption(config: Config, outcome: Outcome) -> str:
    """State what is compared and in how many cells the second order falls behind."""
    below, clearly = (
        outcome.numbers[f"second order below first: {what}"]
        for what in ("estimates", "whole interval")
    )
    cells = len(_labels(outcome.arrays)) * len(config.ratios) * len(NUMBERS)
    return (
        "Fidelity of the fill-ins on test images: p(target) and accuracy of the trained network "
        "after the strongest 19 % of the hidden pixels are filled, and the correlation of the "
        "update with the true hidden pixels, with 95 % intervals over images. Second order is the "
        f"damped Newton update; its estimate is below the first-order one in {below} of {cells} "
        f"numbers, and so is the whole interval of the paired difference in {clearly}. Control: "
        "updates of a network with freshly drawn weights, judged by the trained one."
    )


EXPERIMENT = Experiment(
    name="fill_fidelity",
    title="Fidelity of the fill-ins",
    regenerates="Table 1",
    needs="Fashion-MNIST for its half (left out where absent)",
    duration="100 s",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    smoke={
        "epochs": 1,
        "datasets": ("mnist_5k",),
        "networks": (("cnn", "gelu"),),
        "test_images": 20,
        "chunk": 20,
    },
    full={"datasets": ("mnist", "fashion_mnist"), "test_images": 0},
)
