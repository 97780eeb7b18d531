"""A learned start needs fewer steps for an image it has not seen."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fitb_jax.extremal import InrConfig, NetworkConfig, fit_inr, reptile_init
from fitb_jax.extremal.coordinates import build
from fitb_jax.types import Array
from tests.extremal.toys import IMAGE, PATCH, SIDE, looks_at

LOGITS_FN = looks_at(PATCH)
NETWORK = NetworkConfig(frequencies=8, width=32, depth=2)
CONFIG = InrConfig(
    prior_gradients=0,
    boundary_weight=0.0,
    network=NETWORK,
    grid=SIDE,
    steps=10,
    learning_rate=0.02,
    tolerance=-1e9,
)
IMAGES = jnp.asarray(np.random.default_rng(1).uniform(0.4, 1, size=(3, SIDE, SIDE, 3)), jnp.float32)
TARGETS = jnp.ones(3, jnp.int32)


@pytest.fixture(scope="module")
def initial() -> Any:
    return jax.jit(
        lambda key: reptile_init(
            LOGITS_FN, IMAGES, TARGETS, CONFIG, key=key, rounds=15, background=0.0
        )
    )(jax.random.key(0))


@jax.jit
def _objective(initial: Any, key: Any) -> Array:
    inr = fit_inr(LOGITS_FN, IMAGE, 1, CONFIG, key=key, background=0.0, initial=initial)
    return inr.history.objective


@jax.jit
def _cold(key: Any) -> Array:
    return fit_inr(LOGITS_FN, IMAGE, 1, CONFIG, key=key, background=0.0).history.objective


def test_a_new_image_starts_where_a_cold_fit_has_yet_to_come(initial: Any) -> None:
    for seed in range(3):
        key = jax.random.key(10 + seed)
        cold, warm = _cold(key), _objective(initial, key)  # of the same areas at each step
        assert warm[:5].mean() > cold[:5].mean() + 0.3


def test_frequencies_stay_as_they_were_drawn(initial: Any) -> None:
    again = jax.jit(
        lambda key: reptile_init(
            LOGITS_FN, IMAGES, TARGETS, CONFIG, key=key, rounds=1, background=0.0
        )
    )(jax.random.key(0))
    first, second = (state["frequencies"][...] for state in (initial, again))
    np.testing.assert_allclose(first, second, rtol=1e-6)


def test_a_rate_of_nearly_nothing_moves_nothing() -> None:
    def learn(rate: Array) -> Any:
        return reptile_init(
            LOGITS_FN, IMAGES, TARGETS, CONFIG, key=jax.random.key(0), rounds=1, rate=rate
        )

    still, half, whole = (
        jax.tree.leaves(leaf) for leaf in (jax.jit(learn)(r) for r in (1e-20, 0.5, 1.0))
    )
    for a, b, c in zip(still, half, whole, strict=True):
        np.testing.assert_allclose(b, (a + c) / 2, atol=1e-5)
    network_key, _ = jax.random.split(jax.random.key(0))
    fresh = jax.tree.leaves(nnx.state(build(CONFIG.network, key=network_key)))
    for a, b in zip(still, fresh, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert max(np.abs(c - a).max() for a, c in zip(still, whole, strict=True)) > 0.01


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_start_can_be_learned_in_double_precision(dtype: Any) -> None:
    short = dataclasses.replace(CONFIG, steps=2)
    found = reptile_init(
        LOGITS_FN, IMAGES.astype(dtype), TARGETS, short, key=jax.random.key(0), rounds=2
    )
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
