"""What is fitted from every initialisation."""

import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.extremal import extremal_initialisations
from fitb_jax import extremal


def test_initialisations_are_fitted_with_the_grid_and_bandwidth_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class FitError(Exception):
        pass

    def fit_inr(*arguments: Any, **_: Any) -> None:
        raise FitError(arguments[3])

    net: Any = types.SimpleNamespace(
        images=np.zeros((1, 8, 8, 3), np.float32),
        targets=np.zeros(1, int),
        pretrained=types.SimpleNamespace(logits_fn=jax.tree_util.Partial(jnp.sum)),
    )
    monkeypatch.setattr(extremal, "fit_inr", fit_inr)
    config = extremal_initialisations.Config(grid=7, bandwidth=0.25, progress=False)
    with pytest.raises(FitError) as raised:
        extremal_initialisations.compute(config, net)
    (settings,) = raised.value.args
    assert (settings.grid, settings.network.bandwidth) == (7, 0.25)
