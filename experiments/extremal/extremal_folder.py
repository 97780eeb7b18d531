"""Figure 21, Table 8: The masks of a folder of photographs.

    python -m experiments extremal_folder --photographs folder --photo-dir DIR   # 15 s a photograph

Needs: a folder of photographs.
Expected: p(class) of the binary masks of a tenth of the image 0.267 [0.132, 0.403] (`--photographs
manifest --photo-dir DIR --count 16`, ImageNet).

The photographs are read part by part, and the masks of each part lie in a zarr store of their own
under `results/grids`, which xarray opens. A run that is stopped goes on at the photograph it had
reached.
"""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.judges import BLANK_TELLS
from experiments.common.masks import SCORE_FIELDS, with_steps
from experiments.common.photographs import AreaOptions, explained_in_parts
from experiments.core.experiment import Sweep, Tables, unless_asked
from experiments.core.labelled import with_notes
from fitb_jax import ablation, extremal, objectives
from fitb_jax.evaluation.tables import interval_table
from fitb_jax.types import Array, LogitsFn

NUMBERS = {
    "whole": ablation.Field(meaning="p(target) of the whole photograph"),
    "blank": ablation.Field(meaning="p(target) where nothing is shown"),
    **SCORE_FIELDS,
}
MAPS = {
    "masks": ablation.Field(dims=("area", "row", "column"), meaning="mask of each area"),
    "saliency": ablation.Field(dims=("row", "column"), meaning="mean of the masks of all areas"),
}
"""These stay in the stores."""


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 21.

    Attributes:
        steps: of each fit.
        part: photographs that are in memory, and in a store, together.
        chunk: photographs fitted at once; more than one is for accelerators.
    """

    steps: int = extremal.InrConfig().steps
    part: int = 256
    chunk: int = 1


def point(
    *,
    logits_fn: LogitsFn,
    areas: Array,
    config: extremal.InrConfig,
    image: dict[str, Array],
    key: Array,
) -> dict[str, Array]:
    """Fit one photograph: its masks and what they are worth."""
    pixels, target = image["pixels"], image["target"]
    shape = pixels.shape[0], pixels.shape[1]
    inr = extremal.fit_inr(logits_fn, pixels, target, config, key=key)
    masks = extremal.inr_masks(inr, areas, shape)
    return {
        "masks": masks,
        "saliency": extremal.inr_saliency(inr, shape),
        "whole": inr.p_whole,
        "blank": inr.p_blank,
        **extremal.score_masks(logits_fn, pixels, target, masks, areas)._asdict(),
    }


def sweep(config: Config, net: None) -> Iterator[Sweep]:
    """Each part, read when the one before it is done."""
    del net
    fit = with_steps(extremal.InrConfig(), config.steps)
    for number, part in enumerate(explained_in_parts(config, config.part)):
        names = [part.class_name(target) for target in part.targets]
        yield Sweep(
            name=f"{number:05d}",
            point=point,
            axes={
                "config": ablation.static([fit], labels=[f"{config.steps} steps"]),
                "image": ablation.vmapped(part.cases, labels=part.names),
            },
            fields=MAPS | NUMBERS,
            key=jax.random.key(config.seed),
            key_axes=("image",),
            shared={
                "logits_fn": part.pretrained.logits_fn,
                "areas": jnp.asarray(config.areas, jnp.float32),
            },
            about={
                "area": ("area", [*config.areas]),
                "class_name": ("image", names),
                "source": ((), part.source),
            },
            chunk=config.chunk,
            # Work of seconds a photograph: little is lost when it is stopped.
            block=config.chunk,
        )
        if config.plan:
            return  # the others are like the first, and need not be read


def compute(config: Config, net: None, *parts: xr.Dataset) -> xr.Dataset:
    """The numbers of all parts; maps are not read."""
    del net
    found = xr.concat([part.drop_vars([*MAPS, "source"]) for part in parts], "image")
    found = found.isel(config=0, drop=True).load()
    source = parts[0]["source"].item()
    notes = [f"{found.sizes['image']} photographs in {len(parts)} parts: {source}"]
    if told := int(objectives.blank_has_class(found["blank"], found["whole"]).sum()):
        notes.append(f"{told} photographs {BLANK_TELLS}")
    return with_notes(found, *notes)


def tables(config: Config, found: xr.Dataset) -> Tables:
    """p(class) of the photographs and of their masks."""
    count = found.sizes["image"]
    found = found.expand_dims(photographs=[count])
    means = functools.partial(interval_table, rows="photographs", over="image")
    columns = [
        means(found["blank"], title="blank"),
        means(found["whole"], title="whole"),
        means(found["binary"], title="area {area:g}"),
    ]
    return {"p of the class": pd.concat(columns, axis=1)}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """p(class) over the area: every photograph, quartiles, mean."""
    areas, p = found["area"].values, found["binary"].transpose("area", "image")
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    axis = figure.subplots()
    opacity = max(0.05, min(0.5, 10 / p.sizes["image"]))
    axis.plot(areas, p.values, color="grey", alpha=opacity, linewidth=0.8)
    quartiles = p.quantile([0.25, 0.75], "image").values
    axis.fill_between(areas, *quartiles, alpha=0.25, label="middle half of the photographs")
    axis.plot(areas, p.mean("image"), "o-", markersize=3, label="mean")
    whole = float(found["whole"].mean())
    axis.axhline(whole, linestyle="--", linewidth=0.9, label="whole photograph")
    axis.set_xlabel("area of the binary mask")
    axis.set_ylabel("p(class)")
    axis.set_ylim(-0.03, 1.03)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    return {"areas": figure}


def caption(config: Config, found: xr.Dataset) -> str:
    """State how much of a photograph is enough."""
    enough = (found["binary"] >= 0.5 * found["whole"]).mean("image")
    shares = ", ".join(f"{float(share):.0%} at {share['area']:g}" for share in enough)
    return (
        f"One coordinate network for each of {found.sizes['image']} photographs. p(class) through "
        "binary masks on a blur, over their area. Photographs that keep half of their p(class): "
        f"{shares}."
    )


left_out = unless_asked("it is for folders of photographs; run it by its name, or --full")

SMOKE = {"count": 3, "part": 2, "areas": (0.1, 0.2), "steps": 2}

FULL = {"steps": 200}
