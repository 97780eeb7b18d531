import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import checks, fill, masks, objectives
from fitb_jax.types import Target
from tests import problems

METHODS = ("newton", "gauss_newton", "principal", "curvature")
OBJECTIVES = (objectives.log_prob, objectives.logit, objectives.margin)
ENOUGH = 36


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_first_order_agrees_with_finite_differences(objective) -> None:
    logits_fn = problems.smooth_logits()
    image, mask = problems.image_and_mask()
    update = fill.first_order(logits_fn, image, mask, 1, objective=objective, background=0.3)
    masked, step = masks.apply(image, mask, 0.3), 1e-5
    for at in np.ndindex(*image.shape):
        up, down = (objective(logits_fn(masked.at[at].add(s * step)), 1) for s in (1, -1))
        np.testing.assert_allclose(update[at], (up - down) / (2 * step), atol=1e-8)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("concave", [True, False])
@pytest.mark.parametrize("damping", [1.1, 1.5, 10.0])
def test_newton_is_exact_on_quadratic_logits(concave: bool, damping: float) -> None:
    logits_fn, matrix, linear = problems.quadratic_logits(concave=concave)
    image, mask = problems.image_and_mask()
    hidden = np.asarray(mask).ravel() == 0
    seen = np.asarray(masks.apply(image, mask)).ravel()
    block = matrix[2][np.ix_(hidden, hidden)]
    gradient = (matrix[2] @ seen + linear[2])[hidden]
    shift = damping * np.abs(np.linalg.eigvalsh(block)).max()
    expected = np.linalg.solve(shift * np.eye(len(block)) - block, gradient)
    found = fill.second_order(
        logits_fn, image, mask, 2, objective=objectives.logit, damping=damping, steps=ENOUGH
    )
    np.testing.assert_allclose(np.asarray(found).ravel()[hidden], expected, atol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape", [(6, 6, 1), (4, 3, 3)])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_equals_the_dense_computation(method: str, shape: tuple[int, ...]) -> None:
    logits_fn = problems.smooth_logits(shape=shape)
    image, mask = problems.image_and_mask(3, shape)
    seen = masks.apply(image, mask)
    gradient, hessian, hidden = problems.dense_hidden_block(
        lambda z: objectives.log_prob(logits_fn(z), 0), seen, mask
    )
    if method == "gauss_newton":
        hessian = problems.dense_gauss_newton(
            logits_fn, lambda logits: objectives.log_prob(logits, 0), seen, hidden
        )
    value, vector = problems.leading(hessian)
    system = 1.5 * abs(value) * np.eye(len(hessian)) - hessian
    expected = {
        "newton": lambda: np.linalg.solve(system, gradient),
        "gauss_newton": lambda: np.linalg.solve(system, gradient),
        "principal": lambda: vector * np.sign(vector @ gradient),
        "curvature": lambda: hessian @ gradient / np.linalg.norm(gradient),
    }[method]()
    found = fill.second_order_with_diagnostics(
        logits_fn, image, mask, 0, method=method, steps=ENOUGH
    )
    update = np.asarray(found.update).ravel()
    np.testing.assert_allclose(update[hidden], expected, atol=1e-8)
    np.testing.assert_array_equal(update[~hidden], 0)
    np.testing.assert_allclose(found.curvature, value, rtol=1e-8)
    np.testing.assert_allclose(np.asarray(found.gradient).ravel()[hidden], gradient, atol=1e-12)
    assert found.residual < 1e-8
    assert found.curvature_error < 1e-6


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_the_residual_is_that_of_the_linear_system(steps: int) -> None:
    logits_fn = problems.smooth_logits()
    image, mask = problems.image_and_mask()
    gradient, hessian, hidden = problems.dense_hidden_block(
        lambda z: objectives.log_prob(logits_fn(z), 0), masks.apply(image, mask), mask
    )
    found = fill.second_order_with_diagnostics(logits_fn, image, mask, 0, steps=steps)
    step = np.asarray(found.update).ravel()[hidden]
    shift = 1.5 * abs(float(found.curvature))
    left = gradient - (shift * step - hessian @ step)
    np.testing.assert_allclose(
        found.residual, np.linalg.norm(left) / np.linalg.norm(gradient), atol=1e-10
    )
    nearest = np.abs(np.linalg.eigvalsh(hessian) - float(found.curvature)).min()
    assert nearest <= found.curvature_error + 1e-10


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("chunk", [1, 2, problems.CLASSES])
def test_all_classes_equal_the_loop_over_classes(objective, chunk: int) -> None:
    logits_fn = problems.smooth_logits()
    image, mask = problems.image_and_mask(dtype=jnp.float32)
    together = fill.first_order_all_classes(
        logits_fn, image, mask, objective=objective, background=0.2, chunk=chunk
    )
    for target in range(problems.CLASSES):
        alone = fill.first_order(
            logits_fn, image, mask, target, objective=objective, background=0.2
        )
        np.testing.assert_allclose(together[target], alone, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_no_curvature_gives_a_finite_update(method: str) -> None:
    image, mask = problems.image_and_mask(dtype=jnp.float32)
    found = fill.second_order_with_diagnostics(
        problems.relu_logits(), image, mask, 0, method=method, objective=objectives.logit
    )
    assert all(np.isfinite(leaf).all() for leaf in found)
    if method in ("newton", "gauss_newton"):
        np.testing.assert_allclose(found.update, found.gradient, rtol=1e-5)
    if method == "curvature":
        np.testing.assert_array_equal(found.update, 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", ["constant classifier", "nothing hidden"])
def test_nothing_to_explain_gives_zero(method: str, case: str) -> None:
    image, mask = problems.image_and_mask(dtype=jnp.float32)
    logits_fn = problems.smooth_logits()
    if case == "nothing hidden":
        mask = jnp.ones_like(mask)
    else:
        logits_fn = problems.constant_logits
    update = fill.second_order(logits_fn, image, mask, 0, method=method)
    np.testing.assert_array_equal(update, 0)


@pytest.mark.parametrize("method", METHODS)
def test_vmapped_equals_looped(method: str) -> None:
    logits_fn = problems.smooth_logits()
    images, targets = problems.images_and_targets(3)
    seen = masks.partition((6, 6), 3, 1, key=jax.random.key(0))
    function = functools.partial(fill.second_order, logits_fn, method=method)
    together = jax.jit(jax.vmap(function))(images, seen, targets)
    for index in range(3):
        alone = function(images[index], seen[index], targets[index])
        np.testing.assert_allclose(together[index], alone, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("method", ["newton", "gauss_newton", "principal"])
def test_a_confident_network_has_an_update(method: str) -> None:
    """The squares of its gradient leave the range of float32; its direction does not."""
    logits_fn = problems.smooth_logits()
    image, mask = problems.image_and_mask(dtype=jnp.float32)

    def confident(image: jax.Array) -> jax.Array:
        return logits_fn(image) + jnp.asarray([50.0, 0.0, 0.0])

    first = masks.apply(fill.first_order(confident, image, mask, 0), masks.complement(mask))
    assert 0 < np.abs(first).max() < 1e-18
    update = fill.second_order(confident, image, mask, 0, method=method)
    assert float(jnp.vdot(update / jnp.abs(update).max(), first / jnp.abs(first).max())) > 0


@pytest.mark.parametrize("method", ["newton", "principal"])
def test_an_objective_in_other_units_has_the_same_update(method: str) -> None:
    """Squares of its second derivatives leave the range of float32."""
    logits_fn = problems.smooth_logits()
    image, mask = problems.image_and_mask(dtype=jnp.float32)

    def tiny(logits: jax.Array, target: Target) -> jax.Array:
        return 1e-22 * objectives.log_prob(logits, target)

    wanted = fill.second_order(logits_fn, image, mask, 0, method=method)
    found = fill.second_order(logits_fn, image, mask, 0, method=method, objective=tiny)
    first = fill.first_order(logits_fn, image, mask, 0)
    found, wanted, first = (x / jnp.linalg.norm(x.ravel()) for x in (found, wanted, first))
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert np.abs(first - wanted).max() > 0.01


@pytest.mark.usefixtures("x64")
def test_newton_solves_its_system_for_a_soft_mask() -> None:
    logits_fn, matrix, linear = problems.quadratic_logits(concave=False)
    image, _ = problems.image_and_mask()
    mask = jnp.asarray(np.random.default_rng(0).uniform(size=(6, 6)))
    hidden = 1 - np.asarray(mask).ravel()
    block = hidden[:, None] * matrix[0] * hidden[None]
    gradient = hidden * (matrix[0] @ np.asarray(masks.apply(image, mask)).ravel() + linear[0])
    shift = 1.5 * np.abs(np.linalg.eigvalsh(block)).max()
    expected = np.linalg.solve(shift * np.eye(len(block)) - block, gradient)
    found = fill.second_order(logits_fn, image, mask, 0, objective=objectives.logit, steps=ENOUGH)
    np.testing.assert_allclose(np.asarray(found).ravel(), expected, atol=1e-8)


def test_one_compile_serves_every_mask_target_and_damping() -> None:
    traces = 0
    logits_fn = problems.smooth_logits()

    @jax.jit
    def update(image, mask, target, damping):
        nonlocal traces
        traces += 1
        return fill.second_order(logits_fn, image, mask, target, damping=damping)

    image, _ = problems.image_and_mask(dtype=jnp.float32)
    results = [
        update(image, masks.random_patches((6, 6), ratio, patch, key=jax.random.key(0)), target, d)
        for ratio in (0.25, 0.5)
        for patch in (1, 2, 3)
        for target, d in ((0, 1.5), (1, 3.0))
    ]
    assert traces == 1
    assert len({np.asarray(result).tobytes() for result in results}) == len(results)


def test_background_is_what_the_classifier_sees_in_the_blanks() -> None:
    logits_fn = problems.smooth_logits()
    image, mask = problems.image_and_mask(dtype=jnp.float32)
    other = 1 - image
    blended = masks.apply(image, mask, other)
    found = fill.first_order(logits_fn, image, mask, 0, background=other)
    expected = fill.first_order(logits_fn, blended, jnp.ones_like(mask), 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - fill.first_order(logits_fn, image, mask, 0)).max() > 1e-3


def test_resolve_order_knows_names_and_functions() -> None:
    assert fill.resolve_order("first") is fill.first_order
    assert fill.resolve_order("second") is fill.second_order
    assert fill.resolve_order(fill.second_order) is fill.second_order


def test_checks_allow_closed_over_arrays_inside_jit() -> None:
    image, mask = problems.image_and_mask(dtype=jnp.float32)
    logits_fn = problems.smooth_logits()
    found = jax.jit(lambda target: fill.first_order(logits_fn, image, mask, target))(1)
    np.testing.assert_allclose(found, fill.first_order(logits_fn, image, mask, 1), atol=1e-6)
    assert checks.known(image) is not None
