"""Figure 16: The same photograph from several initialisations.

    python -m experiments extremal_initialisations    # 5 min

Needs: nothing (three photographs of scikit-image).
Expected: intersection over union of two initialisations at a tenth of the image 0.14, of different
photographs 0.06, of random pixels 0.05; the eight masks are of 7 to 8 groups.

Do they find the same mask? Intersection over union of the binary masks, and groups of them.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster import hierarchy

from experiments.common.photographs import AreaOptions, Explained, explained
from experiments.core.experiment import Tables, unless_asked
from experiments.core.labelled import with_notes
from experiments.extremal import _one_by_one as photographs
from fitb_jax import checks, extremal, plotting
from fitb_jax.evaluation import mask_groups
from fitb_jax.types import Array, Image, Key, LogitsFn, Target

PAIR = ("initialisation", "other")


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 16.

    Attributes:
        shown: the area of the pictures; the nearest of `areas` is taken.
        initialisations: of each photograph; network, frequencies and areas are drawn anew.
        same: two masks are of one group where their mean intersection over union exceeds this.
        grid: of each fit.
        bandwidth: of the network.
        steps: of each fit.
        chunk: initialisations fitted at once.
    """

    count: int = 3
    shown: float = 0.1
    initialisations: int = 8
    same: float = 0.5
    grid: int = extremal.InrConfig().grid
    bandwidth: float = extremal.NetworkConfig().bandwidth
    steps: int = extremal.InrConfig().steps
    chunk: int = 2

    def __post_init__(self) -> None:
        """Refuse what has nothing to agree with."""
        super().__post_init__()
        checks.check_count("initialisations", self.initialisations, least=2)


def compute(config: Config, net: Explained) -> xr.Dataset:
    """Fit every photograph from every initialisation, and compare the binary masks."""
    network = extremal.NetworkConfig(bandwidth=config.bandwidth)
    settings = extremal.InrConfig(network=network, grid=config.grid, steps=config.steps)
    areas = jnp.asarray(config.areas, jnp.float32)

    @jax.jit
    def find(logits_fn: LogitsFn, image: Image, target: Target, keys: Key) -> dict[str, Array]:
        shape = image.shape[0], image.shape[1]

        def one(key: Key) -> tuple[Array, Array]:
            inr = extremal.fit_inr(logits_fn, image, target, settings, key=key)
            return extremal.inr_masks(inr, areas, shape), inr.converged

        masks, converged = jax.lax.map(one, keys, batch_size=config.chunk)
        # Each solution, and their mean, which is none of them.
        soft = jnp.concatenate([masks, masks.mean(0)[None]])
        binary = jax.vmap(lambda each: jax.vmap(extremal.binarise)(each, areas))(soft)
        flat = binary.reshape(-1, *shape)
        p = extremal.probabilities_through(logits_fn, image, target, flat).reshape(soft.shape[:2])
        masks, p_of = binary > 0.5, {"p": p[:-1], "p_mean_mask": p[-1]}
        return {"masks": masks[:-1], "mean_mask": masks[-1], **p_of, "converged": converged}

    count = config.initialisations
    keys = jax.random.split(jax.random.key(config.seed), (len(net.images), count))
    dims = {
        "masks": ("initialisation", *photographs.DIMS["masks"]),
        "mean_mask": photographs.DIMS["masks"],
        "p": ("initialisation", "area"),
        "p_mean_mask": ("area",),
        "converged": ("initialisation",),
    }
    coords = {"area": [*config.areas], **dict.fromkeys(PAIR, range(count))}
    found = photographs.explain(net, find, keys, dims=dims, progress=config.progress, coords=coords)
    masks, late = found["masks"].values, ~found["converged"]
    iou = np.stack([mask_groups.pairwise_iou(each, each) for each in masks])
    trees = [mask_groups.groups(each.mean(0), same=config.same) for each in iou]
    grouped, ordered = zip(*trees, strict=True)
    compared = {
        "iou": (("image", "area", *PAIR), iou),
        "iou_elsewhere": (("image", "area"), mask_groups.iou_with_others(masks)),
        "group": (("image", "initialisation"), [*grouped]),
        "place_in_tree": (("image", "initialisation"), np.argsort(ordered)),
    }
    found = found.assign({**photographs.photographs_of(net), **compared})
    return with_notes(
        found,
        f"{len(net.names)} photographs: {net.source}",
        f"{late.values.sum()} of {late.size} fits did not stop before their last step",
    )


def tables(config: Config, found: xr.Dataset) -> Tables:
    """How the initialisations of each photograph agree, over photographs, and their groups."""
    iou, p, area = _pairs(found), found["p"], found["area"]
    measures = xr.Dataset(
        {
            "IoU of two initialisations: mean": iou.mean(PAIR),
            "IoU: least": iou.min(PAIR),
            "IoU: most": iou.max(PAIR),
            "with other photographs": found["iou_elsewhere"],
            "of random pixels": area / (2 - area),
            "p(class): mean": p.mean("initialisation"),
            "p(class): least": p.min("initialisation"),
            "p(class): most": p.max("initialisation"),
            "of the mean mask": found["p_mean_mask"],
        }
    )
    each = measures.to_dataframe(dim_order=["image", "area"])
    mean = measures.mean("image").to_dataframe()
    return {
        "agreement": each.rename_axis(["photograph", "area"]),
        "agreement, mean of the photographs": mean,
        "groups": _group_table(config, found),
    }


def _pairs(found: xr.Dataset) -> xr.DataArray:
    """IoU of different initialisations, each pair once; nan elsewhere."""
    return found["iou"].where(found["initialisation"] < found["other"])


def _group_table(config: Config, found: xr.Dataset) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for one in photographs.each(found):
        iou = _pairs(one).mean("area").values
        for group in np.unique(one["group"]):
            is_in = (one["group"] == group).values
            pairs = {
                "IoU inside": is_in[:, None] & is_in,
                "IoU with the others": is_in[:, None] ^ is_in,
            }
            p = one["p"].isel(initialisation=is_in).mean("initialisation")
            rows.append(
                {
                    "photograph": one["image"].item(),
                    "group": int(group) + 1,
                    "initialisations": int(is_in.sum()),
                    **{title: pd.Series(iou[which]).mean() for title, which in pairs.items()},
                    **{f"p(class), area {at:g}": float(p.sel(area=at)) for at in config.areas},
                }
            )
    table = pd.DataFrame(rows, dtype=object)
    return table.where(table.notna(), None)


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The masks of every initialisation; and how they agree, group and score."""
    return {"masks": _pictures(config, found), "agreement": _charts(config, found)}


def _pictures(config: Config, found: xr.Dataset) -> Figure:
    at = found.sel(area=config.shown, method="nearest")
    pictures, captions = [], []
    for one in photographs.each(at):
        image, ordered = one["pixels"].values, one.sortby("place_in_tree")
        masks = [*ordered["masks"].values, one["mean_mask"].values]
        pictures.append([image, *(plotting.masked(image, mask * 1.0) for mask in masks)])
        each = zip(ordered["group"].values, ordered["p"].values, strict=True)
        scores = [f"group {group + 1}, p {p:.2f}" for group, p in each]
        captions.append([one["class_name"].item(), *scores, f"p {one['p_mean_mask']:.2f}"])
    gaps = [""] * (found.sizes["initialisation"] - 1)
    titles = ["photograph", f"masks of area {at['area']:g}", *gaps, "their mean"]
    return plotting.image_grid(pictures, column_titles=titles, captions=captions, size=1.3)


def _charts(config: Config, found: xr.Dataset) -> Figure:
    figure = Figure(figsize=(11, 2.9 * found.sizes["image"]), layout="constrained")
    rows = figure.subplots(found.sizes["image"], 3, squeeze=False)
    for (left, middle, right), one in zip(rows, photographs.each(found), strict=True):
        iou = one["iou"].mean("area")
        order = one.sortby("place_in_tree")["initialisation"].values
        plotting.heat_map(
            left,
            iou.sel(initialisation=order, other=order),
            rows="initialisation",
            columns="other",
            title=f"{one['class_name'].item()}: mean IoU over areas",
            limits=(0.0, 1.0),
        )
        # One colour: those of the third panel are of groups.
        joins, style = mask_groups.tree(iou.values), {"above_threshold_color": "black"}
        hierarchy.dendrogram(joins, ax=middle, color_threshold=0, **style)
        middle.axhline(1 - config.same, color="black", linestyle=":", linewidth=0.8)
        middle.set_ylim(0, 1)
        middle.tick_params(labelsize=8)
        middle.set_title("tree of initialisations on 1 - IoU", fontsize=9)
        _scores(right, one)
    return figure


def _scores(axis: Axes, one: xr.Dataset) -> None:
    """p(class) of each initialisation at each area, by group."""
    at = np.arange(one.sizes["area"])
    last = int(one["group"].max())
    for group in range(last + 1):
        p = one["p"][one["group"].values == group]
        places = np.broadcast_to(at + (group - last / 2) * 0.1, p.shape)
        axis.plot(places.ravel(), p.values.ravel(), "o", markersize=4, label=f"group {group + 1}")
    axis.plot(one["p_mean_mask"], "k_", markersize=14, label="mean mask")
    axis.set_xticks(at, [f"area {area:g}" for area in one["area"].values], fontsize=8)
    axis.set_ylim(-0.03, 1.03)
    axis.set_title("p(class) of the binary masks", fontsize=9)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))


def caption(config: Config, found: xr.Dataset) -> str:
    """State how much initialisations agree, beyond chance, and in how many groups they are."""
    at = found.sel(area=config.shown, method="nearest")
    area, groups = at["area"].item(), found["group"].max("initialisation").values + 1
    return (
        f"{found.sizes['initialisation']} initialisations of each of {found.sizes['image']} "
        f"photographs. Mean intersection over union of two of them at area {area:g} is "
        f"{_pairs(at).mean():.2f}, of random pixels {area / (2 - area):.2f}. The masks of a "
        f"photograph are of {groups.min()} to {groups.max()} groups, of an intersection over union "
        f"above {config.same:g}."
    )


load = explained

left_out = unless_asked("it fits for minutes; run it by its name, or --full")

SMOKE = {"count": 2, "areas": (0.1, 0.3), "initialisations": 3, "steps": 2}

FULL = {"count": 0, "initialisations": 32}
