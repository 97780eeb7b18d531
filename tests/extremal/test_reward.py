"""Rewards of masks: their values and gradients are those of each mask alone, in any chunks."""

import dataclasses
from collections.abc import Callable
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax.extremal import (
    DenseConfig,
    InrConfig,
    NetworkConfig,
    dense_masks,
    fit_inr,
    make_blend,
)
from fitb_jax.extremal.reward import Variant, rewards, rewards_in_chunks
from fitb_jax.objectives import log_prob
from fitb_jax.types import Array
from tests.extremal.toys import IMAGE, PATCH, SIDE, looks_at

LOGITS_FN = looks_at(PATCH)
SHORT = InrConfig(
    prior_gradients=0,
    boundary_weight=0.0,
    network=NetworkConfig(frequencies=4, width=8, depth=1),
    grid=8,
    steps=3,
    areas_per_step=4,
)


@pytest.mark.parametrize("variant", get_args(Variant))
@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_the_chunk_changes_neither_rewards_nor_gradients(variant: Variant, chunk: int) -> None:
    reward_fn = rewards(LOGITS_FN, 1, make_blend(IMAGE, "pyramid"), variant, log_prob)
    scores = jax.random.normal(jax.random.key(0), (3, SIDE, SIDE))
    weights = jnp.asarray([1.0, -2.0, 0.5])

    def total(of_masks: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda scores: weights @ of_masks(jax.nn.sigmoid(scores))

    wanted = jax.value_and_grad(total(jax.vmap(reward_fn)))(scores)
    in_chunks = total(lambda masks: rewards_in_chunks(reward_fn, masks, chunk=chunk))
    found = jax.jit(jax.value_and_grad(in_chunks))(scores)
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    assert np.abs(found[1]).max() > 1e-3


def test_a_fit_does_not_depend_on_the_chunk() -> None:
    objectives = [
        jax.jit(fit_inr, static_argnums=(0,))(
            LOGITS_FN, IMAGE, 1, dataclasses.replace(SHORT, chunk=chunk), key=jax.random.key(0)
        ).history.objective
        for chunk in (3, 4)
    ]
    np.testing.assert_allclose(*objectives, rtol=1e-4)
    assert np.ptp(objectives[0]) > 1e-3


def test_dense_masks_do_not_depend_on_the_chunk() -> None:
    areas = jnp.asarray([0.1, 0.2, 0.4])
    found = [
        jax.jit(dense_masks, static_argnums=(0,))(
            LOGITS_FN, IMAGE, 1, areas, DenseConfig(steps=3, spacing=4, radius=4, chunk=chunk)
        )
        for chunk in (2, 3)
    ]
    np.testing.assert_allclose(*found, atol=1e-5)
    assert np.abs(found[0] - 1).max() > 1e-3
