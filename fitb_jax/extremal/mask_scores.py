"""Score masks by a classifier, and by how those of several areas fit together."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.evaluation.complexity import count_components
from fitb_jax.evaluation.consistency import area_consistency
from fitb_jax.extremal.area import binarise
from fitb_jax.extremal.background import BLUR, BackgroundName, make_blend
from fitb_jax.objectives import prob
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    LogitsFn,
    Number,
    Objective,
    Scalar,
    Target,
)


class MaskScores(NamedTuple):
    """Scores of the masks of one image, a mask for each area.

    Attributes:
        soft: p(target) of the image seen through each mask, (a,).
        binary: the same for the binary mask of its largest values, of the exact area, (a,).
        calibration: distance of the mean of each mask from its area, (a,).
        nestedness: mean over the areas; see `evaluation.nestedness`.
        continuity: the same, of `evaluation.continuity`.
        softness: the same, of `evaluation.softness`.
        total_variation: the same, of `evaluation.total_variation`.
        components: number of connected parts of the binary mask of each area, (a,).
    """

    soft: Float[Array, "a"]
    binary: Float[Array, "a"]
    calibration: Float[Array, "a"]
    nestedness: Scalar
    continuity: Scalar
    softness: Scalar
    total_variation: Scalar
    components: Float[Array, "a"]


def score_masks(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    masks: Float[Array, "a h w"],
    areas: Float[Array, "a"],
    *,
    background: BackgroundName | Background = "blur",
    objective: Objective = prob,
) -> MaskScores:
    """Score masks of ascending areas by a classifier and by how they fit together.

    Args:
        logits_fn: the classifier that judges them.
        image: (h, w, c) in [0, 1].
        target: the class, in [0, k).
        masks: (a, h, w) in [0, 1], at least two.
        areas: (a,), ascending.
        background: as in `make_blend`.
        objective: in whose terms it is judged: `prob`, or another one of `objectives`.

    Returns:
        The scores.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.
    """
    consistency = area_consistency(masks, areas)
    binary = jax.vmap(binarise)(masks, areas)
    every = jnp.concatenate([masks, binary])
    seen = probabilities_through(
        logits_fn, image, target, every, background=background, objective=objective
    )
    soft, hard = jnp.split(seen, 2)
    return MaskScores(
        soft=soft,
        binary=hard,
        calibration=consistency.calibration,
        nestedness=consistency.nestedness.mean(),
        continuity=consistency.continuity.mean(),
        softness=consistency.softness.mean(),
        total_variation=consistency.total_variation.mean(),
        components=jax.vmap(count_components)(binary),
    )


def probabilities_through(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    masks: Float[Array, "n h w"],
    *,
    background: BackgroundName | Background = "blur",
    blur: Number = BLUR,
    objective: Objective = prob,
) -> Float[Array, "n"]:
    """p(target) of an image seen through masks, one after the other.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class, in [0, k).
        masks: (n, h, w) in [0, 1].
        background: as in `make_blend`.
        blur: as in `make_blend`. An array argument.
        objective: in whose terms it is judged: `prob`, or another one of `objectives`.

    Returns:
        (n,), in [0, 1] for probabilities.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.
    """
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_mask(masks, image.shape[:2], name="masks", axes=("n", "h", "w"))
    blend = make_blend(image, background, blur=blur)
    return jax.lax.map(lambda mask: objective(logits_fn(blend(mask)), target), masks)
