"""Second derivatives without matrices: Hessian-vector products, Lanczos, damped Newton steps.

Everything works on arrays of any shape, which are treated as flat vectors.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.types import Array, Float, Number, Scalar

ScalarFn: TypeAlias = Callable[[Array], Scalar]
MatVec: TypeAlias = Callable[[Array], Array]


class Lanczos(NamedTuple):
    """A symmetric operator on the Krylov space of one vector: `basis.T @ T @ basis`.

    T is tridiagonal and symmetric, and each row of `basis` is a vector.

    Attributes:
        basis: orthonormal vectors (steps, *shape); zero after the step that exhausts the space.
        diagonal: of T, (steps,).
        off_diagonal: of T, (steps,); the last entry couples to the vector that was not kept, and
            bounds every error of this decomposition.
        start_norm: norm of the vector that the process started from.
    """

    basis: Float[Array, "steps *shape"]
    diagonal: Float[Array, "steps"]
    off_diagonal: Float[Array, "steps"]
    start_norm: Scalar


class Curvature(NamedTuple):
    """An eigenpair of a symmetric operator.

    Attributes:
        value: the eigenvalue, as it is estimated.
        vector: the unit eigenvector, of the shape of the operator's argument.
        error: the nearest true eigenvalue is at most this far from `value`.
    """

    value: Scalar
    vector: Float[Array, "*shape"]
    error: Scalar


class NewtonStep(NamedTuple):
    """A damped Newton step.

    Attributes:
        step: the solution, of the shape of the operator's argument.
        shift: the damping that was added, `damping * |leading curvature|`; 1 where that is 0.
        residual: norm of what is left of the linear system, relative to its right-hand side.
    """

    step: Float[Array, "*shape"]
    shift: Scalar
    residual: Scalar


def gradient_and_hvp(scalar_fn: ScalarFn, point: Array) -> tuple[Array, MatVec]:
    """The gradient at a point, and the function that multiplies the Hessian there by a vector.

    The gradient is linearised once, so that a product does not pay for the forward pass again.

    Args:
        scalar_fn: a twice differentiable scalar function.
        point: where, any shape.

    Returns:
        The gradient, and `hvp(vector) -> H @ vector`, both of the shape of `point`.

    Source: Pearlmutter 1994, "Fast exact multiplication by the Hessian".
    """
    return jax.linearize(jax.grad(scalar_fn), point)


def gradient_and_gauss_newton(
    inner_fn: Callable[[Array], Array], scalar_fn: ScalarFn, point: Array
) -> tuple[Array, MatVec]:
    """As `gradient_and_hvp` of `scalar_fn(inner_fn(.))`, with the curvature of `inner_fn` left out.

    Args:
        inner_fn: from `point` to a vector, such as the logits of a classifier.
        scalar_fn: twice differentiable scalar function of that vector.
        point: where, any shape.

    Returns:
        The gradient (exact), and `product(vector) -> J.T @ H_scalar @ J @ vector`, both of the
        shape of `point`. J is the Jacobian of `inner_fn`, H_scalar the Hessian of `scalar_fn`.

    Source: Schraudolph 2002, "Fast curvature matrix-vector products", section 3.
    """
    inner, push_forward = jax.linearize(inner_fn, point)
    pull_back = jax.linear_transpose(push_forward, point)
    inner_gradient, inner_hvp = gradient_and_hvp(scalar_fn, inner)

    def product(vector: Array) -> Array:
        return pull_back(inner_hvp(push_forward(vector)))[0]

    return pull_back(inner_gradient)[0], product


def lanczos(matvec: MatVec, start: Array, *, steps: int) -> Lanczos:
    """Run the Lanczos process with full reorthogonalisation.

    Args:
        matvec: multiplies a symmetric operator by a vector.
        start: vector that starts the process, any shape; zero gives an all-zero decomposition.
        steps: number of products, at least 1. More than the dimension does no harm.

    Returns:
        The decomposition. Where the process finds an invariant subspace early, the rest is zero.

    Raises:
        TypeError, ValueError: `steps` is not an integer of at least 1.

    Source: Golub & Van Loan 2013, "Matrix computations", algorithm 10.1.1 and section 10.3.
    """
    checks.check_count("steps", steps)
    tolerance = 100 * jnp.finfo(start.dtype).eps
    start_norm = _norm(start)

    def project_out(basis: Array, vector: Array) -> Array:
        parts = jnp.tensordot(basis, vector, vector.ndim, precision=jax.lax.Precision.HIGHEST)
        return vector - jnp.tensordot(parts, basis, 1, precision=jax.lax.Precision.HIGHEST)

    def step(
        carry: tuple[Array, Array, Array], index: Array
    ) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
        basis, vector, scale = carry
        basis = basis.at[index].set(vector)
        product = matvec(vector)
        diagonal = jnp.vdot(vector, product)
        # Once is not enough in floating point, twice is (Golub & Van Loan, section 5.2.9).
        rest = project_out(basis, project_out(basis, product))
        norm = _norm(rest)
        scale = jnp.maximum(scale, jnp.maximum(jnp.abs(diagonal), norm))
        coupling = jnp.where(norm > tolerance * scale, norm, 0)
        return (basis, _divide(rest, coupling), scale), (diagonal, coupling)

    basis = jnp.zeros((steps, *start.shape), start.dtype)
    (basis, _, _), (diagonal, off_diagonal) = jax.lax.scan(
        step, (basis, unit_vector(start), jnp.zeros_like(start_norm)), jnp.arange(steps)
    )
    return Lanczos(basis, diagonal, off_diagonal, start_norm)


def leading_curvature(decomposition: Lanczos) -> Curvature:
    """The eigenpair of largest magnitude, its vector signed to agree with the start vector.

    Args:
        decomposition: from `lanczos`.

    Returns:
        The Ritz pair of largest magnitude and its error bound.
    """
    values, vectors = _eigh(_tridiagonal(decomposition))
    leading = jnp.argmax(jnp.abs(values))
    value, coordinates = values[leading], vectors[:, leading]
    coordinates = jnp.where(coordinates[0] < 0, -coordinates, coordinates)
    error = decomposition.off_diagonal[-1] * jnp.abs(coordinates[-1])
    return Curvature(value, jnp.tensordot(coordinates, decomposition.basis, 1), error)


def damped_newton_step(decomposition: Lanczos, damping: Number) -> NewtonStep:
    """Solve `(damping |mu| I - H) step = start`, mu the eigenvalue of H of largest magnitude.

    Where H is exactly zero (a piecewise linear network and its logit) there is no curvature to
    scale by, and the step is `start` itself.

    Args:
        decomposition: of the operator H, from `lanczos` started at the right-hand side.
        damping: multiple of |mu| to add. Above 1 the system is positive definite whatever H is.

    Returns:
        The step, the shift `damping |mu|`, and the relative residual.
    """
    values, vectors = _eigh(_tridiagonal(decomposition))
    magnitude = jnp.max(jnp.abs(values))
    shift = jnp.where(magnitude > 0, damping * magnitude, 1)
    weights = vectors @ (vectors[0] / (shift - values))
    step = decomposition.start_norm * jnp.tensordot(weights, decomposition.basis, 1)
    return NewtonStep(step, shift, decomposition.off_diagonal[-1] * jnp.abs(weights[-1]))


def unit_vector(vector: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The vector of norm 1 in the same direction; zero stays zero.

    Args:
        vector: any shape.

    Returns:
        `vector / ||vector||`.
    """
    return _divide(vector, _norm(vector))


def _tridiagonal(decomposition: Lanczos) -> Float[Array, "steps steps"]:
    beside = decomposition.off_diagonal[:-1]
    return jnp.diag(decomposition.diagonal) + jnp.diag(beside, 1) + jnp.diag(beside, -1)


@jax.jit  # compiled once, even without a caller's jit
def _eigh(matrix: Float[Array, "n n"]) -> tuple[Float[Array, "n"], Float[Array, "n n"]]:
    """Eigenvalues and eigenvectors of a small symmetric matrix by cyclic Jacobi rotations.

    Several calls of LAPACK's batched `eigh` in one program wait for each other for ever on a CPU
    with two threads (seen with jaxlib 0.10.1), so that this is written in plain operations.

    Source: Golub & Van Loan 2013, "Matrix computations", section 8.5.
    """
    size = matrix.shape[0]
    # The squares of small entries leave the range of float32.
    largest = jnp.max(jnp.abs(matrix))
    matrix = _divide(matrix, largest)
    pairs = jnp.asarray([(p, q) for p in range(size) for q in range(p + 1, size)] or [(0, 0)])
    enough = (jnp.finfo(matrix.dtype).eps * _norm(matrix)) ** 2

    def rotate(carry: tuple[Array, Array], pair: Array) -> tuple[tuple[Array, Array], None]:
        rotated, vectors = carry
        p, q = pair
        beside = rotated[p, q]
        is_zero = (beside == 0) | (p == q)
        ratio = (rotated[q, q] - rotated[p, p]) / (2 * jnp.where(is_zero, 1, beside))
        tangent = jnp.where(ratio < 0, -1, 1) / (jnp.abs(ratio) + jnp.hypot(1.0, ratio))
        tangent = jnp.where(is_zero, 0, tangent)
        cosine = 1 / jnp.hypot(1.0, tangent)
        sine = tangent * cosine

        def turn(rows: Array) -> Array:
            first, second = rows[p], rows[q]
            rows = rows.at[p].set(cosine * first - sine * second)
            return rows.at[q].set(sine * first + cosine * second)

        return (turn(turn(rotated).T).T, turn(vectors)), None

    def sweep(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        rotated, vectors, sweeps = state
        (rotated, vectors), _ = jax.lax.scan(rotate, (rotated, vectors), pairs)
        return rotated, vectors, sweeps + 1

    def is_unfinished(state: tuple[Array, Array, Array]) -> Array:
        rotated, _, sweeps = state
        left = jnp.sum(jnp.triu(rotated, 1) ** 2)
        return (left > enough) & (sweeps < 20)

    start = (matrix, jnp.eye(size, dtype=matrix.dtype), jnp.zeros((), jnp.int32))
    rotated, rows, _ = jax.lax.while_loop(is_unfinished, sweep, start)
    return largest * jnp.diagonal(rotated), rows.T


def _norm(vector: Array) -> Array:
    """Of the vector divided by its largest entry, as the squares of float32 leave its range."""
    largest = jnp.max(jnp.abs(vector))
    scaled = _divide(vector, largest)
    return largest * jnp.sqrt(jnp.vdot(scaled, scaled))


def _divide(vector: Array, norm: Array) -> Array:
    """`vector / norm`, and zero where the norm is zero."""
    return jnp.where(norm > 0, vector / jnp.where(norm > 0, norm, 1), 0)
