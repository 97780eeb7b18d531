"""Fills in many steps, where it is known what they end at."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import fill, masks, objectives
from tests import problems

KEY = jax.random.key(3)
IMAGE, MASK = problems.image_and_mask(dtype=jnp.float32)
VISIBLE = np.asarray(MASK) == 1
SMOOTH = problems.smooth_logits()
WEIGHTS = jax.random.normal(jax.random.key(1), (36, 3))
QUIET: dict[str, Any] = {"shift": 0, "noise": 0.0}


def _linear(image: jax.Array) -> jax.Array:
    return image.ravel() @ WEIGHTS.astype(image.dtype)


def _run(logits_fn: Any = SMOOTH, image: jax.Array = IMAGE, **options: Any) -> fill.Iterated:
    run = functools.partial(fill.iterated_with_diagnostics, logits_fn, **options)
    return jax.jit(lambda image, key: run(image, MASK, 1, key=key))(image, KEY)


def test_one_quiet_step_on_pixels_is_the_step_along_the_gradient() -> None:
    how: dict[str, Any] = {"steps": 1, "parametrisation": "pixels", "start": 0.4, **QUIET}
    found = fill.iterated(SMOOTH, IMAGE, MASK, 1, key=KEY, learning_rate=0.05, **how)
    update = fill.first_order(SMOOTH, IMAGE, MASK, 1, background=0.4)
    wanted = fill.step(IMAGE, MASK, update, size=0.05, background=0.4)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize(("parametrisation", "tolerance"), [("pixels", 0.0), ("fourier", 0.1)])
def test_a_linear_classifier_ends_at_the_corner_that_its_weights_name(
    parametrisation: str, tolerance: float
) -> None:
    how: dict[str, Any] = {"objective": objectives.logit, "steps": 200, "learning_rate": 0.2}
    found = _run(_linear, parametrisation=parametrisation, **how)
    towards = (WEIGHTS[:, 1].reshape(IMAGE.shape) > 0).astype(jnp.float32)
    np.testing.assert_allclose(found.image, masks.apply(IMAGE, MASK, towards), atol=tolerance)


def test_diagnostics_are_of_the_images_and_visible_pixels_stay() -> None:
    found = _run(steps=8, learning_rate=0.05, total_variation=0.1)
    for image, objective in ((found.image, found.objective), (found.best, found.best_objective)):
        np.testing.assert_allclose(objective, objectives.log_prob(SMOOTH(image), 1), rtol=1e-4)
        np.testing.assert_array_equal(image[VISIBLE], IMAGE[VISIBLE])
    assert found.history.shape == (8,)
    assert found.best_objective >= found.objective
    assert found.objective > objectives.log_prob(SMOOTH(fill.inpaint(IMAGE, MASK)), 1) + 0.1


def test_quiet_history_starts_where_the_fill_does() -> None:
    begun = {
        "inpainted": fill.inpaint(IMAGE, MASK),
        "mean": masks.apply(IMAGE, MASK, IMAGE[VISIBLE].mean()),
    }
    for start, image in begun.items():
        found = _run(steps=1, start=start, parametrisation="pixels", **QUIET)
        expected = objectives.log_prob(SMOOTH(image), 1)
        np.testing.assert_allclose(found.history[0], expected, rtol=1e-5)


def test_shifts_move_what_is_seen_and_noise_is_added_to_it() -> None:
    seen: list[np.ndarray] = []

    def watched(image: jax.Array) -> jax.Array:
        jax.debug.callback(lambda values: seen.append(np.asarray(values)), image)
        return SMOOTH(image)

    image = jnp.zeros((6, 6, 1)).at[2, 2].set(1.0)
    whole = jnp.ones((6, 6))
    fill.iterated(watched, image, whole, 1, key=KEY, steps=12, shift=1, noise=0.0)
    jax.effects_barrier()
    places = {tuple(np.argwhere(one[:, :, 0] == 1)[0]) for one in seen}
    assert len(places) > 4
    assert all(abs(row - 2) <= 1 and abs(column - 2) <= 1 for row, column in places)
    seen.clear()
    fill.iterated(watched, image, whole, 1, key=KEY, steps=12, shift=0, noise=0.05)
    jax.effects_barrier()
    noise = np.stack(seen[:12]) - np.asarray(image)
    np.testing.assert_allclose(noise.std(), 0.05, rtol=0.15)


def test_total_variation_smooths() -> None:
    rough, smooth = (
        _run(steps=30, total_variation=weight, **QUIET).image for weight in (0.0, 20.0)
    )
    variations = [jnp.abs(jnp.diff(image, axis=0)).sum() for image in (rough, smooth)]
    assert variations[1] < 0.9 * variations[0]


def test_a_newton_step_is_the_damped_one_of_the_same_length() -> None:
    how: dict[str, Any] = {"parametrisation": "pixels", "start": 0.5, "learning_rate": 0.01}
    found = _run(steps=1, newton_every=1, **how, **QUIET)
    direction = fill.second_order(SMOOTH, IMAGE, MASK, 1, background=0.5)
    wanted = fill.step(IMAGE, MASK, direction, size=0.01, background=0.5)
    np.testing.assert_allclose(found.image, wanted, atol=1e-5)
    never = _run(steps=2, newton_every=3, **how, **QUIET)
    plain = _run(steps=2, **how, **QUIET)
    np.testing.assert_allclose(never.image, plain.image, atol=1e-6)


def test_images_of_half_precision_stay_so_and_are_filled_alike() -> None:
    half = IMAGE.astype(jnp.bfloat16)
    found, wanted = _run(image=half, steps=8), _run(image=half.astype(jnp.float32), steps=8)
    assert found.image.dtype == found.best.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found.image[VISIBLE], half[VISIBLE])
    np.testing.assert_allclose(found.image.astype(jnp.float32), wanted.image, atol=0.01)


def test_progressive_fills_and_prototypes_take_it_as_their_rule() -> None:
    rule = functools.partial(fill.iterated, key=KEY, steps=2, start=0.0)
    parts = masks.partition((6, 6), 2, 2, key=KEY)
    stages = fill.progressive(
        SMOOTH, IMAGE, parts, 1, order=rule, fill_fn=lambda image, mask, filled: filled
    )
    first = rule(SMOOTH, IMAGE, parts[0], 1)
    np.testing.assert_allclose(stages[0], first, atol=1e-6)
    np.testing.assert_allclose(stages[1], rule(SMOOTH, first, parts[1], 1), atol=1e-6)
    mean = fill.expected_update(SMOOTH, IMAGE[None], jnp.array([1]), parts, order=rule).mean
    hidden = np.asarray(parts[0]) == 0
    np.testing.assert_allclose(mean[hidden], first[hidden], atol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_precisions_are_filled_where_double_precision_is_enabled(dtype: str) -> None:
    image, mask = problems.image_and_mask(dtype=jnp.dtype(dtype))
    found = fill.iterated(problems.smooth_logits(), image, mask, 1, key=KEY, steps=2)
    assert found.dtype == dtype
