"""Figure 25, Table 14: does a network that starts elsewhere need fewer steps?

    python -m experiments extremal_warm_starts
    python -m experiments extremal_warm_starts --photographs manifest --photo-dir DIR --count 40

Three starts of the same fit: fresh weights, the network of another photograph, and a start learned
from the other photographs (`extremal.reptile_init`). Those are never the ones that are fitted.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from experiments.experiment import Experiment, Outcome, Table, unless_asked
from experiments.common.photographs import AreaOptions, explained
from fitb_jax import extremal
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.extremal import coordinates
from fitb_jax.types import Array, Image, LogitsFn, Target

COLD, OTHER, LEARNED = "fresh", "another photograph's", "learned from others"
STARTS = (COLD, OTHER, LEARNED)
WINDOW = 8
"""Steps of the running mean: each step sees other areas."""


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 25.

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
    budgets: tuple[int, ...] = (25, extremal.InrConfig().steps)
    share: float = 0.95
    rounds: int = 12
    round_steps: int = 15
    round_images: int = 2

    def __post_init__(self) -> None:
        """Refuse budgets that have no last one."""
        super().__post_init__()
        if not self.budgets or list(self.budgets) != sorted(set(self.budgets)):
            raise ValueError(f"budgets must ascend strictly, at least one, got {self.budgets}")


def settings(steps: int) -> extremal.InrConfig:
    """The default fit with a number of steps, none of which is saved by stopping early.

    Args:
        steps: of the fit.

    Returns:
        The configuration.
    """
    return extremal.InrConfig(steps=steps, tolerance=-1e9)


def compute(config: Config) -> Outcome:
    """Fit every held-out photograph from every start, with every budget."""
    net = explained(config)
    known = len(net.images) - config.held_out
    if known < config.round_images:
        raise ValueError(
            f"held_out must leave {config.round_images} of the {len(net.images)} photographs to "
            f"learn from, got {config.held_out}"
        )
    logits_fn = net.pretrained.logits_fn
    areas = jnp.asarray(config.areas, jnp.float32)
    most = config.budgets[-1]

    def fit(
        logits_fn: LogitsFn, image: Image, target: Target, start: Any, key: Array, *, steps: int
    ) -> dict[str, Any]:
        inr = extremal.fit_inr(logits_fn, image, target, settings(steps), key=key, initial=start)
        masks = extremal.inr_masks(inr, areas, (image.shape[0], image.shape[1]))
        binary = jax.vmap(extremal.binarise)(masks, areas)
        p = extremal.probabilities_through(logits_fn, image, target, binary)
        return {"objective": inr.history.objective, "p": p, "state": inr.state}

    run = jax.jit(fit, static_argnames="steps")
    learn_key, other_key, fit_key = jax.random.split(jax.random.key(config.seed), 3)
    images, targets = jnp.asarray(net.images), jnp.asarray(net.targets)
    others = [
        run(logits_fn, images[i], targets[i], fresh(key), key, steps=most)["state"]
        for i, key in enumerate(jax.random.split(other_key, min(config.restarts, known)))
    ]
    learned = jax.jit(
        lambda logits_fn, images, targets, key: extremal.reptile_init(
            logits_fn,
            images,
            targets,
            settings(config.round_steps),
            key=key,
            rounds=config.rounds,
            images_per_round=config.round_images,
        )
    )(logits_fn, images[:known], targets[:known], learn_key)
    keys = jax.random.split(fit_key, (config.held_out, config.restarts))
    shape = (len(STARTS), config.held_out, config.restarts)
    curves = np.full((*shape, most), np.nan, np.float32)
    p = np.full((len(config.budgets), *shape, len(areas)), np.nan, np.float32)
    jobs = [(*at, b) for b in range(len(config.budgets)) for at in np.ndindex(shape)]
    for s, i, r, b in tqdm(jobs, desc="fit", disable=not config.progress):
        start = (fresh(keys[i, r]), others[r % len(others)], learned)[s]
        inputs = (images[known + i], targets[known + i], start, keys[i, r])
        found = run(logits_fn, *inputs, steps=config.budgets[b])
        p[b, s, i, r] = found["p"]
        if b == len(config.budgets) - 1:
            curves[s, i, r] = found["objective"]
    smooth = smoothed(curves)
    arrays = {
        "curves": smooth,
        "p": p,
        "steps": steps_to(smooth, config.share),
        "gain": gain(smooth),
        "budgets": np.array(config.budgets),
    }
    notes = [
        f"{config.held_out} photographs of {net.source}, each fitted {config.restarts} times from "
        f"each start; learned from {known} others in {config.rounds} rounds of "
        f"{config.round_images} fits of {config.round_steps} steps"
    ]
    return Outcome(arrays, {}, {"starts": _table(config, arrays)}, notes)


def fresh(key: Array) -> Any:
    """Weights as a fit with this key draws them.

    Args:
        key: of the fit.

    Returns:
        The state of a network.
    """
    network_key, _ = jax.random.split(key)
    return nnx.split(coordinates.build(extremal.NetworkConfig(), key=network_key))[1]


def smoothed(curves: np.ndarray) -> np.ndarray:
    """Mean of each value and those just before it.

    Args:
        curves: (..., steps).

    Returns:
        The same shape; the first values are means of fewer.
    """
    sums = np.cumsum(curves.astype(np.float64), axis=-1)
    window = min(WINDOW, curves.shape[-1])
    sums[..., window:] -= sums[..., :-window].copy()
    counts = np.minimum(np.arange(curves.shape[-1]) + 1, window)
    means: np.ndarray = sums / counts
    return means


def gain(curves: np.ndarray) -> np.ndarray:
    """From the first value of the fresh network's curve to its last.

    Args:
        curves: (starts, photographs, restarts, steps), the fresh network first.

    Returns:
        (photographs, restarts).
    """
    found: np.ndarray = curves[0, ..., -1] - curves[0, ..., 0]
    return found


def steps_to(curves: np.ndarray, share: float) -> np.ndarray:
    """Steps until a curve has a share of what the fresh network's gains in all its steps.

    Args:
        curves: (starts, photographs, restarts, steps), the fresh network first.
        share: in (0, 1].

    Returns:
        (starts, photographs, restarts); nan where it never has.
    """
    wanted = curves[0, ..., 0] + share * gain(curves)
    is_there = curves >= wanted[None, ..., None]
    first = is_there.argmax(-1) + 1.0
    return np.where(is_there.any(-1), first, np.nan)


def _table(config: Config, arrays: dict[str, np.ndarray]) -> Table:
    """Photographs are what varies: restarts are averaged first."""
    columns = ["start", f"steps to {config.share:.0%}: median", "reached"]
    columns += ["objective at the last step, less fresh"]
    columns += [f"p(class), {budget} steps" for budget in config.budgets]
    columns += [f"the same, less fresh, {budget} steps" for budget in config.budgets]
    rows: list[list[Any]] = []
    last, p = arrays["curves"][..., -1], arrays["p"].mean((3, 4))
    for s, name in enumerate(STARTS):
        reached = np.isfinite(arrays["steps"][s])
        rows.append(
            [
                name,
                _median(arrays["steps"][s], config.budgets[-1]),
                f"{reached.sum()} of {reached.size}",
                str(mean_interval((last[s] - last[0]).mean(1))) if s else "",
                *(str(mean_interval(each[s])) for each in p),
                *(str(mean_interval(each[s] - each[0])) if s else "" for each in p),
            ]
        )
    return Table(columns, rows)


def _median(steps: np.ndarray, most: int) -> str:
    """Of all fits, where one that never gets there counts as more than all steps."""
    middle = float(np.median(np.where(np.isfinite(steps), steps, np.inf)))
    return f"{middle:.0f}" if np.isfinite(middle) else f"more than {most}"


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """The objective over the steps from each start, and what the masks of each budget are worth."""
    arrays = outcome.arrays
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    cold = arrays["curves"][0]
    gains = np.where(np.abs(arrays["gain"]) > 1e-9, arrays["gain"], np.nan)
    relative = (arrays["curves"] - cold[None, ..., :1]) / gains[None, ..., None]
    places = np.arange(relative.shape[-1]) + 1
    for s, name in enumerate(STARTS):
        flat = relative[s].reshape(-1, len(places))
        (line,) = left.plot(places, flat.mean(0), label=name)
        left.plot(places, flat.T, color=line.get_color(), linewidth=0.5, alpha=0.4)
        means = arrays["p"][:, s].mean(-1).reshape(len(config.budgets), -1)
        spread = np.arange(len(config.budgets)) + (s - 1) * 0.2
        right.plot(spread, means, ".", color=line.get_color(), alpha=0.6)
        right.plot(spread, means.mean(1), "_", color=line.get_color(), markersize=16, label=name)
    left.axhline(config.share, color="black", linestyle=":", linewidth=0.8)
    left.set_ylim(max(-0.6, float(np.nanmin(relative)) - 0.05), 1.4)
    left.set_title(
        f"objective, as a share of the gain from fresh weights (mean of {WINDOW} steps)", fontsize=9
    )
    left.set_xlabel("step", fontsize=8)
    left.legend(fontsize=8)
    right.set_xticks(
        range(len(config.budgets)), [f"{budget} steps" for budget in config.budgets], fontsize=8
    )
    right.set_title("p(class) of binary masks, mean over areas: fits and mean", fontsize=9)
    right.legend(fontsize=8)
    for axis in (left, right):
        axis.grid(alpha=0.3)
    return {"warm_starts": figure}


def caption(config: Config, outcome: Outcome) -> str:
    """State the steps that each start needs, and what short fits are worth."""
    arrays = outcome.arrays
    most = config.budgets[-1]
    parts = []
    for s, name in enumerate(STARTS):
        reached = np.isfinite(arrays["steps"][s])
        p = ", ".join(
            f"{each:.2f} after {budget}"
            for each, budget in zip(arrays["p"][:, s].mean((1, 2, 3)), config.budgets, strict=True)
        )
        parts.append(
            f"{name}: median {_median(arrays['steps'][s], most)} steps ({reached.sum()} of "
            f"{reached.size} fits get there), p(class) of binary masks {p} steps"
        )
    return (
        f"Steps of {most} until the objective has {config.share:.0%} of what fresh weights gain in "
        f"all of them, {arrays['p'].shape[2]} photographs fitted {arrays['p'].shape[3]} times. "
        f"{'; '.join(parts)}. Learning the start costs as much as "
        f"{config.rounds * config.round_images * config.round_steps / most:.1f} fits, once."
    )


EXPERIMENT = Experiment(
    name="extremal_warm_starts",
    title="Steps from a warm start and from a cold one",
    regenerates="Figure 25, Table 14",
    needs="nothing (five photographs of scikit-image)",
    duration="4 min",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    left_out=unless_asked("it fits for minutes; run it by its name, or --full"),
    smoke={
        "count": 3,
        "held_out": 1,
        "restarts": 1,
        "areas": (0.1, 0.3),
        "budgets": (2,),
        "rounds": 1,
        "round_steps": 2,
    },
    full={"restarts": 5, "budgets": (10, 25, 50, 100, 200), "rounds": 60},
)
