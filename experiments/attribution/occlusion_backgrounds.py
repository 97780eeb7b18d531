"""Figure 30: A black square says nothing where the image is black.

    python -m experiments occlusion_backgrounds    # 2 min

Expected: TODO.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.common.networks import Network, NetworkOptions, head, network
from experiments.experiment import Experiment, Outcome, Table
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.scores import CHECKS, faithfulness_scores
from experiments.sufficient_regions import backgrounds
from fitb_jax import ablation, attribution, evaluation, extremal, plotting
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.types import Array, Image, Key, LogitsFn, Saliency

ROWS = ("black", "mean", "blur", "other digits", "random map")
"""What a square shows; the last one is a control that asks no network."""

NOTHING = 1e-4
"""A logit changed by less has not changed: rounding is about 1e-6."""

BLACK = 0.02
"""Pixels below are black."""

SCORES = ("insertion", "deletion", "road")
SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 24.

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
    """The map of one digit by squares of one kind, and how faithful it is.

    Args:
        background: one of `ROWS`.
        sizes: window, stride and block.
        network: the classifier.
        others: for each class, digits of other classes, (classes, n, h, w, c).
        colour: mean colour of the training images, which deletion shows.
        image: `pixels` and `target`.
        key: of the random map, of ties and noise.

    Returns:
        Values by the names in `FIELDS`.
    """
    pixels, target = image["pixels"], image["target"]
    map_key, score_key = jax.random.split(key)
    window, stride, block = sizes
    explain = functools.partial(attribution.occlusion, network, pixels, target)
    silent = jnp.full((), jnp.nan)
    if background == "random map":
        saliency = evaluation.control_maps.random_map(
            (pixels.shape[0], pixels.shape[1]), key=map_key
        )
    else:
        shown = shows(background, pixels, others[target])
        saliency = _mean(shown, functools.partial(explain, window=window, stride=stride))
        # The squares do not overlap: a pixel's value is that of its square.
        drops = jax.lax.map(
            lambda b: explain(window=block, stride=block, background=b)[::block, ::block], shown
        )
        silent = (jnp.abs(drops).max(0) < NOTHING).mean(dtype=jnp.float32)
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
    """What the squares of a kind show.

    Args:
        background: one of `ROWS`, but not the control.
        pixels: (h, w, c) in [0, 1].
        others: other images, (n, h, w, c).

    Returns:
        (m, h, w, c), one or several images.
    """
    if background == "other digits":
        return others
    blur, mean, zero = extremal.control_backgrounds(pixels)
    return {"black": zero, "mean": mean, "blur": blur}[background][None]


def _mean(shown: Array, explain: Any) -> Saliency:
    return jax.lax.map(lambda background: explain(background=background), shown).mean(0)


def grid(config: Config, net: Network) -> GridRun:
    """The grid of backgrounds and images.

    Args:
        config: options.
        net: the network and its data.

    Returns:
        The grid.
    """
    images, labels = head(net.test, config.test_images)
    sizes = (config.window, config.stride, config.block)
    axes = {
        "background": ablation.static(list(ROWS)),
        "sizes": ablation.static([sizes], labels=["default"]),
        "image": ablation.vmapped({"pixels": images, "target": labels}),
    }
    arguments = {
        "key": jax.random.key(config.seed),
        "key_axes": ("image",),
        "shared": {
            "network": net.trained,
            "others": backgrounds(net, config.others, seed=config.seed),
            "colour": jnp.asarray(net.train.images.mean((0, 1, 2)), jnp.float32),
        },
        "fields": FIELDS,
        "chunk": min(config.chunk, len(images)),
    }
    return GridRun("occlusion_backgrounds", point, axes, arguments)


def plan(config: Config) -> list[str]:
    """What the grid will do.

    Args:
        config: options.

    Returns:
        One line.
    """
    return [plan_grid(grid(config, network(config)))]


def compute(config: Config) -> Outcome:
    """Occlude every digit with every background, and judge the maps."""
    net = network(config)
    found = (
        run_grid(config, grid(config, net))
        .isel(sizes=0)
        .transpose("background", "image", ...)
        .load()
    )
    arrays = {name: found[name].values for name in FIELDS}
    images, labels = head(net.test, config.test_images)
    arrays |= {"pixels": np.asarray(images), "labels": np.asarray(labels)}
    arrays["alike"] = _alike(arrays["saliency"])
    blocks = _blocks(arrays["pixels"].max(-1), config.block)
    numbers = {"squares that are wholly black": mean_interval((blocks < BLACK).mean((1, 2)))}
    columns = ["a square shows", "squares without effect", "magnitude on black pixels"]
    columns += [CHECKS[name].title for name in SCORES]
    columns += [f"Spearman with {name}" for name in ROWS[:-1]]
    rows: list[list[object]] = []
    for i, name in enumerate(ROWS):
        values = [mean_interval(arrays[field][i]) for field in ("silent", "on_black", *SCORES)]
        cells = ["" if np.isnan(value.estimate) else str(value) for value in values]
        rows.append([name, *cells, *(f"{each:.2f}" for each in arrays["alike"][i, :-1])])
    notes = [f"{net.label}; {net.test.source}"]
    notes.append("every digit is explained for its label; insertion and ROAD: high is good")
    return Outcome(arrays, numbers, {"backgrounds": Table(columns, rows)}, notes)


def _blocks(values: np.ndarray, side: int) -> np.ndarray:
    """The largest value of each square that lies inside, (n, rows, columns)."""
    rows, columns = (size // side for size in values.shape[1:])
    inside = values[:, : rows * side, : columns * side]
    return inside.reshape(-1, rows, side, columns, side).max((2, 4))


def _alike(maps: np.ndarray) -> np.ndarray:
    """Rank correlation of the maps of one digit, averaged over digits, (rows, rows)."""

    @jax.jit
    def mean(a: Array, b: Array) -> Array:
        return jax.vmap(evaluation.spearman)(a, b).mean()

    return np.array([[float(mean(jnp.asarray(a), jnp.asarray(b))) for b in maps] for a in maps])


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """The maps of a digit of each class, and what all digits say in numbers."""
    arrays = outcome.arrays
    _, first = np.unique(arrays["labels"], return_index=True)
    chosen = first[:SHOWN]
    maps = [arrays["pixels"][chosen], *(each[chosen, ..., None] for each in arrays["saliency"][:4])]
    pictures = plotting.signed_maps(
        maps,
        row_titles=["digit", *ROWS[:4]],
        units=["intensity", *["drop of the logit"] * 4],
    )
    return {"maps": pictures, "numbers": _numbers(arrays)}


def _numbers(arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    titles = {
        "silent": "squares without effect",
        "on_black": "magnitude on black pixels",
        "insertion": "insertion (high is good)",
        "deletion": "deletion (low is good)",
        "road": "ROAD (high is good)",
    }
    axes: Any = figure.subplots(1, len(titles), sharey=True)
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        for at, values in enumerate(arrays[name]):
            found = mean_interval(values)
            if np.isfinite(found.estimate):
                reach = np.nan_to_num(found.high - found.estimate)
                axis.errorbar(found.estimate, at, xerr=reach, fmt="o", capsize=3, color=f"C{at}")
        axis.set_title(title, fontsize=9)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(ROWS)), list(ROWS), fontsize=8)
    axes[0].set_ylim(len(ROWS) - 0.5, -0.5)
    return figure


def caption(config: Config, outcome: Outcome) -> str:
    """State how many squares say nothing, and what that does to the map."""
    arrays = outcome.arrays

    def each(field: str, digits: int = 3) -> str:
        means = [mean_interval(values).estimate for values in arrays[field]]
        return ", ".join(
            f"{name} {mean:.{digits}f}"
            for name, mean in zip(ROWS, means, strict=True)
            if np.isfinite(mean)
        )

    black = outcome.numbers["squares that are wholly black"][0]
    return (
        f"Occlusion of {len(arrays['labels'])} digits by squares of {config.window} pixels that "
        f"show black, the mean colour, a blur, or {config.others} other digits in turn (the mean "
        f"over them). Of squares of {config.block} pixels side by side {black:.2f} are wholly "
        "black; a black one changes nothing there, so that its map cannot tell where ink would "
        f"harm. Share of squares without any effect: {each('silent')}. Share of the map's "
        f"magnitude on black pixels: {each('on_black')}. ROAD: {each('road')}; deletion: "
        f"{each('deletion')}; insertion: {each('insertion')}. Rank correlation of the black "
        f"square's map with that of other digits: {arrays['alike'][0, 3]:.2f}."
    )


EXPERIMENT = Experiment(
    name="occlusion_backgrounds",
    title="A black square says nothing where the image is black",
    regenerates="Figure 24",
    needs="nothing",
    duration="2 min",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    smoke={"epochs": 1, "test_images": 3, "window": 8, "stride": 8, "block": 14, "others": 2},
    full={"test_images": 0, "others": 64},
)
