"""Table 3 and Figure 8: is a fill of a photograph what was hidden, or adversarial noise?

    python -m experiments photo_fidelity --photographs manifest --photo-dir DIR

About a minute for the five default photographs on 2 cores, 15 minutes for 400. It resumes.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import photo_rules
from experiments.experiment import Experiment, Outcome, Table
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.photo_rules import Rule
from experiments.photographs import Explained, PhotographOptions, explained
from experiments.statistics import mean_interval, proportion_interval
from fitb_jax import ablation, fill, masks, models, plotting
from fitb_jax.extremal import gaussian_blur, mean_colour
from fitb_jax.types import Image, LogitsFn, Mask, Scalar

SMOOTH = 2.0
COARSE = 8.0
NETWORKS = ("trained", "untrained")


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Table 3.

    Attributes:
        ratio: share of the patches that are blank.
        patch: side of a patch in pixels.
        steps: of Lanczos.
        size: root mean square change of the blanks, in units of intensity.
    """

    ratio: float = 0.5
    patch: int = 32
    steps: int = 8
    size: float = fill.DEFAULT_STEP
    chunk: int = 8


class Judged(NamedTuple):
    """What is said of one update of one photograph; all but the correlations need the judge.

    Attributes:
        correlation: of the update with the hidden values.
        coarse_correlation: of both blurred by `COARSE` pixels.
        fine_energy: share of the hidden update's energy that a blur of `SMOOTH` pixels removes.
        probability_whole: p(target) of the photograph.
        probability_masked: with its blanks in the mean colour.
        probability_filled: with the blanks moved along the update.
        probability_blurred: with the filled blanks blurred by `SMOOTH` pixels.
        rank_masked: place of the target among the classes, from 1.
        rank_filled: the same of the filled photograph.
    """

    correlation: Scalar
    coarse_correlation: Scalar
    fine_energy: Scalar
    probability_whole: Scalar
    probability_masked: Scalar
    probability_filled: Scalar
    probability_blurred: Scalar
    rank_masked: Scalar
    rank_filled: Scalar


FIELDS = {
    "correlation": ablation.Field(
        meaning="correlation of the update with the hidden values", nan_is_answer=True
    ),
    "coarse_correlation": ablation.Field(
        meaning=f"the same after a blur of {COARSE:g} pixels", nan_is_answer=True
    ),
    "fine_energy": ablation.Field(
        meaning=f"share of the update that a blur of {SMOOTH:g} pixels removes", nan_is_answer=True
    ),
}


def point(
    *,
    judge: LogitsFn,
    size: jax.Array,
    setting: dict[str, jax.Array],
    rule: Rule,
    network: LogitsFn,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> Judged:
    """Update and fill one photograph, and judge the fill.

    Args:
        judge: the trained network.
        size: root mean square change of the blanks.
        setting: `ratio` and `patch` of the mask.
        rule: of the update.
        network: whose update it is.
        image: `pixels` and `target`.
        key: of the mask and of what the rule draws.

    Returns:
        The measures.
    """
    pixels, target = image["pixels"], image["target"]
    background = mean_colour(pixels)
    mask_key, rule_key = jax.random.split(key)
    mask = masks.random_patches(pixels.shape[:2], setting["ratio"], setting["patch"], key=mask_key)
    update = rule(network, pixels, mask, target, rule_key)
    filled = fill.step(pixels, mask, update, size=size, background=background)
    seen = (
        pixels,
        masks.apply(pixels, mask, background),
        filled,
        masks.apply(pixels, mask, gaussian_blur(filled, sigma=SMOOTH)),
    )
    logits = jax.lax.map(judge, jnp.stack(seen))
    p = jax.nn.softmax(logits)[:, target]
    rank = 1 + (logits > logits[:, target][:, None]).sum(axis=1)
    hidden, truth = _hidden(update, mask), _hidden(pixels - background[None, None], mask)
    return Judged(
        fill.hidden_correlation(hidden, truth, mask),
        fill.hidden_correlation(_blur(hidden, COARSE), _blur(truth, COARSE), mask),
        1 - _energy(_blur(hidden, SMOOTH)) / _energy(hidden),
        *p,
        *rank[1:3].astype(jnp.float32),
    )


def _hidden(values: Image, mask: Mask) -> Image:
    """Only the blanks, scaled to at most 1: small gradients have squares of 0."""
    hidden = masks.apply(values, masks.complement(mask))
    largest = jnp.abs(hidden).max()
    return hidden / jnp.where(largest > 0, largest, 1)


def _blur(image: Image, sigma: float) -> Image:
    return gaussian_blur(image, sigma=sigma)


def _energy(image: Image) -> Scalar:
    return (image**2).sum()


def grid(config: Config, net: Explained) -> GridRun:
    """The grid of rules, networks and photographs.

    Args:
        config: options.
        net: the networks and photographs.

    Returns:
        The grid.
    """
    rules = photo_rules.named(config.patch, config.steps)
    axes = {
        "rule": ablation.structural([*rules.values()], labels=[*rules]),
        "network": ablation.looped(
            models.stack([net.pretrained.logits_fn, net.untrained]), labels=list(NETWORKS)
        ),
        "image": ablation.batched({"pixels": net.images, "target": net.targets}, labels=net.names),
    }
    arguments = {
        "key": jax.random.key(config.seed),
        "key_axes": ("image",),
        "shared": {
            "judge": net.pretrained.logits_fn,
            "size": jnp.float32(config.size),
            "setting": {"ratio": jnp.float32(config.ratio), "patch": jnp.int32(config.patch)},
        },
        "fields": FIELDS,
        "chunk": config.chunk,
        "block": 8 * config.chunk,
        # More photographs vectorised together leave the cache of a CPU.
        "lanes": 2 if jax.default_backend() == "cpu" else None,
    }
    return GridRun("photo_fidelity", point, axes, arguments)


def plan(config: Config) -> list[str]:
    """What the grid will do.

    Args:
        config: options.

    Returns:
        One line.
    """
    return [plan_grid(grid(config, explained(config)))]


def compute(config: Config) -> Outcome:
    """Judge every rule of the trained and of the untrained network on every photograph."""
    net = explained(config)
    found = run_grid(config, grid(config, net)).transpose("network", "rule", "image").load()
    arrays = {name: found[name].values for name in Judged._fields}
    arrays |= {"rules": np.array(found["rule"].values.tolist()), "names": np.array(net.names)}
    first = {name: arrays[name][0, 0] for name in Judged._fields}
    numbers = {
        "p(target), whole": mean_interval(first["probability_whole"]),
        "p(target), masked": mean_interval(first["probability_masked"]),
        "median rank, masked": float(np.median(first["rank_masked"])),
    }
    notes = [f"{len(net.names)} photographs: {net.source}"]
    if (net.labels < 0).any():
        notes.append("photographs without a label are filled in for the class predicted")
    return Outcome(arrays, numbers, {"fidelity": _table(arrays)}, notes)


_COLUMNS: dict[str, Callable[[dict[str, np.ndarray]], str]] = {
    "p(target)": lambda found: str(mean_interval(found["probability_filled"])),
    "predicted": lambda found: str(proportion_interval(found["rank_filled"] == 1)),
    "median rank": lambda found: f"{np.median(found['rank_filled']):.0f}",
    "p, fill blurred": lambda found: str(mean_interval(found["probability_blurred"])),
    "correlation": lambda found: str(mean_interval(found["correlation"])),
    "coarse correlation": lambda found: str(mean_interval(found["coarse_correlation"])),
    "fine share": lambda found: f"{np.nanmean(found['fine_energy']):.2f}",
}


def _table(arrays: dict[str, np.ndarray]) -> Table:
    rows: list[list[object]] = []
    for i, network in enumerate(NETWORKS):
        for j, rule in enumerate(arrays["rules"].tolist()):
            if rule == "white noise" and network == "untrained":
                continue  # it asks no network
            found = {name: arrays[name][i, j] for name in Judged._fields}
            source = "none" if rule == "white noise" else network
            rows.append([source, rule, *(cell(found) for cell in _COLUMNS.values())])
    return Table(["network of the updates", "update", *_COLUMNS], rows)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """p(target) with the fill and with the fill blurred; correlations with the hidden values."""
    arrays = outcome.arrays
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    _chart(
        above,
        arrays,
        {"filled": "probability_filled", "filled, blurred": "probability_blurred"},
        title="p(target) (95 % interval; lines: whole and masked photographs)",
    )
    for name in ("probability_whole", "probability_masked"):
        above.axhline(arrays[name][0, 0].mean(), color="grey", linewidth=0.8)
    _chart(
        below,
        arrays,
        {"pixels": "correlation", "coarse": "coarse_correlation"},
        title=f"correlation with the hidden values, and of both blurred by {COARSE:g} pixels",
    )
    below.axhline(0, color="grey", linewidth=0.8)
    return {"photo_fidelity": figure}


def _chart(axis: Axes, arrays: dict[str, np.ndarray], fields: dict[str, str], title: str) -> None:
    """Mean and interval of some fields, of both networks and every rule."""
    rules = arrays["rules"].tolist()
    bars = {
        f"{network}, {label}": [mean_interval(arrays[name][i, j]) for j in range(len(rules))]
        for i, network in enumerate(NETWORKS)
        for label, name in fields.items()
    }
    plotting.interval_chart(
        axis,
        np.stack([np.array(bar) for bar in bars.values()], axis=1),
        group_labels=[name.replace(", ", ",\n").replace(" over", "\nover") for name in rules],
        bar_labels=list(bars),
        title=title,
    )
    axis.legend(fontsize=7, ncols=2)


def caption(config: Config, outcome: Outcome) -> str:
    """Say with numbers whether the fills are noise, and what changes it."""
    arrays = outcome.arrays
    rules = arrays["rules"].tolist()

    def mean(name: str, rule: str, network: str = "trained") -> str:
        return str(mean_interval(arrays[name][NETWORKS.index(network), rules.index(rule)]))

    smooth = "mean over noise, smoothed"
    return (
        f"Patches of {config.patch} pixels hide {config.ratio:.0%} of {arrays['names'].size} "
        "photographs. The first-order fill takes p(target) from "
        f"{mean('probability_masked', 'first order')} to "
        f"{mean('probability_filled', 'first order')} (whole photograph "
        f"{mean('probability_whole', 'first order')}), yet it correlates with what was hidden by "
        f"{mean('correlation', 'first order')}, and a blur of {SMOOTH:g} pixels leaves p(target) "
        f"at {mean('probability_blurred', 'first order')}: it is adversarial noise, of which the "
        f"blur removes {np.nanmean(arrays['fine_energy'][0, rules.index('first order')]):.0%}. "
        f"Averaged over {photo_rules.DRAWS} draws of noise and smoothed, the fill reaches "
        f"{mean('probability_filled', smooth)}, after the blur "
        f"{mean('probability_blurred', smooth)}, and correlates by "
        f"{mean('correlation', smooth)} (coarse {mean('coarse_correlation', smooth)}); an "
        f"untrained network's by {mean('correlation', smooth, 'untrained')}."
    )


EXPERIMENT = Experiment(
    name="photo_fidelity",
    title="Fidelity of fills of photographs",
    regenerates="Table 3, Figure 8",
    needs="nothing (five photographs of scikit-image)",
    duration="2 min",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    smoke={"count": 2, "steps": 2, "chunk": 2},
    full={},
)
