"""A saliency map as the place where the search for masks begins."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import extremal
from fitb_jax.evaluation.map_similarity import weighted_iou
from fitb_jax.extremal.prior import noisy_gradients, prior_scores
from fitb_jax.objectives import logit
from tests import problems

KEY = jax.random.key(0)
SIDE = 16
CONFIG = extremal.InrConfig(
    network=extremal.NetworkConfig(frequencies=6, width=16, depth=2),
    grid=16,
    steps=200,
    patience=200,
    learning_rate=0.02,
    # The logarithm of a probability near 1 asks for no more of the disc.
    objective=logit,
    prior_gradients=0,
    boundary_weight=0.0,
)
AREAS = jnp.array([0.1, 0.3])
IMAGE = jax.random.uniform(jax.random.key(1), (SIDE, SIDE, 1))
LOGITS_FN = problems.smooth_logits(shape=(SIDE, SIDE, 1), classes=3)
ROWS, COLUMNS = jnp.indices((SIDE, SIDE))
DISC = ((ROWS - 5) ** 2 + (COLUMNS - 10) ** 2 <= 3**2).astype(jnp.float32)
ELSEWHERE = jnp.exp(-((ROWS - 12) ** 2 + (COLUMNS - 3) ** 2) / 20.0)


def _masks(inr: extremal.Inr) -> np.ndarray:
    return np.asarray(extremal.inr_masks(inr, AREAS, (SIDE, SIDE)))


def test_a_prior_that_says_nothing_is_the_plain_fit_bit_for_bit() -> None:
    own = dataclasses.replace(CONFIG, prior_gradients=2)
    plain, weightless, constant, pointing, own_weightless = (
        _masks(extremal.fit_inr(LOGITS_FN, IMAGE, 1, config, key=KEY, **prior))
        for config, prior in (
            (CONFIG, {}),
            (CONFIG, {"prior": ELSEWHERE, "prior_weight": 0.0}),
            (CONFIG, {"prior": jnp.full((SIDE, SIDE), 0.3)}),
            (CONFIG, {"prior": ELSEWHERE}),
            (own, {"prior_weight": 0.0}),
        )
    )
    np.testing.assert_array_equal(own_weightless, plain)
    np.testing.assert_array_equal(weightless, plain)
    np.testing.assert_array_equal(constant, plain)
    assert np.abs(pointing - plain).max() > 0.1


def test_scores_are_ranks_of_the_blurred_map() -> None:
    scores = prior_scores(ELSEWHERE**3, 2.0, blur=0.0)
    np.testing.assert_allclose(scores, prior_scores(ELSEWHERE, 2.0, blur=0.0), atol=0.06)
    assert -4 < scores.min() < -3.9
    assert 3.9 < scores.max() < 4
    np.testing.assert_allclose(scores.mean(), 0, atol=1e-5)
    assert jnp.argmax(scores) == jnp.argmax(ELSEWHERE)


@pytest.mark.parametrize("prior", [None, DISC, ELSEWHERE], ids=["none", "there", "elsewhere"])
def test_a_classifier_that_looks_at_a_disc_is_explained_by_it(prior: jax.Array | None) -> None:
    area = DISC.mean()

    def logits_fn(image: jax.Array) -> jax.Array:
        seen = (image[:, :, 0] * DISC).sum() / DISC.sum()
        return jnp.stack([20 * seen, jnp.asarray(10.0)])

    inr = extremal.fit_inr(
        logits_fn, jnp.ones((SIDE, SIDE, 1)), 0, CONFIG, key=KEY, background=0.0, prior=prior
    )
    mask = extremal.binarise(extremal.inr_masks(inr, area[None], (SIDE, SIDE))[0], area)
    assert weighted_iou(mask, DISC) >= 0.8
    np.testing.assert_allclose([inr.p_blank, inr.p_whole], [0.0, 20.0], rtol=1e-5)


def test_a_prior_is_in_any_units() -> None:
    """Also where it is known, and not traced: it is no image."""
    np.testing.assert_array_equal(prior_scores(1024 * ELSEWHERE, 2.0), prior_scores(ELSEWHERE, 2.0))


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_map_is_refused() -> None:
    for wrong, message in (
        ({"prior": ELSEWHERE[:, :3]}, "prior must match"),
        ({"prior": ELSEWHERE.at[0, 0].set(jnp.nan)}, "prior must be finite"),
        ({"prior": ELSEWHERE, "prior_weight": -1.0}, "prior_weight must lie"),
    ):
        with pytest.raises(ValueError, match=message):
            extremal.fit_inr(LOGITS_FN, IMAGE, 1, CONFIG, key=KEY, **wrong)


def test_the_packages_own_prior_is_where_a_linear_logit_looks() -> None:
    weights = jax.random.normal(jax.random.key(3), (SIDE, SIDE, 1))

    def logits_fn(image: jax.Array) -> jax.Array:
        return jnp.stack([(weights * image).sum(), jnp.asarray(0.0)])

    found = noisy_gradients(logits_fn, IMAGE, 0, key=KEY, gradients=3)
    np.testing.assert_allclose(found, weights[:, :, 0] ** 2, rtol=1e-5)
    config = dataclasses.replace(CONFIG, prior_gradients=3, steps=2)
    inr = extremal.fit_inr(logits_fn, IMAGE, 0, config, key=KEY)
    np.testing.assert_allclose(inr.prior, prior_scores(weights[:, :, 0] ** 2, 8.0), atol=1e-4)
    # A class that nothing changes has no prior.
    inr = extremal.fit_inr(logits_fn, IMAGE, 1, config, key=KEY)
    assert inr.prior is None


def test_the_own_prior_is_of_what_is_available() -> None:
    own = dataclasses.replace(CONFIG, prior_gradients=2, steps=1)
    available = 1 - DISC

    def prior(image: jax.Array, available: jax.Array) -> jax.Array:
        fit = extremal.fit_inr(
            LOGITS_FN, image, 1, own, key=KEY, background=0.0, available=available
        )
        assert fit.prior is not None
        return fit.prior

    seen, everything = IMAGE * available[:, :, None], jnp.ones((SIDE, SIDE))
    np.testing.assert_array_equal(prior(IMAGE, available), prior(seen, everything))
    assert np.abs(prior(IMAGE, everything) - prior(seen, everything)).max() > 1
