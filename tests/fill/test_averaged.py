"""Averages of gradients at places that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import fill, masks, objectives
from fitb_jax.smoothing import gaussian_blur
from tests import problems

LOGITS_FN = problems.smooth_logits()
IMAGE, MASK = problems.image_and_mask(dtype=jnp.float32)
KEY = jax.random.key(3)


def test_over_noise_is_the_mean_gradient_at_noisy_images() -> None:
    found = fill.over_noise(LOGITS_FN, IMAGE, MASK, 1, key=KEY, draws=3, noise=0.1, background=0.4)
    seen = masks.apply(IMAGE, MASK, 0.4)
    at = [seen + 0.1 * jax.random.normal(key, seen.shape) for key in jax.random.split(KEY, 3)]
    expected = sum(jax.grad(lambda z: LOGITS_FN(z)[1])(one) for one in at) / 3
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_without_noise_or_further_blanks_it_is_the_gradient() -> None:
    plain = fill.first_order(LOGITS_FN, IMAGE, MASK, 1, objective=objectives.logit)
    quiet = fill.over_noise(LOGITS_FN, IMAGE, MASK, 1, key=KEY, noise=0.0)
    whole = fill.over_masks(LOGITS_FN, IMAGE, MASK, 1, key=KEY, patch=2, ratio=0.0)
    for found in (quiet, whole):
        np.testing.assert_allclose(found, plain, rtol=1e-4, atol=1e-6)


def test_over_masks_hides_more() -> None:
    found = fill.over_masks(LOGITS_FN, IMAGE, MASK, 1, key=KEY, patch=2, draws=2)
    gradients = []
    for key in jax.random.split(KEY, 2):
        seen = MASK * masks.random_patches(MASK.shape, 0.3, 2, key=key)
        gradients.append(fill.first_order(LOGITS_FN, IMAGE, seen, 1, objective=objectives.logit))
    np.testing.assert_allclose(found, sum(gradients) / 2, rtol=1e-4, atol=1e-6)


def test_smoothing_stays_inside_and_knows_no_scale() -> None:
    update = jax.random.normal(KEY, IMAGE.shape)
    found = fill.smoothed(update, MASK, sigma=1.0)
    hidden = (1 - MASK)[:, :, None] * update
    np.testing.assert_allclose(
        found, gaussian_blur(hidden / jnp.abs(hidden).max(), sigma=1.0), atol=1e-6
    )
    np.testing.assert_allclose(fill.smoothed(1e-6 * update, MASK, sigma=1.0), found, rtol=1e-4)
    assert (fill.smoothed(jnp.zeros_like(update), MASK, sigma=1.0) == 0).all()


@pytest.mark.usefixtures("unchecked")
def test_bad_numbers_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="draws must be at least 1"):
        fill.over_noise(LOGITS_FN, IMAGE, MASK, 1, key=KEY, draws=0)
    with pytest.raises(ValueError, match="noise must lie in"):
        fill.over_noise(LOGITS_FN, IMAGE, MASK, 1, key=KEY, noise=-1.0)
    with pytest.raises(ValueError, match="target must lie in"):
        fill.over_noise(LOGITS_FN, IMAGE, MASK, 99, key=KEY)
