"""Figure 32: A black square says nothing where the image is black.

    python -m experiments occlusion_backgrounds    # 2 min

Expected: 0.631 [0.611, 0.651] of the black squares have no effect.

Occlusion maps of digits by squares that show black, the mean, a blur or other digits.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.networks import Network, NetworkOptions, head, network
from experiments.core.experiment import Sweep, Tables
from experiments.core.labelled import pictures, with_notes
from fitb_jax import ablation, attribution, data, evaluation, extremal, plotting
from fitb_jax.evaluation.board_checks import CHECKS
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.evaluation.map_scores import faithfulness_scores
from fitb_jax.evaluation.map_similarity import mean_spearman
from fitb_jax.evaluation.tables import interval_columns, intervals
from fitb_jax.types import Array, Image, Key, LogitsFn

BLACK_SQUARE, OTHER_DIGITS, CONTROL = "black", "other digits", "random map"
SQUARES = (BLACK_SQUARE, "mean", "blur", OTHER_DIGITS)
"""What a square shows."""

BLACK = 0.02
"""Pixels below are black."""

SCORES = ("insertion", "deletion", "road")
SHOWN = 8
EFFECTS = {"silent": "squares without effect", "on_black": "magnitude on black pixels"}


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 32.

    Attributes:
        window: side of the square that makes the maps.
        stride: pixels from one square to the next.
        block: side of the squares that are counted; they lie side by side.
        others: digits of other classes that a square shows, one at a time; their maps are averaged.
        chunk: images evaluated at once.
    """

    test_images: int = 64
    window: int = 6
    stride: int = 2
    block: int = 4
    others: int = 16
    chunk: int = 32


FIELDS = {
    "saliency": ablation.Field(("row", "column"), units="logit", meaning="drop by occlusion"),
    "silent": ablation.Field(meaning="share of squares without any effect", nan_is_answer=True),
    "on_black": ablation.Field(meaning="share of the magnitudes on black", nan_is_answer=True),
    **{name: ablation.Field(meaning=CHECKS[name].meaning) for name in SCORES},
}


def point(
    *,
    background: str,
    sizes: tuple[int, int, int],
    network: LogitsFn,
    others: Array,
    colour: Array,
    image: dict[str, Array],
    key: Key,
) -> dict[str, Array]:
    """The map of one digit by squares of one kind, and how faithful it is."""
    pixels, target = image["pixels"], image["target"]
    map_key, score_key = jax.random.split(key)
    window, stride, block = sizes
    silent, shape = jnp.full((), jnp.nan), (pixels.shape[0], pixels.shape[1])
    if background == CONTROL:
        saliency = evaluation.control_maps.random_map(shape, key=map_key)
    else:
        asked = (network, pixels, target, shows(background, pixels, others[target]))
        saliency = attribution.mean_occlusion(*asked, window=window, stride=stride)
        silent = attribution.silent_share(*asked, window=block)
    is_black = pixels.max(-1) < BLACK
    scores = faithfulness_scores(
        network, pixels, saliency, target, colour=colour, chunk=32, key=score_key
    )
    return {
        "saliency": saliency,
        "silent": silent,
        "on_black": evaluation.relevance_mass(jnp.abs(saliency), is_black),
        **{name: scores[name] for name in SCORES},
    }


def shows(background: str, pixels: Image, others: Array) -> Array:
    """What the squares of a kind show, one or several images (m, h, w, c)."""
    if background == OTHER_DIGITS:
        return others
    blur, mean, zero = extremal.control_backgrounds(pixels)
    return {BLACK_SQUARE: zero, "mean": mean, "blur": blur}[background][None]


def sweep(config: Config, net: Network) -> Sweep:
    """Every background, and the control that asks no network, on every digit."""
    images, labels = head(net.test, config.test_images)
    sizes = (config.window, config.stride, config.block)
    return Sweep(
        point=point,
        axes={
            "background": ablation.static([*SQUARES, CONTROL]),
            "sizes": ablation.static([sizes], labels=["default"]),
            "image": ablation.vmapped({"pixels": images, "target": labels}),
        },
        fields=FIELDS,
        key=jax.random.key(config.seed),
        key_axes=("image",),
        shared={
            "network": net.trained,
            "others": data.of_other_classes(net.train, config.others, seed=config.seed),
            "colour": jnp.asarray(net.train.images.mean((0, 1, 2)), jnp.float32),
        },
        about=pictures("image", pixels=images, label=labels),
        chunk=min(config.chunk, len(images)),
    )


def compute(config: Config, net: Network, found: xr.Dataset) -> xr.Dataset:
    """The maps with how alike they are, and which squares are black."""
    found = found.sel(sizes="default", drop=True)
    maps = found["saliency"].transpose("background", "image", "row", "column").values
    alike = np.asarray(mean_spearman(jnp.asarray(maps)), float)
    size = {"row": config.block, "column": config.block}
    inside = found["pixels"].max("channel").coarsen(size, boundary="trim")
    found = found.assign(
        alike=(("background", "other"), alike),
        black_squares=(inside.max() < BLACK).mean(("row", "column")),
    ).assign_coords(other=found["background"].values)
    note = "every digit is explained for its label; insertion and ROAD: high is good"
    return with_notes(found, f"{net.label}; {net.test.source}", note)


def numbers(config: Config, found: xr.Dataset) -> dict[str, Any]:
    """How much of the digits is black."""
    return {"squares that are wholly black": mean_interval(found["black_squares"])}


def tables(config: Config, found: xr.Dataset) -> Tables:
    """What each kind of square says, and how alike their maps are."""
    titles = EFFECTS | {name: CHECKS[name].title for name in SCORES}
    scores = interval_columns(found, titles, rows="background", over="image")
    alike = found["alike"].drop_sel(other=CONTROL).transpose("background", "other").to_pandas()
    table = pd.concat([scores, alike.add_prefix("Spearman with ")], axis=1)
    # A map without squares.
    table.loc[CONTROL, titles["silent"]] = None
    return {"backgrounds": table.rename_axis("a square shows")}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The maps of a digit of each class, and what all digits say in numbers."""
    _, first = np.unique(found["label"], return_index=True)
    chosen = found.isel(image=first[:SHOWN]).transpose("background", "image", "row", "column", ...)
    maps = [chosen["saliency"].sel(background=name).values[..., None] for name in SQUARES]
    shown = plotting.signed_maps(
        [chosen["pixels"].transpose("image", "row", "column", "channel").values, *maps],
        row_titles=["digit", *SQUARES],
        units=["intensity", *["drop of the logit"] * len(SQUARES)],
    )
    return {"maps": shown, "numbers": _numbers(found)}


def _numbers(found: xr.Dataset) -> Figure:
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    good = {"insertion": "high", "deletion": "low", "road": "high"}
    titles = EFFECTS | {name: f"{CHECKS[name].title} ({end} is good)" for name, end in good.items()}
    axes: Any = figure.subplots(1, len(titles), sharey=True)
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        means = intervals(found[name], over="image")
        plotting.interval_chart(axis, means, groups="background", title=title, is_horizontal=True)
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State how many squares say nothing, and what that does to the map."""
    silent = found["silent"].sel(background=BLACK_SQUARE).mean()
    alike = found["alike"].sel(background=BLACK_SQUARE, other=OTHER_DIGITS)
    return (
        f"Occlusion of {found.sizes['image']} digits by squares of {config.window} pixels that "
        f"show black, the mean colour, a blur, or {config.others} other digits in turn. Of squares "
        f"of {config.block} pixels {found['black_squares'].mean():.2f} are wholly black, and "
        f"{silent:.2f} of the black ones change nothing. The rank correlation of their map with "
        f"that of other digits is {alike:.2f}."
    )


load = network

SMOKE = {"epochs": 1, "test_images": 3, "window": 8, "stride": 8, "block": 14, "others": 2}

FULL = {"test_images": 0, "others": 64}
