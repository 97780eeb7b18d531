"""Figure 20, Table 7: Steps from a warm start and from a cold one.

    python -m experiments extremal_warm_starts    # 4 min

Needs: nothing (five photographs of scikit-image).
Expected: p(class) after 25 steps is 0.326 from fresh weights and 0.089 from a learned start (12
photographs of ImageNet, `--photographs manifest --photo-dir DIR --count 40 --held-out 12 --budgets
25 50 100 --rounds 150 --round-steps 30`).

Three starts of the same fit: fresh weights, the network of another photograph, and a start learned
from the other photographs (`extremal.reptile_init`). Those are never the ones that are fitted.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from experiments.common.photographs import AreaOptions, Explained, explained
from experiments.core.experiment import Tables, unless_asked
from experiments.core.labelled import with_notes
from fitb_jax import extremal, plotting, smoothing
from fitb_jax.evaluation.tables import interval_table, paired_difference
from fitb_jax.extremal.coordinates import initial_weights
from fitb_jax.types import Array, Image, LogitsFn, Target

COLD, OTHER, LEARNED = "fresh", "another photograph's", "learned from others"
settings = functools.partial(dataclasses.replace, extremal.PLAIN, tolerance=-1e9)
"""The plain fit, none of whose steps is saved by stopping early: a prior is a start of its own."""

fresh = functools.partial(initial_weights, extremal.NetworkConfig())

STARTS = (COLD, OTHER, LEARNED)
WINDOW = 8
"""Steps of the running mean: each step sees other areas."""


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 20.

    Attributes:
        held_out: photographs that are fitted, the last ones; the others are learned from.
        restarts: fits of each, from other random keys.
        budgets: steps of a fit, ascending; the learning rate falls to 0 over each. The last one is
            the reference.
        share: of the gain of the fresh network that counts as done.
        rounds: of learning the start.
        round_steps: of each fit of a round.
        round_images: fitted at once in a round.
    """

    held_out: int = 2
    restarts: int = 2
    budgets: tuple[int, ...] = (25, extremal.PLAIN.steps)
    share: float = 0.95
    rounds: int = 12
    round_steps: int = 15
    round_images: int = 2

    def __post_init__(self) -> None:
        """Refuse budgets that have no last one."""
        super().__post_init__()
        if not self.budgets or list(self.budgets) != sorted(set(self.budgets)):
            raise ValueError(f"budgets must ascend strictly, at least one, got {self.budgets}")


def compute(config: Config, net: Explained) -> xr.Dataset:
    """Fit every held-out photograph from every start, with every budget."""
    known = len(net.images) - config.held_out
    if known < config.round_images:
        raise ValueError(
            f"held_out must leave {config.round_images} of the {len(net.images)} photographs to "
            f"learn from, got {config.held_out}"
        )
    logits_fn, most = net.pretrained.logits_fn, config.budgets[-1]
    areas = jnp.asarray(config.areas, jnp.float32)

    def fit(
        logits_fn: LogitsFn, image: Image, target: Target, start: Any, key: Array, *, steps: int
    ) -> dict[str, Any]:
        inr = extremal.fit_inr(
            logits_fn, image, target, settings(steps=steps), key=key, initial=start
        )
        masks = extremal.inr_masks(inr, areas, (image.shape[0], image.shape[1]))
        binary = jax.vmap(extremal.binarise)(masks, areas)
        p = extremal.probabilities_through(logits_fn, image, target, binary)
        return {"objective": inr.history.objective, "p": p, "state": inr.state}

    run = jax.jit(fit, static_argnames="steps")
    learn_key, other_key, fit_key = jax.random.split(jax.random.key(config.seed), 3)
    images, targets = jnp.asarray(net.images), jnp.asarray(net.targets)
    others = [
        run(logits_fn, images[i], targets[i], fresh(key=key), key, steps=most)["state"]
        for i, key in enumerate(jax.random.split(other_key, min(config.restarts, known)))
    ]
    options: dict[str, Any] = {"rounds": config.rounds, "images_per_round": config.round_images}
    learn = functools.partial(
        extremal.reptile_init, config=settings(steps=config.round_steps), **options
    )
    learned = jax.jit(learn)(logits_fn, images[:known], targets[:known], key=learn_key)
    keys = jax.random.split(fit_key, (config.held_out, config.restarts))
    shape = (len(STARTS), config.held_out, config.restarts)
    objective = np.full((*shape, most), np.nan, np.float32)
    p = np.full((len(config.budgets), *shape, len(areas)), np.nan, np.float32)
    jobs = [(*at, b) for b in range(len(config.budgets)) for at in np.ndindex(shape)]
    for s, i, r, b in tqdm(jobs, desc="fit", disable=not config.progress):
        start = {COLD: fresh(key=keys[i, r]), OTHER: others[r % len(others)], LEARNED: learned}
        inputs = (images[known + i], targets[known + i], start[STARTS[s]], keys[i, r])
        found = run(logits_fn, *inputs, steps=config.budgets[b])
        p[b, s, i, r] = found["p"]
        if config.budgets[b] == most:
            objective[s, i, r] = found["objective"]
    dims, labels = ("start", "image", "restart"), {"start": [*STARTS], "image": net.names[known:]}
    curves = xr.DataArray(
        smoothing.trailing_mean(objective, window=WINDOW),
        {**labels, "step": np.arange(most) + 1},
        (*dims, "step"),
    )
    note = (
        f"{config.held_out} photographs of {net.source}, each fitted {config.restarts} times from "
        f"each start; learned from {known} others in {config.rounds} rounds of "
        f"{config.round_images} fits of {config.round_steps} steps"
    )
    return with_notes(
        xr.Dataset(
            {
                "curves": curves,
                "p": (("budget", *dims, "area"), p),
                "steps": steps_to(curves, config.share),
                "gain": gain(curves),
            },
            {"budget": [*config.budgets], "area": [*config.areas]},
        ),
        note,
    )


def gain(curves: xr.DataArray) -> xr.DataArray:
    """From the first value of the fresh network's curve to its last."""
    cold = curves.sel(start=COLD, drop=True)
    return cold.isel(step=-1, drop=True) - cold.isel(step=0, drop=True)


def steps_to(curves: xr.DataArray, share: float) -> xr.DataArray:
    """Steps until a curve has a share of the fresh network's gain; nan where it never has."""
    first = curves.sel(start=COLD, drop=True).isel(step=0, drop=True)
    is_there = curves >= first + share * gain(curves)
    return (is_there.argmax("step") + 1.0).where(is_there.any("step"))


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Photographs are what varies: restarts are averaged first."""
    means = functools.partial(interval_table, rows="start", over="image")
    p = found["p"].mean(("restart", "area"))
    last = found["curves"].isel(step=-1, drop=True).mean("restart")
    steps = found["steps"].stack(fit=("image", "restart"))
    counts = pd.DataFrame(
        {
            f"steps to {config.share:.0%}: median": [_median(config, each) for each in steps],
            "reached": [f"{int(each.count())} of {each.size}" for each in steps],
        },
        index=found["start"].to_index(),
    )
    columns = [
        counts,
        means(paired_difference(last, start=COLD), title="objective at the last step, less fresh"),
        means(p, title="p(class), {budget} steps"),
        means(paired_difference(p, start=COLD), title="the same, less fresh, {budget} steps"),
    ]
    table = pd.concat(columns, axis=1)
    return {"starts": table.where(table.notna(), "")}


def _median(config: Config, steps: xr.DataArray) -> str:
    """Of all fits, where one that never gets there counts as more than all steps."""
    middle = float(steps.fillna(np.inf).median())
    return f"{middle:.0f}" if np.isfinite(middle) else f"more than {config.budgets[-1]}"


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The objective over the steps from each start, and what the masks of each budget are worth."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    first = found["curves"].sel(start=COLD, drop=True).isel(step=0, drop=True)
    relative = (found["curves"] - first) / found["gain"].where(np.abs(found["gain"]) > 1e-9)
    relative = relative.stack(fit=("image", "restart")).transpose("start", "step", "fit")
    for start in STARTS:
        of = relative.sel(start=start)
        (line,) = left.plot(of["step"], of.mean("fit", skipna=False), label=start)
        left.plot(of["step"], of.values, linewidth=0.5, alpha=0.4, color=line.get_color())
    p = found["p"].mean("area").stack(fit=("image", "restart"))
    plotting.dots(right, p, groups="budget", cases="fit", bars="start", spread=0.2)
    left.axhline(config.share, color="black", linestyle=":", linewidth=0.8)
    left.set_ylim(max(-0.6, float(relative.min()) - 0.05), 1.4)
    left.set_title(
        f"objective, as a share of the gain from fresh weights (mean of {WINDOW} steps)", fontsize=9
    )
    left.set_xlabel("step", fontsize=8)
    labels = [f"{budget} steps" for budget in config.budgets]
    right.set_xticks(range(len(labels)), labels, fontsize=8)
    right.set_title("p(class) of binary masks, mean over areas: fits and mean", fontsize=9)
    for axis in (left, right):
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    return {"warm_starts": figure}


def caption(config: Config, found: xr.Dataset) -> str:
    """State the steps that each start needs."""
    needed = (f"{start} {_median(config, found['steps'].sel(start=start))}" for start in STARTS)
    return (
        f"{found.sizes['image']} photographs fitted {found.sizes['restart']} times from each "
        f"start. Median steps until the objective has {config.share:.0%} of what fresh weights "
        f"gain in {config.budgets[-1]}: {', '.join(needed)}. Learning the start costs as much as "
        f"{config.rounds * config.round_images * config.round_steps / config.budgets[-1]:.1f} fits."
    )


load = explained

left_out = unless_asked("it fits for minutes; run it by its name, or --full")

SMOKE = {
    "count": 3,
    "held_out": 1,
    "restarts": 1,
    "areas": (0.1, 0.3),
    "budgets": (2,),
    "rounds": 1,
    "round_steps": 2,
}

FULL = {"restarts": 5, "budgets": (10, 25, 50, 100, 200), "rounds": 60}
