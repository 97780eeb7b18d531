from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import evaluation, objectives
from tests import problems

SHAPE = (5, 6, 3)
KEY = jax.random.key(0)
IMAGE, _ = problems.image_and_mask(shape=SHAPE, dtype=jnp.float32)
WEIGHTS = jax.random.normal(jax.random.key(1), (2, *SHAPE))
INFIDELITY = jax.jit(lambda *args: evaluation.infidelity(_linear_logits, *args, key=KEY))


def _linear_logits(image: jax.Array) -> jax.Array:
    return (WEIGHTS * image[None]).sum((1, 2, 3))


@pytest.mark.parametrize("perturb_fn", [None, evaluation.robustness.remove_square])
def test_the_gradient_of_a_linear_classifier_is_faithful(perturb_fn: object) -> None:
    found = evaluation.infidelity(
        _linear_logits, IMAGE, WEIGHTS[1], 1, key=KEY, perturb_fn=perturb_fn
    )
    np.testing.assert_allclose(found.infidelity, 0, atol=1e-8)
    np.testing.assert_allclose(found.scale, 1, rtol=1e-4)
    assert float(found.variation) > 0.01


def test_the_best_scale_is_found() -> None:
    found = INFIDELITY(IMAGE, -4 * WEIGHTS[1], 1)
    np.testing.assert_allclose(found.scale, -0.25, rtol=1e-4)
    np.testing.assert_allclose(found.scaled, 0, atol=1e-8)
    np.testing.assert_allclose(found.infidelity, 25 * found.variation, rtol=1e-4)


def test_tiny_maps_are_judged_as_others_are() -> None:
    found = INFIDELITY(IMAGE, 1e-20 * WEIGHTS[0], 0)
    np.testing.assert_allclose(found.scaled, 0, atol=1e-6 * found.variation)
    np.testing.assert_allclose(found.scale, 1e20, rtol=1e-4)
    tiny, own = (
        evaluation.max_sensitivity(lambda image, a=a: a * image**2, IMAGE, key=KEY)
        for a in (1e-25, 1.0)
    )
    np.testing.assert_allclose(tiny.relative, own.relative, rtol=1e-5)


def test_infidelity_of_noise_has_a_closed_form() -> None:
    """E <a - w, I>^2 = deviation^2 ||a - w||^2."""
    attribution = jax.random.normal(jax.random.key(2), SHAPE)
    found = evaluation.infidelity(
        _linear_logits, IMAGE, attribution, 0, key=KEY, samples=20_000, chunk=20_000
    )
    expected = 0.2**2 * float(((attribution - WEIGHTS[0]) ** 2).sum())
    # A square of a normal variable: relative standard error sqrt(2 / samples) = 1 %.
    np.testing.assert_allclose(found.infidelity, expected, rtol=0.05)


def test_a_map_stands_for_every_channel() -> None:
    """A peer broadcasts (h, w) against (h, w, 3) along the wrong axis, or fails on RGB."""
    saliency = jax.random.normal(jax.random.key(3), SHAPE[:2])
    per_value = jnp.broadcast_to(saliency[:, :, None], SHAPE)
    by_map = INFIDELITY(IMAGE, saliency, 0)
    by_value = INFIDELITY(IMAGE, per_value, 0)
    for a, b in zip(by_map, by_value, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_an_attribution_of_zeros_scores_the_variation() -> None:
    found = INFIDELITY(IMAGE, jnp.zeros(SHAPE), 0)
    np.testing.assert_allclose(found.infidelity, found.variation)
    np.testing.assert_allclose(found.scaled, found.variation)
    assert np.isnan(found.scale)


def test_infidelity_does_not_depend_on_the_batch_size() -> None:
    logits_fn = problems.smooth_logits(shape=SHAPE)
    score = partial(evaluation.infidelity, logits_fn, samples=10, objective=objectives.log_prob)
    found = [
        jax.jit(partial(score, chunk=chunk))(IMAGE, WEIGHTS[0], 1, key=KEY) for chunk in (3, 10)
    ]
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4)


def test_a_removed_square_is_the_background() -> None:
    keys = jax.random.split(KEY, 400)
    for key in keys[:5]:
        shown = IMAGE - evaluation.robustness.remove_square(IMAGE, key=key, side=2, background=0.3)
        changed = np.abs(np.asarray(shown - IMAGE)).sum(-1) > 0
        assert changed.sum() == 4
        np.testing.assert_allclose(np.asarray(shown)[changed], 0.3, rtol=1e-6)
    drawn = jax.vmap(lambda key: evaluation.robustness.remove_square(IMAGE, key=key, side=2))(keys)
    touched = (np.abs(np.asarray(drawn)).sum(-1) > 0).any(0)
    assert touched.all(), "squares reach every pixel"


def test_sensitivity_of_a_linear_explanation() -> None:
    """The map 3 x moves by 3 |shift|, at most 3 radius sqrt(size)."""
    found = evaluation.max_sensitivity(
        lambda image: 3 * image, IMAGE, key=KEY, radius=0.1, samples=50
    )
    bound = 3 * 0.1 * np.sqrt(IMAGE.size)
    # A uniform shift has root mean square radius / sqrt(3).
    assert bound / np.sqrt(3) < float(found.largest) < bound
    norm = 3 * float(jnp.linalg.norm(IMAGE.ravel()))
    np.testing.assert_allclose(found.relative, found.largest / norm, rtol=1e-5)


def test_a_constant_explanation_does_not_move() -> None:
    found = evaluation.max_sensitivity(lambda image: WEIGHTS[0], IMAGE, key=KEY)
    assert float(found.largest) == 0
    assert float(found.relative) == 0
    zero = evaluation.max_sensitivity(lambda image: 0 * image, IMAGE, key=KEY)
    assert np.isnan(zero.relative)


def test_sensitivity_does_not_depend_on_the_batch_size() -> None:
    explain_fn = jax.grad(lambda image: problems.smooth_logits(shape=SHAPE)(image)[0])

    def largest(samples: int, chunk: int) -> float:
        score = partial(evaluation.max_sensitivity, explain_fn, samples=samples, chunk=chunk)
        return float(jax.jit(score)(IMAGE, key=KEY).largest)

    np.testing.assert_allclose(largest(8, 1), largest(8, 3), rtol=1e-4)
