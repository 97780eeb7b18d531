from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from fitb_jax import components, evaluation

SHAPE = (9, 13)
COMPONENTS = {
    connectivity: jax.jit(partial(components.connected_components, connectivity=connectivity))
    for connectivity in (4, 8)
}
GINI, ENTROPY = jax.jit(evaluation.gini), jax.jit(evaluation.entropy)


def _spiral(size: int) -> np.ndarray:
    """A corridor of one pixel that winds inwards: the longest way through one component."""
    region = np.zeros((size, size), bool)
    top, left, bottom, right = 0, 0, size - 1, size - 1
    region[top, left : right + 1] = True
    while bottom - top >= 2 and right - left >= 2:
        region[top : bottom + 1, right] = True
        region[bottom, left : right + 1] = True
        top += 2
        region[top : bottom + 1, left] = True
        region[top, left : right - 1] = True
        left, bottom, right = left + 2, bottom - 2, right - 2
    return region


@pytest.mark.parametrize("connectivity", [4, 8])
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.2, 0.5, 0.6, 0.8]))
@settings(max_examples=40, deadline=None)
def test_components_are_scipys(connectivity: int, seed: int, share: float) -> None:
    region = np.random.default_rng(seed).uniform(size=SHAPE) < share
    structure = np.ones((3, 3)) if connectivity == 8 else None
    labels, number = ndimage.label(region, structure)
    found = COMPONENTS[connectivity](jnp.asarray(region))
    assert int(found.number) == number
    np.testing.assert_array_equal(found.labels, labels)


def test_long_winding_and_special_regions() -> None:
    spiral = _spiral(41)[:40]
    comb = np.zeros((40, 41), bool)
    comb[:, ::2], comb[-1] = True, True
    for region in (spiral, comb, ~comb, np.ones((40, 41), bool), np.eye(40, 41) > 0):
        labels, number = ndimage.label(region)
        found = COMPONENTS[4](jnp.asarray(region))
        assert int(found.number) == number
        np.testing.assert_array_equal(found.labels, labels)
    nothing = COMPONENTS[4](jnp.zeros(SHAPE, bool))
    assert int(nothing.number) == 0
    assert not np.any(nothing.labels)


def test_components_are_counted_in_a_batch() -> None:
    regions = np.random.default_rng(0).uniform(size=(5, *SHAPE)) < 0.5
    counts = jax.jit(jax.vmap(evaluation.count_components))(jnp.asarray(regions, jnp.float32))
    np.testing.assert_array_equal(counts, [ndimage.label(region)[1] for region in regions])


def test_the_threshold_decides_what_is_shown() -> None:
    mask = jnp.asarray([[0.9, 0.6, 0.9]])
    thresholds = jnp.asarray([0.5, 0.7, 0.9])
    found = jax.vmap(lambda t: evaluation.count_components(mask, threshold=t))(thresholds)
    np.testing.assert_array_equal(found, [1, 2, 0])
    assert float(evaluation.count_components(mask)) == 1


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_gini_is_the_mean_difference_and_entropy_is_scipys(seed: int) -> None:
    saliency = np.random.default_rng(seed).normal(size=SHAPE)
    magnitudes = np.abs(saliency).ravel()
    difference = np.abs(magnitudes[:, None] - magnitudes[None, :]).mean()
    given_map = jnp.asarray(saliency, jnp.float32)
    expected = difference / (2 * magnitudes.mean())
    np.testing.assert_allclose(GINI(given_map), expected, rtol=1e-4)
    np.testing.assert_allclose(ENTROPY(given_map), stats.entropy(magnitudes), rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1.0, -1e30])
def test_the_ends_of_the_scales(scale: float) -> None:
    size = SHAPE[0] * SHAPE[1]
    flat, point = jnp.full(SHAPE, scale), jnp.zeros(SHAPE).at[4, 4].set(scale)
    np.testing.assert_allclose(evaluation.gini(flat), 0, atol=1e-5)
    np.testing.assert_allclose(evaluation.gini(point), 1 - 1 / size, rtol=1e-5)
    np.testing.assert_allclose(evaluation.entropy(flat), np.log(size), rtol=1e-5)
    np.testing.assert_allclose(evaluation.entropy(point), 0, atol=1e-6)


def test_a_map_of_zeros_has_no_complexity() -> None:
    assert np.isnan(evaluation.gini(jnp.zeros(SHAPE)))
    assert np.isnan(evaluation.entropy(jnp.zeros(SHAPE)))


def test_total_variation_is_the_boundary() -> None:
    square = jnp.zeros(SHAPE).at[2:5, 3:7].set(1.0)
    pixels = SHAPE[0] * SHAPE[1]
    np.testing.assert_allclose(evaluation.total_variation(square) * pixels, 2 * (3 + 4), rtol=1e-6)
    corner = jnp.zeros(SHAPE).at[:3, :4].set(1.0)
    np.testing.assert_allclose(evaluation.total_variation(corner) * pixels, 3 + 4, rtol=1e-6)
    assert float(evaluation.total_variation(jnp.ones(SHAPE))) == 0
