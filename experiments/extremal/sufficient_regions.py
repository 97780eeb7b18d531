"""Figure 22, Table 9: A minimal part of a digit that keeps its class.

    python -m experiments sufficient_regions    # 10 s a digit

Expected: 0.752 [0.729, 0.776] of fresh digits keep the class, where 0.9 were required (48 digits,
`--test-images 48 --chunk 24`).

Two grids: regions found on other digits, for every required share, and found on a blur alone.
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
from experiments.core.experiment import Sweep, Tables, unless_asked
from experiments.core.labelled import interval_variable, with_notes
from experiments.extremal._regions import FIELDS as OF_SEARCH
from experiments.extremal._regions import kept
from fitb_jax import ablation, data, extremal, models, plotting
from fitb_jax.evaluation.intervals import proportion_interval
from fitb_jax.evaluation.tables import interval_table, intervals
from fitb_jax.types import LogitsFn, Number

BLUR = "its own blur"
PICTURE = ("row", "column", "channel")
SHOWN = 8
NEAREST = 3
LANES = 8
NETWORK = extremal.NetworkConfig(bandwidth=0.5, width=32, depth=2)
"""Of digits, whose parts are larger than those of photographs."""

FIELDS = {
    **OF_SEARCH,
    "controls": ablation.Field(("control",), meaning="class kept on blur, mean, zero"),
    "nearest": ablation.Field(("neighbour",), meaning="training images nearest on the region"),
    "nearest_share": ablation.Field(meaning="of them, with the image's class"),
    "base_share": ablation.Field(meaning="of all training images, with the image's class"),
}


@dataclasses.dataclass(frozen=True)
class Config(networks.NetworkOptions):
    """Options of Figure 22.

    Attributes:
        required: shares of the search's backgrounds that must keep the class.
        searched: backgrounds of the search, of any class but the target's.
        fresh: others, for the certificates.
        patch: side in pixels of the patches that come and go.
        rounds: of growing and making smaller.
        fit_steps: of the coordinate network that gives the candidates.
        nearest: training images that agree best with the region.
        chunk: images evaluated at once.
    """

    test_images: int = 200
    required: tuple[float, ...] = (0.5, 0.75, 0.9, 1.0)
    searched: int = 30
    fresh: int = 200
    patch: int = 2
    rounds: int = 1
    fit_steps: int = 40
    nearest: int = 20
    chunk: int = 64

    ZERO_ALLOWED = frozenset({"rounds"})

    @property
    def shown(self) -> float:
        """The required share nearest to 0.9, which is shown."""
        return min(self.required, key=lambda share: abs(share - 0.9))


def point(
    *,
    setting: Config,
    network: LogitsFn,
    fresh: jax.Array,
    data: dict[str, jax.Array],
    image: dict[str, jax.Array],
    key: jax.Array,
    backgrounds: jax.Array | None = None,
    required: Number = 1.0,
) -> dict[str, jax.Array]:
    """The region found on other images, of which there are sets by class, or on the own blur."""
    pixels, target = image["pixels"], image["target"]
    controls = extremal.control_backgrounds(pixels)
    found = extremal.sufficient_region(
        network,
        pixels,
        target,
        controls[:1] if backgrounds is None else backgrounds[target],
        key=key,
        fresh=fresh[target],
        required=required,
        patch=setting.patch,
        rounds=setting.rounds,
        config=extremal.InrConfig(network=NETWORK, grid=14, steps=setting.fit_steps),
    )
    near = extremal.nearest_neighbours(
        pixels, target, found.region, data["images"], data["labels"], count=setting.nearest
    )
    certify = functools.partial(extremal.certify, network, pixels, target, found.region)
    return {
        **kept(found),
        "controls": jnp.stack([certify(one[None]).estimate for one in controls]),
        "nearest": near.indices,
        "nearest_share": near.share,
        "base_share": near.base_share,
    }


def sweep(config: Config, net: networks.Network) -> list[Sweep]:
    """The searches on other images and on a blur."""
    images, _ = networks.head(net.test, config.test_images)
    predicted = jax.jit(lambda images: models.predict(net.trained, images))(images)
    both = data.of_other_classes(net.train, config.searched + config.fresh, seed=config.seed)
    axes = {
        "setting": ablation.static([config], labels=["default"]),
        "required": ablation.vmapped(np.array(config.required, np.float32)),
        "image": ablation.vmapped({"pixels": images, "target": predicted}),
    }
    shared: dict[str, Any] = {
        "network": net.trained,
        "fresh": both[:, config.searched :],
        "data": {"images": net.train.images, "labels": net.train.labels.astype(np.int32)},
    }
    alike = functools.partial(
        Sweep,
        fields=FIELDS,
        key=jax.random.key(config.seed),
        key_axes=("image",),
        about={"control": ("control", [*extremal.CONTROLS])},
        chunk=config.chunk,
        # A vectorised search goes on until the slowest of its images is done.
        lanes=min(LANES, config.chunk),
    )
    on_images = shared | {"backgrounds": both[:, : config.searched]}
    on_blur = {name: axis for name, axis in axes.items() if name != "required"}
    return [
        alike(name="images", point=point, axes=axes, shared=on_images),
        alike(name="blur", point=point, axes=on_blur, shared=shared),
    ]


def _on_digits(share: float) -> str:
    return f"other digits, {share:g}"


def compute(
    config: Config, net: networks.Network, on_images: xr.Dataset, on_blur: xr.Dataset
) -> xr.Dataset:
    """All searches side by side, and pictures of a digit of each class."""
    searches = [_on_digits(share) for share in config.required]
    parts = [
        on_images.rename(required="search").assign_coords(search=searches),
        on_blur.expand_dims(search=[BLUR]),
    ]
    found = xr.concat(parts, "search").isel(setting=0, drop=True).load()
    images, labels = map(np.asarray, networks.head(net.test, config.test_images))
    found = found.assign(
        pixels=(("image", *PICTURE), images),
        label=("image", labels),
        required=("search", [*config.required, 1.0]),
        accuracy=interval_variable(net.accuracy),
    )
    return with_notes(
        found.assign(_pictured(config, net, found)),
        f"{net.label}; {net.test.source}",
        "backgrounds are training images of any class but the predicted one, which is the target",
    )


def _pictured(config: Config, net: networks.Network, found: xr.Dataset) -> dict[str, Any]:
    """A digit of each class: its regions on a fresh digit, and the training digits nearest."""
    chosen = np.unique(found["label"], return_index=True)[1][:SHOWN]
    of = found.isel(image=chosen).transpose("search", "image", ...)
    predict = jax.jit(lambda images: models.predict(net.trained, images))
    pixels, mask = of["pixels"].values, of["region"].values[..., None]
    behind = data.of_other_classes(net.train, config.searched + config.fresh, seed=config.seed)
    behind = behind[np.asarray(predict(pixels)), config.searched]
    pasted = mask * pixels + (1 - mask) * behind
    nearest = of["nearest"].values[..., :NEAREST]
    return {
        "chosen": ("digit", chosen),
        "pasted": (("search", "digit", *PICTURE), pasted),
        "seen": (("search", "digit"), np.stack([predict(each) for each in pasted])),
        "nearest_pixels": (("search", "digit", "rank", *PICTURE), net.train.images[nearest]),
        "nearest_labels": (("search", "digit", "rank"), net.train.labels[nearest]),
    }


def numbers(config: Config, found: xr.Dataset) -> dict[str, Any]:
    """How good the network is, and how often a training digit is of the class."""
    share = float(found["base_share"].sel(search=_on_digits(config.required[0])).mean())
    return {**networks.accuracies(config, found), "share of the class in the data": share}


def tables(config: Config, found: xr.Dataset) -> Tables:
    """What every search finds, and what its regions are worth."""
    means = functools.partial(interval_table, rows="search", over="image")
    plain = ("found", "minimal", "calls", "gradient_calls")
    mean = {name: found[name].mean("image").to_series() for name in plain}
    controls = found["controls"].mean("image").transpose("search", "control")
    columns = [
        mean["found"],
        mean["minimal"],
        means(found["area"], title="area"),
        means(found["share"], title="share on fresh digits"),
        means(found["share"] < 0.9, title="fresh share below 0.9", of=proportion_interval),
        controls.to_pandas().add_prefix("on "),
        means(found["connectivity_cost"], title="only connects"),
        means(found["nearest_share"], title=f"{config.nearest} nearest"),
        mean["calls"].round().astype(int),
        mean["gradient_calls"].round().astype(int).rename("gradient calls"),
    ]
    return {"regions": pd.concat(columns, axis=1).rename_axis("searched on, required share")}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Regions with certificates and nearest digits, and the curve of area over required share."""
    return {"regions": _pictures(config, found), "curve": _curve(config, found)}


def _pictures(config: Config, found: xr.Dataset) -> Figure:
    rows, captions = [], []
    on_digits = found.sel(search=_on_digits(config.shown))
    for digit, image in enumerate(found["chosen"].values):
        of = found.isel(image=image, digit=digit)
        pixels = of["pixels"].values
        pictures, words = [pixels], [f"labelled {of['label']:d}"]
        for search in (_on_digits(config.shown), BLUR):
            one = of.sel(search=search)
            pictures += [plotting.masked(pixels, one["region"].values), one["pasted"].values]
            words.append(f"area {one['area']:.2f}, kept {one['share']:.2f}")
            words.append(f"seen as {one['seen']:d}")
        near = on_digits.isel(digit=digit)
        rows.append([*pictures, *near["nearest_pixels"].values])
        captions.append([*words, *(f"labelled {label}" for label in near["nearest_labels"].values)])
    titles = ["digit", "found on digits", "on a fresh digit", "found on its blur"]
    titles += ["on a fresh digit", *(f"nearest, {n + 1}" for n in range(len(rows[0]) - 5))]
    return plotting.image_grid(rows, column_titles=titles, captions=captions, size=1.3)


def _curve(config: Config, found: xr.Dataset) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    searches = [_on_digits(share) for share in config.required]
    titles = {"area": "area of the region", "share": "share of fresh digits with the class kept"}
    for axis, (field, title) in zip(axes, titles.items(), strict=True):
        of = found[field].sel(search=searches).assign_coords(search=[*config.required])
        level = np.full(len(searches), found[field].sel(search=BLUR).mean())
        plotting.band(
            axis,
            intervals(of, over="image"),
            along="search",
            label="other digits",
            control=xr.DataArray(level, dims="search"),
        )
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("required share of the search's backgrounds", fontsize=8)
    axes[1].plot(config.required, config.required, color="grey", linewidth=0.8, label="as required")
    axes[1].legend(fontsize=8)
    axes[0].legend(["other digits", "95 % interval", "found on blur"], fontsize=8)
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State areas and certificates, and what a blur misses."""
    searches = _on_digits(config.shown), BLUR
    digits, blur = (found[["area", "share"]].mean("image").sel(search=name) for name in searches)
    return (
        f"Minimal connected regions found for {found.sizes['image']} digits such that "
        f"{config.shown:g} of {config.searched} other digits behind them keep the class: mean area "
        f"{digits['area']:.3f}, and {digits['share']:.3f} of {config.fresh} fresh digits keep it. "
        f"Found on the digit's own blur: {blur['area']:.3f} and {blur['share']:.3f}."
    )


load = networks.network

left_out = unless_asked("it searches for long; run it by its name, or --full")

SMOKE = {
    "epochs": 1,
    "test_images": 4,
    "required": (0.5, 0.9),
    "searched": 4,
    "fresh": 6,
    "patch": 7,
    "rounds": 1,
    "fit_steps": 2,
}

FULL = {"test_images": 1000, "searched": 200, "fresh": 1000, "rounds": 8}
