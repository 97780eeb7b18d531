"""Figure 17, Table 6: Settings of the coordinate network.

    python -m experiments extremal_settings --photographs coco_polygons --photo-dir DIR --part even    # 3 min a photograph

Needs: photographs with outlines or boxes, `--photographs LAYOUT --photo-dir DIR`.
Expected: overlap of two fits at a tenth 0.522 [0.332, 0.713], and without a prior less by 0.350
(`--count 16`, 8 photographs of COCO, `--methods` default "no prior").

One setting is changed at a time, and each is judged as methods are in `extremal_quality`: the
default is chosen on one half of the photographs and confirmed on the other. It resumes.
"""  # noqa: E501 - a command is one line

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from experiments.common import masks as listed
from experiments.common.judges import Judged, judged
from experiments.common.masks import MaskRow
from experiments.core.experiment import Sweep, Tables, unless_given
from experiments.extremal import _judged
from fitb_jax.evaluation.tables import intervals, paired_difference
from fitb_jax.extremal import InrConfig, NetworkConfig
from fitb_jax.extremal.mask_methods import fitted_masks

DEFAULT = "default"
SETTINGS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "no prior": {"prior_gradients": 0},
    "no weight on the boundary": {"boundary_weight": 0.0},
    "neither": {"prior_gradients": 0, "boundary_weight": 0.0},
    "boundary weight 0.5": {"boundary_weight": 0.5},
    "boundary weight 2": {"boundary_weight": 2.0},
    "moved by up to 8 pixels, noise 0.05": {"shift": 8, "noise": 0.05},
    "30 steps": {"steps": 30, "learning_rate": 0.012},
    "100 steps": {"steps": 100, "learning_rate": 0.006},
    "2 areas a step": {"areas_per_step": 2},
    "areas in equal ratios": {"area_spacing": "log"},
    "SIREN, bandwidth 0.5": {"network": NetworkConfig(features="siren", bandwidth=0.5)},
    "positional, 2 octaves": {"network": NetworkConfig(features="positional", bandwidth=2.0)},
    "bandwidth 0.5": {"network": NetworkConfig(bandwidth=0.5)},
    "bandwidth 2": {"network": NetworkConfig(bandwidth=2.0)},
    "width 32": {"network": NetworkConfig(width=32)},
    "FiLM": {"network": NetworkConfig(conditioning="film")},
    "grid 56": {"grid": 56},
    "penalty": {"area_form": "penalty"},
    "softness weight 1": {"softness_weight": 1.0},
    "scale of scores 10": {"score_scale": 10.0},
}
BACKGROUNDS = "backgrounds drawn from a set"
WEIGHTS = {f"prior weight {weight:g}": weight for weight in (4.0, 16.0)}


@dataclasses.dataclass(frozen=True)
class Config(_judged.RowOptions):
    """Options of Table 6."""


def rows(config: Config) -> dict[str, MaskRow]:
    """One for each setting that is asked for, the default first."""
    default = InrConfig()
    configs = {name: dataclasses.replace(default, **each) for name, each in SETTINGS.items()}
    every = {name: _fitted(config, each) for name, each in configs.items()}
    every[BACKGROUNDS] = _fitted(config, default)._replace(sees_backgrounds=True)
    every |= {name: _fitted(config, default, prior_weight=w) for name, w in WEIGHTS.items()}
    return listed.picked(every, config.methods)


def _fitted(config: Config, setting: InrConfig, **more: Any) -> MaskRow:
    setting = listed.with_steps(setting, config.steps)
    return MaskRow(functools.partial(fitted_masks, setting, **more))


def sweep(config: Config, net: Judged) -> Iterator[Sweep]:
    """Every setting on every photograph."""
    return _judged.row_sweeps(config, net, rows(config))


def compute(config: Config, net: Judged, *swept: xr.Dataset) -> xr.Dataset:
    """The scores, and what a fit takes."""
    return _judged.with_seconds(config, net, rows(config), *swept)


def _base(found: xr.Dataset) -> str:
    """The line that the others are compared with."""
    names = found["method"].values.tolist()
    return DEFAULT if DEFAULT in names else str(names[0])


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Every setting, and what it has more than the default."""
    return _judged.tables(found, _base(found))


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The scores of a tenth of the photograph."""
    return {"extremal_settings": _judged.chart(config, found)}


def caption(config: Config, found: xr.Dataset) -> str:
    """Say which settings another network finds better and which worse."""
    base = _base(found)
    more = paired_difference(found["p_judge"].mean("area"), method=base)
    if not more.sizes["method"]:
        return f"{found.sizes['image']} photographs, one setting, judged by what had no part in it."
    of = intervals(more, over="image")
    better = of["method"][of.sel(interval="low") > 0].values.tolist()
    worse = of["method"][of.sel(interval="high") < 0].values.tolist()
    return (
        f"One setting changed at a time, {found.sizes['image']} photographs. By p(class) of "
        f"{config.judge}, which took no part, mean over areas: better than {base} by a paired "
        f"95 % interval {', '.join(better) or 'none'}; worse {', '.join(worse) or 'none'}."
    )


load = judged

left_out = unless_given("the default photographs are too few; give --photo-dir")

SMOKE = {
    "count": 2,
    "areas": (0.1, 0.3),
    "methods": (DEFAULT, BACKGROUNDS),
    "steps": 2,
    "held_out": 2,
}
