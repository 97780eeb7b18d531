"""Several masks that share every pixel, each of an exact area."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import checks
from fitb_jax.extremal.area import solve_threshold
from fitb_jax.types import Array, Float

_MOST_SWEEPS = 100
_STEP_LENGTHS = np.array([0.0, 0.1, 0.3, 1.0])


def joint_exact_areas(
    scores: Float[Array, "k h w"], areas: Float[Array, "k"]
) -> Float[Array, "k h w"]:
    """A softmax over k masks and "none" at each pixel, with thresholds that make the areas exact.

    `m_i = exp(s_i - t_i) / (1 + sum_j exp(s_j - t_j))`. With the other thresholds fixed, one of
    them is that of `exact_area`; sweeps over all of them minimise a convex function of t. The
    solution is differentiated implicitly, to any order.

    Args:
        scores: (k, h, w), finite. Areas can be off by a hundredth where all of this holds: scores
            beyond about 100, many ties, and masks that fill the image.
        areas: (k,) in (0, 1), less than 1 together.

    Returns:
        (k, h, w) in [0, 1]; at each pixel they add up to at most 1, and each has its area. For
        scores in half precision they are rounded to them.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_floating("scores", scores, ("k", "h", "w"))
    checks.check_floating("areas", areas, ("k",))
    if areas.shape != scores.shape[:1]:
        raise ValueError(
            f"areas must be one for each of the {scores.shape[0]} scores, got shape {areas.shape}"
        )
    known = checks.known(areas)
    if known is not None and not ((known > 0).all() and known.sum() < 1):
        raise ValueError(f"areas must be positive and add up to less than 1, got {known}")
    dtype = scores.dtype
    scores = scores.astype(jnp.promote_types(dtype, jnp.float32))
    thresholds = _thresholds(scores, jnp.asarray(areas, scores.dtype))
    return _shares(scores - thresholds[:, None, None]).astype(dtype)


def _shares(scores: Array) -> Array:
    none = jnp.zeros_like(scores[:1])
    return jax.nn.softmax(jnp.concatenate([none, scores]), axis=0)[1:]


class _Sweep(NamedTuple):
    thresholds: Array
    error: Array
    count: Array  # type: ignore[assignment]  # hides tuple.count, which none needs


@jax.custom_jvp
@jax.jit  # compiled once, even without a caller's jit
def _thresholds(scores: Array, areas: Array) -> Array:
    def error_of(thresholds: Array) -> Array:
        return jnp.abs(_shares(scores - thresholds[:, None, None]).mean((1, 2)) - areas).max()

    def improve(sweep: _Sweep) -> _Sweep:
        swept = jax.lax.fori_loop(0, areas.shape[0], solve_one, sweep.thresholds)
        # All together, for the area of "none": where it is small, one alone hardly changes it.
        anything = jax.nn.logsumexp(scores - swept[:, None, None], axis=0)
        swept = swept + solve_threshold(anything, areas.sum())
        # Sweeps always come nearer, but slowly where masks compete; Newton steps then end it.
        masks = _shares(scores - swept[:, None, None])
        newton = jnp.linalg.solve(_slopes(masks), masks.mean((1, 2)) - areas)
        candidates = swept[None] + jnp.asarray(_STEP_LENGTHS, scores.dtype)[:, None] * newton[None]
        errors = jax.vmap(error_of)(candidates)
        best = jnp.argmin(errors)
        return _Sweep(candidates[best], errors[best], sweep.count + 1)

    def solve_one(index: Any, thresholds: Array) -> Array:
        moved = scores - thresholds[:, None, None]
        is_other = (jnp.arange(areas.shape[0]) != index)[:, None, None]
        others = jnp.where(is_other, moved, -jnp.inf)
        rivals = jnp.logaddexp(0.0, jax.nn.logsumexp(others, axis=0))
        return thresholds.at[index].set(solve_threshold(scores[index] - rivals, areas[index]))

    tolerance = 1e-6 if scores.dtype == jnp.float32 else 1e-12

    def is_unsolved(sweep: _Sweep) -> Array:
        return (sweep.error > tolerance) & (sweep.count < _MOST_SWEEPS)

    start = _Sweep(scores.max((1, 2)), jnp.full((), jnp.inf, scores.dtype), jnp.zeros((), int))
    return jax.lax.while_loop(is_unsolved, improve, start).thresholds


@_thresholds.defjvp
def _thresholds_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    scores, areas = primals
    scores_dot, areas_dot = tangents
    thresholds = _thresholds(scores, areas)
    masks = _shares(scores - thresholds[:, None, None])
    weighted = masks * (scores_dot - (masks * scores_dot).sum(0)[None])
    # Of mean(m_i) = a_i.
    change = weighted.mean((1, 2)) - areas_dot
    return thresholds, jnp.linalg.solve(_slopes(masks), change)


def _slopes(masks: Array) -> Array:
    """How the means of the masks fall with the thresholds, (k, k), kept from being singular."""
    flat = masks.reshape(masks.shape[0], -1)
    products = jnp.matmul(flat, flat.T, precision=jax.lax.Precision.HIGHEST)
    slopes = jnp.diag(flat.mean(1)) - products / flat.shape[1]
    return slopes + jnp.finfo(slopes.dtype).eps * jnp.eye(slopes.shape[0], dtype=slopes.dtype)
