"""Figure 13: Which part of a photograph is enough.

    python -m experiments inr_explain    # 15 s a photograph

Needs: nothing (three photographs of scikit-image); `fitb-jax explain` is for one of yours.
Expected: p(tiger cat) of the whole first photograph is 0.39. Masks differ with rounding.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.judges import BLANK_TELLS
from experiments.common.masks import with_steps
from experiments.common.photographs import AreaOptions, Explained, explained
from experiments.core.experiment import Tables
from experiments.core.labelled import with_notes
from experiments.extremal import _explaining as photographs
from fitb_jax import checks, extremal, objectives, plotting
from fitb_jax.types import Array, Image, Key, LogitsFn, Target

DIMS = {
    "mask_area": ("area",),
    "saliency": photographs.MASK,
    "sweep": ("swept_area", *photographs.MASK),
    "history": ("step",),
}


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 13.

    Attributes:
        target: class to explain; the predicted (or true) one by default.
        frames: of the animation over the area.
        steps: of the fit.
    """

    count: int = 3
    target: int | None = None
    frames: int = 24
    steps: int = extremal.InrConfig().steps

    ZERO_ALLOWED = frozenset({"target"})


def load(config: Config) -> Explained:
    """The photographs, with the class that was asked for."""
    net = explained(config)
    if config.target is None:
        return net
    checks.check_target(config.target, len(net.pretrained.class_names))
    return net._replace(targets=np.full_like(net.targets, config.target))


def compute(config: Config, net: Explained) -> xr.Dataset:
    """Fit one network to each photograph, and score its masks."""
    settings = with_steps(extremal.InrConfig(), config.steps)
    low, high = float(settings.smallest_area), float(settings.largest_area)
    shown, swept = jnp.asarray(config.areas), jnp.linspace(low, high, config.frames)

    fit = jax.jit(functools.partial(extremal.fit_inr, config=settings))

    @jax.jit
    def score(
        logits_fn: LogitsFn, image: Image, target: Target, inr: extremal.Inr
    ) -> dict[str, Array]:
        shape = image.shape[0], image.shape[1]
        blend = extremal.make_blend(image, "blur", blur=settings.blur)
        masks = extremal.inr_masks(inr, shown, shape)
        binary = jax.vmap(extremal.binarise)(masks, shown)
        return {
            "masks": masks,
            "seen": jax.lax.map(blend, binary),
            "mask_area": masks.mean((1, 2)),
            **photographs.probabilities(logits_fn, image, target, masks, binary),
            "saliency": extremal.inr_saliency(inr, shape),
            "sweep": extremal.inr_masks(inr, swept, shape),
            "objective": inr.history.objective[inr.steps - 1],
            "history": inr.history.reward.mean(1),
        }

    def find(logits_fn: LogitsFn, image: Image, target: Target, key: Key) -> dict[str, Array]:
        return score(logits_fn, image, target, fit(logits_fn, image, target, key=key))

    keys = jax.random.split(jax.random.key(config.seed), len(net.images))
    coords = {"area": [*config.areas], "swept_area": swept}
    found = photographs.explain(
        net, find, keys, dims=DIMS, progress=config.progress, coords=coords
    ).assign(photographs.photographs_of(net))
    return with_notes(found, f"{len(net.names)} photographs: {net.source}", *_notes(config, found))


def _notes(config: Config, found: xr.Dataset) -> list[str]:
    failed = ~np.isfinite(found["objective"].values)
    meanings = {
        "the objective was not finite; the masks are of a network that was not fitted": failed,
        BLANK_TELLS: objectives.blank_has_class(found["p_blank"], found["p_whole"]).values,
    }
    notes = [
        f"{meaning}: {', '.join(found['image'].values[which])}"
        for meaning, which in meanings.items()
        if which.any()
    ]
    fitted = extremal.InrConfig()
    low, high = fitted.smallest_area, fitted.largest_area
    if outside := [f"{area:g}" for area in config.areas if not low <= area <= high]:
        notes.append(
            f"areas outside of {low:g} to {high:g}, which networks are fitted to, are what they "
            f"make of areas that they never saw: {', '.join(outside)}"
        )
    return notes


def tables(config: Config, found: xr.Dataset) -> Tables:
    """p(class) of each photograph and through each of its binary masks."""
    names = {"class_name": "class", "p_whole": "whole", "p_blank": "blank"}
    whole = found[[*names]].to_dataframe().rename(columns=names)
    masks = found["p_binary"].to_pandas().rename(columns="area {:g}".format)
    return {"p of the class": pd.concat([whole, masks], axis=1).rename_axis("photograph")}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Each photograph, the masks of its areas, and what the network sees through binary ones."""
    pictures, captions = [], []
    for one in photographs.each(found):
        pictures += [
            [one["pixels"].values, *one["masks"].values[..., None]],
            [plotting.heat(one["saliency"].values), *one["seen"].values],
        ]
        whole = f"p({one['class_name'].item()}) {one['p_whole']:.2f}"
        captions += [
            [whole, *(f"soft: p {p:.2f}" for p in one["p_soft"].values)],
            ["mean over areas", *(f"binary: p {p:.2f}" for p in one["p_binary"].values)],
        ]
    titles = ["photograph", *(f"area {area:g}" for area in config.areas)]
    grid = plotting.image_grid(pictures, column_titles=titles, captions=captions, size=1.5)
    return {"inr_explain": grid}


def animate(config: Config, found: xr.Dataset) -> dict[str, np.ndarray]:
    """Each photograph through its mask as the area grows and shrinks again."""
    frames = {}
    for place, one in enumerate(photographs.each(found)):
        masks = one["sweep"].values
        there_and_back = np.concatenate([masks, masks[-2:0:-1]])[..., None]
        seen = there_and_back * one["pixels"].values
        frames[f"area_{place}"] = np.clip(seen + (1 - there_and_back) * plotting.HIDDEN_GREY, 0, 1)
    return frames


def caption(config: Config, found: xr.Dataset) -> str:
    """State how much of a photograph is enough, in two numbers."""
    middle = config.areas[len(config.areas) // 2]
    return (
        "One coordinate network for each photograph gives the mask of every area. Above, the "
        "masks; below, the photograph through binary masks of the same areas, on a blur. Mean "
        f"p(class) at area {middle:g}: {found['p_binary'].sel(area=middle).mean():.2f}; of the "
        f"whole photographs {found['p_whole'].mean():.2f}. Left, the mean over areas."
    )


SMOKE = {"count": 1, "areas": (0.2,), "frames": 2, "steps": 2}

FULL = {"count": 0}
