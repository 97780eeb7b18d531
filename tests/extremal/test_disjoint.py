"""Masks that share every pixel, their exact areas, and two patches found by two masks."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax.extremal import (
    Disjoint,
    InrConfig,
    NetworkConfig,
    binarise_apart,
    disjoint_masks,
    exact_area,
    joint_exact_areas,
    pairwise_overlap,
)
from fitb_jax.objectives import log_prob, prob
from fitb_jax.types import Array
from tests.extremal.toys import IMAGE, OTHER, PATCH, SHARE, SIDE, looks_at

LOGITS_FN = looks_at(PATCH, OTHER)
CONFIG = InrConfig(
    prior_gradients=0,
    boundary_weight=0.0,
    network=NetworkConfig(frequencies=8, width=32, depth=2),
    grid=SIDE,
    steps=60,
    learning_rate=0.02,
    tolerance=-1e9,
)
AREAS = jnp.asarray([SHARE, SHARE])
SHAPE = (3, 9, 11)
_joint_exact_areas = jax.jit(joint_exact_areas)


def _random(seed: int = 0, scale: float = 1.0) -> Array:
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=SHAPE))


@pytest.mark.parametrize("scale", [0.0, 1.0, 50.0, 1000.0])
@pytest.mark.parametrize("areas", [[0.1, 0.2, 0.3], [0.33, 0.33, 0.33], [0.01, 0.02, 0.9]])
def test_shares_have_their_areas_and_never_exceed_one(scale: float, areas: list) -> None:
    masks = np.asarray(_joint_exact_areas(_random(scale=scale), jnp.asarray(areas)), np.float64)
    np.testing.assert_allclose(masks.mean((1, 2)), areas, atol=1e-5)
    assert (masks >= 0).all()
    assert (masks.sum(0) <= 1 + 1e-6).all()


@pytest.mark.parametrize("scale", [5.0, 20.0, 50.0])
@pytest.mark.parametrize("levels", [2, 3])
def test_shares_of_tied_scores_have_their_areas(scale: float, levels: int) -> None:
    drawn = np.random.default_rng(0).integers(0, levels, size=SHAPE) / (levels - 1)
    scores, areas = jnp.asarray(scale * (2 * drawn - 1), jnp.float32), jnp.full(3, 0.33)
    masks = np.asarray(_joint_exact_areas(scores, areas), np.float64)
    np.testing.assert_allclose(masks.mean((1, 2)), areas, atol=1e-5)


def test_one_share_is_the_mask_of_an_exact_area() -> None:
    scores = _random(scale=3.0)
    given = joint_exact_areas(scores[:1], jnp.asarray([0.2]))[0]
    np.testing.assert_allclose(given, exact_area(scores[0], 0.2), atol=1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32, jnp.float64])
@pytest.mark.parametrize("method", ["iterative", "joint"])
def test_masks_are_found_in_every_precision(method: Any, dtype: Any) -> None:
    short = dataclasses.replace(CONFIG, steps=2)

    @jax.jit
    def find(image: Array) -> Array:
        key = jax.random.key(0)
        return disjoint_masks(LOGITS_FN, image, 1, AREAS, short, key=key, method=method).masks

    np.testing.assert_allclose(find(IMAGE.astype(dtype)).mean((1, 2)), AREAS, atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_shares_in_half_precision_are_those_in_single_precision_rounded(dtype: Any) -> None:
    scores, areas = _random(0).astype(dtype), jnp.asarray([0.1, 0.2, 0.3], dtype)
    wanted = joint_exact_areas(scores.astype(jnp.float32), areas.astype(jnp.float32)).astype(dtype)
    np.testing.assert_array_equal(joint_exact_areas(scores, areas), wanted)


@pytest.mark.usefixtures("x64")
def test_derivatives_of_shares_are_finite_differences() -> None:
    scores, weights, move = (_random(seed) for seed in range(3))
    areas, areas_move = jnp.asarray([0.1, 0.2, 0.3]), jnp.asarray([0.5, -1.0, 0.3])

    def value(scores: Array, areas: Array) -> Array:
        return (weights * joint_exact_areas(scores, areas) ** 2).sum()

    by_scores, by_areas = jax.jit(jax.grad(value, argnums=(0, 1)))(scores, areas)
    h = 1e-5
    value_at = jax.jit(value)

    def slope(scores_move: Array, areas_move: Array) -> Array:
        ahead = value_at(scores + h * scores_move, areas + h * areas_move)
        behind = value_at(scores - h * scores_move, areas - h * areas_move)
        return (ahead - behind) / (2 * h)

    still = jnp.zeros(3)
    np.testing.assert_allclose(jnp.vdot(by_scores, move), slope(move, still), rtol=1e-5)
    wanted = slope(jnp.zeros(SHAPE), areas_move)
    np.testing.assert_allclose(jnp.vdot(by_areas, areas_move), wanted, rtol=1e-5)


def test_overlap_is_the_share_of_the_first() -> None:
    masks = jnp.zeros((2, 4, 4)).at[0, :2].set(1).at[1, 1:2].set(1)
    np.testing.assert_allclose(pairwise_overlap(masks), [[1, 0.5], [1, 1]])


@pytest.fixture(scope="module", params=itertools.product(["iterative", "joint"], [0, 4]), ids=str)
def found(request: Any) -> Disjoint:
    method, gradients = request.param
    config = dataclasses.replace(CONFIG, prior_gradients=gradients)
    return jax.jit(
        lambda key: disjoint_masks(
            LOGITS_FN, IMAGE, 1, AREAS, config, key=key, method=method, background=0.0
        )
    )(jax.random.key(2))


def test_masks_do_not_overlap_and_have_their_areas(found: Disjoint) -> None:
    masks = np.asarray(found.masks, np.float64)
    assert (masks.sum(0) <= 1 + 1e-5).all()
    np.testing.assert_allclose(masks.mean((1, 2)), AREAS, atol=1e-5)
    np.testing.assert_allclose(np.diag(found.overlap), 1, rtol=1e-5)
    assert found.overlap[0, 1] < 0.2


def test_joint_masks_of_one_prior_begin_apart() -> None:
    begun = dataclasses.replace(CONFIG, steps=1)

    @jax.jit
    def overlap(key: Array) -> Array:
        found = disjoint_masks(
            LOGITS_FN, IMAGE, 1, AREAS, begun, key=key, method="joint", prior=PATCH + OTHER
        )
        return found.overlap[0, 1]

    assert max(float(overlap(jax.random.key(seed))) for seed in range(3)) < 0.6


def test_each_mask_has_a_patch_of_its_own(found: Disjoint) -> None:
    shares = jnp.einsum("khw,phw->kp", found.masks, jnp.stack([PATCH, OTHER])) / PATCH.sum()
    assert sorted(np.argmax(shares, axis=1)) == [0, 1]
    assert (shares.max(1) > 0.5).all()


def test_removing_both_leaves_little(found: Disjoint) -> None:
    both = log_prob(LOGITS_FN(IMAGE * (1 - found.masks.sum(0))[:, :, None]), 1)
    np.testing.assert_allclose(found.remaining, both, atol=1e-4)
    whole = log_prob(LOGITS_FN(IMAGE), 1)
    assert found.remaining < whole - 1
    assert (found.objective > found.remaining + 1).all()
    wanted = [prob(LOGITS_FN(seen), 1) for seen in (0 * IMAGE, IMAGE)]
    np.testing.assert_allclose([found.p_blank, found.p_whole], wanted, rtol=1e-5)


def test_binary_masks_have_their_areas_and_do_not_overlap() -> None:
    first = jnp.linspace(0, 1, 20).reshape(4, 5)
    masks = jnp.stack([first, first, 1 - first])
    areas = jnp.array([0.2, 0.3, 0.5])
    found = binarise_apart(masks, areas)
    np.testing.assert_array_equal(found.sum((1, 2)), [4, 6, 10])
    np.testing.assert_array_equal(found.sum(0), np.ones((4, 5)))
    # The second wants what the first has, and takes the next best.
    np.testing.assert_array_equal(found[1].ravel().nonzero()[0], np.arange(10, 16))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("areas", [[0.2], [0.7, 0.4]])
def test_binary_masks_need_an_area_each_and_room(areas: list[float]) -> None:
    with pytest.raises(ValueError, match="areas"):
        binarise_apart(jnp.ones((2, 4, 5)), jnp.asarray(areas))


def test_areas_that_are_rounded_up_leave_no_pixel_to_two_masks() -> None:
    shown = binarise_apart(jnp.ones((2, 1, 5)), jnp.array([0.3, 0.7]))
    np.testing.assert_array_equal(shown.sum(0), np.ones((1, 5)))


@pytest.mark.usefixtures("x64")
def test_masks_in_turn_are_found_of_a_float32_image_in_double_precision() -> None:
    few = dataclasses.replace(CONFIG, steps=2)
    found = disjoint_masks(
        looks_at(PATCH),
        IMAGE,
        1,
        jnp.array([SHARE, SHARE], IMAGE.dtype),
        few,
        key=jax.random.key(0),
    )
    assert np.isfinite(found.masks).all()
