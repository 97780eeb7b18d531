import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitb_jax import derivatives

pytestmark = pytest.mark.usefixtures("x64")
SIZE = 8


def _symmetric(seed: int, rank: int = SIZE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    values = np.where(np.arange(SIZE) < rank, rng.normal(size=SIZE), 0)
    return basis * values @ basis.T


@jax.jit
def _decompose(matrix: jax.Array, start: jax.Array) -> derivatives.Lanczos:
    return derivatives.lanczos(
        lambda v: (matrix @ v.ravel()).reshape(v.shape), start, steps=SIZE + 3
    )


def _start(seed: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed + 1).normal(size=(2, 4)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), rank=st.integers(0, SIZE))
def test_lanczos_is_exact_when_it_runs_out_of_space(seed: int, rank: int) -> None:
    matrix = _symmetric(seed, rank)
    found = _decompose(jnp.asarray(matrix), _start(seed))
    basis = np.asarray(found.basis).reshape(SIZE + 3, -1)
    kept = np.linalg.norm(basis, axis=1) > 0.5
    # What rounding leaves of an exhausted space may be kept as one more vector.
    assert kept.sum() <= rank + 2
    np.testing.assert_allclose(basis @ basis.T, np.diag(kept.astype(float)), atol=1e-9)
    tridiagonal = np.diag(found.diagonal) + sum(
        np.diag(found.off_diagonal[:-1], k) for k in (1, -1)
    )
    np.testing.assert_allclose(basis @ matrix @ basis.T, tridiagonal, atol=1e-9)
    step = derivatives.damped_newton_step(found, 1.5)
    largest = np.abs(np.linalg.eigvalsh(matrix)).max()
    shift = 1.5 * largest if rank else 1.0
    expected = np.linalg.solve(shift * np.eye(SIZE) - matrix, np.asarray(_start(seed)).ravel())
    np.testing.assert_allclose(np.asarray(step.step).ravel(), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_bounds_hold_before_it_has_converged(steps: int) -> None:
    matrix, start = _symmetric(3), _start(3)
    found = derivatives.lanczos(
        lambda v: (jnp.asarray(matrix) @ v.ravel()).reshape(v.shape), start, steps=steps
    )
    leading = derivatives.leading_curvature(found)
    vector = np.asarray(leading.vector).ravel()
    residual = np.linalg.norm(matrix @ vector - float(leading.value) * vector)
    np.testing.assert_allclose(residual, leading.error, atol=1e-10)
    assert np.abs(np.linalg.eigvalsh(matrix) - float(leading.value)).min() <= leading.error
    np.testing.assert_allclose(np.linalg.norm(vector), 1, atol=1e-10)
    assert vector @ np.asarray(start).ravel() >= 0
    step = derivatives.damped_newton_step(found, 1.5)
    g, x = np.asarray(start).ravel(), np.asarray(step.step).ravel()
    left = np.linalg.norm(g - (float(step.shift) * x - matrix @ x)) / np.linalg.norm(g)
    np.testing.assert_allclose(step.residual, left, atol=1e-10)
    assert left > 1e-6


def test_zero_start_gives_zero() -> None:
    found = _decompose(jnp.asarray(_symmetric(0)), jnp.zeros((2, 4)))
    assert all(not np.asarray(part).any() for part in found)
    assert not np.asarray(derivatives.damped_newton_step(found, 1.5).step).any()


def test_gradient_and_products_equal_the_dense_ones() -> None:
    def inner(x: jax.Array) -> jax.Array:
        return jnp.stack([jnp.sin(x).sum(), (x**3).sum(), x[0] * x[1]])

    def outer(z: jax.Array) -> jax.Array:
        return jax.nn.log_softmax(z)[0]

    def whole(x: jax.Array) -> jax.Array:
        return outer(inner(x))

    point, vector = jnp.asarray([0.3, -0.8, 1.1]), jnp.asarray([1.0, 2.0, -0.5])
    gradient, hvp = derivatives.gradient_and_hvp(whole, point)
    np.testing.assert_allclose(gradient, jax.grad(whole)(point), atol=1e-12)
    np.testing.assert_allclose(hvp(vector), jax.hessian(whole)(point) @ vector, atol=1e-12)
    gradient, product = derivatives.gradient_and_gauss_newton(inner, outer, point)
    jacobian = jax.jacobian(inner)(point)
    dense = jacobian.T @ jax.hessian(outer)(inner(point)) @ jacobian
    np.testing.assert_allclose(gradient, jax.grad(whole)(point), atol=1e-12)
    np.testing.assert_allclose(product(vector), dense @ vector, atol=1e-12)
