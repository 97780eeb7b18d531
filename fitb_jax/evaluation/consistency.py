"""Do masks over a range of areas behave as one family?

Each function takes the masks of one image, (a, h, w), in order of ascending area.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.evaluation.complexity import count_components, total_variation
from fitb_jax.types import Array, Float, Mask, Scalar


class AreaConsistency(NamedTuple):
    """Measures of masks of ascending areas; those of pairs of neighbours have one entry less.

    Attributes:
        calibration: distance of each mask's mean from its area, (a,).
        nestedness: what each mask shows that the next larger one does not, (a - 1,).
        continuity: change to the next mask over the change of area, (a - 1,).
        softness: distance of each mask from zeros and ones, (a,).
        total_variation: length of each mask's boundary, (a,).
        components: connected regions of each mask above 0.5, (a,).
    """

    calibration: Float[Array, "a"]
    nestedness: Float[Array, "a-1"]
    continuity: Float[Array, "a-1"]
    softness: Float[Array, "a"]
    total_variation: Float[Array, "a"]
    components: Float[Array, "a"]


def area_consistency(
    masks: Float[Array, "a h w"], areas: Float[Array, "a"], *, connectivity: int = 4
) -> AreaConsistency:
    """Measure how masks of several areas fit together, by all measures of this module.

    Args:
        masks: (a, h, w) in [0, 1], at least two.
        areas: share of the image that each was to show, (a,), ascending within [0, 1].
        connectivity: 4 or 8, of the connected regions.

    Returns:
        The measures.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or areas that do not ascend.
    """
    return AreaConsistency(
        calibration=calibration(masks, areas),
        nestedness=nestedness(masks),
        continuity=continuity(masks, areas),
        softness=jax.vmap(softness)(masks),
        total_variation=jax.vmap(total_variation)(masks),
        components=jax.vmap(lambda mask: count_components(mask, connectivity=connectivity))(masks),
    )


def calibration(masks: Float[Array, "a h w"], areas: Float[Array, "a"]) -> Float[Array, "a"]:
    """Distance of the mean of each mask from the area it was to have.

    Args:
        masks: (a, h, w) in [0, 1].
        areas: (a,), ascending within [0, 1].

    Returns:
        `|mean(m_a) - a|`, (a,), at least 0; 0 is best.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or areas that do not ascend.
    """
    _check_masks(masks, areas)
    # The mean of the differences is more accurate than the difference of the means.
    return jnp.abs((masks - areas[:, None, None]).mean((1, 2)))


def nestedness(masks: Float[Array, "a h w"]) -> Float[Array, "a-1"]:
    """What each mask shows that the next larger one hides; larger masks should contain smaller.

    Args:
        masks: (a, h, w) in [0, 1], at least two, in order of ascending area.

    Returns:
        `mean(relu(m_i - m_(i+1)))`, (a - 1,), in [0, 1]; all 0 exactly when every mask is contained
        in every larger one.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    _check_masks(masks, least_count=2)
    return jax.nn.relu(masks[:-1] - masks[1:]).mean((1, 2))


def continuity(masks: Float[Array, "a h w"], areas: Float[Array, "a"]) -> Float[Array, "a-1"]:
    """How much the mask changes from one area to the next, relative to the change of area.

    Args:
        masks: (a, h, w) in [0, 1], at least two.
        areas: (a,), ascending within [0, 1].

    Returns:
        `mean(|m_(i+1) - m_i|) / (a_(i+1) - a_i)`, (a - 1,): 1 for nested and calibrated masks,
        above 1 where the mask jumps.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or areas that do not ascend.
    """
    _check_masks(masks, areas, least_count=2)
    return jnp.abs(jnp.diff(masks, axis=0)).mean((1, 2)) / jnp.diff(areas)


def softness(mask: Mask) -> Scalar:
    """Distance of a mask from zeros and ones.

    Args:
        mask: (h, w) in [0, 1].

    Returns:
        `mean(4 m (1 - m))`, in [0, 1]: 0 for zeros and ones, 1 for a mask that is 1/2 everywhere.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_mask(mask, jnp.shape(mask)[-2:])
    return (4 * mask * (1 - mask)).mean()


def _check_masks(masks: Any, areas: Any = None, *, least_count: int = 1) -> None:
    checks.check_mask(masks, jnp.shape(masks)[-2:], name="masks", axes=("a", "h", "w"))
    if masks.shape[0] < least_count:
        raise ValueError(f"masks must be at least {least_count}, got {masks.shape[0]}")
    if areas is None:
        return
    checks.check_areas(areas)
    if areas.shape != masks.shape[:1]:
        raise ValueError(
            f"areas must have one entry for each of the {masks.shape[0]} masks, got {areas.shape}"
        )
