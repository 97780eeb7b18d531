"""Figure 23, Table 10: The smallest part of a photograph that keeps its class.

    python -m experiments photo_regions --photographs manifest --photo-dir DIR    # 10 min

Needs: nothing (five photographs of scikit-image).
Expected: regions of area 0.65 on average, and of those found on the photograph's own blur 0.15,
which keep the class on 0.01 of the fresh photographs (200 photographs of ImageNet).

The first photographs are explained; the others are what is seen outside of their regions. It
resumes.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.photographs import Explained, PhotographOptions, explained
from experiments.core.experiment import Sweep, Tables, unless_asked
from experiments.core.labelled import with_notes
from experiments.extremal._regions import FIELDS as OF_SEARCH
from experiments.extremal._regions import kept
from fitb_jax import ablation, data, extremal, plotting
from fitb_jax.evaluation.intervals import Interval
from fitb_jax.types import Key, LogitsFn

WAYS = {"photographs": "other photographs", "blur": "its own blur"}
"""What is behind a region while it is searched for."""

PICTURE = ("row", "column", "channel")
FIELDS = {
    **OF_SEARCH,
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
        required: share of the search's backgrounds that must keep the class.
        searched: backgrounds of the search.
        fresh: others, for the certificates.
        patch: side in pixels of the patches that come and go.
        rounds: of growing and making smaller.
        fit_steps: of the coordinate network that gives the candidates.
        areas: candidates.
        chunk: images evaluated at once.
    """

    count: int = 200
    explained: int = 5
    required: float = 0.9
    searched: int = 16
    fresh: int = 60
    patch: int = 32
    rounds: int = 1
    fit_steps: int = 60
    areas: int = 8
    chunk: int = 4

    ZERO_ALLOWED = frozenset({"rounds"})


def point(
    *,
    way: str,
    setting: Config,
    logits_fn: LogitsFn,
    required: jax.Array,
    image: dict[str, jax.Array],
    key: Key,
) -> dict[str, jax.Array]:
    """Search one photograph's region and certify it; all ways have the same key."""
    pixels, target, fresh = image["pixels"], image["target"], image["fresh"]
    fit_key, search_key = jax.random.split(key)
    config = extremal.InrConfig(steps=setting.fit_steps)
    sizes = np.geomspace(config.smallest_area, config.largest_area, setting.areas)
    inr = extremal.fit_inr(logits_fn, pixels, target, config, key=fit_key)
    shape = (pixels.shape[0], pixels.shape[1])
    blurred = extremal.control_backgrounds(pixels)[:1]
    found = extremal.sufficient_region(
        logits_fn,
        pixels,
        target,
        image["searched"] if way == "photographs" else blurred,
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
    seen = jnp.argmax(logits_fn(pasted))
    return {**kept(found), "pasted": pasted, "seen": seen, "base": without.estimate}


def sweep(config: Config, net: Explained) -> Sweep:
    """Each photograph, on other photographs and on its blur."""
    # As the network sees it: a class that the whole photograph does not have has no region.
    targets = net.predicted[: config.explained]
    sizes = {"searched": config.searched, "fresh": config.fresh}
    sets = [
        data.other_class_backgrounds(
            net.images, net.predicted, int(target), seed=config.seed + i, **sizes
        )
        for i, target in enumerate(targets)
    ]
    pixels, names = net.images[: len(sets)], [net.class_name(target) for target in targets]
    images = {
        "pixels": pixels,
        "target": targets,
        **{name: np.stack([getattr(each, name) for each in sets]) for name in sizes},
    }
    return Sweep(
        point=point,
        axes={
            "way": ablation.static([*WAYS], labels=[*WAYS]),
            "setting": ablation.static([config], labels=["default"]),
            "image": ablation.vmapped(images, labels=net.names[: len(sets)]),
        },
        fields=FIELDS,
        key=jax.random.key(config.seed),
        key_axes=("image",),
        shared={"logits_fn": net.pretrained.logits_fn, "required": jnp.float32(config.required)},
        about={
            "pixels": (("image", *PICTURE), pixels),
            "class_name": ("image", names),
            "are_crops": ("image", [each.are_crops for each in sets]),
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
    base = float(found["base"].sel(way="photographs").mean())
    return {"fresh backgrounds of the class by themselves": base}


def tables(config: Config, found: xr.Dataset) -> Tables:
    """A line for each region."""
    columns = ["class_name", "found", "minimal", "area", "search_share", "connectivity_cost"]
    titles = {
        "class_name": "class",
        "search_share": "share on the search's",
        "connectivity_cost": "only connects",
    }
    table = found[[*columns, "calls"]].to_dataframe(["image", "way"]).rename(columns=titles)
    shares = [_kept(found.sel(image=image, way=way)) for image, way in table.index]
    table.insert(5, "share on fresh photographs", shares)
    for name in ("found", "minimal"):
        table[name] = np.where(table[name], "yes", "no")
    table["only connects"] = table["only connects"].clip(lower=0)
    return {"regions": table.rename(index=WAYS).rename_axis(["photograph", "searched on"])}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """For each photograph both regions, and what the network sees of each on a fresh one."""
    pictures, captions = [], []
    for _, of in found.groupby("image"):
        of = of.squeeze("image")
        image = of["pixels"].values
        row, words = [image], [of["class_name"].item()]
        for way in WAYS:
            one = of.sel(way=way)
            row += [plotting.masked(image, one["region"].values), one["pasted"].values]
            share, low, high = _kept(one)
            words.append(f"area {one['area']:.2f}, kept {share:.2f} [{low:.2f}, {high:.2f}]")
            words.append(f"seen as {one['seen_name'].item()}")
        pictures.append(row)
        captions.append(words)
    titles = ["photograph"]
    for searched_on in WAYS.values():
        titles += [f"found on {searched_on}", "it, on a fresh one"]
    return {
        "regions": plotting.image_grid(pictures, column_titles=titles, captions=captions, size=2.0)
    }


def caption(config: Config, found: xr.Dataset) -> str:
    """State areas and certificates, and what a blur misses."""
    others, blur = (found[["area", "share"]].mean("image").sel(way=way) for way in WAYS)
    return (
        f"The smallest connected regions found for {found.sizes['image']} photographs such that "
        f"{config.required:g} of {config.searched} backgrounds keep the class: mean area "
        f"{others['area']:.3f}, and {others['share']:.2f} of {config.fresh} fresh backgrounds keep "
        f"it. Found on the photograph's own blur: {blur['area']:.3f} and {blur['share']:.2f}."
    )


load = explained

left_out = unless_asked("it searches for minutes; run it by its name, or --full")

SMOKE = {
    "count": 6,
    "explained": 1,
    "searched": 2,
    "fresh": 2,
    "patch": 32,
    "rounds": 0,
    "fit_steps": 2,
    "areas": 2,
}

FULL = {"count": 0, "searched": 100, "fresh": 400, "patch": 16, "rounds": 4}
