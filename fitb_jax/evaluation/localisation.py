"""Is an explanation where the object is? Scores of a map or a mask against the object's pixels.

Every score is nan where there is no truth: such a case says nothing, and is not a miss. A map that
is not finite is refused; where that cannot be seen (inside of `jax.jit`) its score is nan.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.evaluation.ranking import top_count_weights, top_weights
from fitb_jax.types import Array, Float, Mask, Number, Saliency, Scalar, Truth


class IouCurve(NamedTuple):
    """Overlap of the most important region with the truth, as the region grows.

    Attributes:
        areas: share of the image that the region takes, (a,).
        iou: intersection over union at each area, (a,), in [0, 1].
        area_under_curve: mean of `iou` over the range of the areas, by the trapezoid rule.
    """

    areas: Float[Array, "a"]
    iou: Float[Array, "a"]
    area_under_curve: Scalar


def pointing_game(saliency: Saliency, truth: Truth, *, tolerance: Number = 15) -> Scalar:
    """Does the most important pixel hit the object, give or take a few pixels?

    Where several pixels share the maximum the score is the share of them that hit, that is the
    probability of a hit if one is drawn at random. So a constant map scores what chance does, a map
    turned or mirrored scores the same, and no key is needed. Taking the first of them, as `argmax`
    does, would point at the upper left corner.

    Args:
        saliency: (h, w); only the place of its maximum matters.
        truth: (h, w), True on the object.
        tolerance: a pixel hits if some pixel of the truth is at most this far from it, in pixels
            (Euclidean, centre to centre; TorchRay's reach is less than that). An array argument.

    Returns:
        1 for a hit, 0 for a miss, between the two only if maxima are tied; nan without truth.

    Raises:
        TypeError, ValueError: a map that is not (h, w) or not finite, a truth that is not boolean
            or of another shape, or a negative tolerance.

    Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop".

    Examples:
        >>> some_map = jnp.zeros((16, 16)).at[3, 3].set(1.0)
        >>> truth = jnp.zeros((16, 16), bool).at[:8, :8].set(True)
        >>> float(evaluation.pointing_game(some_map, truth, tolerance=1))
        1.0
    """
    saliency, truth = _checked(saliency, truth), jnp.asarray(truth)
    checks.check_number("tolerance", tolerance, least=0)
    reach = jnp.asarray(tolerance, saliency.dtype) ** 2
    is_near = squared_distance(truth).astype(saliency.dtype) <= reach
    is_maximum = saliency == saliency.max()
    # Of a map with a NaN no pixel equals the maximum: 0 / 0.
    return _nan_without(truth, (is_maximum & is_near).sum() / is_maximum.sum())


def leave_out(saliency: Saliency, ignored: Truth) -> Saliency:
    """Make some pixels of a map the least important: neither a hit nor a miss is counted there.

    For objects that the annotators flagged difficult (VOC), crowds (COCO) and undecided pixels
    (ImageNet-S), see `data.ignored_mask`: to point at one of them says nothing.

    Args:
        saliency: (h, w).
        ignored: (h, w), True where the truth is undecided.

    Returns:
        (h, w), the map with values in `ignored` that are below 0 and below all others.

    Raises:
        TypeError, ValueError: a wrong shape or dtype, or a map that is not finite.
    """
    checks.check_saliency(saliency)
    checks.check_truth(ignored, saliency.shape, name="ignored")
    saliency = jnp.asarray(saliency)
    least = jnp.minimum(saliency.min(), 0)
    # Strictly less, by what float32 resolves: a tie would be shared with pixels that are judged.
    return jnp.where(ignored, least - jnp.maximum(1, -least), saliency)


def energy_pointing_game(saliency: Saliency, truth: Truth) -> Scalar:
    """Share of the positive saliency that is on the object; the pointing game of a whole map.

    The formula is that of `relevance_mass`; the paper's truth is the inside of bounding boxes.

    Args:
        saliency: (h, w); negative values count as 0.
        truth: (h, w), True inside of the boxes, as `aggregation.fill_boxes` makes it.

    Returns:
        In [0, 1]; 0 where nothing is positive, nan without truth.

    Raises:
        TypeError, ValueError: a wrong shape or dtype, or a map that is not finite.

    Source: Wang et al. 2020, "Score-CAM".
    """
    return relevance_mass(saliency, truth)


def relevance_mass(saliency: Saliency, truth: Truth) -> Scalar:
    """Share of the positive saliency that is on the object (relevance mass accuracy).

    Negative values speak against the class. They are left out of both sums, since a ratio of signed
    sums can be any number.

    Args:
        saliency: (h, w); negative values count as 0.
        truth: (h, w), True on the object.

    Returns:
        In [0, 1]; 0 where nothing is positive, since nothing was found; nan without truth.

    Raises:
        TypeError, ValueError: a wrong shape or dtype, or a map that is not finite.

    Source: Arras, Osman & Samek 2022, "CLEVR-XAI".
    """
    saliency = _checked(saliency, truth)
    return _share_inside(jnp.maximum(saliency, 0), jnp.asarray(truth))


def relevance_rank(saliency: Saliency, truth: Truth) -> Scalar:
    """Share of the k most important pixels that are on the object of k pixels (rank accuracy).

    Only the order of the pixels matters, so that negative values need no rule: they come last.
    Pixels tied at the k-th place share the places left.

    Args:
        saliency: (h, w).
        truth: (h, w), True on the object.

    Returns:
        In [0, 1]; a constant map scores the area of the object; nan without truth.

    Raises:
        TypeError, ValueError: a wrong shape or dtype, or a map that is not finite.

    Source: Arras, Osman & Samek 2022, "CLEVR-XAI".
    """
    saliency, truth = _checked(saliency, truth), jnp.asarray(truth)
    return _share_inside(top_count_weights(saliency, truth.sum()), truth)


def precision(mask: Mask, truth: Truth, *, area: Number | None = None) -> Scalar:
    """Share of a mask that is on the object.

    Args:
        mask: (h, w) in [0, 1], 1 = visible.
        truth: (h, w), True on the object.
        area: None weighs every pixel by the mask. A number takes the `round(area h w)` pixels where
            the mask is largest, ties sharing the places left. An array argument.

    Returns:
        In [0, 1]; 0 for a mask that shows nothing, nan without truth.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_mask(mask, jnp.shape(mask)[-2:])
    mask = _checked(mask, truth, name="mask")
    weights = mask if area is None else top_weights(mask, area)
    return _share_inside(weights, jnp.asarray(truth))


def iou_curve(saliency: Saliency, truth: Truth, areas: Float[Array, "a"]) -> IouCurve:
    """Intersection over union of the most important region with the object, over its area.

    Pixels tied at the edge of the region weigh the share of them that fits in.

    Args:
        saliency: (h, w); only the order of its pixels matters.
        truth: (h, w), True on the object.
        areas: shares of the image, (a,), at least two, ascending within [0, 1].

    Returns:
        The curve and the area under it; nan without truth. The overlap is 1 where the region is
        the object, so the area under the curve of a perfect map depends on the object's size.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or areas that do not ascend.
    """
    saliency = _checked(saliency, truth)
    checks.check_areas(areas, least_count=2)
    truth, areas = jnp.asarray(truth), jnp.asarray(areas)

    def iou(area: Array) -> Array:
        weights = top_weights(saliency, area)
        shared = jnp.where(truth, weights, 0).sum()
        return _nan_without(truth, shared / (weights.sum() + truth.sum() - shared))

    values = jax.vmap(iou)(areas)
    mean = jnp.trapezoid(values, areas) / (areas[-1] - areas[0])
    return IouCurve(areas, values, mean)


def squared_distance(truth: Truth) -> Float[Array, "h w"]:
    """Square of the distance from each pixel to the nearest pixel of the truth, exactly.

    Args:
        truth: (h, w), True on the object.

    Returns:
        (h, w) in squared pixels, whole numbers, 0 on the object; infinite without truth.

    Raises:
        TypeError, ValueError: not a boolean array (h, w).

    Source: in two passes as Felzenszwalb & Huttenlocher 2012, "Distance transforms of sampled
    functions", the second by comparing all columns.
    """
    checks.check_boolean("truth", truth, ("h", "w"))
    return _squared_distance(jnp.asarray(truth))


@jax.jit  # compiled once, even without a caller's jit
def _squared_distance(truth: Array) -> Array:
    height, width = truth.shape
    rows, columns = jnp.arange(height, dtype=jnp.float32), jnp.arange(width, dtype=jnp.float32)
    places = jnp.broadcast_to(rows[:, None], truth.shape)
    above = jax.lax.cummax(jnp.where(truth, places, -jnp.inf), axis=0)
    below = jax.lax.cummin(jnp.where(truth, places, jnp.inf), axis=0, reverse=True)
    in_column = jnp.minimum(places - above, below - places) ** 2
    between = (columns[:, None] - columns[None, :]) ** 2
    # One row at a time, or h w w numbers would be in memory.
    return jax.lax.map(lambda row: jnp.min(row[None, :] + between, axis=1), in_column)


def _share_inside(weights: Array, truth: Array) -> Scalar:
    # A sum of small or of large numbers can leave the range of floats. Powers of two are exact.
    _, exponent = jnp.frexp(weights.max())
    weights = jnp.ldexp(weights, -exponent)
    inside, total = jnp.where(truth, weights, 0).sum(), weights.sum()
    share = inside / jnp.where(total == 0, 1, total)
    return _nan_without(truth, jnp.minimum(share, 1))


def _nan_without(truth: Array, score: Array) -> Scalar:
    """A floating score: a boolean array would store nan as True."""
    return jnp.where(truth.any(), score, jnp.nan)


def _checked(saliency: Any, truth: Any, *, name: str = "saliency") -> Array:
    """The map, all of it nan where that it is not finite could not be seen before compilation."""
    checks.check_saliency(saliency, name=name)
    checks.check_truth(truth, saliency.shape)
    # Half precision holds squared distances to 256 only, and sums of pixels hardly more.
    values = jnp.asarray(saliency, jnp.promote_types(saliency.dtype, jnp.float32))
    return jnp.where(jnp.isfinite(values).all(), values, jnp.nan)
