"""The settings of a coordinate network that are compared, and their controls."""

import types
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.extremal.extremal_settings import Config, settings, sweep
from fitb_jax import extremal


def test_settings_differ_from_the_default_in_what_their_names_say() -> None:
    found = settings(Config())
    default = found.pop("default")
    assert default == extremal.InrConfig()
    assert all(each != default for each in found.values())
    assert len(set(found.values())) == len(found)
    assert found["grid 56"].grid == 56
    assert found["2 areas a step"].areas_per_step == 2
    assert found["FiLM"].network.conditioning == "film"
    crossed = settings(Config(crossed=True))
    assert len(crossed) == 1 + len(found) + 27
    short = settings(Config(most_steps=60))
    assert [short[name].steps for name in ("default", "50 steps, rate 0.01")] == [60, 50]
    fine = settings(Config(grid=56))
    named = {"grid 14": 14, "grid 28": 28, "grid 112": 112}
    assert {name: each.grid for name, each in fine.items()} == {
        **dict.fromkeys(fine, 56),
        **named,
    }
    with pytest.raises(ValueError, match="settings"):
        settings(Config(settings=("bandwith 1",)))
    with pytest.raises(ValueError, match="grid"):
        settings(Config(grid=0))


def test_fitted_controls_have_the_grid_of_the_settings() -> None:
    config = Config(grid=56, most_steps=3, settings=("penalty", "grid 14"))
    net: Any = types.SimpleNamespace(
        located={"pixels": np.zeros((1, 2))},
        names=["a"],
        networks={},
        pretrained=types.SimpleNamespace(logits_fn=jnp.sum),
    )
    *fits, controls = sweep(config, net)
    fitted = [row.method for row in controls.axes["method"].values if hasattr(row.method, "args")]
    assert [each.args for each in fitted] == [(extremal.InrConfig(grid=56, steps=3),)] * 2
    # Each program has a sweep; both have names of their own.
    assert [fit.axes["setting"].labels.tolist() for fit in fits] == [["grid 14"], ["penalty"]]
    assert len({each.name for each in [*fits, controls]}) == 3
