"""RISE against the exact expectation over all its masks, and its masks against SciPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import zoom

from fitb_jax import attribution, objectives
from tests import problems

KEY = jax.random.key(1)
SHAPE, CELLS, CELL = (4, 3, 2), 2, 2
SMOOTH = problems.smooth_logits(shape=SHAPE)
IMAGE = jnp.asarray(np.random.default_rng(0).uniform(size=SHAPE), jnp.float32)


def _all_masks(visible: float) -> tuple[np.ndarray, np.ndarray]:
    """Every mask and its probability: all cells and all shifts, upsampled by SciPy."""
    masks, probabilities = [], []
    for cells in itertools.product((0.0, 1.0), repeat=CELLS**2):
        grid = np.asarray(cells).reshape(CELLS, CELLS)
        large = zoom(grid, (CELLS + 1) * CELL / CELLS, order=1, mode="nearest", grid_mode=True)
        chance = visible ** grid.sum() * (1 - visible) ** (grid.size - grid.sum())
        for top, left in itertools.product(range(CELL), repeat=2):
            masks.append(large[top : top + SHAPE[0], left : left + SHAPE[1]])
            probabilities.append(chance / CELL**2)
    return np.asarray(masks), np.asarray(probabilities)


def test_masks_are_all_there_are_and_equally_often() -> None:
    masks, probabilities = _all_masks(0.3)
    drawn = jax.jit(
        jax.vmap(lambda k: attribution.rise_mask(SHAPE[:2], cells=CELLS, visible=0.3, key=k))
    )(jax.random.split(KEY, 4000))
    distance = np.abs(np.asarray(drawn)[:, None] - masks[None]).max((2, 3))
    assert distance.min(1).max() < 1e-6, "no mask but these"
    np.testing.assert_allclose(drawn.mean(0), 0.3, atol=0.03)
    unique, index = np.unique(masks.round(6), axis=0, return_inverse=True)
    expected = np.bincount(index.ravel(), probabilities)
    found = np.bincount(index.ravel()[distance.argmin(1)], minlength=len(unique)) / 4000
    np.testing.assert_allclose(found, expected, atol=0.03)


@pytest.mark.parametrize("normalise", ["expectation", "count", "covariance"])
def test_it_converges_to_the_expectation_over_all_masks(normalise: str) -> None:
    visible = 0.3
    masks, probabilities = _all_masks(visible)
    shown = jnp.asarray(masks[..., None] * IMAGE[None] + 0.5 * (1 - masks[..., None]), jnp.float32)
    scores = np.asarray(jax.vmap(lambda x: objectives.prob(SMOOTH(x), 1))(shown))
    mean_score = probabilities @ scores
    products = np.einsum("m,m,mhw->hw", probabilities, scores, masks) / visible
    wanted = products - mean_score if normalise == "covariance" else products
    found = jax.jit(
        jax.vmap(
            lambda key: attribution.rise(
                SMOOTH,
                IMAGE,
                1,
                key=key,
                draws=500,
                cells=CELLS,
                visible=visible,
                background=0.5,
                normalise=normalise,
                chunk=100,
            )
        )
    )(jax.random.split(KEY, 16))
    error = np.asarray(found.std(0, ddof=1)) / 4
    assert (np.abs(found.mean(0) - wanted) < 5 * error + 1e-3 * np.abs(wanted)).all()
    assert (error < 0.1 * np.ptp(wanted)).all(), "and the comparison can fail"


@pytest.mark.parametrize("draws", [2, 3])
def test_the_covariance_is_unbiased_for_few_draws(draws: int) -> None:
    masks, probabilities = _all_masks(0.5)
    shown = jnp.asarray(masks[..., None] * IMAGE[None], jnp.float32)
    scores = np.asarray(jax.vmap(lambda x: SMOOTH(x)[0])(shown))
    wanted = np.einsum("m,m,mhw->hw", probabilities, scores - probabilities @ scores, masks) / 0.5
    found = jax.jit(
        jax.vmap(
            lambda key: attribution.rise(
                SMOOTH,
                IMAGE,
                0,
                key=key,
                draws=draws,
                cells=CELLS,
                normalise="covariance",
                objective=objectives.logit,
            )
        )
    )(jax.random.split(KEY, 8000))
    error = np.asarray(found.std(0, ddof=1)) / np.sqrt(8000)
    assert (np.abs(found.mean(0) - wanted) < 5 * error).all()
    assert (error < 0.1 * np.ptp(wanted)).all()


def test_a_constant_classifier_has_its_score_where_a_pixel_was_counted() -> None:
    found = attribution.rise(
        problems.constant_logits,
        IMAGE,
        2,
        key=KEY,
        draws=9,
        cells=2,
        normalise="count",
        objective=objectives.logit,
    )
    np.testing.assert_allclose(found, 2.0, rtol=1e-6)
