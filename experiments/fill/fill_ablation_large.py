"""Figure 7: Large ablation with bands over networks.

    python -m experiments fill_ablation_large    # 45 s

Expected: E[dx] of two trained networks correlate by 0.51 (first order) and 0.54 (second), with that
of an untrained one by -0.01.

24,000 points, for which three networks are trained at once. `--full` is 6.8 million points; it
continues where it was stopped.
"""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import networks
from experiments.core.experiment import Experiment, Sweep, Tables
from experiments.core.labelled import interval_variable, with_notes
from experiments.fill._fidelity import FIELDS, ORDERS, TITLES, FidelityOptions, score_table
from fitb_jax import ablation, data, fill, masks, models, plotting
from fitb_jax.evaluation.intervals import Interval
from fitb_jax.evaluation.tables import intervals
from fitb_jax.types import LogitsFn

UNTRAINED = "untrained"
AVERAGED = ablation.Reduction(("image", "seed"))


@dataclasses.dataclass(frozen=True)
class Config(FidelityOptions):
    """Options of the large ablation.

    Attributes:
        ratios: shares of the patches that are blank.
        patches: sides of a patch in pixels.
        networks: trained at once from different seeds; an untrained one is added as control.
        seeds: masks drawn for each image, ratio and patch.
        images_per_class: test images of each class.
    """

    ratios: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9)
    patches: tuple[int, ...] = (1, 4, 7)
    networks: int = 3
    seeds: int = 1
    images_per_class: int = 20


class Loaded(NamedTuple):
    """Networks, and images (classes, images, h, w, c) on which they are compared."""

    ensemble: networks.Ensemble
    images: np.ndarray


def point(
    *,
    images: jax.Array,
    order: fill.Order,
    network: dict[str, LogitsFn],
    label: jax.Array,
    ratio: jax.Array,
    patch: jax.Array,
    seed: jax.Array,
    image: jax.Array,
    key: jax.Array,
) -> dict[str, jax.Array]:
    """Fidelity of one update of one image under a mask, and the update where it was hidden."""
    pixels = images[label, image]
    mask = masks.random_patches(pixels.shape[:2], ratio, patch, key=key)
    update = fill.resolve_order(order)(network["updating"], pixels, mask, label)
    measured = fill.fidelity(network["judge"], pixels, mask, label, update)
    hidden_update = jnp.where(mask[:, :, None] == 0, update, jnp.nan)
    return {**measured._asdict(), "update": hidden_update}


def load(config: Config) -> Loaded:
    """The networks, and as many test images of each class."""
    train, test = (
        data.load(config.dataset, split=split, data_dir=config.data_dir)
        for split in ("train", "test")
    )
    of_class = [test.images[test.labels == label] for label in range(len(train.class_names))]
    if (fewest := min(map(len, of_class))) < config.images_per_class:
        raise ValueError(
            f"images_per_class must be at most {fewest}, the test images of the rarest class, got "
            f"{config.images_per_class}"
        )
    shown = np.stack([images[: config.images_per_class] for images in of_class])
    return Loaded(networks.ensemble(config, config.networks, train, test), shown)


def sweep(config: Config, net: Loaded) -> Sweep:
    """Every setting, order and network on every image; means over images and masks are kept."""
    trained, untrained = net.ensemble.trained, net.ensemble.untrained
    # Of the control, the first network is the judge.
    pairs = {
        "updating": models.stack([*trained, untrained]),
        "judge": models.stack([*trained, trained[0]]),
    }
    names = [*map(str, range(config.networks)), UNTRAINED]
    axes = {
        "order": ablation.static([*ORDERS]),
        "network": ablation.looped(pairs, labels=names, meaning="seed of the training"),
        "label": ablation.vmapped(np.arange(len(net.images)), meaning="class, also filled in for"),
        "ratio": ablation.vmapped(np.array(config.ratios), meaning="share of blank patches"),
        "patch": ablation.vmapped(np.array(config.patches), units="pixels"),
        "seed": ablation.vmapped(np.arange(config.seeds), meaning="of the masks"),
        "image": ablation.vmapped(np.arange(config.images_per_class), meaning="of its class"),
    }
    fields = {
        name: FIELDS.get(name, ablation.Field())._replace(reduction=AVERAGED)
        for name in fill.Fidelity._fields
    }
    fields["update"] = ablation.Field(
        dims=("y", "x", "channel"),
        units="nats / intensity",
        meaning="E[dx], over the times that a pixel was hidden",
        reduction=ablation.Reduction(AVERAGED.over, ("mean", "standard_error", "count")),
        nan_is_answer=True,
    )
    return Sweep(
        point=point,
        axes=axes,
        fields=fields,
        key=jax.random.key(config.seed),
        key_axes=("label", "ratio", "patch", "seed", "image"),
        shared={"images": net.images},
        chunk=config.chunk,
    )


def compute(config: Config, net: Loaded, found: xr.Dataset) -> xr.Dataset:
    """Means over the classes, how far E[dx] of two networks agree, and E[dx] to look at."""
    trained = [str(seed) for seed in range(config.networks)]
    updates = found["update_mean"]
    middle = {name: found[name][found.sizes[name] // 2] for name in ("ratio", "patch")}
    accuracies = [interval_variable(accuracy) for accuracy in net.ensemble.accuracies]
    shown = {
        **{name: found[f"{name}_mean"].mean("label") for name in TITLES},
        "agreement": _agreement(updates, itertools.combinations(trained, 2)),
        "agreement_untrained": _agreement(updates, ((name, UNTRAINED) for name in trained)),
        "expected_update": updates.sel(middle, drop=True),
        "accuracy": xr.concat(accuracies, xr.Variable("trained", trained)),
        "points": found["status"].size,
    }
    note = f"{config.dataset}, {config.architecture} {config.activation}"
    return with_notes(xr.Dataset(shown), f"{note}, {config.networks} networks")


def _agreement(mean: xr.DataArray, pairs: Iterable[tuple[str, str]]) -> xr.DataArray:
    """Mean correlation of E[dx] between pairs of networks and over classes."""
    flat = mean.stack(pixel=("y", "x", "channel"))
    of_pairs = [xr.corr(flat.sel(network=a), flat.sel(network=b), dim="pixel") for a, b in pairs]
    return xr.concat(of_pairs, "pair").mean(["pair", "label"])


def _of_trained(found: xr.Dataset) -> xr.Dataset:
    return found[[*TITLES]].drop_sel(network=UNTRAINED)


def numbers(config: Config, found: xr.Dataset) -> dict[str, object]:
    """Size of the grid, what the networks are worth, and how far they agree."""
    agreement = found["agreement"]
    return {
        "points": found["points"],
        "test accuracy of each network": [Interval(*ends) for ends in found["accuracy"].values],
        "correlation of E[dx] between trained networks": {
            order: agreement.sel(order=order).mean() for order in ORDERS
        },
        "correlation of E[dx] with the untrained network": found["agreement_untrained"].mean(),
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """The measures in every setting, with intervals over the trained networks."""
    rows = ("order", "ratio", "patch")
    table = score_table(_of_trained(found), rows=rows, titles=TITLES, over="network")
    return {"mean over networks": table}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Heat maps, curves with bands over networks, and E[dx] of each network."""
    maps = found["expected_update"].sel(order="first").transpose("network", "label", ...)
    names = [n if n == UNTRAINED else f"network {n}" for n in found["network"].values]
    prototypes = plotting.signed_maps(
        [*maps.values],
        column_titles=[str(label) for label in maps["label"].values],
        row_titles=names,
        units=["nats / intensity"] * len(names),
    )
    return {
        "large_ablation_heat_maps": _heat_maps(found),
        "large_ablation_bands": _bands(found),
        "large_ablation_prototypes": prototypes,
    }


def _heat_maps(found: xr.Dataset) -> Figure:
    means = _of_trained(found).mean("network").assign(agreement=found["agreement"])
    titles = {**TITLES, "agreement": "agreement of E[dx] across networks"}
    figure = Figure(figsize=(3.4 * len(titles), 6), layout="constrained")
    axes = figure.subplots(len(ORDERS), len(titles))
    for line, order in zip(axes, ORDERS, strict=True):
        for axis, (name, title) in zip(line, titles.items(), strict=True):
            plotting.heat_map(
                axis,
                means[name].sel(order=order),
                rows="ratio",
                columns="patch",
                title=f"{title}\n{order} order",
                limits=(0.0, 0.4) if name == "correlation" else (0.0, 1.0),
            )
            axis.set_xlabel("patch (pixels)", fontsize=8)
            axis.set_ylabel("ratio", fontsize=8)
    return figure


def _bands(found: xr.Dataset) -> Figure:
    figure = Figure(figsize=(4 * len(TITLES), 6), layout="constrained")
    axes = figure.subplots(len(ORDERS), len(TITLES), sharex=True)
    for line, order in zip(axes, ORDERS, strict=True):
        for axis, (name, title) in zip(line, TITLES.items(), strict=True):
            control = found[name].sel(order=order, network=UNTRAINED)
            means = intervals(_of_trained(found)[name].sel(order=order), over="network")
            for patch in found["patch"].values:
                plotting.band(
                    axis,
                    means.sel(patch=patch),
                    along="ratio",
                    label=f"patch {patch}",
                    control=control.sel(patch=patch),
                )
            axis.set_title(f"{title}, {order} order", fontsize=9)
            axis.set_xlabel("mask ratio", fontsize=8)
            if name != "correlation":
                axis.set_ylim(0, 1.02)
    axes[0, 0].legend(fontsize=7, title="dashed: untrained", title_fontsize=7)
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State the grid and its main numbers."""
    first, second = (found["agreement"].sel(order=order).mean() for order in ORDERS)
    return (
        f"{found['points']:,d} points: {len(config.ratios)} ratios x {len(config.patches)} patch "
        f"sizes x {found.sizes['label']} classes x 2 orders x {config.networks} networks and an "
        f"untrained one x {config.seeds} mask(s) x {config.images_per_class} test images of each "
        "class. Bands are 95 % intervals over networks. E[dx] of two networks correlate by "
        f"{first:.2f} (first order) and {second:.2f} (second), mean over classes and settings; "
        f"with that of the untrained one by {found['agreement_untrained'].mean():.2f}. Maps: "
        "E[dx], first order, at the middle ratio and patch size."
    )


EXPERIMENT = Experiment(
    config=Config,
    load=load,
    sweep=sweep,
    compute=compute,
    numbers=numbers,
    tables=tables,
    draw=draw,
    caption=caption,
    smoke={
        "epochs": 1,
        "ratios": (0.25, 0.5),
        "patches": (4, 7),
        "networks": 2,
        "images_per_class": 2,
    },
    full={
        "dataset": "mnist",
        "ratios": tuple(round(0.05 * i, 2) for i in range(1, 20)),
        "patches": (1, 2, 4, 7, 14),
        "networks": 5,
        "seeds": 3,
        "images_per_class": 200,
    },
)
