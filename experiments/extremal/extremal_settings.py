"""Figure 15, Table 4: Settings of the coordinate network.

    python -m experiments extremal_settings --photographs LAYOUT --photo-dir DIR --count 40 --timed    # 3 min a photograph

Needs: photographs, `--photographs LAYOUT --photo-dir DIR`.
Expected: TODO.

Features, bandwidth, width, steps, grid, conditioning and form of the area. Settings that differ in
numbers alone share a program. It resumes.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table
from experiments.grids import GridRun, method_grid, plan_grid, run_grid
from experiments.inr_settings import DEFAULT, inr_settings
from experiments.common.masks import controls
from experiments.common.photographs import AreaOptions, Explained, recognised
from experiments.setting_scores import (
    FIELDS,
    SettingScores,
    control_point,
    point,
    step_milliseconds,
)
from fitb_jax import ablation
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.extremal import InrConfig


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Table 6.

    Attributes:
        tolerance: of the pointing game, in pixels.
        settings: names, see `inr_settings`; none means all.
        crossed: also every combination of bandwidth, grid and steps.
        most_steps: of any setting; 0 means as the setting says.
        grid: of the settings that do not name theirs: what the others are compared with.
        timed: also time a fit of each setting, at the price of a compile for most of them.
    """

    count: int = 2
    tolerance: int = 15
    settings: tuple[str, ...] = ()
    crossed: bool = False
    most_steps: int = 0
    grid: int = InrConfig().grid
    timed: bool = False
    chunk: int = 1
    ZERO_ALLOWED = frozenset({"tolerance", "most_steps"})


def settings(config: Config) -> dict[str, InrConfig]:
    """Those that the options ask for.

    Args:
        config: options.

    Returns:
        By name.
    """
    return inr_settings(
        config.settings, crossed=config.crossed, most_steps=config.most_steps, grid=config.grid
    )


def control_grid(config: Config, net: Explained) -> GridRun:
    """Masks that do not ask the classifier, scored as those of the settings are.

    Args:
        config: options.
        net: the networks and the photographs.

    Returns:
        The grid.
    """
    return method_grid(
        "extremal_settings_controls",
        control_point,
        controls(settings(dataclasses.replace(config, settings=(DEFAULT,)))[DEFAULT]),
        net.located,
        net.names,
        seed=config.seed,
        shared={
            **net.networks,
            "areas": jnp.asarray(config.areas, jnp.float32),
            "tolerance": jnp.float32(config.tolerance),
        },
        fields=FIELDS,
        chunk=config.chunk,
    )


def grids(config: Config, net: Explained) -> list[GridRun]:
    """A grid for the settings of each program.

    Args:
        config: options.
        net: the network and the photographs.

    Returns:
        The grids.
    """
    programs: dict[Any, dict[str, InrConfig]] = {}
    for name, each in settings(config).items():
        programs.setdefault(jax.tree.structure(each), {})[name] = each
    arguments: dict[str, Any] = {
        "key": jax.random.key(config.seed),
        "key_axes": ("image",),
        "shared": {
            "logits_fn": net.pretrained.logits_fn,
            "areas": jnp.asarray(config.areas, jnp.float32),
            "tolerance": jnp.float32(config.tolerance),
        },
        "fields": FIELDS,
        "chunk": config.chunk,
        # Work of seconds: keep every chunk as soon as it is done.
        "block": config.chunk,
        "lanes": 1,
    }
    runs = []
    for i, chosen in enumerate(programs.values()):
        numbers = jax.tree.map(lambda *each: np.array(each, np.float32), *chosen.values())
        axes = {
            "setting": ablation.looped(numbers, labels=[*chosen]),
            "image": ablation.vmapped(net.located, labels=net.names),
        }
        runs.append(GridRun(f"extremal_settings_{i}", point, axes, arguments))
    return runs


def plan(config: Config) -> list[str]:
    """What the grids will do; only the first is compiled for it.

    Args:
        config: options.

    Returns:
        How many there are, and the plan of the first.
    """
    net = recognised(config)
    runs = grids(config, net)
    summary = f"{len(settings(config))} settings x {len(net.names)} photographs"
    return [f"{summary} in {len(runs)} grids of a compile", plan_grid(runs[0])]


def compute(config: Config) -> Outcome:
    """Fit every setting to every photograph."""
    net = recognised(config)
    parts = [run_grid(config, run).load() for run in grids(config, net)]
    names = [*settings(config)]
    found = xr.concat(parts, "setting").sel(setting=names).transpose("setting", "image", ...)
    arrays = {name: found[name].values for name in SettingScores._fields}
    blind = run_grid(config, control_grid(config, net)).transpose("method", "image", ...).load()
    arrays |= {f"controls/{name}": blind[name].values for name in SettingScores._fields}
    arrays["controls"] = np.array(blind["method"].values.tolist())
    step = np.full(len(names), np.nan)
    if config.timed:
        inputs = (net.pretrained.logits_fn, net.images[0], net.targets[0])
        step = np.array([*step_milliseconds(*inputs, settings(config)).values()])
    arrays |= {
        "areas": np.asarray(config.areas),
        "settings": np.array(names),
        "milliseconds": step * arrays["steps"].mean(1),
    }
    notes = [
        f"{len(net.names)} photographs that {config.model} recognises: {net.source}",
        f"{_design(config, arrays)}; differences are paired by photograph",
    ]
    if not net.truths.any():
        notes.append("the objects' places are not known: there is no pointing game")
    return Outcome(arrays, {}, {"settings": _table(arrays)}, notes)


def _base(arrays: dict[str, np.ndarray]) -> int:
    """The line that the others are compared with."""
    names = arrays["settings"].tolist()
    return names.index(DEFAULT) if DEFAULT in names else 0


def _table(arrays: dict[str, np.ndarray]) -> Table:
    columns = ["setting", *(f"p(class), area {area:g}" for area in arrays["areas"])]
    columns += ["mean over areas", "less the default", "continuity", "pointing game"]
    columns += [f"less the default, area {area:g}" for area in arrays["areas"]]
    columns += ["milliseconds a fit", "steps", "converged"]
    scores = {
        name: np.concatenate([arrays[name], arrays[f"controls/{name}"]])
        for name in SettingScores._fields
    }
    names = [*arrays["settings"].tolist(), *arrays["controls"].tolist()]
    milliseconds = np.append(arrays["milliseconds"], np.full(len(arrays["controls"]), np.nan))
    times = [f"{each:.0f}" if np.isfinite(each) else "not timed" for each in milliseconds]
    mean, base = scores["binary"].mean(2), _base(arrays)
    rows: list[list[Any]] = []
    for i, name in enumerate(names):
        pointing = scores["pointing"][i]
        is_fit = np.isfinite(scores["steps"][i]).any()
        rows.append(
            [
                name,
                *(f"{p:.3f}" for p in scores["binary"][i].mean(0)),
                str(mean_interval(mean[i])),
                "" if i == base else str(mean_interval(mean[i] - mean[base])),
                f"{scores['continuity'][i].mean():.2f}",
                str(mean_interval(pointing)) if np.isfinite(pointing).any() else "not known",
                *_less(scores["binary"][i], scores["binary"][base], is_same=i == base),
                times[i] if is_fit else "",
                f"{scores['steps'][i].mean():.0f}" if is_fit else "",
                f"{scores['converged'][i].mean():.2f}" if is_fit else "",
            ]
        )
    return Table(columns, rows)


def _less(values: np.ndarray, base: np.ndarray, *, is_same: bool) -> list[str]:
    """Paired differences of each area, (images, areas)."""
    return ["" if is_same else str(mean_interval(d)) for d in (values - base).T]


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Each setting's p(class) less the default's, and what a fit takes."""
    arrays = outcome.arrays
    names, mean, base = arrays["settings"].tolist(), arrays["binary"].mean(2), _base(arrays)
    is_timed = bool(np.isfinite(arrays["milliseconds"]).all())
    figure = Figure(figsize=(6 + 3 * is_timed, 0.28 * len(names) + 1.4), layout="constrained")
    left, *right = figure.subplots(
        1, 1 + is_timed, squeeze=False, sharey=True, width_ratios=[2, 1][: 1 + is_timed]
    )[0]
    order = np.argsort(mean.mean(1))
    for place, i in enumerate(order):
        difference = mean[i] - mean[base]
        left.plot(difference, np.full(len(difference), place), ".", color="grey", markersize=4)
        interval = mean_interval(difference)
        reach = np.nan_to_num(np.abs(np.array([[interval.low], [interval.high]]) - interval[0]))
        left.errorbar(interval[0], place, xerr=reach, fmt="o", color="C0", markersize=4, capsize=2)
    left.axvline(0, color="black", linewidth=0.6)
    left.set_yticks(range(len(names)), [names[i] for i in order], fontsize=8)
    widest = float(np.abs(mean - mean[base][None]).max())
    left.set_xlim(1.1 * max(widest, 0.01) * np.array([-1, 1]))
    left.set_title(f"p(class), mean over areas, less {names[base]}", fontsize=9)
    left.locator_params(axis="x", nbins=5)
    left.grid(axis="x", alpha=0.3)
    for panel in right:
        panel.barh(range(len(names)), arrays["milliseconds"][order] / 1000)
        panel.set_title("seconds a fit", fontsize=9)
        panel.grid(axis="x", alpha=0.3)
    return {"extremal_settings": figure}


def caption(config: Config, outcome: Outcome) -> str:
    """State the default's numbers, and the settings that are better or worse by their interval."""
    arrays = outcome.arrays
    names, mean, base = arrays["settings"].tolist(), arrays["binary"].mean(2), _base(arrays)
    intervals = [mean_interval(each - mean[base]) for each in mean]
    better = [f"{names[i]} {each}" for i, each in enumerate(intervals) if each.low > 0]
    worse = [f"{names[i]} {each}" for i, each in enumerate(intervals) if each.high < 0]
    areas = ", ".join(
        f"{p:.2f} at area {area:g}"
        for p, area in zip(arrays["binary"][base].mean(0), arrays["areas"], strict=True)
    )
    seconds = arrays["milliseconds"][base] / 1000
    time_text = f"; {seconds:.1f} s a fit" if np.isfinite(seconds) else ""
    return (
        f"{_design(config, arrays).capitalize()}, {mean.shape[1]} photographs. {names[base]}: "
        f"p(class) of binary masks {areas}{time_text}. "
        "Differences from it, mean over areas, with a paired 95 % interval. Better than it: "
        f"{'; '.join(better) or 'none'}. Worse: {'; '.join(worse) or 'none'}. The others do not "
        "differ by more than the photographs do."
    )


def _design(config: Config, arrays: dict[str, np.ndarray]) -> str:
    default = InrConfig().grid
    around = "" if config.grid == default else f", on a grid of {config.grid} in place of {default}"
    is_crossed = any(name.count(",") > 1 for name in arrays["settings"].tolist())
    crossed = " and every combination of bandwidth, grid and steps" if is_crossed else ""
    what = "one factor at a time around the default fit (fewer steps with a larger rate)"
    return f"{what}{around}{crossed}"


def left_out(config: Config) -> str | None:
    """Why `reproduce` leaves it out.

    Args:
        config: options.

    Returns:
        The reason, None if photographs were given or in a tiny run.
    """
    if config.smoke or config.photographs != "skimage":
        return None
    return "the default photographs are too few; give --photo-dir"


EXPERIMENT = Experiment(
    name="extremal_settings",
    title="Settings of the coordinate network",
    regenerates="Table 6",
    needs="photographs, `--photographs LAYOUT --photo-dir DIR`",
    duration="3 min a photograph",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    left_out=left_out,
    smoke={
        "areas": (0.1, 0.3),
        "settings": (DEFAULT, "bandwidth 0.5", "penalty"),
        "most_steps": 2,
        "timed": True,
    },
    full={"count": 0, "crossed": True, "timed": True},
)
