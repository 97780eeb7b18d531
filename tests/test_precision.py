"""Images and masks in half precision: what the classifier sees, and sums that stay finite."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import evaluation, extremal, fill
from fitb_jax.evaluation import map_similarity
from fitb_jax.extremal.area import boundary_penalty
from fitb_jax.types import Image, Logits

SIDE = 8
KEY = jax.random.key(0)
IMAGE = jax.random.uniform(KEY, (SIDE, SIDE, 3)).astype(jnp.float16)
MASK = jnp.ones((SIDE, SIDE), jnp.float16).at[2:6, 2:6].set(0)
WEIGHTS = jax.random.normal(KEY, (SIDE * SIDE * 3, 4)).astype(jnp.float16)
NOISE = jnp.float32(0.1)


def half_logits_fn(image: Image) -> Logits:
    """As a convolution in half precision does."""
    if image.dtype != jnp.float16:
        raise TypeError(f"float16 is wanted, got {image.dtype}")
    return image.ravel() @ WEIGHTS


def slope(image: Image) -> Image:
    return jax.grad(lambda z: half_logits_fn(z)[1])(image)


FEW = extremal.InrConfig(steps=2, grid=4, noise=NOISE)
OF_A_CLASSIFIER: dict[str, Callable[[], Any]] = {
    "infidelity": lambda: evaluation.infidelity(
        half_logits_fn, IMAGE, slope(IMAGE), 1, key=KEY, samples=4
    ),
    "max_sensitivity": lambda: evaluation.max_sensitivity(slope, IMAGE, key=KEY, samples=2),
    "average_drop": lambda: evaluation.average_drop(half_logits_fn, IMAGE, MASK, 1),
    "single_deletion": lambda: evaluation.single_deletion(
        half_logits_fn, IMAGE, slope(IMAGE).sum(-1), 1
    ),
    "iterated": lambda: fill.iterated(half_logits_fn, IMAGE, MASK, 1, key=KEY, steps=2),
    "over_noise": lambda: fill.over_noise(half_logits_fn, IMAGE, MASK, 1, key=KEY, noise=NOISE),
    "fit_igos": lambda: extremal.fit_igos(
        half_logits_fn, IMAGE, 1, extremal.IgosConfig(iterations=1, path_steps=2, grid=4), key=KEY
    ),
    "fit_inr": lambda: extremal.fit_inr(half_logits_fn, IMAGE, 1, FEW, key=KEY).p_whole,
}


@pytest.mark.parametrize("name", OF_A_CLASSIFIER)
def test_a_classifier_in_half_precision_sees_images_in_half_precision(name: str) -> None:
    found = jax.tree.leaves(OF_A_CLASSIFIER[name]())
    assert all(np.isfinite(leaf).all() for leaf in found)


def test_sums_and_squares_beyond_half_precision_are_those_of_single_precision() -> None:
    striped = jnp.zeros((300, 300), jnp.float16).at[::2].set(1)
    wide = jax.random.uniform(KEY, striped.shape, minval=-6e4, maxval=6e4).astype(jnp.float16)
    photograph = jax.random.uniform(KEY, (*striped.shape, 3)).astype(jnp.float16)
    others = jnp.stack([1 - photograph, photograph])
    for find in (
        lambda to: boundary_penalty(to(striped)),
        lambda to: map_similarity.unit_range(to(wide)),
        lambda to: evaluation.ssim(to(wide), to(striped)),
        lambda to: extremal.nearest_neighbours(
            to(photograph), 1, to(jnp.ones_like(striped)), to(others), jnp.arange(2), count=2
        ).distances,
        lambda to: fill.step_scores(
            lambda z: z.mean((0, 1)), to(photograph), to(striped), 1, to(others[0]),
            sizes=to(jnp.full(1, 0.1, jnp.float16)),
        ).fine_energy,
    ):  # fmt: skip
        half, single = find(lambda x: x), find(lambda x: x.astype(jnp.float32))
        np.testing.assert_allclose(half, single, rtol=2e-2, atol=1e-3)
