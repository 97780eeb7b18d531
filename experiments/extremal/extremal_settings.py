"""Figure 15, Table 4: Settings of the coordinate network.

    python -m experiments extremal_settings --photographs LAYOUT --photo-dir DIR --count 40 --timed    # 3 min a photograph

Needs: photographs, `--photographs LAYOUT --photo-dir DIR`.
Expected: p(class) of binary masks of a tenth of the image 0.536 with the default, 0.604 on a grid
of 56, the largest gain, and 0.115 with the paper's penalty (40 photographs of ImageNet).

Features, bandwidth, width, steps, grid, conditioning and form of the area. Settings that differ in
numbers alone share a program. It resumes.
"""  # noqa: E501 - a command is one line

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.masks import MaskRow, controls
from experiments.common.photographs import AreaOptions, Explained, recognised
from experiments.common.timing import median_seconds
from experiments.core.experiment import Sweep, Tables, method_sweep, unless_given
from experiments.core.labelled import with_notes
from fitb_jax import ablation, checks, evaluation, extremal, plotting
from fitb_jax.evaluation.tables import interval_table, intervals, paired_difference
from fitb_jax.extremal import InrConfig, NetworkConfig
from fitb_jax.types import Array, LogitsFn

DEFAULT = "default"
SETTINGS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "positional, 2 octaves": {"network": NetworkConfig(features="positional", bandwidth=2.0)},
    "positional, 6 octaves": {"network": NetworkConfig(features="positional", bandwidth=6.0)},
    "SIREN, bandwidth 0.5": {"network": NetworkConfig(features="siren", bandwidth=0.5)},
    "SIREN, bandwidth 2": {"network": NetworkConfig(features="siren", bandwidth=2.0)},
    "bandwidth 0.25": {"network": NetworkConfig(bandwidth=0.25)},
    "bandwidth 0.5": {"network": NetworkConfig(bandwidth=0.5)},
    "bandwidth 2": {"network": NetworkConfig(bandwidth=2.0)},
    "width 32": {"network": NetworkConfig(width=32)},
    "width 128": {"network": NetworkConfig(width=128)},
    "FiLM": {"network": NetworkConfig(conditioning="film")},
    "50 steps, rate 0.01": {"steps": 50, "learning_rate": 0.01},
    "200 steps, rate 0.003": {"steps": 200, "learning_rate": 0.003},
    "areas in equal ratios": {"area_spacing": "log"},
    "2 areas a step": {"areas_per_step": 2},
    "2 areas a step, in equal ratios": {"areas_per_step": 2, "area_spacing": "log"},
    **{f"grid {size}": {"grid": size} for size in (14, 28, 56, 112)},
    "penalty": {"area_form": "penalty"},
    "softness weight 1": {"softness_weight": 1.0},
    "softness weight 8": {"softness_weight": 8.0},
    "scale of scores 2": {"score_scale": 2.0},
    "scale of scores 10": {"score_scale": 10.0},
}
CROSSED: dict[str, dict[str, Any]] = {
    f"bandwidth {width:g}, grid {grid}, {steps} steps, rate {rate:g}": {
        "network": NetworkConfig(bandwidth=width),
        "grid": grid,
        "steps": steps,
        "learning_rate": rate,
    }
    for width in (0.5, 1.0, 2.0)
    for grid in (14, 28, 56)
    for steps, rate in ((50, 0.01), (100, 0.006), (200, 0.003))
}
SCORES = {
    "binary": ablation.Field(dims=("area",), meaning="p(target) through the binary mask"),
    "continuity": ablation.Field(meaning="change of the mask over change of the area"),
    "pointing": ablation.Field(meaning="the maximum hits the object", nan_is_answer=True),
}
FIT_FIELDS = {
    "steps": ablation.Field(meaning="steps made"),
    "converged": ablation.Field(meaning="whether it stopped growing"),
}
SWEPT_AREAS = 16
"""Of the continuity and of the map, evenly spaced over the range that was fitted."""
TIMED_STEPS = 10


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Table 4.

    Attributes:
        tolerance: of the pointing game, in pixels.
        settings: names of lines of the table; none means all.
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
    """Those that the options ask for, by name, the default first."""
    checks.check_count("grid", config.grid)
    base = InrConfig(grid=config.grid)
    changes = SETTINGS | (CROSSED if config.crossed else {})
    changes.pop(f"grid {config.grid}", None)
    found = {name: dataclasses.replace(base, **each) for name, each in changes.items()}
    for name in config.settings:
        checks.check_choice("settings", name, found)
    return {
        name: dataclasses.replace(each, steps=min(each.steps, config.most_steps or each.steps))
        for name, each in found.items()
        if name in (config.settings or found)
    }


def point(
    *,
    logits_fn: LogitsFn,
    areas: jax.Array,
    tolerance: jax.Array,
    setting: InrConfig,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> dict[str, jax.Array]:
    """Fit one photograph with one setting, and score its masks."""
    pixels = image["pixels"]
    inr = extremal.fit_inr(logits_fn, pixels, image["target"], setting, key=key)
    swept = _swept_areas(setting)
    shape = pixels.shape[0], pixels.shape[1]
    masks, masks_of_swept = (extremal.inr_masks(inr, each, shape) for each in (areas, swept))
    return {
        **_scores(logits_fn, image, (masks, areas), (masks_of_swept, swept), tolerance),
        "steps": inr.steps.astype(jnp.float32),
        "converged": inr.converged.astype(jnp.float32),
    }


def control_point(
    *,
    trained: LogitsFn,
    untrained: LogitsFn,
    areas: jax.Array,
    tolerance: jax.Array,
    method: MaskRow,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> dict[str, jax.Array]:
    """Score masks that are no setting's in the same way, by the trained network."""
    swept = _swept_areas(InrConfig())
    image = method.asked(trained, image, key=key)
    both = method.masks(trained, untrained, image, jnp.concatenate([areas, swept]), key=key)
    masks, masks_of_swept = both[: areas.shape[0]], both[areas.shape[0] :]
    return _scores(trained, image, (masks, areas), (masks_of_swept, swept), tolerance)


def _swept_areas(setting: InrConfig) -> Array:
    places = (jnp.arange(SWEPT_AREAS) + 0.5) / SWEPT_AREAS
    low, high = setting.smallest_area, setting.largest_area
    return low + (high - low) * places


def _scores(
    logits_fn: LogitsFn,
    image: dict[str, jax.Array],
    masks_of_areas: tuple[Array, Array],
    masks_of_swept: tuple[Array, Array],
    tolerance: jax.Array,
) -> dict[str, jax.Array]:
    binary = jax.vmap(extremal.binarise)(*masks_of_areas)
    swept, _ = masks_of_swept
    saliency = evaluation.localisation.leave_out(swept.mean(0), image["ignored"])
    inputs = (logits_fn, image["pixels"], image["target"], binary)
    return {
        "binary": extremal.probabilities_through(*inputs),
        "continuity": evaluation.continuity(*masks_of_swept).mean(),
        "pointing": evaluation.pointing_game(saliency, image["truth"], tolerance=tolerance),
    }


def sweep(config: Config, net: Explained) -> Iterator[Sweep]:
    """The settings of each program, and masks that do not ask the classifier for the class."""
    judged = {
        "areas": jnp.asarray(config.areas, jnp.float32),
        "tolerance": jnp.float32(config.tolerance),
    }
    about = {"area": ("area", [*config.areas])}
    programs: dict[Any, dict[str, InrConfig]] = {}
    for name, each in settings(config).items():
        programs.setdefault(jax.tree.structure(each), {})[name] = each
    for number, chosen in enumerate(programs.values()):
        numbers = jax.tree.map(lambda *each: np.array(each, np.float32), *chosen.values())
        yield Sweep(
            name=str(number),
            point=point,
            axes={
                "setting": ablation.looped(numbers, labels=[*chosen]),
                "image": ablation.vmapped(net.located, labels=net.names),
            },
            fields=SCORES | FIT_FIELDS,
            key=jax.random.key(config.seed),
            key_axes=("image",),
            shared={"logits_fn": net.pretrained.logits_fn, **judged},
            about=about,
            chunk=config.chunk,
            # Work of seconds: keep every chunk as soon as it is done.
            block=config.chunk,
            lanes=1,
        )
    fitted = settings(dataclasses.replace(config, settings=(DEFAULT,)))[DEFAULT]
    yield method_sweep(
        control_point,
        controls(fitted),
        net.located,
        net.names,
        name="controls",
        seed=config.seed,
        fields=SCORES,
        shared={**net.networks, **judged},
        about=about,
        chunk=config.chunk,
    )


def compute(config: Config, net: Explained, *swept: xr.Dataset) -> xr.Dataset:
    """The settings in their order, then the controls, and what a fit takes."""
    *fitted, blind = swept
    blind = blind.rename(method="setting")
    names = [*settings(config), *blind["setting"].values]
    found = xr.concat([*fitted, blind], "setting").sel(setting=names)
    step = _step_milliseconds(net, settings(config)) if config.timed else np.nan
    found = found.assign(milliseconds=step * found["steps"].mean("image"))
    notes = [
        f"{len(net.names)} photographs that {config.model} recognises: {net.source}",
        f"{_design(config)}; differences are paired by photograph",
    ]
    if not net.truths.any():
        notes.append("the objects' places are not known: there is no pointing game")
    return with_notes(found, *notes)


def _step_milliseconds(net: Explained, settings: dict[str, InrConfig]) -> xr.DataArray:
    """Of a short fit of each setting, compiled before."""
    fit = jax.jit(extremal.fit_inr)
    inputs = (net.pretrained.logits_fn, jnp.asarray(net.images[0]), jnp.asarray(net.targets[0]))
    found = []
    for setting in settings.values():
        # Nothing stops it early: every step is paid for.
        short = dataclasses.replace(setting, steps=TIMED_STEPS, tolerance=-1e9)
        numbers = jax.tree.map(jnp.float32, short)
        took = median_seconds(functools.partial(fit, *inputs, numbers, key=jax.random.key(0)))
        found.append(1000 * took / TIMED_STEPS)
    return xr.DataArray(found, {"setting": [*settings]}, ("setting",))


def _base(config: Config) -> str:
    """The line that the others are compared with."""
    names = [*settings(config)]
    return DEFAULT if DEFAULT in names else names[0]


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Every setting and control, and what it has more than the default."""
    means = functools.partial(interval_table, rows="setting", over="image")
    p, base = found["binary"], {"setting": _base(config)}
    mean, title = p.mean("area"), "less the default"
    columns = [
        p.mean("image").to_pandas().rename(columns="p(class), area {:g}".format),
        means(mean, title="mean over areas"),
        means(paired_difference(mean, **base), title=title),
        found["continuity"].mean("image").to_series(),
    ]
    if found["pointing"].notnull().any():
        columns.append(means(found["pointing"], title="pointing game"))
    columns.append(means(paired_difference(p, **base), title=f"{title}, area {{area:g}}"))
    if config.timed:
        columns.append(_whole(found["milliseconds"]).rename("milliseconds a fit"))
    columns += [_whole(found["steps"].mean("image")), found["converged"].mean("image").to_series()]
    # A line has no difference from itself, and a control no fit.
    table = pd.concat(columns, axis=1).astype(object)
    return {"settings": table.where(table.notna(), "")}


def _whole(numbers: xr.DataArray) -> pd.Series:
    return numbers.to_series().round().astype("Int64")


def _differences(config: Config, found: xr.Dataset) -> xr.DataArray:
    """p(class), mean over areas, of each setting less the default's, from the best down."""
    mean = found["binary"].mean("area").sel(setting=[*settings(config)])
    more = mean - mean.sel(setting=_base(config), drop=True)
    return more.sortby(more.mean("image"), ascending=False)


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Each setting's p(class) less the default's, and what a fit takes."""
    more = _differences(config, found)
    lines = np.arange(more.sizes["setting"])
    figure = Figure(figsize=(6 + 3 * config.timed, 0.28 * len(lines) + 1.4), layout="constrained")
    left, *right = figure.subplots(
        1, 1 + config.timed, squeeze=False, sharey=True, width_ratios=[2, 1][: 1 + config.timed]
    )[0]
    left.plot(more.transpose("setting", "image"), lines, ".", color="grey", markersize=4)
    plotting.interval_chart(
        left,
        intervals(more, over="image"),
        groups="setting",
        title=f"p(class), mean over areas, less {_base(config)}",
        is_horizontal=True,
    )
    left.axvline(0, color="black", linewidth=0.6)
    left.set_xlim(1.1 * max(float(np.abs(more).max()), 0.01) * np.array([-1, 1]))
    left.locator_params(axis="x", nbins=5)
    for panel in right:
        panel.barh(lines, found["milliseconds"].sel(setting=more["setting"]) / 1000)
        panel.set_title("seconds a fit", fontsize=9)
        panel.grid(axis="x", alpha=0.3)
    return {"extremal_settings": figure}


def caption(config: Config, found: xr.Dataset) -> str:
    """State how many settings are better or worse than the default by their interval."""
    of = intervals(_differences(config, found), over="image")
    better = of["setting"][of.sel(interval="low") > 0].values
    worse = int((of.sel(interval="high") < 0).sum())
    return (
        f"{_design(config).capitalize()}, {found.sizes['image']} photographs, each photograph "
        f"(grey), mean and paired 95 % interval. Better than {_base(config)} by their intervals: "
        f"{', '.join(better) or 'none'}; worse: {worse} of {of.sizes['setting'] - 1} settings."
    )


def _design(config: Config) -> str:
    default = InrConfig().grid
    around = "" if config.grid == default else f", on a grid of {config.grid} in place of {default}"
    crossed = " and every combination of bandwidth, grid and steps" if config.crossed else ""
    what = "one factor at a time around the default fit (fewer steps with a larger rate)"
    return f"{what}{around}{crossed}"


load = recognised

left_out = unless_given("the default photographs are too few; give --photo-dir")

SMOKE = {
    "areas": (0.1, 0.3),
    "settings": (DEFAULT, "penalty"),
    "most_steps": 2,
    "timed": True,
}

FULL = {"count": 0, "crossed": True, "timed": True}
