import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import evaluation, objectives
from tests import problems

STEPS = jnp.asarray([0.01, 0.1, 0.5, 1.0, 5.0, 50.0])
FINE = jnp.linspace(0.001, 2, 2000)
IMAGE, _ = problems.image_and_mask(dtype=jnp.float32)
DIRECTION = jnp.asarray(np.random.default_rng(3).normal(size=problems.SHAPE), jnp.float32)


def _linear_logits(image: jax.Array) -> jax.Array:
    weights = np.random.default_rng(4).normal(size=(problems.CLASSES, IMAGE.size))
    return jnp.asarray(weights, image.dtype) @ image.ravel()


def _squares(slope: float, curvature: float):
    """Logits of which the first is `slope s + curvature s^2 / 2` of the first pixel's s."""

    def logits_fn(image: jax.Array) -> jax.Array:
        s = image[0, 0, 0]
        return jnp.stack([slope * s + curvature * s**2 / 2, 0 * s, 0 * s])

    return logits_fn


FIRST_PIXEL = jnp.zeros(problems.SHAPE).at[0, 0, 0].set(1)


def test_linear_logits_are_their_first_order_model_at_any_distance() -> None:
    found = evaluation.local_models(
        _linear_logits, IMAGE, 1, DIRECTION, STEPS, objective=objectives.logit
    )
    assert (found.first_error == 0).all()
    assert (found.second_error == 0).all()
    np.testing.assert_allclose(found.first, found.change, rtol=1e-3)
    assert evaluation.local_radius(STEPS, found.first_error, tolerance=1e-6) == 50


@pytest.mark.parametrize("concave", [True, False])
def test_quadratic_logits_are_their_second_order_model_at_any_distance(concave: bool) -> None:
    logits_fn, matrix, linear = problems.quadratic_logits(concave=concave)
    found = evaluation.local_models(
        logits_fn, IMAGE, 1, DIRECTION, STEPS, objective=objectives.logit
    )
    x, d = (np.asarray(a, np.float64).ravel() for a in (IMAGE, DIRECTION))
    slope, curvature = d @ (matrix[1] @ x + linear[1]), d @ matrix[1] @ d
    t = np.asarray(STEPS, np.float64)
    np.testing.assert_allclose(found.first, t * slope, rtol=1e-4)
    np.testing.assert_allclose(found.second, t * slope + t**2 * curvature / 2, rtol=1e-4)
    assert (found.second_error < 1e-4).all()
    change = np.abs(t * slope + t**2 * curvature / 2)
    expected = np.abs(t**2 * curvature / 2) / np.maximum.accumulate(change)
    np.testing.assert_allclose(found.first_error, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("slope", "curvature"), [(1.0, 1.0), (-1.0, -1.0), (2.0, 0.5)])
@pytest.mark.parametrize("tolerance", [0.05, 0.1, 0.25])
def test_the_radius_of_a_parabola(slope: float, curvature: float, tolerance: float) -> None:
    """`(c t^2 / 2) / (a t + c t^2 / 2)` is the tolerance at `t = 2 a tol / (c (1 - tol))`."""
    found = evaluation.local_models(
        _squares(slope, curvature),
        jnp.zeros(problems.SHAPE),
        0,
        FIRST_PIXEL,
        FINE,
        objective=objectives.logit,
    )
    expected = min(2 * slope * tolerance / (curvature * (1 - tolerance)), 2.0)
    radius = evaluation.local_radius(FINE, found.first_error, tolerance=tolerance)
    assert expected - 0.002 < radius < expected + 1e-4
    assert evaluation.local_radius(FINE, found.second_error, tolerance=tolerance) == 2


def test_the_error_is_relative_to_the_largest_change_so_far() -> None:
    """`t - t^2 / 2` is back at 0 for t = 2, and its largest change was 1/2."""
    found = evaluation.local_models(
        _squares(1.0, -1.0),
        jnp.zeros(problems.SHAPE),
        0,
        FIRST_PIXEL,
        jnp.asarray([0.5, 1.0, 2.0]),
        objective=objectives.logit,
    )
    np.testing.assert_allclose(found.change, [0.375, 0.5, 0.0], atol=1e-6)
    np.testing.assert_allclose(found.first_error, [0.125 / 0.375, 1.0, 4.0], rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 7.0])
def test_scales_of_the_objective_and_of_the_direction_do_not_matter(scale: float) -> None:
    logits_fn = problems.smooth_logits()
    steps = jnp.asarray([0.1, 0.5, 1.0])

    def scaled(logits: jax.Array, target: jax.Array) -> jax.Array:
        return scale * objectives.log_prob(logits, target)

    plain = evaluation.local_models(logits_fn, IMAGE, 1, DIRECTION, steps)
    louder = evaluation.local_models(logits_fn, IMAGE, 1, DIRECTION, steps, objective=scaled)
    longer = evaluation.local_models(logits_fn, IMAGE, 1, 2 * DIRECTION, steps / 2)
    assert (plain.first_error > 0.001).all()
    # A small objective is nearer to the rounding of the logits.
    np.testing.assert_allclose(plain.first_error, louder.first_error, rtol=0.02, atol=0.02)
    np.testing.assert_allclose(plain.first_error, longer.first_error, rtol=1e-3)
    np.testing.assert_allclose(plain.second_error, longer.second_error, rtol=1e-2, atol=1e-5)


@pytest.mark.usefixtures("x64")
def test_errors_of_smooth_networks_fall_with_the_order_of_the_model() -> None:
    """Halving a short step halves the first-order error and quarters that of the second order."""
    image, _ = problems.image_and_mask()
    direction = jnp.asarray(np.asarray(DIRECTION, np.float64))
    steps = jnp.asarray([1e-4, 2e-4])
    found = evaluation.local_models(problems.smooth_logits(), image, 1, direction, steps)
    np.testing.assert_allclose(found.first_error[1] / found.first_error[0], 2, rtol=0.01)
    np.testing.assert_allclose(found.second_error[1] / found.second_error[0], 4, rtol=0.01)


def test_a_network_that_does_not_look_is_modelled_exactly() -> None:
    found = evaluation.local_models(problems.constant_logits, IMAGE, 1, DIRECTION, STEPS)
    assert (found.first_error == 0).all()
    assert evaluation.local_radius(STEPS, found.first_error) == STEPS[-1]


def test_a_plane_says_nothing_where_the_slope_is_zero() -> None:
    found = evaluation.local_models(
        _squares(0.0, 3.0),
        jnp.zeros(problems.SHAPE),
        0,
        FIRST_PIXEL,
        STEPS,
        objective=objectives.logit,
    )
    np.testing.assert_allclose(found.first_error, 1, rtol=1e-5)
    assert evaluation.local_radius(STEPS, found.first_error) == 0
    assert evaluation.local_radius(STEPS, found.second_error) == STEPS[-1]


def test_the_radius_ends_at_the_first_gap() -> None:
    steps = jnp.asarray([1.0, 2.0, 3.0, 4.0])
    for errors, expected in (
        ([0.0, 0.1, 0.2, 0.0], 2.0),
        ([0.2, 0.0, 0.0, 0.0], 0.0),
        ([0.0, jnp.nan, 0.0, 0.0], 1.0),
        ([0.0, 0.0, jnp.inf, 0.0], 2.0),
        ([0.1, 0.1, 0.1, 0.1], 4.0),
    ):
        found = evaluation.local_radius(steps, jnp.asarray(errors), tolerance=0.1)
        assert found == expected, errors


def test_a_batch_of_directions_is_each_of_them() -> None:
    logits_fn = problems.smooth_logits()
    directions = jnp.stack([DIRECTION, 2 * DIRECTION, -DIRECTION])

    def error(direction: jax.Array) -> jax.Array:
        return evaluation.local_models(logits_fn, IMAGE, 1, direction, STEPS[:4]).first_error

    together = jax.jit(jax.vmap(error))(directions)
    for one, direction in zip(together, directions, strict=True):
        np.testing.assert_allclose(one, error(direction), rtol=1e-3, atol=1e-5)


def _call(**changes):
    good = {
        "logits_fn": problems.smooth_logits(),
        "image": IMAGE,
        "target": 1,
        "direction": DIRECTION,
        "steps": STEPS,
    }
    return lambda: evaluation.local_models(**{**good, **changes})


BAD = [
    (_call(direction=DIRECTION[:2]), "direction must have the shape of image"),
    (_call(direction=DIRECTION[:, :, 0]), r"direction must have shape \(h, w, c\)"),
    (_call(direction=DIRECTION * jnp.nan), "direction must be finite"),
    (_call(steps=STEPS[::-1]), "steps must ascend strictly and be above 0"),
    (_call(steps=STEPS - 1), "steps must ascend strictly and be above 0"),
    (_call(steps=0.5), "steps must be an array of floating point numbers"),
    (_call(target=3), r"target must lie in \[0, 3\), got 3"),
    (_call(image=255 * IMAGE), "image must have values in"),
    (_call(logits_fn=3), "logits_fn must be callable"),
    (lambda: evaluation.local_radius(STEPS, STEPS[:2]), "error must have the shape of steps"),
    (lambda: evaluation.local_radius(STEPS, STEPS, tolerance=0.0), "tolerance must lie in"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_refused(call, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()
