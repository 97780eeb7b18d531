"""Scores of masks against the classifier and the measures that they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import evaluation, extremal, objectives
from tests import problems

SHAPE = (12, 12, 3)
LOGITS_FN = problems.smooth_logits(shape=SHAPE)
IMAGE, _ = problems.image_and_mask(shape=SHAPE, dtype=jnp.float32)
AREAS = jnp.asarray([0.1, 0.3, 0.6])
SCORES = jnp.asarray(np.random.default_rng(0).normal(size=SHAPE[:2]), jnp.float32)
MASKS = jax.vmap(lambda area: extremal.exact_area(3 * SCORES, area))(AREAS)


@pytest.mark.parametrize("background", ["blur", "mean", "pyramid", 0.5])
def test_probabilities_are_those_of_the_blended_images(background: str | float) -> None:
    blend = extremal.make_blend(IMAGE, background)
    wanted = [objectives.prob(LOGITS_FN(blend(mask)), 1) for mask in MASKS]
    found = jax.jit(
        lambda masks: extremal.probabilities_through(
            LOGITS_FN, IMAGE, 1, masks, background=background
        )
    )(MASKS)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert np.ptp(wanted) > 0


def test_everything_shown_is_the_image_and_nothing_is_the_background() -> None:
    ends = jnp.stack([jnp.ones(SHAPE[:2]), jnp.zeros(SHAPE[:2])])
    found = extremal.probabilities_through(LOGITS_FN, IMAGE, 0, ends, background=0.25)
    wanted = [objectives.prob(LOGITS_FN(each), 0) for each in (IMAGE, 0 * IMAGE + 0.25)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_scores_are_those_of_the_measures() -> None:
    found = jax.jit(lambda masks: extremal.score_masks(LOGITS_FN, IMAGE, 1, masks, AREAS))(MASKS)
    binary = jax.vmap(extremal.binarise)(MASKS, AREAS)
    np.testing.assert_allclose(
        jnp.concatenate([found.soft, found.binary]),
        extremal.probabilities_through(LOGITS_FN, IMAGE, 1, jnp.concatenate([MASKS, binary])),
        rtol=1e-5,
    )
    consistency = evaluation.area_consistency(MASKS, AREAS)
    np.testing.assert_allclose(found.calibration, consistency.calibration, atol=1e-7)
    for name in ("nestedness", "continuity", "softness", "total_variation"):
        wanted = getattr(consistency, name).mean()
        np.testing.assert_allclose(getattr(found, name), wanted, rtol=1e-5, err_msg=name)
    parts = [evaluation.count_components(mask) for mask in binary]
    np.testing.assert_array_equal(found.components, parts)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"target must lie in \[0, 3\), got 3"):
        extremal.probabilities_through(LOGITS_FN, IMAGE, 3, MASKS)
    with pytest.raises(ValueError, match=r"masks must lie in \[0, 1\]"):
        extremal.probabilities_through(LOGITS_FN, IMAGE, 1, MASKS + 1)
    with pytest.raises(ValueError, match=r"masks must match .* \(12, 12\)"):
        extremal.probabilities_through(LOGITS_FN, IMAGE, 1, MASKS[:, :4])
    with pytest.raises(ValueError, match="background must be one of"):
        extremal.probabilities_through(LOGITS_FN, IMAGE, 1, MASKS, background="fog")
    with pytest.raises(ValueError, match="areas must have one entry for each of the 3 masks"):
        extremal.score_masks(LOGITS_FN, IMAGE, 1, MASKS, AREAS[:2])
