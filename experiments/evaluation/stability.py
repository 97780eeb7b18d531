"""Figure 29, Table 16: Agreement of explanations across networks.

    python -m experiments stability    # 8 min

Expected: maps of occlusion correlate across networks by 0.897 [0.880, 0.914].

Do networks trained alike explain alike? Several networks of each architecture are trained at once
and explained by every method; the floor is the agreement of one network's maps of different images
of a class. It resumes.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments.common.methods import chosen
from experiments.common.networks import NetworkOptions, ensemble, untrained_networks
from experiments.core.experiment import Sweep, Tables, unless_asked
from experiments.core.labelled import with_notes
from fitb_jax import ablation, checks, data, evaluation, models, plotting
from fitb_jax.evaluation.intervals import Interval, bootstrap_interval
from fitb_jax.evaluation.stability import maps_of_networks, pooled_signal_to_noise
from fitb_jax.evaluation.tables import interval_table, intervals
from fitb_jax.types import Array, Key, LogitsFn, SaliencyFn

MEASURES = {
    "spearman": "Spearman",
    "spearman_magnitude": "Spearman of magnitudes",
    "top_k_iou": "IoU of the top 10 %",
    "ssim": "SSIM",
}

HEADLINE = "spearman"
"""The measure of the table's controls and of the caption. Not that of magnitudes: maps that are
zero wherever the image is black agree by it even between untrained networks."""

BETWEEN = "between"
"""Label of the pairing of one network of each architecture."""

GRADIENT_METHODS = (
    *("gradient", "input x gradient", "integrated gradients", "SmoothGrad", "SmoothGrad squared"),
    *("VarGrad", "deconvnet", "guided backpropagation"),
)
"""One backward pass at the image, or a mean of such near it."""

MASK_METHODS = ("occlusion", "RISE", *listed.OURS)
"""Those that hide parts of the image."""

_OF_NETWORK = functools.partial(ablation.Field, ("architecture", "measure"), nan_is_answer=True)
_SHARED = functools.partial(ablation.Field, ("architecture",), nan_is_answer=True)
FIELDS = {
    "networks": ablation.Field(
        ("pairing", "measure"), meaning="one image, pairs of networks", nan_is_answer=True
    ),
    "images": _OF_NETWORK(meaning="one network, images of one class"),
    "draws": _OF_NETWORK(meaning="one network and image, other keys"),
    "signal": _SHARED(meaning="what the networks' maps share"),
    "noise": _SHARED(meaning="variance of a network's map about it"),
    "maps": ablation.Field(
        ("network", "row", "column"), meaning="first image and architecture, each network"
    ),
}

Methods = tuple[tuple[str, SaliencyFn | None], ...]
"""Architecture and method, for each; None where it does not apply."""


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 29.

    Attributes:
        activation: "relu" is what deconvnet and guided backpropagation are made for.
        architectures: instead of `architecture`; the pictures are of the first.
        networks: trained at once for each architecture, from different seeds.
        together: images of one class whose maps are compared for the floor.
        groups: of so many images, from each class; what the intervals resample.
        methods: names in the table; none means all.
    """

    activation: models.Activation = "relu"
    architectures: tuple[models.Architecture, ...] = ("cnn", "mlp")
    networks: int = 5
    together: int = 2
    groups: int = 2
    methods: tuple[str, ...] = ()

    @property
    def rows(self) -> dict[str, Methods]:
        """Every method and control of the first architecture, for all of them."""
        of: dict[str, dict[str, SaliencyFn]] = {}
        for name in self.architectures:
            methods = listed.small_methods(name)
            blurred = {listed.BLURRED: listed.blurred(methods["gradient"])}
            of[name] = {**methods, **blurred, **listed.controls()}
        names = chosen(of[self.architectures[0]], self.methods)
        return {name: tuple((a, of[a].get(name)) for a in self.architectures) for name in names}

    @property
    def pairings(self) -> list[str]:
        """Of two networks: one architecture, or one of each where there are two."""
        return [*self.architectures, BETWEEN]


class Loaded(NamedTuple):
    """The networks of every architecture, and groups of test images of one class."""

    states: dict[str, LogitsFn]
    """Trained and untrained networks by architecture, stacked."""

    accuracies: np.ndarray
    """Of the trained ones, (architectures, networks, interval)."""

    groups: dict[str, np.ndarray]
    source: str


def load(config: Config) -> Loaded:
    """Train the networks of every architecture at once, or find them again."""
    checks.check_count("together", config.together, least=2)
    _ = config.rows  # unknown methods are refused before anything is trained
    train = data.load(config.dataset, split="train", data_dir=config.data_dir)
    test = data.load(config.dataset, split="test", data_dir=config.data_dir)
    pixels, labels = data.class_groups(test, groups=config.groups, together=config.together)
    states: dict[str, LogitsFn] = {}
    accuracies = []
    for name in config.architectures:
        options = dataclasses.replace(config, architecture=name)
        trained = ensemble(options, config.networks, train, test)
        accuracies.append(trained.accuracies)
        pair = (models.stack(trained.trained), untrained_networks(options, config.networks, train))
        states[name] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pair)
    groups = {"pixels": pixels, "label": labels}
    return Loaded(states, np.array(accuracies), groups, test.source)


def point(
    *, method: Methods, state: Mapping[str, LogitsFn], group: Mapping[str, jax.Array], key: Key
) -> dict[str, jax.Array]:
    """The agreement of one method's maps, for images of one class; means over the images."""
    found = [_of_architecture(at, one, state, group, key) for at, one in enumerate(method)]
    maps = [maps for _, maps in found if maps is not None]
    between = (
        _mean(jax.vmap(evaluation.agreement_between, in_axes=1)(*maps))
        if len(maps) == 2
        else jnp.full(len(MEASURES), jnp.nan)
    )
    fields = jax.tree.map(lambda *each: jnp.stack(each), *(fields for fields, _ in found))
    networks = jnp.concatenate([fields["networks"], between[None]])
    return {**fields, "networks": networks, "maps": maps[0][:, 0]}


def _of_architecture(
    at: int,
    method: tuple[str, SaliencyFn | None],
    state: Mapping[str, LogitsFn],
    group: Mapping[str, jax.Array],
    key: Key,
) -> tuple[dict[str, Any], Array | None]:
    name, saliency_fn = method
    if saliency_fn is None:
        nothing = jnp.full(len(MEASURES), jnp.nan)
        fields = dict.fromkeys(("networks", "images", "draws"), nothing)
        return {**fields, "signal": nothing[0], "noise": nothing[0]}, None
    key = jax.random.fold_in(key, at)
    every = maps_of_networks(saliency_fn, state[name], group["pixels"], group["label"], key=key)
    maps = every[:-1]
    shared = jax.vmap(evaluation.mean_map, in_axes=1)(maps)
    fields = {
        "networks": _mean(jax.vmap(evaluation.agreement, in_axes=1)(maps)),
        "images": _mean(jax.vmap(evaluation.agreement)(maps)),
        "draws": _mean(jax.vmap(evaluation.agreement, in_axes=1)(jnp.stack([every[0], every[-1]]))),
        "signal": shared.signal.mean(),
        "noise": shared.noise.mean(),
    }
    return fields, maps


def _mean(found: Any) -> Array:
    """Of each measure over images or networks."""
    return jnp.stack([getattr(found, name).mean() for name in MEASURES])


def sweep(config: Config, net: Loaded) -> Sweep:
    """Methods, states of training and groups of images."""
    # As many as there are: a device fills its lanes up, and the groups are few.
    at_once = min(len(net.groups["label"]), 10)
    rows = config.rows
    return Sweep(
        point=point,
        axes={
            "method": ablation.static([*rows.values()], labels=[*rows]),
            "state": ablation.looped(net.states, labels=["trained", "untrained"]),
            "group": ablation.vmapped(net.groups),
        },
        fields=FIELDS,
        key=jax.random.key(config.seed),
        key_axes=("group",),
        about={
            "pairing": ("pairing", config.pairings),
            "architecture": ("architecture", [*config.architectures]),
            "measure": ("measure", [*MEASURES]),
        },
        chunk=at_once,
        lanes=at_once,
    )


def compute(config: Config, net: Loaded, found: xr.Dataset) -> xr.Dataset:
    """The agreement, and the maps of one image."""
    shown = found.sizes["group"] * 3 // 10
    return with_notes(
        found.assign(
            maps=found["maps"].sel(state="trained", drop=True).isel(group=shown, drop=True),
            pixels=(("row", "column", "channel"), net.groups["pixels"][shown, 0]),
            accuracy=(("architecture", "network", "interval"), net.accuracies),
        ).assign_coords(interval=["estimate", "low", "high"]),
        f"{config.dataset}, {config.activation}: {config.networks} networks of each architecture, "
        f"{found.sizes['group']} groups of {config.together} images; {net.source}",
        "the class explained is the label; every map has a key of its own",
    )


def numbers(config: Config, found: xr.Dataset) -> dict[str, list[Interval]]:
    """The accuracy of every network."""
    return {
        f"accuracy of each {name}": [
            Interval(*each) for each in found["accuracy"].sel(architecture=name).values.tolist()
        ]
        for name in config.architectures
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Agreement of every method, with bootstrap intervals over groups of images."""
    first = config.architectures[0]
    short = MEASURES[HEADLINE]
    agreement = found["networks"].assign_coords(measure=[*MEASURES.values()])
    trained = agreement.sel(state="trained")
    own, floor, untrained = _judged(found)
    others: dict[str, str] = {name: f"{name}: {short}" for name in config.architectures[1:]}
    others |= {BETWEEN: "between architectures"} if len(config.architectures) == 2 else {}
    columns = {
        f"{first}: {{measure}}": trained.sel(pairing=first, drop=True),
        f"floor: {short}": floor,
        "above the floor": own - floor,
        "other draws": _of_first(found["draws"]).sel(state="trained", drop=True),
        "untrained": untrained,
        **{
            title: trained.sel(pairing=name, measure=short, drop=True)
            for name, title in others.items()
        },
    }
    parts = [
        interval_table(values, rows="method", over="group", title=title, of=bootstrap_interval)
        for title, values in columns.items()
    ]
    maps = found[["signal", "noise"]].sel(state="trained", architecture=first)
    ratios = [
        pooled_signal_to_noise(one["signal"].values, one["noise"].values, networks=config.networks)
        for one in (maps.sel({"method": name}) for name in parts[0].index)
    ]
    parts.append(pd.DataFrame({"signal to noise of the mean map": ratios}, parts[0].index))
    return {"stability": pd.concat(parts, axis=1)}


def _of_first(values: xr.DataArray) -> xr.DataArray:
    """The headline's agreement for networks of the first architecture."""
    of = values.sel(measure=HEADLINE, drop=True)
    return of.isel({"pairing" if "pairing" in of.dims else "architecture": 0}, drop=True)


def _judged(found: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """The headline's agreement, its floor, and that of untrained networks."""
    networks, images = _of_first(found["networks"]), _of_first(found["images"])
    trained, untrained = (networks.sel(state=name, drop=True) for name in ("trained", "untrained"))
    return trained, images.sel(state="trained", drop=True), untrained


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Agreement with its floor and controls; of both architectures; maps of one digit."""
    return {
        "agreement": _agreement(config, found),
        "architectures": _architectures(config, found),
        "maps": _maps(found),
    }


def _agreement(config: Config, found: xr.Dataset) -> Figure:
    first = config.architectures[0]
    figure = Figure(figsize=(15, 1.6 + 0.3 * found.sizes["method"]), layout="constrained")
    axes = figure.subplots(1, len(MEASURES), sharey=True)
    places = np.arange(found.sizes["method"])
    for axis, (measure, title) in zip(axes, MEASURES.items(), strict=True):
        of = found.sel(measure=measure)
        networks = of["networks"].sel(pairing=first)
        bars = intervals(networks.sel(state="trained"), over="group", of=bootstrap_interval)
        controls = [name in listed.CONTROLS for name in found["method"].values]
        colours = ["grey" if is_control else "tab:blue" for is_control in controls]
        estimate = bars.sel(interval="estimate").values
        axis.barh(places, estimate, color=colours, alpha=0.55, label=f"{first} networks, trained")
        plotting.interval_chart(
            axis, bars, groups="method", title=title, is_horizontal=True, colours=["black"]
        )
        trained = of.sel(state="trained", architecture=first).mean("group")
        untrained = networks.sel(state="untrained").mean("group")
        controls_of = {
            "floor: digits of a class": (trained["images"], "|", "black", 13),
            "same network, other draws": (trained["draws"], "x", "tab:green", 4),
            "untrained networks": (untrained, "o", "tab:red", 3.5),
        }
        for label, (values, marker, colour, size) in controls_of.items():
            style: dict[str, Any] = {"color": colour, "markersize": size, "label": label}
            axis.plot(values, places, marker, **style, zorder=4 + (marker == "o"))
        _zero(axis)
    plotting.legend_below(figure, axes[0], columns=5)
    return figure


def _architectures(config: Config, found: xr.Dataset) -> Figure:
    names = config.pairings if len(config.architectures) == 2 else [*config.architectures]
    labels = ["one of each" if name == BETWEEN else f"{name} networks" for name in names]
    trained = found["networks"].sel(state="trained", measure=HEADLINE, pairing=names)
    figure = Figure(figsize=(7, 1.2 + 0.34 * found.sizes["method"]), layout="constrained")
    axis = figure.subplots()
    plotting.interval_chart(
        axis,
        intervals(trained, over="group", of=bootstrap_interval).assign_coords(pairing=labels),
        groups="method",
        bars="pairing",
        title=f"{MEASURES[HEADLINE]}, trained networks",
        is_horizontal=True,
        spread=0.22 * (len(names) - 1),
    )
    _zero(axis)
    figure.legend(loc="outside lower center", ncols=len(names), fontsize=8)
    return figure


def _zero(axis: Axes) -> None:
    axis.axvline(0, color="grey", linewidth=0.8)
    axis.tick_params(axis="x", labelsize=8)


def _maps(found: xr.Dataset) -> Figure:
    pictures: list[list[np.ndarray | None]] = []
    for maps in found["maps"].transpose("method", "network", ...).values:
        mean, error, *_ = map(np.asarray, evaluation.mean_map(jnp.asarray(maps)))
        # A mean of n equal maps has no error; what rounding leaves is none.
        certain = np.minimum(np.abs(mean) / np.maximum(error, 1e-3), 10.0)
        shown = [plotting.heat(one) for one in (*maps, mean, certain)]
        pictures.append([found["pixels"].values, *shown])
    titles = ["digit", *(f"network {i + 1}" for i in range(found.sizes["network"]))]
    return plotting.image_grid(
        pictures,
        column_titles=[*titles, "mean map", "|mean| / error"],
        row_titles=found["method"].values.tolist(),
        size=0.95,
    )


def caption(config: Config, found: xr.Dataset) -> str:
    """Judge the claim that gradient maps are unstable across networks and masks less so."""
    judged = _judged(found)
    own, floor, _ = judged
    raw, of_floor, of_untrained = (
        _family(each, MASK_METHODS) - _family(each, GRADIENT_METHODS) for each in judged
    )
    above = intervals(own - floor, over="group", of=bootstrap_interval).sel(interval="low") > 0
    lost = above["method"].values[~above.values]
    return (
        f"Agreement of the maps of {config.networks} networks that differ in their seed alone. Not "
        f"above that of one network's maps of different digits of a class: "
        f"{', '.join(lost) or 'none'}. Masks against gradients: {_verdict(raw)} by agreement, "
        f"{_verdict(raw - of_floor)} above the floor, {_verdict(raw - of_untrained)} above "
        "untrained networks. Controls that ask no network agree fully."
    )


def _family(values: xr.DataArray, names: tuple[str, ...]) -> np.ndarray:
    """Mean over those of the methods that were asked for; nan if there is none."""
    there = [name for name in values["method"].values.tolist() if name in names]
    if not there:
        return np.full(values.sizes["group"], np.nan)
    mean: np.ndarray = values.sel({"method": there}).mean("method", skipna=False).values
    return mean


def _verdict(differences: np.ndarray) -> str:
    difference = bootstrap_interval(differences)
    word = "more" if difference.low > 0 else "less" if difference.high < 0 else "as"
    return f"{word} stable ({difference})"


left_out = unless_asked(
    "it explains by every method and ten networks; run it by its name, or --full"
)

SMOKE = {
    "epochs": 1,
    "networks": 2,
    "groups": 1,
    "methods": ("gradient", "Sobel edges"),
}

FULL = {"networks": 10, "together": 4, "groups": 10}
