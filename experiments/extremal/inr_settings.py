"""The settings of a coordinate network that Table 6 compares."""

import dataclasses
import functools
from typing import Any

from fitb_jax import checks
from fitb_jax.extremal import InrConfig, NetworkConfig

DEFAULT = "default"


def inr_settings(
    names: tuple[str, ...] = (),
    *,
    crossed: bool = False,
    most_steps: int = 0,
    grid: int = InrConfig().grid,
) -> dict[str, InrConfig]:
    """Every setting of the table.

    Args:
        names: of the settings; none means all.
        crossed: also every combination of bandwidth, grid and steps.
        most_steps: of any setting; 0 means as the setting says.
        grid: of the settings that do not name theirs.

    Returns:
        By name, the default first.

    Raises:
        TypeError, ValueError: an unknown name is asked for, no such grid.
    """
    checks.check_count("grid", grid)
    base = InrConfig(grid=grid)
    changed = functools.partial(dataclasses.replace, base)
    found = {DEFAULT: base}
    networks: dict[str, dict[str, Any]] = {
        "positional, 2 octaves": {"features": "positional", "bandwidth": 2.0},
        "positional, 6 octaves": {"features": "positional", "bandwidth": 6.0},
        "SIREN, bandwidth 0.5": {"features": "siren", "bandwidth": 0.5},
        "SIREN, bandwidth 2": {"features": "siren", "bandwidth": 2.0},
        "bandwidth 0.25": {"bandwidth": 0.25},
        "bandwidth 0.5": {"bandwidth": 0.5},
        "bandwidth 2": {"bandwidth": 2.0},
        "width 32": {"width": 32},
        "width 128": {"width": 128},
        "FiLM": {"conditioning": "film"},
    }
    found |= {name: changed(network=NetworkConfig(**each)) for name, each in networks.items()}
    found |= {
        "50 steps, rate 0.01": changed(steps=50, learning_rate=0.01),
        "200 steps, rate 0.003": changed(steps=200, learning_rate=0.003),
        "areas in equal ratios": changed(area_spacing="log"),
        "2 areas a step": changed(areas_per_step=2),
        "2 areas a step, in equal ratios": changed(areas_per_step=2, area_spacing="log"),
        **{f"grid {size}": changed(grid=size) for size in (14, 28, 56, 112) if size != grid},
        "penalty": changed(area_form="penalty"),
        "softness weight 1": changed(softness_weight=1.0),
        "softness weight 8": changed(softness_weight=8.0),
        "scale of scores 2": changed(score_scale=2.0),
        "scale of scores 10": changed(score_scale=10.0),
    }
    if crossed:
        found |= {
            f"bandwidth {bandwidth:g}, grid {grid}, {steps} steps, rate {rate:g}": InrConfig(
                network=NetworkConfig(bandwidth=bandwidth),
                grid=grid,
                steps=steps,
                learning_rate=rate,
            )
            for bandwidth in (0.5, 1.0, 2.0)
            for grid in (14, 28, 56)
            for steps, rate in ((50, 0.01), (100, 0.006), (200, 0.003))
        }
    for name in names:
        checks.check_choice("settings", name, found)
    chosen = {name: each for name, each in found.items() if name in (names or found)}
    if not most_steps:
        return chosen
    return {
        name: dataclasses.replace(each, steps=min(each.steps, most_steps))
        for name, each in chosen.items()
    }
