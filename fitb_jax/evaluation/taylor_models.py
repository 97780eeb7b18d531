"""How far does an explanation's simple model of the classifier hold along its own perturbation?

A gradient explains J by the plane that touches it, a Newton step by a paraboloid. Both are models
near one image, and an explanation that acts on them at a distance (a fill, the removal of pixels)
relies on them there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.objectives import log_prob
from fitb_jax.types import Array, Float, Image, LogitsFn, Number, Objective, Scalar, Target

_ROUNDING = 8
"""Units in the last place by which a difference of two objectives may be off."""


class LocalModels(NamedTuple):
    """The change of an objective along a line, and that of its Taylor polynomials at the start.

    Attributes:
        change: `J(x + t d) - J(x)` at each step t, (s,).
        first: the same by the first-order model, `t J'`, (s,).
        second: by the second-order model, `t J' + t^2 J'' / 2`, (s,).
        first_error: distance of `first` from `change`, relative to the largest change up to the
            step, (s,).
        second_error: likewise of `second`, (s,).
    """

    change: Float[Array, "s"]
    first: Float[Array, "s"]
    second: Float[Array, "s"]
    first_error: Float[Array, "s"]
    second_error: Float[Array, "s"]


def local_models(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    direction: Image,
    steps: Float[Array, "s"],
    *,
    objective: Objective = log_prob,
) -> LocalModels:
    """Compare an objective with its first- and second-order model along a direction.

    The error at step t is `|J(x + t d) - model(t)| / max over s <= t of |J(x + s d) - J(x)|`. It
    has no units, and stays defined where J comes back to its first value. Differences within
    rounding count as 0. Where J has not changed at all, the error is 0 for a model that does not
    change either, and infinite for another.

    Args:
        logits_fn: the classifier; twice differentiable, or its second-order model is that of the
            objective alone.
        image: where the models touch J, (h, w, c).
        target: class, in [0, k).
        direction: d, the perturbation at step 1, (h, w, c).
        steps: ascending shares of the perturbation, above 0.
        objective: J.

    Returns:
        The changes and errors at every step.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.
    """
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_floating("direction", direction, ("h", "w", "c"))
    checks.check_same_shape("direction", direction, "image", image)
    _check_steps(steps)

    def along(step: Scalar) -> tuple[Scalar, Scalar]:
        logits = logits_fn(image + step * direction)
        return objective(logits, target), jax.lax.stop_gradient(jnp.abs(logits).max())

    def slope(step: Scalar) -> Scalar:
        return jax.jvp(lambda t: along(t)[0], (step,), (jnp.ones_like(step),))[1]

    zero = jnp.zeros((), image.dtype)
    (start, largest), (gradient, curvature) = (
        along(zero),
        jax.jvp(slope, (zero,), (jnp.ones_like(zero),)),
    )
    values, sizes = jax.vmap(along)(steps)
    change = values - start
    first = steps * gradient
    second = first + steps**2 * curvature / 2
    scale = jax.lax.cummax(jnp.abs(change))
    rounding = _ROUNDING * jnp.finfo(image.dtype).eps * jnp.maximum(1, jnp.maximum(largest, sizes))

    def error(model: Array) -> Array:
        off = jnp.abs(change - model)
        beyond = jnp.where(off > rounding, off, jnp.where(jnp.isnan(off), jnp.nan, 0))
        ratio = beyond / jnp.where(scale > 0, scale, 1)
        return jnp.where(scale > 0, ratio, jnp.where(beyond == 0, 0, beyond * jnp.inf))

    return LocalModels(change, first, second, error(first), error(second))


def local_radius(
    steps: Float[Array, "s"], error: Float[Array, "s"], *, tolerance: Number = 0.1
) -> Scalar:
    """The step up to which a model stays within a tolerance without a gap.

    Args:
        steps: ascending, above 0.
        error: of the model at each step.
        tolerance: largest error allowed, above 0. An array argument.

    Returns:
        The last of the steps up to which no error is above the tolerance; 0 where the first already
        is, or is nan.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    _check_steps(steps)
    checks.check_floating("error", jnp.nan_to_num(error), ("s",))
    checks.check_same_shape("error", error, "steps", steps)
    checks.check_number("tolerance", tolerance, least=0, open_least=True)
    is_within = jnp.cumprod(error <= tolerance)
    return jnp.max(is_within * steps)


def _check_steps(steps: Array) -> None:
    checks.check_floating("steps", steps, ("s",))
    values = checks.known(steps)
    if values is not None and not (values[0] > 0 and (values[1:] > values[:-1]).all()):
        raise ValueError(f"steps must ascend strictly and be above 0, got {values}")
