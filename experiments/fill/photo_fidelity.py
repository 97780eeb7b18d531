"""Table 3 and Figure 8: is a fill of a photograph what was hidden, or adversarial noise?

    python -m experiments photo_fidelity --photographs manifest --photo-dir DIR

About a minute for the five default photographs on 2 cores, 15 minutes for 400. It resumes.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import photo_rules
from experiments.experiment import Experiment, Outcome, Table
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.photo_judgement import COARSE, FIELDS, SMOOTH, Judged, point
from experiments.common.photographs import Explained, PhotographOptions, explained
from fitb_jax import ablation, checks, models, plotting
from fitb_jax.evaluation.intervals import mean_interval

NETWORKS = ("trained", "untrained")


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Table 3.

    Attributes:
        ratio: share of the patches that are blank.
        patch: side of a patch in pixels.
        steps: of Lanczos.
        sizes: root mean square changes of the blanks, in units of intensity.
        rules: names of the updates, see `photo_rules.named`; none means all.
    """

    ratio: float = 0.5
    patch: int = 32
    steps: int = 8
    sizes: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1)
    rules: tuple[str, ...] = ()
    chunk: int = 8


def grid(config: Config, net: Explained) -> GridRun:
    """The grid of rules, networks and photographs.

    Args:
        config: options.
        net: the networks and photographs.

    Returns:
        The grid.
    """
    rules = photo_rules.named(config.patch, config.steps)
    for name in config.rules:
        checks.check_choice("rules", name, rules)
    rules = {name: rules[name] for name in config.rules or rules}
    axes = {
        "rule": ablation.static([*rules.values()], labels=[*rules]),
        "network": ablation.looped(
            models.stack([net.pretrained.logits_fn, net.untrained]), labels=list(NETWORKS)
        ),
        "image": ablation.vmapped(net.cases, labels=net.names),
    }
    arguments = {
        "key": jax.random.key(config.seed),
        "key_axes": ("image",),
        "shared": {
            "judge": net.pretrained.logits_fn,
            "sizes": jnp.asarray(config.sizes, jnp.float32),
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
    found = run_grid(config, grid(config, net)).transpose("network", "rule", "image", ...).load()
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
    return Outcome(arrays, numbers, {"fidelity": _table(config, arrays)}, notes)


def _table(config: Config, arrays: dict[str, np.ndarray]) -> Table:
    middle = len(config.sizes) // 2
    columns = [f"p(target), step {size:g}" for size in config.sizes]
    columns += [f"median rank, step {config.sizes[middle]:g}", "correlation", "coarse correlation"]
    columns += ["fine share"]
    rows: list[list[object]] = []
    for i, network in enumerate(NETWORKS):
        for j, rule in enumerate(arrays["rules"].tolist()):
            if rule == "white noise" and network == "untrained":
                continue  # it asks no network
            found = {name: arrays[name][i, j] for name in Judged._fields}
            row: list[object] = ["none" if rule == "white noise" else network, rule]
            row += [str(mean_interval(p)) for p in found["probability_filled"].T]
            row += [
                f"{np.median(found['rank_filled'][:, middle]):.0f}",
                str(mean_interval(found["correlation"])),
                str(mean_interval(found["coarse_correlation"])),
                f"{np.nanmean(found['fine_energy']):.2f}",
            ]
            rows.append(row)
    return Table(["network of the updates", "update", *columns], rows)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """p(target) against the size of the step, blurred or not; correlations with what was hidden."""
    arrays = outcome.arrays
    rules = arrays["rules"].tolist()
    figure = Figure(figsize=(10, 7), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.1, 1])
    above, below = parts
    axes = above.subplots(1, 3, sharey=True)
    panels = (
        ("filled, trained network", "probability_filled", 0),
        ("the same, blanks blurred", "probability_blurred", 0),
        ("filled, untrained network", "probability_filled", 1),
    )
    for axis, (title, name, network) in zip(axes, panels, strict=True):
        for j, rule in enumerate(rules):
            values = np.array([mean_interval(p) for p in arrays[name][network, j].T])
            axis.plot(config.sizes, values[:, 0], marker="o", markersize=3, label=rule)
        for whole in ("probability_whole", "probability_masked"):
            axis.axhline(arrays[whole][0, 0].mean(), color="grey", linewidth=0.8)
        axis.set_xscale("log")
        axis.set_xlabel("size of the step (root mean square)", fontsize=8)
        axis.set_title(title, fontsize=9)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("p(target); lines: whole and masked", fontsize=8)
    axes[0].legend(fontsize=6)
    _correlations(below.add_subplot(), arrays)
    return {"photo_fidelity": figure}


def _correlations(axis: Axes, arrays: dict[str, np.ndarray]) -> None:
    """Of both networks and every rule, pixel by pixel and coarse."""
    rules = arrays["rules"].tolist()
    bars = {
        f"{network}, {label}": [mean_interval(arrays[name][i, j]) for j in range(len(rules))]
        for i, network in enumerate(NETWORKS)
        for label, name in (("pixels", "correlation"), ("coarse", "coarse_correlation"))
    }
    plotting.interval_chart(
        axis,
        np.stack([np.array(bar) for bar in bars.values()], axis=1),
        group_labels=[name.replace(", ", ",\n").replace(" over", "\nover") for name in rules],
        bar_labels=list(bars),
        title=f"correlation with the hidden values, and of both blurred by {COARSE:g} pixels",
    )
    axis.axhline(0, color="grey", linewidth=0.8)
    axis.legend(fontsize=7, ncols=2)


def caption(config: Config, outcome: Outcome) -> str:
    """Say with numbers whether the fills are noise, and what changes it."""
    arrays = outcome.arrays
    rules = arrays["rules"].tolist()

    def mean(name: str, rule: str, network: str = "trained") -> str:
        return str(mean_interval(arrays[name][NETWORKS.index(network), rules.index(rule)]))

    def best(rule: str, name: str = "probability_filled") -> str:
        found = arrays[name][0, rules.index(rule)].mean(axis=0)
        at = int(np.argmax(found))
        return f"{found[at]:.3f} (step {config.sizes[at]:g})"

    fine = np.nanmean(arrays["fine_energy"][0, 0])
    ways = "; ".join(
        f"{rule} {best(rule)}, with its blanks blurred {best(rule, 'probability_blurred')}, "
        f"correlation {mean('correlation', rule)} (untrained network "
        f"{mean('correlation', rule, 'untrained')}), coarse {mean('coarse_correlation', rule)}"
        for rule in rules
    )
    return (
        f"Patches of {config.patch} pixels hide {config.ratio:.0%} of {arrays['names'].size} "
        f"photographs: p(target) falls from {mean('probability_whole', rules[0])} to "
        f"{mean('probability_masked', rules[0])}. Fills move the blanks along an update; given is "
        f"the best of the steps {', '.join(f'{size:g}' for size in config.sizes)}: {ways}. An "
        "update that hardly correlates with what was hidden, and of which a blur of "
        f"{SMOOTH:g} pixels removes most ({rules[0]}: {fine:.0%}), is noise that the network is "
        "sensitive to, and no picture of what it expects."
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
    smoke={
        "count": 2,
        "chunk": 2,
        "sizes": (0.03, 0.1),
        "rules": ("first order", "mean over noise, smoothed"),
    },
    full={},
)
