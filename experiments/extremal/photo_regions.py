"""Figure 23, Table 10: A minimal part of a photograph that keeps its class.

    python -m experiments photo_regions --photographs manifest --photo-dir DIR --explained 40    # 3 min a photograph

Needs: nothing (five photographs of scikit-image).
Expected: 0.784 [0.753, 0.815] of fresh photographs keep the class, where 0.9 of 16 were required
(`--count 200`, 40 photographs of ImageNet).

The last photographs are explained; the others are what is seen outside of their regions. It
resumes.
"""  # noqa: E501 - a command is one line

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.masks import with_steps
from experiments.common.photographs import Explained, PhotographOptions, explained
from experiments.core.experiment import Sweep, Tables, unless_asked
from experiments.core.labelled import with_notes
from experiments.extremal._regions import FIELDS as OF_SEARCH
from experiments.extremal._regions import kept
from fitb_jax import ablation, checks, data, extremal, plotting
from fitb_jax.evaluation.intervals import Interval, proportion_interval
from fitb_jax.evaluation.tables import interval_columns, intervals, paired_difference
from fitb_jax.extremal import InrConfig
from fitb_jax.types import Key, LogitsFn


class Way(NamedTuple):
    """How a region is searched for.

    Attributes:
        config: of the fit whose masks are the candidates.
        on_photographs: whether other photographs are behind a region, or its own blur.
    """

    config: InrConfig
    on_photographs: bool = True


DEFAULT, PLAIN, BLUR = "other photographs", "other photographs, plain fit", "its own blur"
WAYS = {
    DEFAULT: Way(InrConfig()),
    PLAIN: Way(extremal.PLAIN),
    BLUR: Way(InrConfig(), on_photographs=False),
}

SHOWN = 6
"""Photographs of the figure."""

PICTURE = ("row", "column", "channel")
FIELDS = {
    **OF_SEARCH,
    "stability": ablation.Field(("radius",), meaning="share of enlargements with the class kept"),
    "pasted": ablation.Field(PICTURE, meaning="on the first fresh background"),
    "seen": ablation.Field(meaning="class of that"),
    "base": ablation.Field(meaning="of fresh backgrounds without a region, of the class"),
}


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 23.

    Attributes:
        count: photographs that are read; the first of them are explained, all are backgrounds.
        explained: photographs whose regions are searched for.
        ways: how they are searched for; the first is what the others are compared with.
        required: share of the search's backgrounds that must keep the class.
        searched: backgrounds of the search.
        fresh: others, for the certificates.
        patch: side in pixels of the patches that come and go.
        rounds: of growing and making smaller.
        fit_steps: of the coordinate network that gives the candidates; 0 means its own.
        areas: candidates.
        radii: patches that a region is enlarged by, at random, for the stability certificate.
        enlargements: of each region, for each radius.
        chunk: images evaluated at once.
    """

    count: int = 200
    explained: int = 5
    ways: tuple[str, ...] = tuple(WAYS)
    required: float = 0.9
    searched: int = 16
    fresh: int = 60
    patch: int = 32
    rounds: int = 1
    fit_steps: int = 0
    areas: int = 8
    radii: tuple[int, ...] = (1, 4, 16, 64)
    enlargements: int = 32
    chunk: int = 4

    ZERO_ALLOWED = frozenset({"rounds", "fit_steps"})

    def __post_init__(self) -> None:
        """Refuse no way, and one that there is not, before photographs are read."""
        super().__post_init__()
        for name in self.ways or ("",):
            checks.check_choice("ways", name, WAYS)


def point(
    *,
    way: Way,
    setting: Config,
    logits_fn: LogitsFn,
    required: jax.Array,
    image: dict[str, jax.Array],
    key: Key,
) -> dict[str, jax.Array]:
    """Search one photograph's region and certify it; all ways have the same key."""
    pixels, target, fresh = image["pixels"], image["target"], image["fresh"]
    fit_key, search_key = jax.random.split(key)
    config = with_steps(way.config, setting.fit_steps)
    sizes = np.geomspace(config.smallest_area, config.largest_area, setting.areas)
    inr = extremal.fit_inr(logits_fn, pixels, target, config, key=fit_key)
    shape = (pixels.shape[0], pixels.shape[1])
    blurred = extremal.control_backgrounds(pixels)[:1]
    found = extremal.sufficient_region(
        logits_fn,
        pixels,
        target,
        image["searched"] if way.on_photographs else blurred,
        key=search_key,
        fresh=fresh,
        required=required,
        patch=setting.patch,
        rounds=setting.rounds,
        chunk=setting.chunk,
        candidates=extremal.inr_masks(inr, jnp.asarray(sizes, jnp.float32), shape),
    )
    nothing = jnp.zeros(shape)
    without = extremal.certify(logits_fn, pixels, target, nothing, fresh, chunk=setting.chunk)
    pasted = found.region[:, :, None] * (pixels - fresh[0]) + fresh[0]
    stable = extremal.certify_stability(
        logits_fn,
        pixels,
        target,
        found.region,
        # Another key than the search's: its own draws are no test.
        key=jax.random.fold_in(key, 1),
        radii=setting.radii,
        samples=setting.enlargements,
        chunk=setting.chunk,
    )
    return {
        **kept(found),
        "pasted": pasted,
        "seen": jnp.argmax(logits_fn(pasted)),
        "base": without.estimate,
        "stability": stable.estimate,
    }


def sweep(config: Config, net: Explained) -> Sweep:
    """Each photograph, on other photographs and on its blur."""
    # As the network sees it: a class that the whole photograph does not have has no region.
    first = max(0, len(net.names) - config.explained)
    targets = net.predicted[first:]
    sizes = {"searched": config.searched, "fresh": config.fresh}
    sets = [
        data.other_class_backgrounds(
            net.images, net.predicted, int(target), seed=config.seed + i, **sizes
        )
        for i, target in enumerate(targets)
    ]
    pixels, names = net.images[first:], [net.class_name(target) for target in targets]
    images = {
        "pixels": pixels,
        "target": targets,
        **{name: np.stack([getattr(each, name) for each in sets]) for name in sizes},
    }
    return Sweep(
        point=point,
        axes={
            "way": ablation.static([WAYS[name] for name in config.ways], labels=config.ways),
            "setting": ablation.static([config], labels=["default"]),
            "image": ablation.vmapped(images, labels=net.names[first:]),
        },
        fields=FIELDS,
        key=jax.random.key(config.seed),
        key_axes=("image",),
        shared={"logits_fn": net.pretrained.logits_fn, "required": jnp.float32(config.required)},
        about={
            "pixels": (("image", *PICTURE), pixels),
            "class_name": ("image", names),
            "are_crops": ("image", [each.are_crops for each in sets]),
            "radius": ("radius", [*config.radii]),
        },
        # Work of minutes: keep every photograph as soon as it is done.
        chunk=1,
        lanes=1,
        block=1,
    )


def compute(config: Config, net: Explained, found: xr.Dataset) -> xr.Dataset:
    """The regions, and the names of what is seen of them."""
    found = found.isel(setting=0, drop=True).load()
    names = np.vectorize(net.class_name, otypes=[object])(found["seen"])
    note = (
        "photographs are too few to be backgrounds themselves: backgrounds are crops and "
        "mirror images of the others, half of which serve the search and half the "
        "certificate. Crops of one photograph are alike, so that the intervals are too narrow"
        if found["are_crops"].any()
        else f"backgrounds are {config.searched} other photographs, and {config.fresh} more for "
        "the certificate, none of which the network gives the class"
    )
    return with_notes(
        found.assign(seen_name=(found["seen"].dims, names.astype(str))),
        f"{len(net.names)} photographs: {net.source}; regions are those of the predicted class",
        note,
    )


def _kept(found: xr.Dataset) -> Interval:
    """The certificate of one region."""
    return Interval(*(float(found[name]) for name in ("share", "low", "high")))


def numbers(config: Config, found: xr.Dataset) -> dict[str, Any]:
    """How often a background is of the class without any region."""
    base = float(found["base"].isel(way=0).mean())
    return {"fresh backgrounds of the class by themselves": base}


def tables(config: Config, found: xr.Dataset) -> Tables:
    """What every search finds, what it has more than the default's, and what enlarging does."""
    columns = functools.partial(interval_columns, rows="way", over="image")
    asked = {
        "area": "area",
        "share": "share on fresh photographs",
        "connectivity_cost": "only connects",
    }
    found = found.assign(holds=found["share"] >= config.required)
    counted = {
        "found": "found",
        "minimal": "minimal",
        "holds": f"at least {config.required:g} of the fresh ones",
    }
    searches = pd.concat(
        [
            columns(found, asked),
            columns(found, counted, of=dict.fromkeys(counted, proportion_interval)),
            found["calls"].mean("image").round().astype(int).to_series().rename("calls"),
        ],
        axis=1,
    )
    first = config.ways[0]
    more = paired_difference(found[[*asked]].to_array("asked"), way=first).to_dataset("asked")
    enlarged = {"stability": "{radius} patches more"}
    return {
        "regions": searches.rename_axis("searched on"),
        f"less {first}": columns(more, asked).rename_axis("searched on"),
        "class kept on the blur by random enlargements": columns(found, enlarged).rename_axis(
            "searched on"
        ),
    }


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Regions, what the network sees of each on a fresh photograph, and both certificates."""
    return {"regions": _pictures(found), "certificates": _certificates(config, found)}


def _pictures(found: xr.Dataset) -> Figure:
    pictures, captions = [], []
    for _, of in found.isel(image=slice(SHOWN)).groupby("image"):
        of = of.squeeze("image")
        image = of["pixels"].values
        row, words = [image], [of["class_name"].item()]
        for way in found["way"].values:
            one = of.sel(way=way)
            row += [plotting.masked(image, one["region"].values), one["pasted"].values]
            share, low, high = _kept(one)
            words.append(f"area {one['area']:.2f}, kept {share:.2f} [{low:.2f}, {high:.2f}]")
            words.append(f"seen as {one['seen_name'].item()}")
        pictures.append(row)
        captions.append(words)
    titles = ["photograph"]
    for searched_on in found["way"].values:
        titles += [f"found on {searched_on}", "it, on a fresh one"]
    return plotting.image_grid(pictures, column_titles=titles, captions=captions, size=2.0)


def _certificates(config: Config, found: xr.Dataset) -> Figure:
    """How large regions are, on how many photographs they hold, and how they stand enlarging."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    sizes, enlarged = figure.subplots(1, 2)
    for way in found["way"].values:
        of = found.sel(way=way)
        sizes.plot(of["area"], of["share"], "o", markersize=4, alpha=0.7, label=way)
    sizes.axhline(config.required, color="grey", linewidth=0.8, label="required in the search")
    sizes.set_xlabel("area of the region", fontsize=8)
    sizes.set_title("share of fresh photographs with the class kept", fontsize=9)
    sizes.legend(fontsize=7)
    plotting.interval_chart(
        enlarged,
        intervals(found["stability"], over="image"),
        groups="radius",
        bars="way",
        title="share of random enlargements with the class kept, on the blur",
    )
    enlarged.set_xlabel("patches more", fontsize=8)
    enlarged.legend(fontsize=7)
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State areas and certificates, and what a blur misses."""
    means = found[["area", "share"]].mean("image")
    each = (
        f"{way} {means['area'].sel(way=way):.3f} and {means['share'].sel(way=way):.2f}"
        for way in found["way"].values
    )
    return (
        f"Minimal connected regions found for {found.sizes['image']} photographs such that "
        f"{config.required:g} of {config.searched} backgrounds keep the class. Mean area, and the "
        f"share of {config.fresh} fresh backgrounds that keep it, by what is shown outside of a "
        f"region during the search: {', '.join(each)}."
    )


load = explained

left_out = unless_asked("it searches for minutes; run it by its name, or --full")

SMOKE = {
    "count": 6,
    "explained": 1,
    "ways": (DEFAULT, BLUR),
    "searched": 2,
    "fresh": 2,
    "patch": 32,
    "rounds": 0,
    "fit_steps": 2,
    "areas": 2,
    "radii": (1, 4),
    "enlargements": 2,
}

FULL = {"count": 0, "searched": 100, "fresh": 400, "patch": 16, "rounds": 4}
