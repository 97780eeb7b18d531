"""Figure 8: Large ablation with bands over networks.

    python -m experiments fill_ablation_large    # 45 s

Expected: E[dx] of two trained networks correlate by 0.51.

24,000 points, for which three networks are trained at once. `--full` is 6.8 million points; it
continues where it was stopped.
"""

import dataclasses
import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import networks
from experiments.core.experiment import Sweep, Tables
from experiments.core.labelled import interval_variable, with_notes
from experiments.fill import _fidelity
from fitb_jax import ablation, data, fill, masks, models, plotting
from fitb_jax.evaluation.intervals import Interval
from fitb_jax.evaluation.tables import intervals, pair_correlations
from fitb_jax.types import LogitsFn

UNTRAINED = "untrained"
AVERAGED = ablation.Reduction(("image", "seed"))


@dataclasses.dataclass(frozen=True)
class Config(_fidelity.GridOptions):
    """Options of the large ablation.

    Attributes:
        networks: trained at once from different seeds; an untrained one is added as control.
        seeds: masks drawn for each image, ratio and patch.
        images_per_class: test images of each class.
    """

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
    shown = data.first_of_each_class(test, config.images_per_class)
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
        "order": ablation.static([*_fidelity.ORDERS]),
        "network": ablation.looped(pairs, labels=names, meaning="seed of the training"),
        "label": ablation.vmapped(np.arange(len(net.images)), meaning="class, also filled in for"),
        "ratio": ablation.vmapped(np.array(config.ratios), meaning="share of blank patches"),
        "patch": ablation.vmapped(np.array(config.patches), units="pixels"),
        "seed": ablation.vmapped(np.arange(config.seeds), meaning="of the masks"),
        "image": ablation.vmapped(np.arange(config.images_per_class), meaning="of its class"),
    }
    fields = {
        name: _fidelity.FIELDS.get(name, ablation.Field())._replace(reduction=AVERAGED)
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
    agreement = functools.partial(
        pair_correlations, updates, between="network", along=("y", "x", "channel")
    )
    middle = {name: found[name][found.sizes[name] // 2] for name in ("ratio", "patch")}
    accuracies = [interval_variable(accuracy) for accuracy in net.ensemble.accuracies]
    shown = {
        **{name: found[f"{name}_mean"].mean("label") for name in _fidelity.TITLES},
        "agreement": agreement(itertools.combinations(trained, 2)).mean(["pair", "label"]),
        "agreement_untrained": agreement((name, UNTRAINED) for name in trained).mean(
            ["pair", "label"]
        ),
        "expected_update": updates.sel(middle, drop=True),
        "accuracy": xr.concat(accuracies, xr.Variable("trained", trained)),
        "points": found["status"].size,
    }
    note = f"{config.dataset}, {config.architecture} {config.activation}"
    return with_notes(xr.Dataset(shown), f"{note}, {config.networks} networks")


def _of_trained(found: xr.Dataset) -> xr.Dataset:
    return found[[*_fidelity.TITLES]].drop_sel(network=UNTRAINED)


def numbers(config: Config, found: xr.Dataset) -> dict[str, object]:
    """Size of the grid, what the networks are worth, and how far they agree."""
    agreement = found["agreement"]
    return {
        "points": found["points"],
        "test accuracy of each network": [Interval(*ends) for ends in found["accuracy"].values],
        "correlation of E[dx] between trained networks": {
            order: agreement.sel(order=order).mean() for order in _fidelity.ORDERS
        },
        "correlation of E[dx] with the untrained network": found["agreement_untrained"].mean(),
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """The measures in every setting, with intervals over the trained networks."""
    rows = ("order", "ratio", "patch")
    table = _fidelity.score_table(
        _of_trained(found), rows=rows, titles=_fidelity.TITLES, over="network"
    )
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
    titles = {**_fidelity.TITLES, "agreement": "agreement of E[dx] across networks"}
    panels = [
        [
            (means[name].sel(order=order), f"{title}\n{order} order")
            for name, title in titles.items()
        ]
        for order in _fidelity.ORDERS
    ]
    return _fidelity.setting_maps(panels, size=(3.4 * len(titles), 6), correlation=(0.0, 0.4))


def _bands(found: xr.Dataset) -> Figure:
    figure = Figure(figsize=(4 * len(_fidelity.TITLES), 6), layout="constrained")
    axes = figure.subplots(len(_fidelity.ORDERS), len(_fidelity.TITLES), sharex=True)
    for line, order in zip(axes, _fidelity.ORDERS, strict=True):
        for axis, (name, title) in zip(line, _fidelity.TITLES.items(), strict=True):
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
    first, second = (found["agreement"].sel(order=order).mean() for order in _fidelity.ORDERS)
    return (
        f"{found['points']:,d} points; bands are 95 % intervals over {config.networks} networks. "
        f"E[dx] of two networks correlate by {first:.2f} (first order) and {second:.2f} (second), "
        "mean over classes and settings; with that of the untrained one by "
        f"{found['agreement_untrained'].mean():.2f}. Maps: E[dx], first order, at the middle ratio "
        "and patch size."
    )


SMOKE = {**_fidelity.SMOKE_GRID, "networks": 2, "images_per_class": 2}

FULL = {**_fidelity.FULL_GRID, "networks": 5, "seeds": 3, "images_per_class": 200}
