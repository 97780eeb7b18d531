"""Figure 31: The same photographs by several methods.

    python -m experiments photo_maps --dense-steps 400    # 15 min

Needs: nothing (photographs of scikit-image).
Expected: p(class) of the best tenth by extremal masks is 0.23.

Each method as in the tables (`common.methods`), beside free masks and two maps that ask no
network. Below a map stands p(class) of its most important tenth on a blur. It resumes.
"""

import dataclasses

import jax
import jax.numpy as jnp
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.masks import with_steps
from experiments.common.methods import EXTREMAL, controls, photo_methods
from experiments.common.photographs import AreaOptions, Explained, explained
from experiments.core.experiment import Sweep, Tables, method_sweep, unless_asked
from experiments.core.labelled import pictures, with_notes
from fitb_jax import ablation, checks, extremal, models, plotting
from fitb_jax.evaluation.tables import interval_table
from fitb_jax.saliency import as_saliency, dense_saliency, extremal_saliency
from fitb_jax.types import Array, LogitsFn, SaliencyFn

DENSE = "dense masks"


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 31.

    Attributes:
        count: photographs; 0 means all.
        methods: columns of the figure, see `columns`.
        steps: of the coordinate network.
        dense_steps: of the free masks.
    """

    count: int = 3
    methods: tuple[str, ...] = (
        EXTREMAL, DENSE, "gradient", "Grad-CAM", "occlusion", "RISE", "centre", "Sobel edges",
    )  # fmt: skip
    steps: int = extremal.InrConfig().steps
    dense_steps: int = 800


FIELDS = {
    "map": ablation.Field(dims=("row", "column"), meaning="saliency"),
    "probability": ablation.Field(dims=("area",), meaning="p(target) of the best pixels on a blur"),
}


def columns(config: Config, pretrained: models.Pretrained) -> dict[str, SaliencyFn]:
    """The methods that are asked for, by name."""
    known = {**controls(), **photo_methods(pretrained)}
    inr = with_steps(extremal.InrConfig(), config.steps)
    dense = extremal.DenseConfig(steps=config.dense_steps)
    known[EXTREMAL] = as_saliency(extremal_saliency, config=inr)
    known[DENSE] = as_saliency(dense_saliency, config=dense)
    for name in config.methods:
        checks.check_choice("methods", name, known)
    return {name: known[name] for name in config.methods}


def point(
    *, logits_fn: LogitsFn, areas: Array, method: SaliencyFn, image: dict[str, Array], key: Array
) -> dict[str, Array]:
    """Make one map of one photograph; its best pixels of each area are worth their p(target)."""
    map_key, tie_key = jax.random.split(key)
    saliency = method(logits_fn, image["pixels"], image["target"], key=map_key)
    best = jax.vmap(lambda area: extremal.binarise(saliency, area, key=tie_key))(areas)
    p = extremal.probabilities_through(logits_fn, image["pixels"], image["target"], best)
    return {"map": saliency, "probability": p}


def sweep(config: Config, net: Explained) -> Sweep:
    """Every method on every photograph."""
    return method_sweep(
        point,
        columns(config, net.pretrained),
        net.cases,
        net.names,
        seed=config.seed,
        fields=FIELDS,
        shared={
            "logits_fn": net.pretrained.logits_fn,
            "areas": jnp.asarray(config.areas, jnp.float32),
        },
        about={"area": ("area", [*config.areas])},
    )


def compute(config: Config, net: Explained, found: xr.Dataset) -> xr.Dataset:
    """The maps, and the photographs that they are of."""
    found = found.assign(
        pictures("image", pixels=net.images, class_name=[*map(net.class_name, net.targets)])
    )
    return with_notes(found, f"{len(net.names)} photographs: {net.source}")


def tables(config: Config, found: xr.Dataset) -> Tables:
    """What the most important pixels are worth."""
    title = "p(class), area {area:g}"
    worth = interval_table(found["probability"], rows="method", over="image", title=title)
    return {"maps": worth}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Photographs in rows, methods in columns."""
    rows = []
    for name in found["image"].values:
        of = found.sel(image=name)
        image, maps = of["pixels"].values, of["map"].transpose("method", "row", "column").values
        best = [f"p {p:.2f}" for p in _best_tenth(of).values]
        shown = zip((plotting.ranked_heat(each, over=image) for each in maps), best, strict=True)
        rows.append([(image, of["class_name"].item()), *shown])
    titles = ["photograph", *found["method"].values.tolist()]
    return {"maps": plotting.captioned_grid(rows, column_titles=titles)}


def _best_tenth(found: xr.Dataset) -> xr.DataArray:
    """p(class) of the pixels of the area nearest to a tenth."""
    return found["probability"].sel({"area": 0.1}, method="nearest")


def caption(config: Config, found: xr.Dataset) -> str:
    """State what the most important pixels are worth, by the best and by the worst method."""
    best = _best_tenth(found)
    means = best.mean("image").to_series().sort_values()
    return (
        "The rank of each pixel in the map, from dark to bright, over the photograph. Below: "
        f"p(class) of the most important {float(best['area']):.0%} of the pixels on a blur. Mean "
        f"of {found.sizes['image']} photographs: {means.index[-1]} {means.iloc[-1]:.2f}, "
        f"{means.index[0]} {means.iloc[0]:.2f}."
    )


load = explained

left_out = unless_asked("its dense masks take minutes; run it by its name, or --full")

SMOKE = {"count": 1, "methods": ("gradient", DENSE, EXTREMAL), "steps": 2, "dense_steps": 2}

FULL = {"count": 0}
