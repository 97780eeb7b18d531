"""Masks of an exact area: a threshold that is solved for, with the derivative of its solution.

`mask = sigmoid(scores - threshold)`, where the threshold makes the mean of the mask the area asked
for. It is found by safeguarded Newton steps and differentiated implicitly, so that no
penalty has to push the area where it belongs.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import checks
from fitb_jax.precision import at_least_float32
from fitb_jax.types import Array, Float, Key, Mask, Number, Scalar

_MOST_STEPS = 100
"""Of a solve: far more than bisection needs; Newton steps are 5 to 10."""


def exact_area(
    scores: Float[Array, "h w"],
    area: Number,
    *,
    available: Float[Array, "h w"] | None = None,
) -> Mask:
    """The mask `sigmoid(scores - threshold)` whose mean is the area.

    Differentiable in the scores, the area and `available`, to any order. Ties need no rule: equal
    scores have equal values.

    Args:
        scores: (h, w), of magnitudes of at most 1e20; the larger, the crisper the mask.
        area: share of the image to show, in (0, 1). An array argument.
        available: (h, w) in [0, 1], multiplied into the mask: 0 keeps a pixel blank. The mean of
            the product is `area`, so that the mean of `available` must be larger. All ones by
            default.

    Returns:
        The mask, (h, w), in [0, 1]; its mean differs from `area` by at most 1e-5 in single
        precision. For scores in half precision it is rounded to them.

    Raises:
        TypeError, ValueError: scores not floating or finite, an area outside (0, 1), or one that is
            not available.
    """
    checks.check_floating("scores", scores, ("h", "w"))
    check_area(area)
    if jnp.ndim(area):
        raise ValueError(f"area must be one number, got shape {jnp.shape(area)}")
    dtype = scores.dtype
    scores = scores.astype(jnp.promote_types(dtype, jnp.float32))
    scores = scores - jax.lax.stop_gradient(scores.max())
    area = jnp.asarray(area, scores.dtype)
    if available is None:
        available = jnp.ones_like(scores)
    else:
        checks.check_mask(available, scores.shape, name="available")
        check_room(area, available)
    threshold = _threshold(scores, available, area)
    return (available * jax.nn.sigmoid(_above(scores, threshold))).astype(dtype)


def area_penalty(mask: Mask, area: Number) -> Scalar:
    """How far the sorted mask is from the step that shows exactly the area.

    `mean((sort(mask) - r)^2)`, where r is 0 for the first `floor((1 - area) n)` of the n pixels and
    1 for the rest. Equal pixels on both sides of the step all have the mean of their gradients,
    since the order of a sort would favour one end of the image.

    Args:
        mask: (h, w) in [0, 1].
        area: share of the image to show, in [0, 1]. An array argument.

    Returns:
        A scalar in [0, 1]; 0 for a mask of zeros and ones of this area.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Fong et al. 2019, "Understanding deep networks via extremal perturbations", eq. 3.
    """
    checks.check_mask(mask, jnp.shape(mask)[-2:])
    checks.check_number("area", area, least=0, most=1)
    size = mask.size
    # Rounded down, but not for the last digit of a third in single precision.
    exact = jnp.promote_types(mask.dtype, jnp.float32)
    blanks = jnp.floor(size * (1 - jnp.asarray(area, exact)) + 0.01)
    fixed = jax.lax.stop_gradient(mask)
    first_shown = jnp.minimum(blanks, size - 1).astype(jnp.int32)
    step = _ranked(fixed, first_shown)
    is_above, is_tied = fixed > step, fixed == step
    tied_share = (size - blanks - is_above.sum()) / is_tied.sum()
    shown = jnp.where(is_above, 1, jnp.where(is_tied, tied_share, 0))
    shown = shown.astype(mask.dtype)
    return jnp.mean(shown * (1 - mask) ** 2 + (1 - shown) * mask**2)


def binarise(scores: Float[Array, "h w"], area: Number, *, key: Key | None = None) -> Mask:
    """Show exactly the pixels with the highest scores.

    Args:
        scores: (h, w), such as a soft mask; finite.
        area: share of the image to show, in [0, 1]; exactly `round(area * n)` of the n pixels are.
            An array argument.
        key: random key that orders pixels with equal scores; None takes them in reading order.

    Returns:
        The mask, (h, w), of zeros and ones.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_floating("scores", scores, ("h", "w"))
    checks.check_number("area", area, least=0, most=1)
    places = jnp.arange(scores.size)
    tie_breaks = places if key is None else jax.random.permutation(key, places)
    order = jnp.lexsort((tie_breaks, -scores.ravel()))
    shown = jnp.round(jnp.asarray(area, jnp.float32) * scores.size)
    is_shown = jnp.zeros(scores.size, bool).at[order].set(places < shown)
    return is_shown.reshape(scores.shape).astype(jnp.float32)


@jax.jit  # compiled once, even without a caller's jit
def _ranked(values: Float[Array, "h w"], rank: Array) -> Array:
    """The value at one place of the sorted values, none of which may be negative.

    Its bits are found from the highest to the lowest, as those of floating numbers without a sign
    are in the order of the numbers: a count for each bit is less work than a sort.
    """
    count = 8 * values.dtype.itemsize
    bits = jax.lax.bitcast_convert_type(jnp.abs(values), f"uint{count}")

    def decide(place: Array, found: Array) -> Array:
        raised = found | (jnp.ones((), bits.dtype) << (count - 1 - place).astype(bits.dtype))
        return jnp.where((bits < raised).sum() <= rank, raised, found)

    found = jax.lax.fori_loop(0, count, decide, jnp.zeros((), bits.dtype))
    return jax.lax.bitcast_convert_type(found, values.dtype)


def softness_penalty(mask: Mask) -> Scalar:
    """How far a mask is from zeros and ones, relative to a constant mask of its mean.

    Args:
        mask: (h, w) in [0, 1].

    Returns:
        `mean(m (1 - m)) / (a (1 - a))` with a the mean: 0 for zeros and ones, 1 for a constant.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_mask(mask, jnp.shape(mask)[-2:])
    area = jnp.mean(mask)
    # A mask of zeros or of ones is as crisp as can be; the floor makes it 0 / floor.
    largest = jnp.maximum(area * (1 - area), jnp.finfo(mask.dtype).tiny)
    return jnp.mean(mask * (1 - mask)) / largest


def boundary_penalty(mask: Mask) -> Scalar:
    """How long the boundary of a mask is, relative to that of a disc of its area.

    Args:
        mask: (h, w) in [0, 1].

    Returns:
        Total variation divided by that of one disc, `8 sqrt(n a / pi)` for an area of n a pixels.
        About 1 for a disc inside of the image, about sqrt(k) for k discs, 0 for a constant.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_mask(mask, jnp.shape(mask)[-2:])
    mask = at_least_float32(jnp.asarray(mask))
    steps = sum(jnp.abs(jnp.diff(mask, axis=axis)).sum() for axis in (0, 1))
    # A disc of less than a pixel is none.
    return steps / (8 * jnp.sqrt(jnp.maximum(mask.sum(), 1) / jnp.pi))


def check_area(area: Any, *, name: str = "area") -> None:
    """Refuse an area that no soft mask has.

    Args:
        area: one number or array of them.
        name: of the argument.

    Raises:
        ValueError: not within (0, 1).
    """
    values = checks.known(area)
    if values is not None and not ((values > 0) & (values < 1)).all():
        raise ValueError(f"{name} must lie in (0, 1), got {values}")


def check_room(area: Any, available: Any, *, name: str = "area") -> None:
    """Refuse an area that the available pixels do not have.

    Args:
        area: one number or array of them.
        available: (h, w) in [0, 1].
        name: of the argument `area`.

    Raises:
        ValueError: an area that is not below the mean of what is available.
    """
    asked, known = checks.known(area), checks.known(available)
    if asked is None or known is None:
        return
    room = known.mean(dtype=np.float64)
    if (asked >= room).any():
        raise ValueError(f"{name} must be below the mean of available, {room:g}, got {asked}")


def solve_threshold(scores: Float[Array, "h w"], area: Scalar) -> Scalar:
    """The threshold of `exact_area` as one number, without derivatives.

    Args:
        scores: (h, w); the threshold is as precise as a floating number of their magnitude.
        area: in (0, 1).

    Returns:
        The number t for which `mean(sigmoid(scores - t))` is the area.
    """
    coarse, fine, rest = _threshold(scores, jnp.ones_like(scores), area)
    return coarse + fine + rest


class _Threshold(NamedTuple):
    """A sum of numbers that are ever smaller, of which the last carries the precision.

    Scores in the thousands are known to 1e-3 only, and so would one threshold be; the difference of
    a score to a number near it is exact.
    """

    coarse: Array
    fine: Array
    rest: Array


def _above(scores: Array, threshold: _Threshold) -> Array:
    """How far scores are above a threshold: exact where they are near it."""
    return ((scores - threshold.coarse) - threshold.fine) - threshold.rest


@jax.custom_jvp
@jax.jit  # compiled once, even without a caller's jit
def _threshold(scores: Array, available: Array, area: Array) -> _Threshold:
    share = jnp.clip(area / available.mean(), jnp.finfo(area.dtype).tiny, 1)
    # Beyond these the mask is above, or below, its share at every pixel.
    reach = jnp.abs(jnp.log(share) - jnp.log1p(-jnp.minimum(share, 1 - 2**-24))) + 1

    def refine(state: tuple[Array, Array, Array], _: None) -> tuple[tuple, Array]:
        near, low, high = state
        found = _solve(near, available, area, low, high)
        # Scores near 1e10 and beyond are so far apart that the second number is coarse as well.
        return (near - found, *_around(found, reach)), found

    start = scores, scores.min() - reach, scores.max() + reach
    # A loop has one copy of the search in the program.
    _, (coarse, fine, rest) = jax.lax.scan(refine, start, length=3)
    return _Threshold(coarse, fine, rest)


def _around(found: Array, reach: Array) -> tuple[Array, Array]:
    """What a rounded threshold can be off by, to both sides."""
    width = 1e-3 + 8 * jnp.finfo(found.dtype).eps * (jnp.abs(found) + reach)
    return -width, width


@_threshold.defjvp
def _threshold_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    scores, available, area = primals
    scores_dot, available_dot, area_dot = tangents
    threshold = _threshold(scores, available, area)
    shown = jax.nn.sigmoid(_above(scores, threshold))
    slope = available * shown * (1 - shown)
    # Of mean(available * shown) = area. Where all is saturated nothing moves, in any derivative:
    # the square of the total, by which the second one divides, must not vanish either.
    total = slope.mean()
    is_moving = total > jnp.sqrt(jnp.finfo(slope.dtype).tiny)
    change = (slope * scores_dot + shown * available_dot).mean() - area_dot
    moved = jnp.where(is_moving, change / jnp.where(is_moving, total, 1), 0)
    still = jnp.zeros_like(threshold.coarse)
    return threshold, _Threshold(still, still, moved)


class _Bracket(NamedTuple):
    low: Array
    high: Array
    at: Array
    excess: Array
    slope: Array
    last_excess: Array
    step: Array


def _solve(scores: Array, available: Array, area: Array, low: Array, high: Array) -> Array:
    """The threshold between `low` and `high`, by Newton steps, or bisection where they are slow."""
    tolerance = 5e-7 if scores.dtype == jnp.float32 else 1e-14

    def measure(at: Array) -> tuple[Array, Array]:
        shown = jax.nn.sigmoid(scores - at)
        # The mean of differences to the area has smaller rounding errors than that of the mask.
        return (available * shown - area).mean(), (available * shown * (1 - shown)).mean()

    def improve(bracket: _Bracket) -> _Bracket:
        low, high, at, excess, slope, last_excess, step = bracket
        newton = at + excess / jnp.maximum(slope, jnp.finfo(slope.dtype).tiny)
        halves = jnp.abs(excess) <= 0.5 * last_excess
        is_newton = halves & (newton > low) & (newton < high)
        last_excess = jnp.where(is_newton, jnp.abs(excess), jnp.inf)
        at = jnp.where(is_newton, newton, 0.5 * (low + high))
        excess, slope = measure(at)
        low, high = jnp.where(excess > 0, at, low), jnp.where(excess > 0, high, at)
        return _Bracket(low, high, at, excess, slope, last_excess, step + 1)

    def is_unsolved(bracket: _Bracket) -> Array:
        return (jnp.abs(bracket.excess) > tolerance) & (bracket.step < _MOST_STEPS)

    middle = 0.5 * (low + high)
    infinite = jnp.full_like(middle, jnp.inf)
    start = _Bracket(low, high, middle, *measure(middle), infinite, jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(is_unsolved, improve, start).at
