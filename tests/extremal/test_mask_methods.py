"""Ways to find masks through one signature: what they forward, and what controls show."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import extremal
from fitb_jax.extremal import mask_methods
from tests import problems

SHAPE = (12, 12, 3)
LOGITS_FN = problems.smooth_logits(shape=SHAPE)
IMAGE, _ = problems.image_and_mask(shape=SHAPE, dtype=jnp.float32)
AREAS = jnp.asarray([0.25, 0.5])
KEY = jax.random.key(4)


def test_fitted_masks_are_those_of_a_fit_with_the_key() -> None:
    config = extremal.InrConfig(steps=2)
    fitted = jax.jit(lambda x: extremal.fit_inr(LOGITS_FN, x, 1, config, key=KEY))(IMAGE)
    wanted = extremal.inr_masks(fitted, AREAS, SHAPE[:2])
    method = functools.partial(mask_methods.fitted_masks, config, LOGITS_FN)
    found = jax.jit(lambda x: method(x, 1, AREAS, key=KEY))(IMAGE)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_free_masks_are_dense_ones() -> None:
    config = extremal.DenseConfig(steps=2)
    wanted = jax.jit(lambda x: extremal.dense_masks(LOGITS_FN, x, 1, AREAS, config))(IMAGE)
    method = functools.partial(mask_methods.free_masks, config, LOGITS_FN)
    found = jax.jit(lambda x: method(x, 1, AREAS, key=KEY))(IMAGE)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["centred_discs", "random_smooth_masks"])
def test_controls_have_their_areas_and_do_not_depend_on_the_class(name: str) -> None:
    method = functools.partial(getattr(mask_methods, name), LOGITS_FN, IMAGE)
    found = method(0, AREAS, key=KEY)
    np.testing.assert_allclose(found.mean((1, 2)), AREAS, atol=0.05)
    np.testing.assert_array_equal(found, method(1, AREAS, key=KEY))


def test_masks_of_a_map_show_its_largest_values() -> None:
    saliency = jax.random.uniform(jax.random.key(5), SHAPE[:2])

    def saliency_fn(*asked: object, key: jax.Array) -> jax.Array:
        del asked, key
        return saliency

    found = mask_methods.map_masks(saliency_fn, LOGITS_FN, IMAGE, 1, AREAS, key=KEY)
    np.testing.assert_allclose(found.mean((1, 2)), AREAS, atol=1e-5)
    for mask, area in zip(found, AREAS, strict=True):
        wanted = extremal.binarise(saliency, area)
        np.testing.assert_array_equal(extremal.binarise(mask, area), wanted)


def test_a_map_of_ties_shows_no_corner_of_the_image() -> None:
    def constant(logits_fn: object, image: jax.Array, *asked: object, key: jax.Array) -> jax.Array:
        del logits_fn, asked, key
        return jnp.zeros(image.shape[:2])

    (mask,) = mask_methods.map_masks(constant, LOGITS_FN, IMAGE, 1, AREAS[1:], key=KEY)
    shown = extremal.binarise(mask, 0.5)
    np.testing.assert_allclose(shown[:6].mean(), 0.5, atol=0.2)


def test_a_prior_of_another_method_is_asked_for_the_same_class() -> None:
    config = extremal.InrConfig(steps=2)
    asked = []

    def prior_fn(logits_fn: object, image: jax.Array, target: int, *, key: jax.Array) -> jax.Array:
        del logits_fn, key
        asked.append(target)
        return image[:, :, 0]

    method = functools.partial(mask_methods.fitted_masks, config, LOGITS_FN, IMAGE, 1, AREAS)
    found = method(key=KEY, prior_fn=prior_fn)
    assert asked == [1]
    inr = extremal.fit_inr(LOGITS_FN, IMAGE, 1, config, key=KEY, prior=IMAGE[:, :, 0])
    np.testing.assert_allclose(found, extremal.inr_masks(inr, AREAS, SHAPE[:2]), atol=1e-6)
