"""Figure 11, Table 4: Fills of photographs in many steps, judged by other networks.

    python -m experiments photo_iterated --photographs manifest --photo-dir DIR --count 32    # 1 h

Needs: photographs with labels.
Expected: p(class) of fills by networks that took no part is 0.69 [0.58, 0.80].

Half of each photograph is hidden. Every network fills it in, and all judge all fills; beside them
are fills that ask no network, an untrained one, or for a class that is not there. It resumes.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.timing import median_seconds
from experiments.core.experiment import Sweep, Tables, unless_given
from experiments.core.labelled import pictures, with_notes
from experiments.fill import _photo_networks
from experiments.fill._photo_networks import Loaded
from fitb_jax import ablation, checks, evaluation, fill, masks, plotting
from fitb_jax.evaluation.intervals import proportion_interval
from fitb_jax.evaluation.tables import interval_columns, interval_table, intervals
from fitb_jax.fill.inpainting import visible_mean
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Array, Float, Image, Key, LogitsFn, Mask, Target

WHOLE, MASKED, INPAINTED, ONE_STEP = "whole", "masked", "inpainted", "one step"
ITERATED, WRONG = "iterated", "iterated, for a wrong class"
UNTRAINED = "iterated, untrained"
PROGRESSIVE = "progressive: no pixel left"
PARTS = 4
"""Of a progressive fill."""
SHOWN = 3
"""Photographs of the figure of progressive fills."""

NONE = "none"
COARSE = 8.0

SCORES = {
    "p_true": "p(true) by {judge}",
    "correct": "top-1 by {judge}",
    "p_asked": "p(asked) by {judge}",
}


class Way(NamedTuple):
    """A line of the table: what becomes of the blanks, and who is asked for what.

    Attributes:
        fill: (logits_fn, image, mask, target, key) to the filled image.
        asks: whether it asks a network at all.
        is_untrained: whether an untrained network fills.
        is_of_wrong_class: whether it fills for another class, drawn at random.
        is_progressive: whether it fills every part of the photograph, whatever the mask hides.
    """

    fill: Callable[[LogitsFn, Image, Mask, Target, Key], Image]
    asks: bool = True
    is_untrained: bool = False
    is_of_wrong_class: bool = False
    is_progressive: bool = False


def ways(steps: int) -> dict[str, Way]:
    """All lines of the table by name."""
    plain = functools.partial(_iterated, steps=steps)
    changed: dict[str, dict[str, Any]] = {
        "iterated, from the mean colour": {"start": "mean"},
        "iterated, Fourier": {"parametrisation": "fourier"},
        "iterated, no shift and noise": {"shift": 0, "noise": 0.0},
        "iterated, Newton every 8 steps": {"newton_every": 8},
        # 8 products with the Hessian at every 8th step are as many as there are steps.
        "iterated, Newton at equal cost": {"newton_every": 8, "steps": max(1, steps // 2)},
        "iterated, half the steps": {"steps": max(1, steps // 2)},
    }
    progressive = functools.partial(_progressive, steps=steps)
    return {
        WHOLE: Way(lambda f, image, *_: image, asks=False),
        MASKED: Way(_masked, asks=False),
        INPAINTED: Way(lambda f, image, mask, *_: fill.inpaint(image, mask), asks=False),
        ONE_STEP: Way(_one_step),
        ITERATED: Way(plain),
        **{name: Way(functools.partial(plain, **options)) for name, options in changed.items()},
        UNTRAINED: Way(plain, is_untrained=True),
        WRONG: Way(plain, is_of_wrong_class=True),
        PROGRESSIVE: Way(progressive, is_progressive=True),
        f"{PROGRESSIVE}, untrained": Way(progressive, is_untrained=True, is_progressive=True),
        f"{PROGRESSIVE}, for a wrong class": Way(
            progressive, is_of_wrong_class=True, is_progressive=True
        ),
    }


def _masked(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
    """What a fill from the mean colour starts from."""
    del logits_fn, target, key
    return masks.apply(image, mask, visible_mean(image, mask))


def _one_step(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
    """As in `photo_fidelity`."""
    del key
    colour = visible_mean(image, mask)
    update = fill.first_order(logits_fn, image, mask, target, background=colour)
    return fill.step(image, mask, update, background=colour)


def _iterated(
    logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key, **options: Any
) -> Image:
    return fill.iterated(logits_fn, image, mask, target, key=key, **options)


def _progressive(
    logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key, *, steps: int
) -> Image:
    del mask
    return _stages(logits_fn, image, target, key, steps=steps)[-1]


def _stages(
    logits_fn: LogitsFn, image: Image, target: Target, key: Key, *, steps: int
) -> Float[Array, "parts h w c"]:
    """Part after part, until nothing of the photograph is left."""
    mask_key, fill_key = jax.random.split(key)
    height, width = image.shape[:2]
    parts = masks.partition((height, width), PARTS, height // 7, key=mask_key)
    filled = functools.partial(fill.iterated, key=fill_key, steps=steps)
    return fill.progressive(
        logits_fn, image, parts, target, order=filled, fill_fn=lambda image, mask, update: update
    )


@dataclasses.dataclass(frozen=True)
class Config(_photo_networks.SeveralNetworks):
    """Options of the table.

    Attributes:
        ratios: shares of the patches that are blank, one per mask setting.
        patches: side of a patch in pixels, one per mask setting.
        ways: names of the lines; none means all.
    """

    networks: tuple[str, ...] = ("efficientnet_lite0", "efficientnet_lite2")
    ratios: tuple[float, ...] = (0.5,)
    patches: tuple[int, ...] = (32,)
    ways: tuple[str, ...] = ()
    chunk: int = 2


def load(config: Config) -> Loaded:
    """Read the photographs, and the networks that are installed."""
    if len(config.ratios) != len(config.patches):
        raise ValueError(
            "ratios and patches must have one entry per mask setting, got "
            f"{len(config.ratios)} and {len(config.patches)}"
        )
    return _photo_networks.load(config)


FIELDS = {
    "p_true": ablation.Field(("judge",), meaning="p of the photograph's class"),
    "p_asked": ablation.Field(("judge",), meaning="p of the class that it is filled in for"),
    "correct": ablation.Field(("judge",), meaning="whether the photograph's class is predicted"),
    "coarse_correlation": ablation.Field(
        meaning="correlation of what is hidden and of the fill, both less the inpainting and "
        f"blurred by {COARSE:g} pixels",
        nan_is_answer=True,
    ),
}


def point(
    *,
    trained: Mapping[str, LogitsFn],
    untrained: Mapping[str, LogitsFn],
    way: Way,
    network: str,
    setting: Mapping[str, Array],
    image: Mapping[str, Array],
    key: Key,
) -> dict[str, Array]:
    """Fill in one photograph under a random mask, and let every network judge."""
    pixels, target = image["pixels"], image["target"]
    mask_key, fill_key, class_key = jax.random.split(key, 3)
    mask = masks.random_patches(pixels.shape[:2], setting["ratio"], setting["patch"], key=mask_key)
    filler = (untrained if way.is_untrained else trained)[network]
    asked = jnp.asarray(target)
    if way.is_of_wrong_class:
        classes = jax.eval_shape(filler, pixels).shape[0]
        asked = evaluation.random_other_class(target, classes, key=class_key)
    filled = way.fill(filler, pixels, mask, asked, fill_key)
    logits = jnp.stack([judge(filled) for judge in trained.values()])
    p = jax.nn.softmax(logits)
    around = fill.inpaint(pixels, mask)
    added, hidden = (gaussian_blur(one - around, sigma=COARSE) for one in (filled, pixels))
    return {
        "p_true": p[:, target],
        "p_asked": p[:, asked],
        "correct": (jnp.argmax(logits, axis=1) == target).astype(jnp.float32),
        # Of what a progressive fill has seen before it was filled, it says nothing.
        "coarse_correlation": jnp.where(
            way.is_progressive, jnp.nan, fill.hidden_correlation(added, hidden, mask)
        ),
    }


def sweep(config: Config, net: Loaded) -> Sweep:
    """Every line by every network on every photograph."""
    known = ways(config.steps)
    for name in config.ways:
        checks.check_choice("ways", name, known)
    chosen = {name: known[name] for name in config.ways or known}
    settings = {
        "ratio": np.array(config.ratios, np.float32),
        "patch": np.array(config.patches, np.int32),
    }
    names = [f"{r:.0%} in patches of {p}" for r, p in zip(*settings.values(), strict=True)]
    return Sweep(
        point=point,
        axes={
            "way": ablation.static([*chosen.values()], labels=[*chosen]),
            "network": ablation.static([*net.trained]),
            "setting": ablation.vmapped(settings, labels=names),
            "image": ablation.vmapped(net.photographs.cases, labels=net.photographs.names),
        },
        fields=FIELDS,
        key=jax.random.key(config.seed),
        key_axes=("setting", "image"),
        shared={"trained": net.trained, "untrained": net.untrained},
        about={"judge": ("judge", [*net.trained])},
        chunk=config.chunk,
        block=4 * config.chunk,
    )


def compute(config: Config, net: Loaded, found: xr.Dataset) -> xr.Dataset:
    """The judgements, and what they are of."""
    found = with_notes(found, *net.notes)
    known = ways(config.steps)
    chosen = [known[name] for name in found["way"].values]
    found = found.assign(
        asks=("way", [way.asks for way in chosen]),
        seconds=("way", [_seconds(config, net, way) for way in chosen]),
    )
    return found.assign(_pictured(config, net)) if PROGRESSIVE in found["way"].values else found


def _seconds(config: Config, net: Loaded, way: Way) -> float:
    """What the first network takes to fill in one photograph."""
    key = jax.random.key(config.seed)
    image, target = jnp.asarray(net.photographs.images[0]), jnp.asarray(net.photographs.targets[0])
    ratio, patch = config.ratios[0], config.patches[0]
    mask = masks.random_patches(image.shape[:2], ratio, patch, key=key)
    network = next(iter(net.trained.values()))
    return median_seconds(functools.partial(jax.jit(way.fill), network, image, mask, target, key))


def _pictured(config: Config, net: Loaded) -> dict[str, Any]:
    """The first photographs after each part of a progressive fill by the first network."""
    images = jnp.asarray(net.photographs.images[:SHOWN])
    targets = jnp.asarray(net.photographs.targets[:SHOWN])
    keys = jax.random.split(jax.random.key(config.seed), len(images))
    network = next(iter(net.trained.values()))
    one = functools.partial(_stages, network, steps=config.steps)
    stages = jax.jit(lambda *given: jax.lax.map(lambda each: one(*each), given))(
        images, targets, keys
    )
    shown = jnp.concatenate([images[:, None], stages], axis=1)
    return pictures("shown", "filled", stages=shown)


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Every line by its network, judged by all; what asks no network is there once.

    The seconds of a photograph are of the first network.
    """
    rows = ("setting", "way", "network")
    rules = {"correct": proportion_interval}
    table = interval_columns(found[[*SCORES]], SCORES, rows=rows, over="image", of=rules)
    coarse = {"coarse_correlation": "coarse correlation beyond the inpainting"}
    table = table.join(interval_columns(found[[*coarse]], coarse, rows=rows, over="image"))
    table = table.map(lambda cell: "" if np.isnan(cell.estimate) else cell).reset_index()
    asks_none = table["way"].isin(found["way"].values[~found["asks"].values])
    table.loc[asks_none, "network"] = NONE
    table = table.drop_duplicates(["setting", "way", "network"])
    by_others = interval_table(
        _by_others(found, "p_true"), rows=("setting", "way"), over="image", title="p(true)"
    )
    asked = _by_others(found, "p_asked")
    of_asked = interval_table(asked, rows=("setting", "way"), over="image", title="p(asked)")
    seconds = found["seconds"].to_series().rename("seconds")
    by_others = by_others.join(of_asked).join(seconds, on="way")
    return {
        "by networks that took no part": by_others.rename_axis(["setting", "blanks"]),
        "fills of photographs": table.rename(columns={"network": "filled by", "way": "blanks"}),
    }


def _by_others(found: xr.Dataset, name: str) -> xr.DataArray:
    """A score by the networks that took no part, averaged over these and the fillers."""
    is_other = found["judge"] != found["network"]
    # A network alone judges itself.
    return found[name].where(is_other | (found.sizes["judge"] == 1)).mean(("judge", "network"))


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """p(true) by the network itself and by others, of each mask setting, and progressive fills."""
    figures = {"photo_iterated": _of_ways(found)}
    if found.sizes["setting"] > 1:
        figures["photo_settings"] = _of_settings(found)
    if "stages" in found:
        stages = found["stages"].transpose("shown", "filled", ...).values
        titles = ["photograph", *(f"{part + 1} of {PARTS} parts" for part in range(PARTS))]
        figures["photo_progressive"] = plotting.image_grid(
            [[*row] for row in stages], column_titles=titles, size=2.0
        )
    return figures


def _of_settings(found: xr.Dataset) -> Figure:
    figure = Figure(figsize=(1.3 * found.sizes["setting"] + 3, 3.4), layout="constrained")
    axis = figure.subplots()
    settings = [str(name).replace(" in", "\nin") for name in found["setting"].values]
    plotting.interval_chart(
        axis,
        intervals(_by_others(found, "p_true").assign_coords(setting=settings), over="image"),
        groups="setting",
        bars="way",
        title="p of the photograph's class by a network that took no part",
    )
    axis.set_ylim(0, 1)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7)
    return figure


def _of_ways(found: xr.Dataset) -> Figure:
    """What the network itself and others say, and what fills for a wrong class do."""
    figure = Figure(figsize=(9, 0.42 * found.sizes["way"] + 1.4), layout="constrained")
    axis = figure.subplots()
    is_own = found["judge"] == found["network"]
    bars = {
        "by the network that fills": found["p_true"].where(is_own).mean(("judge", "network")),
        "by one that took no part": _by_others(found, "p_true"),
        "p(asked) by one that took no part": _by_others(found, "p_asked"),
    }
    places = np.arange(found.sizes["way"])
    for offset, (title, values) in zip((-0.25, 0, 0.25), bars.items(), strict=True):
        ends = intervals(values.isel(setting=0), over="image").transpose("way", "interval").values
        spread = np.abs(ends[:, 1:] - ends[:, :1]).T
        axis.barh(places + offset, ends[:, 0], 0.24, xerr=spread, label=title, error_kw={"lw": 0.8})
    axis.set_yticks(places, [str(name) for name in found["way"].values], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_xlabel("mean p with its 95 % interval over photographs", fontsize=8)
    axis.legend(fontsize=7, loc="lower right")
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State what another network thinks of the fills."""
    p = _by_others(found, "p_true").mean("image")

    def said(setting: str) -> str:
        of = p.sel(setting=setting).to_series()
        ways = ", ".join(f"{name} {value:.2f}" for name, value in of.items())
        return f"with {setting} hidden, {ways}"

    # The first and the last, of several settings.
    ends = dict.fromkeys(found["setting"].values[[0, -1]].tolist())
    return (
        f"Parts of {found.sizes['image']} photographs are hidden and filled in {config.steps} "
        "steps. Mean p of the photograph's class by networks that took no part: "
        f"{'; '.join(map(said, ends))}."
    )


left_out = unless_given("the default photographs are too few; give --photo-dir")

SMOKE = {
    "count": 2,
    "networks": ("efficientnet_lite0",),
    "steps": 2,
    "ways": (MASKED, ITERATED, WRONG, PROGRESSIVE),
    "ratios": (0.5, 0.25),
    "patches": (16, 32),
}

FULL = {"ratios": (0.25, 0.5, 0.5, 0.75), "patches": (32, 16, 32, 32)}
