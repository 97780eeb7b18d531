"""Figure 10, Table 3: Fidelity of fills of photographs.

    python -m experiments photo_fidelity    # 2 min
    python -m experiments photo_fidelity --photographs imagenet --photo-dir DIR

Needs: nothing (five photographs of scikit-image).
Expected: p(target) of filled photographs is 0.157 [0.133, 0.180], and of masked ones 0.174 (400
photographs of ImageNet, `--photographs manifest --photo-dir DIR --sizes 0.003 0.03 0.1`).

Every way to update the blanks, by the network and by an untrained one. It resumes.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common.photographs import Explained, PhotographOptions, explained
from experiments.core.experiment import Sweep, Tables
from experiments.core.labelled import with_notes
from experiments.fill import _photo_updates
from experiments.fill._photo_updates import FIRST_ORDER, SMOOTHED_MEAN, WHITE_NOISE, Rule
from fitb_jax import ablation, checks, fill, masks, models, plotting
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.evaluation.tables import interval_columns, intervals
from fitb_jax.extremal import mean_colour
from fitb_jax.types import LogitsFn

SMOOTH = 2.0
COARSE = 8.0
OF_NETWORK = "network of the updates"


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Table 3.

    Attributes:
        ratio: share of the patches that are blank.
        patch: side of a patch in pixels.
        steps: of Lanczos.
        sizes: root mean square changes of the blanks, in units of intensity.
        rules: names of the updates, as in the table; none means all.
    """

    ratio: float = 0.5
    patch: int = 32
    steps: int = 8
    sizes: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1)
    rules: tuple[str, ...] = ()
    chunk: int = 8


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
    "probability_whole": ablation.Field(meaning="p(target) of the photograph"),
    "probability_masked": ablation.Field(meaning="p(target), the blanks in the mean colour"),
    "probability_filled": ablation.Field(("size",), meaning="p(target) of the fill"),
    "probability_blurred": ablation.Field(
        ("size",), meaning=f"p(target) of the fill, the blanks blurred by {SMOOTH:g} pixels"
    ),
    "rank_masked": ablation.Field(meaning="place of the target among the classes, from 1"),
    "rank_filled": ablation.Field(("size",), meaning="the same of the fill"),
}


def point(
    *,
    judge: LogitsFn,
    sizes: jax.Array,
    setting: dict[str, jax.Array],
    rule: Rule,
    network: LogitsFn,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> fill.StepScores:
    """Update and fill one photograph under a random mask, and judge the fill."""
    pixels, target = image["pixels"], image["target"]
    background = mean_colour(pixels)
    mask_key, rule_key = jax.random.split(key)
    mask = masks.random_patches(pixels.shape[:2], setting["ratio"], setting["patch"], key=mask_key)
    update = rule(network, pixels, mask, target, rule_key)
    how: dict[str, Any] = {"background": background, "smooth": SMOOTH, "coarse": COARSE}
    return fill.step_scores(judge, pixels, mask, target, update, sizes=sizes, **how)


def sweep(config: Config, net: Explained) -> Sweep:
    """Every rule, of the trained and of the untrained network, on every photograph."""
    known = _photo_updates.rules(config.patch, config.steps)
    for name in config.rules:
        checks.check_choice("rules", name, known)
    rules = {name: known[name] for name in config.rules or known}
    return Sweep(
        point=point,
        axes={
            "rule": ablation.static([*rules.values()], labels=[*rules]),
            "network": ablation.looped(
                models.stack([*net.networks.values()]), labels=[*net.networks]
            ),
            "image": ablation.vmapped(net.cases, labels=net.names),
        },
        fields=FIELDS,
        key=jax.random.key(config.seed),
        key_axes=("image",),
        shared={
            "judge": net.pretrained.logits_fn,
            "sizes": jnp.asarray(config.sizes, jnp.float32),
            "setting": {"ratio": jnp.float32(config.ratio), "patch": jnp.int32(config.patch)},
        },
        about={"size": ("size", [*config.sizes])},
        chunk=config.chunk,
        block=8 * config.chunk,
        # More photographs vectorised together leave the cache of a CPU.
        lanes=2 if jax.default_backend() == "cpu" else None,
    )


def compute(config: Config, net: Explained, found: xr.Dataset) -> xr.Dataset:
    """The judgements, and what the photographs are filled in for."""
    found = with_notes(found, f"{len(net.names)} photographs: {net.source}")
    if (net.labels < 0).any():
        note = "photographs without a label are filled in for the class predicted"
        found = with_notes(found, note)
    return found


def _unfilled(found: xr.Dataset, name: str) -> xr.DataArray:
    """What no update changes, (image,)."""
    return found[name].sel(network="trained").isel(rule=0, drop=True)


def numbers(config: Config, found: xr.Dataset) -> dict[str, Any]:
    """How well the photographs are recognised, whole and masked."""
    return {
        "p(target), whole": mean_interval(_unfilled(found, "probability_whole")),
        "p(target), masked": mean_interval(_unfilled(found, "probability_masked")),
        "median rank, masked": float(_unfilled(found, "rank_masked").median()),
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """p(target) after filling, and what the updates have of what was hidden."""
    middle = config.sizes[len(config.sizes) // 2]
    titles = {
        "probability_filled": "p(target), step {size:g}",
        "correlation": "correlation",
        "coarse_correlation": "coarse correlation",
    }
    table = interval_columns(found, titles, rows=("network", "rule"), over="image")
    ranks = found["rank_filled"].sel(size=middle).median("image")
    fine = found["fine_energy"].mean("image")
    rank, fine = (each.stack(line=("network", "rule")).to_series() for each in (ranks, fine))
    table.insert(len(config.sizes), f"median rank, step {middle:g}", rank)
    table["fine share"] = fine
    table = table.reset_index().rename(columns={"network": OF_NETWORK, "rule": "update"})
    # White noise asks no network: its two lines are one.
    table.loc[table["update"] == WHITE_NOISE, OF_NETWORK] = "none"
    return {"fidelity": table.drop_duplicates([OF_NETWORK, "update"])}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """p(target) against the size of the step, blurred or not; correlations with what was hidden."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.1, 1])
    above, below = parts
    axes = above.subplots(1, 3, sharey=True)
    panels = (
        ("filled, trained network", "probability_filled", "trained"),
        ("the same, blanks blurred", "probability_blurred", "trained"),
        ("filled, untrained network", "probability_filled", "untrained"),
    )
    for axis, (title, name, network) in zip(axes, panels, strict=True):
        means = found[name].sel(network=network).mean("image")
        for rule in found["rule"].values:
            axis.plot(config.sizes, means.sel(rule=rule), marker="o", markersize=3, label=rule)
        for whole in ("probability_whole", "probability_masked"):
            axis.axhline(_unfilled(found, whole).mean(), color="grey", linewidth=0.8)
        axis.set_xscale("log")
        axis.set_xlabel("size of the step (root mean square)", fontsize=8)
        axis.set_title(title, fontsize=9)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("p(target); lines: whole and masked", fontsize=8)
    axes[0].legend(fontsize=6)
    _correlations(below.add_subplot(), found)
    return {"photo_fidelity": figure}


def _correlations(axis: Axes, found: xr.Dataset) -> None:
    """Of both networks and every rule, pixel by pixel and coarse."""
    bars = {
        f"{network}, {detail}": intervals(found[name].sel(network=network, drop=True), over="image")
        for network in found["network"].values
        for detail, name in (("pixels", "correlation"), ("coarse", "coarse_correlation"))
    }
    means = xr.concat([*bars.values()], pd.Index([*bars], name="bar"))
    names = found["rule"].to_series().str.replace(", ", ",\n").str.replace(" over", "\nover")
    plotting.interval_chart(
        axis,
        means.assign_coords(rule=names.to_numpy()),
        groups="rule",
        bars="bar",
        title=f"correlation with the hidden values, and of both blurred by {COARSE:g} pixels",
    )
    axis.axhline(0, color="grey", linewidth=0.8)
    axis.legend(fontsize=7, ncols=2)


def caption(config: Config, found: xr.Dataset) -> str:
    """Say how far the fills bring the class back, and that plain ones are noise."""
    whole, masked, _ = numbers(config, found).values()
    of_trained = found.sel(network="trained").mean("image")
    best = of_trained["probability_filled"].stack(way=("rule", "size"))
    best = best.isel(way=int(best.argmax("way")))
    first = of_trained.isel(rule=0)
    return (
        f"Patches hide {config.ratio:.0%} of {found.sizes['image']} photographs: p(target) falls "
        f"from {whole} to {masked}. The best fill is {best['rule'].values} with steps of "
        f"{float(best['size']):g}: {best:.3f}. The update {first['rule'].values} correlates with "
        f"what was hidden by {first['correlation']:.3f}, and a blur of {SMOOTH:g} pixels removes "
        f"{first['fine_energy']:.0%} of it: noise that the network is sensitive to."
    )


load = explained

SMOKE = {"count": 2, "chunk": 2, "sizes": (0.03, 0.1), "rules": (FIRST_ORDER, SMOOTHED_MEAN)}
