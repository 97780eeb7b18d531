"""Blurs and running means against direct sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax.smoothing import gaussian_blur, trailing_mean
from tests import problems

SHAPE = (9, 12, 3)
IMAGE, _ = problems.image_and_mask(shape=SHAPE, dtype=jnp.float32)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("sigma", [0.5, 2.0, 40.0])
def test_blur_is_a_normalised_sum_over_the_image(sigma: float) -> None:
    image = np.random.default_rng(0).uniform(size=SHAPE)
    wanted = np.zeros(SHAPE)
    rows, columns = np.indices(SHAPE[:2])
    for i in range(SHAPE[0]):
        for j in range(SHAPE[1]):
            weight = np.exp(-((rows - i) ** 2 + (columns - j) ** 2) / (2 * sigma**2))
            wanted[i, j] = (weight[:, :, None] * image).sum((0, 1)) / weight.sum()
    np.testing.assert_allclose(gaussian_blur(jnp.asarray(image), sigma=sigma), wanted, rtol=1e-10)


def test_blur_of_none_and_of_constants_changes_nothing() -> None:
    np.testing.assert_allclose(gaussian_blur(IMAGE, sigma=0), IMAGE, rtol=1e-6)
    np.testing.assert_allclose(gaussian_blur(jnp.full(SHAPE, 0.3), sigma=3.0), 0.3, rtol=1e-5)


def test_an_endless_blur_is_the_mean_colour() -> None:
    wanted = jnp.broadcast_to(IMAGE.mean((0, 1)), SHAPE)
    np.testing.assert_allclose(gaussian_blur(IMAGE, sigma=1e4), wanted, rtol=1e-4)


def test_blur_in_half_precision_is_as_good_far_from_the_corner() -> None:
    noise = jnp.asarray(np.random.default_rng(0).uniform(size=(512, 4, 1)), jnp.bfloat16)
    found = gaussian_blur(noise, sigma=0.5).astype(jnp.float32)
    wanted = gaussian_blur(noise.astype(jnp.float32), sigma=0.5)
    np.testing.assert_allclose(found, wanted, atol=0.01)


def test_blur_can_be_swept_in_one_program() -> None:
    sigmas = jnp.asarray([0.0, 1.0, 5.0])
    many = jax.vmap(lambda sigma: gaussian_blur(IMAGE, sigma=sigma))(sigmas)
    for sigma, one in zip(sigmas, many, strict=True):
        np.testing.assert_allclose(one, gaussian_blur(IMAGE, sigma=sigma), atol=1e-6)


def test_a_running_mean_never_looks_ahead() -> None:
    step = np.zeros(20)
    step[10:] = 1
    found = trailing_mean(step, window=8)
    np.testing.assert_allclose(found[:10], 0)
    np.testing.assert_allclose(found[10:17], np.arange(1, 8) / 8)
    np.testing.assert_allclose(found[17:], 1)
    np.testing.assert_allclose(trailing_mean(np.arange(3.0), window=8), [0, 0.5, 1])
