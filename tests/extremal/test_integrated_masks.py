"""I-GOS and iGOS++ against slow loops of their definition, and where their masks must be."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import masks
from fitb_jax.extremal import IGOS, IgosConfig, bilateral_variation, binarise, fit_igos
from fitb_jax.objectives import logit, prob
from fitb_jax.types import Array
from tests.extremal.toys import IMAGE, PATCH, SHARE, SIDE, looks_at

KEY = jax.random.key(0)
LOGITS_FN = looks_at(PATCH)
SHORT = {"grid": 5, "iterations": 3, "path_steps": 2, "noise": 0.0}
PLUS_PLUS = IgosConfig(**SHORT, chunk=3)
PLAIN = dataclasses.replace(IGOS, **SHORT)
FIT = jax.jit(
    lambda image, config, key: fit_igos(LOGITS_FN, image, 1, config, key=key, background=0.0)
)


def _interpolation(size: int, count: int) -> np.ndarray:
    """Of a row of `count` values whose ends are those of `size` pixels."""
    at = np.linspace(0, count - 1, size)
    return np.stack([np.interp(at, np.arange(count), unit) for unit in np.eye(count)], axis=1)


def _loop_variation(values: np.ndarray, image: np.ndarray, edge: float) -> float:
    height, width, _ = image.shape
    fine = _interpolation(height, values.shape[0]) @ values
    fine = fine @ _interpolation(width, values.shape[1]).T
    found = 0.0
    for down, right in ((1, 0), (0, 1)):
        on_pixels = []
        for i in range(height - down):
            for j in range(width - right):
                colour = np.mean((image[i + down, j + right] - image[i, j]) ** 2)
                step = fine[i + down, j + right] - fine[i, j]
                on_pixels += [np.exp(-colour / edge**2) * step**2]
        found += np.mean(on_pixels) + np.mean(np.diff(values, axis=right) ** 2)
    return found / 2


@pytest.mark.usefixtures("x64")
def test_the_bilateral_variation_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    values, image = rng.uniform(size=(3, 4)), rng.uniform(size=(7, 6, 3))
    found = bilateral_variation(jnp.asarray(values), jnp.asarray(image), edge=0.4)
    np.testing.assert_allclose(found, _loop_variation(values, image, 0.4), rtol=1e-9)
    turned = bilateral_variation(jnp.asarray(values.T), jnp.asarray(image.swapaxes(0, 1)), edge=0.4)
    np.testing.assert_allclose(found, turned, rtol=1e-9)


def _objective(
    values: Array, image: Array, config: IgosConfig, *, score_weight: float = 1.0
) -> Array:
    """Term by term and step by step."""
    across = jnp.asarray(_interpolation(SIDE, config.grid))

    def p(mask: Array) -> Array:
        return prob(LOGITS_FN(masks.apply(image, mask, 0.0)), 1)

    both = 1 - (1 - values[0]) * (1 - values[-1])
    if config.variant == "igos":
        both = values[0]
    fine = [across @ each @ across.T for each in values]
    fine_both = 1 - (1 - fine[0]) * (1 - fine[-1])
    score = 0.0
    for step in range(config.path_steps):
        t = (step + 1) / config.path_steps
        if config.variant == "igos":
            score += p(t * (1 - fine[0]))
        else:
            score += (p(t * (1 - fine[0])) - p(1 - t * (1 - fine[1]))) / 2
            score += (p(t * (1 - fine_both)) - p(1 - t * (1 - fine_both))) / 2
    smooth = (
        (jnp.diff(both, axis=0) ** 2).mean() + (jnp.diff(both, axis=1) ** 2).mean()
        if config.variant == "igos"
        else bilateral_variation(both, image, edge=config.edge)
    )
    l1 = jnp.where(both == 0, 0, both).mean()
    return score_weight * score / config.path_steps + l1 + 20 * smooth


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("config", [PLUS_PLUS, PLAIN], ids=["igos++", "igos"])
def test_steps_of_the_line_search_are_those_of_the_definition(config: IgosConfig) -> None:
    image = jnp.asarray(IMAGE, jnp.float64)
    weight = config.search_weight
    objective = jax.jit(lambda values: _objective(values, image, config, score_weight=weight))
    gradient_of = jax.jit(jax.grad(lambda values: _objective(values, image, config)))
    values = jnp.zeros((1 if config.variant == "igos" else 2, 5, 5))
    sizes, history = [], []
    for _ in range(config.iterations):
        gradient, now = gradient_of(values), objective(values)
        size = config.step_size
        while size >= 1e-5:
            moved = jnp.clip(values - size * gradient, 0, 1)
            if objective(moved) <= now - 1e-4 * size * (gradient**2).sum():
                break
            size *= 0.2
        values = moved
        sizes.append(size)
        history.append(now)
    found = FIT(image, config, KEY)
    np.testing.assert_allclose(found.step_size, sizes, rtol=1e-6)
    np.testing.assert_allclose(weight * found.score + found.penalty, history, rtol=1e-6)
    np.testing.assert_allclose(found.values, values, atol=1e-6)
    across = _interpolation(SIDE, 5)
    union = 1 - np.prod(1 - np.asarray(values), axis=0)
    np.testing.assert_allclose(found.mask, across @ union @ across.T, atol=1e-6)
    # The same, were the sum over the path not that of the gradient.
    assert values.max() > 0.01


@pytest.mark.usefixtures("x64")
def test_steps_of_nesterov_look_ahead() -> None:
    image = jnp.asarray(IMAGE, jnp.float64)
    config = dataclasses.replace(PLUS_PLUS, step_rule="nesterov", step_size=0.5)
    gradient_of = jax.jit(jax.grad(lambda values: _objective(values, image, config)))
    values, last = jnp.zeros((2, 5, 5)), 0.0
    for t in range(config.iterations):
        ahead = values - 0.5 * gradient_of(values)
        values, last = jnp.clip(ahead + t / (t + 3) * (ahead - last), 0, 1), ahead
    np.testing.assert_allclose(FIT(image, config, KEY).values, values, atol=1e-6)


@pytest.mark.parametrize("config", [PLUS_PLUS, PLAIN], ids=["igos++", "igos"])
def test_without_penalty_a_linear_classifier_gives_the_sign_of_its_weights(config: Any) -> None:
    """The score is linear in the mask: one step reaches the corner of the cube."""
    signs = np.random.default_rng(1).choice([-0.1, 0.1], size=(SIDE, SIDE, 1))
    weights = jnp.asarray(np.broadcast_to(signs, IMAGE.shape), jnp.float32)
    config = dataclasses.replace(
        config, grid=SIDE, objective=logit, l1_weight=0.0, variation_weight=0.0, step_size=1e4
    )

    def logits_fn(image: Array) -> Array:
        return jnp.stack([image.sum() * 0, (weights * image).sum()])

    found = fit_igos(logits_fn, IMAGE, 1, config, key=KEY, background=0.25)
    np.testing.assert_allclose(found.mask, signs[:, :, 0] > 0, atol=1e-5)


@pytest.mark.parametrize("config", [IgosConfig(), IGOS], ids=["igos++", "igos"])
def test_masks_find_the_patch_and_the_search_never_climbs(config: IgosConfig) -> None:
    config = dataclasses.replace(
        config,
        grid=SIDE,
        noise=0.0,
        path_steps=4,
        iterations=12,
        variation_weight=1.0,
        search_weight=1.0,
    )
    found = FIT(IMAGE, config, KEY)
    assert (np.diff(found.score + found.penalty) <= 1e-6).all()
    assert (found.score + found.penalty)[-1] < (found.score + found.penalty)[0] - 0.05
    shown = binarise(found.mask, SHARE)
    assert (shown * PATCH).sum() / jnp.maximum(shown, PATCH).sum() > 0.8
    np.testing.assert_allclose(found.p_whole, prob(LOGITS_FN(IMAGE), 1), rtol=1e-5)
    np.testing.assert_allclose(found.p_blank, prob(LOGITS_FN(0 * IMAGE), 1), rtol=1e-5)


def test_the_key_is_that_of_the_noise() -> None:
    config = dataclasses.replace(PLUS_PLUS, noise=0.1)
    first, same, other = (FIT(IMAGE, config, jax.random.key(seed)).mask for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0
    quiet = [FIT(IMAGE, PLUS_PLUS, jax.random.key(seed)).mask for seed in (0, 1)]
    np.testing.assert_array_equal(*quiet)


def test_images_and_numbers_are_a_vmap() -> None:
    weights = jnp.asarray([0.1, 2.0])
    images = jnp.stack([IMAGE, IMAGE[::-1]])

    def fit(image: Array, weight: Array) -> Array:
        return FIT(image, dataclasses.replace(PLUS_PLUS, l1_weight=weight), KEY).mask

    many = jax.vmap(fit)(images, weights)
    for index in range(2):
        np.testing.assert_allclose(many[index], fit(images[index], weights[index]), atol=1e-5)
    assert many[1].mean() < many[0].mean()
