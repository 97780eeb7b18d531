"""Figure 7, Table 2: Fidelity of the fill-ins.

    python -m experiments fill_fidelity --datasets mnist_5k fashion_mnist    # 100 s

Needs: Fashion-MNIST for its half, which is left out where it is absent.
Expected: the damped Newton update is clearly below the first-order one in none of 96 estimates.

Four networks on each data set under four kinds of masks, beside the updates of untrained networks.
"""

import dataclasses

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import networks
from experiments.core.experiment import Sweep, Tables
from experiments.core.labelled import interval_variable, with_notes
from experiments.fill import _fidelity
from experiments.fill._fidelity import MEASURES
from fitb_jax import models
from fitb_jax.evaluation.tables import interval_table, intervals

UPDATES = {
    "first order": {"network": "trained", "update": "first"},
    "second order": {"network": "trained", "update": "second"},
    "first order, untrained": {"network": "untrained", "update": "first"},
    "second order, untrained": {"network": "untrained", "update": "second"},
}
"""Lines of the table and bars of the chart: which update of which network each is."""


@dataclasses.dataclass(frozen=True)
class Config(_fidelity.FidelityOptions):
    """Options of the table; `architecture` and `activation` are replaced by `networks`.

    Attributes:
        datasets: one that is not found is left out with a note.
        networks: architecture and activation of each.
        ratios: share of the patches that are blank, one per mask setting.
        patches: side of a patch in pixels, one per mask setting.
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

    @property
    def settings(self) -> list[tuple[float, int]]:
        """Ratio and patch of every mask setting."""
        if len(self.ratios) != len(self.patches):
            raise ValueError(
                "ratios and patches must have one entry per mask setting, got "
                f"{len(self.ratios)} and {len(self.patches)}"
            )
        return list(zip(self.ratios, self.patches, strict=True))


def load(config: Config) -> networks.Available:
    """Every network on every data set that is here, by its label."""
    kinds = [
        networks.available(
            dataclasses.replace(config, architecture=architecture, activation=activation)
        )
        for architecture, activation in config.networks
    ]
    found = [kind.networks[dataset] for dataset in kinds[0].networks for kind in kinds]
    notes = dict.fromkeys(note for kind in kinds for note in kind.notes)
    return networks.Available({net.label: net for net in found}, [*notes])


def sweep(config: Config, net: networks.Available) -> list[Sweep]:
    """Both orders of each network and its control, over the test images."""
    return [
        _fidelity.fidelity_sweep(config, each, _fidelity.ORDERS, config.settings, name=label)
        for label, each in net.networks.items()
    ]


def compute(config: Config, net: networks.Available, *swept: xr.Dataset) -> xr.Dataset:
    """The fidelity of all of them, and what the networks are worth."""
    parts = [
        found.set_coords(["ratio", "patch"]).assign(accuracy=interval_variable(each.accuracy))
        for found, each in zip(swept, net.networks.values(), strict=True)
    ]
    # Test splits are of different sizes where all images are asked for.
    found = xr.concat(parts, pd.Index([*net.networks], name="classifier"), join="outer")
    return with_notes(found, *net.notes)


def _by_updates(found: xr.Dataset) -> list[xr.Dataset]:
    return [found[[*MEASURES]].sel(which, drop=True) for which in UPDATES.values()]


def _gains(found: xr.Dataset) -> xr.DataArray:
    """Second order minus first of the trained networks, image by image."""
    trained = found[[*MEASURES]].sel(network="trained", drop=True)
    gain = trained.sel(update="second", drop=True) - trained.sel(update="first", drop=True)
    return gain.to_dataarray("measure").assign_coords(measure=[*MEASURES.values()])


def tables(config: Config, found: xr.Dataset) -> Tables:
    """The measures of the masked images and of all fills; and the gain of the second order."""
    masked = _fidelity.unfilled(found.sel(UPDATES["first order"], drop=True))[[*MEASURES]]
    lines = pd.Index(["none (masked)", *UPDATES], name="updates")
    every = xr.concat([masked, *_by_updates(found)], lines)
    rows = ("classifier", "setting")
    gains = interval_table(_gains(found), rows=rows, over="image", title="{measure}")
    return {
        "fidelity": _with_settings(found, _fidelity.score_table(every, rows=(*rows, "updates"))),
        "second order minus first, paired over images": _with_settings(found, gains),
    }


def _with_settings(found: xr.Dataset, table: pd.DataFrame) -> pd.DataFrame:
    """Ratio and patch of the masks in place of the name of the setting."""
    settings = found[["ratio", "patch"]].to_dataframe()
    lines = table.index.to_frame(index=False).join(settings, on="setting")
    rest = [name for name in table.index.names if name not in ("classifier", "setting")]
    lines = lines[["classifier", "ratio", "patch", *rest]].rename(columns={"classifier": "network"})
    return table.set_axis(pd.MultiIndex.from_frame(lines))


def _below(found: xr.Dataset) -> tuple[int, int]:
    """In how many numbers the second order is below the first; with its whole interval."""
    gains = intervals(_gains(found), over="image")
    estimate, clearly = ((gains.sel(interval=end) < 0).sum() for end in ("estimate", "high"))
    return int(estimate), int(clearly)


def numbers(config: Config, found: xr.Dataset) -> dict[str, object]:
    """What the networks are worth, and how often the second order falls behind."""
    estimate, clearly = _below(found)
    return {
        **networks.accuracies(config, found),
        "second order below first: estimates": estimate,
        "second order below first: whole interval": clearly,
    }


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The measures with their intervals, one chart for each network and measure."""
    labels = found["classifier"].values
    settings = [f"{ratio:g}, {patch}" for ratio, patch in config.settings]
    every = xr.concat(_by_updates(found), pd.Index([*UPDATES], name="updates"))
    every = every.assign_coords(setting=settings)
    figure = Figure(figsize=(11, 2.6 * len(labels) + 0.4), layout="constrained")
    axes = figure.subplots(len(labels), len(MEASURES), squeeze=False)
    for row, label in zip(axes, labels, strict=True):
        of = every.sel(classifier=label)
        _fidelity.measure_charts(row, of, groups="setting", bars="updates", title=f"{label}\n{{}}")
        for axis in row:
            axis.set_xlabel("mask ratio, patch (pixels)", fontsize=7)
    bars = axes[0, 0].get_legend_handles_labels()
    figure.legend(*bars, loc="outside lower center", ncols=len(UPDATES), fontsize=8)
    return {"fidelity": figure}


def caption(config: Config, found: xr.Dataset) -> str:
    """State what is compared and in how many cells the second order falls behind."""
    estimate, clearly = _below(found)
    cells = found.sizes["classifier"] * found.sizes["setting"] * len(MEASURES)
    return (
        "p(target) and accuracy of the trained network after filling, and correlation of the "
        "update with the hidden pixels; 95 % intervals over images. The damped Newton update is "
        f"below first order in {estimate} of {cells} numbers, by the whole interval of the paired "
        f"difference in {clearly}. Control: updates of an untrained network."
    )


SMOKE = {
    "epochs": 1,
    "datasets": ("mnist_5k",),
    "networks": (("cnn", "gelu"),),
    "test_images": 20,
    "chunk": 20,
}

FULL = {"datasets": ("mnist", "fashion_mnist"), "test_images": 0}
