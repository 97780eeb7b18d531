"""Pyramids, and what a blend shows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import masks
from fitb_jax.extremal import blend_pyramid, blur_pyramid, make_blend
from fitb_jax.extremal import mean_colour as mean_colour_of
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Array
from tests import problems

SHAPE = (9, 12, 3)
IMAGE, MASK = problems.image_and_mask(shape=SHAPE, dtype=jnp.float32)
SOFT = jnp.asarray(np.random.default_rng(1).uniform(size=SHAPE[:2]), jnp.float32)


def test_pyramid_goes_from_blurred_to_sharp() -> None:
    pyramid = blur_pyramid(IMAGE, sigma=4.0, levels=5)
    for level, sigma in zip(pyramid, (4.0, 3.0, 2.0, 1.0, 0.0), strict=True):
        np.testing.assert_allclose(level, gaussian_blur(IMAGE, sigma=sigma), atol=1e-6)
    np.testing.assert_array_equal(pyramid[-1], IMAGE)


def test_a_pyramid_is_read_between_its_levels() -> None:
    pyramid = blur_pyramid(IMAGE, sigma=4.0, levels=4)
    for level, value in enumerate((0.0, 1 / 3, 2 / 3, 1.0)):
        shown = blend_pyramid(pyramid, jnp.full(SHAPE[:2], value))
        np.testing.assert_allclose(shown, pyramid[level], atol=1e-6)
    between = blend_pyramid(pyramid, jnp.full(SHAPE[:2], 0.5))
    np.testing.assert_allclose(between, (pyramid[1] + pyramid[2]) / 2, atol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("value", "step"), [(0.0, 1e-7), (1.0, -1e-7), (1 / 3, 1e-7), (0.4, 1e-7), (0.9, -1e-7)]
)
def test_the_slope_of_a_pyramid_is_that_between_its_levels(value: float, step: float) -> None:
    pyramid = jnp.asarray(blur_pyramid(IMAGE, sigma=4.0, levels=4), jnp.float64)
    weights = jnp.asarray(np.random.default_rng(0).normal(size=IMAGE.shape))

    def total(value: Array) -> Array:
        return (weights * blend_pyramid(pyramid, jnp.full(SHAPE[:2], value))).sum()

    wanted = (total(jnp.float64(value + step)) - total(jnp.float64(value))) / step
    np.testing.assert_allclose(jax.grad(total)(jnp.float64(value)), wanted, rtol=1e-5)


def test_a_pyramid_of_one_level_shows_it() -> None:
    pyramid = IMAGE[None]
    np.testing.assert_array_equal(blend_pyramid(pyramid, SOFT), IMAGE)


def test_a_pyramid_of_two_levels_is_a_blend() -> None:
    pyramid = blur_pyramid(IMAGE, sigma=4.0, levels=2)
    wanted = masks.apply(IMAGE, SOFT, gaussian_blur(IMAGE, sigma=4.0))
    np.testing.assert_allclose(blend_pyramid(pyramid, SOFT), wanted, atol=1e-6)


@pytest.mark.parametrize("background", ["blur", "pyramid", "mean", 0.5, "colour", "image"])
def test_blends_show_the_image_where_visible_and_the_background_where_blank(
    background: str | float,
) -> None:
    given = {"colour": jnp.asarray([0.1, 0.5, 0.9]), "image": 1 - IMAGE}.get(background, background)
    blank = {
        "blur": gaussian_blur(IMAGE, sigma=0.25 * 12),
        "pyramid": gaussian_blur(IMAGE, sigma=0.25 * 12),
        "mean": mean_colour_of(IMAGE)[None, None],
        "colour": jnp.asarray([0.1, 0.5, 0.9])[None, None],
        "image": 1 - IMAGE,
    }.get(background, jnp.full((1, 1, 3), 0.5))
    shown = make_blend(IMAGE, given, blur=0.25)(MASK)
    np.testing.assert_allclose(
        shown, jnp.where(MASK[:, :, None] == 1, IMAGE, jnp.broadcast_to(blank, SHAPE)), atol=1e-6
    )
