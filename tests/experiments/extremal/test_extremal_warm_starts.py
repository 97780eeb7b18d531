"""Steps from warm starts, against answers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from experiments.extremal.extremal_warm_starts import COLD, STARTS, fresh, gain, smoothed, steps_to
from fitb_jax import extremal


def test_steps_count_to_the_share_of_what_fresh_weights_gain() -> None:
    curves = {
        "early": [9.0, 9.5, 9.4, 9.4, 9.4],
        COLD: [0.0, 4.0, 8.0, 9.6, 10.0],
        "never": [9.0, 9.4, 9.4, 9.4, 9.4],
    }
    found = xr.DataArray([*curves.values()], {"start": [*curves]}, ("start", "step"))
    assert float(gain(found)) == 10
    steps = steps_to(found, 0.95)
    np.testing.assert_array_equal(steps.sel(start=[COLD, "early", "never"]), [4, 2, np.nan])
    assert COLD in STARTS


def test_a_running_mean_never_looks_ahead() -> None:
    step = np.zeros(20)
    step[10:] = 1
    found = smoothed(step)
    np.testing.assert_allclose(found[:10], 0)
    np.testing.assert_allclose(found[10:17], np.arange(1, 8) / 8)
    np.testing.assert_allclose(found[17:], 1)
    np.testing.assert_allclose(smoothed(np.arange(3.0)), [0, 0.5, 1])


def test_fresh_weights_are_those_of_a_fit_that_is_given_none() -> None:
    def logits_fn(image: jax.Array) -> jax.Array:
        return jnp.stack([image.mean(), image[0].mean()])

    image = jnp.linspace(0, 1, 48).reshape(4, 4, 3)
    config = extremal.InrConfig(steps=2)
    key = jax.random.key(5)
    cold = extremal.fit_inr(logits_fn, image, 0, config, key=key)
    given = extremal.fit_inr(logits_fn, image, 0, config, key=key, initial=fresh(key))
    np.testing.assert_array_equal(cold.history.reward, given.history.reward)
