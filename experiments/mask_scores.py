"""What the masks of several areas of one photograph are worth: the same for every method."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import ablation, evaluation, extremal
from fitb_jax.types import Array, Float, Image, LogitsFn, Scalar, Target


class MaskScores(NamedTuple):
    """Of the masks of a photograph, one for each area.

    Attributes:
        soft: p(target) of the photograph seen through each mask.
        binary: the same for the mask that shows its largest values up to the exact area.
        calibration: distance of the mean of each mask from its area.
        nestedness: mean over the areas; see `evaluation.nestedness`.
        continuity: the same, of `evaluation.continuity`.
        softness: the same, of `evaluation.softness`.
        total_variation: the same, of `evaluation.total_variation`.
        components: of the binary mask of each area.
    """

    soft: Float[Array, "a"]
    binary: Float[Array, "a"]
    calibration: Float[Array, "a"]
    nestedness: Scalar
    continuity: Scalar
    softness: Scalar
    total_variation: Scalar
    components: Float[Array, "a"]


FIELDS = {
    "soft": ablation.Field(dims=("area",), meaning="p(target) through the mask"),
    "binary": ablation.Field(dims=("area",), meaning="p(target) through the binary mask"),
    "calibration": ablation.Field(dims=("area",), meaning="|mean(mask) - area|"),
    "nestedness": ablation.Field(meaning="shown by a mask and hidden by the next larger one"),
    "continuity": ablation.Field(meaning="change of the mask over change of the area"),
    "softness": ablation.Field(meaning="mean(4 m (1 - m))"),
    "total_variation": ablation.Field(meaning="steps between neighbouring pixels"),
    "components": ablation.Field(dims=("area",), meaning="connected regions of the binary mask"),
}


def score_masks(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    masks: Float[Array, "a h w"],
    areas: Float[Array, "a"],
) -> MaskScores:
    """Score the masks with a blurred background.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class.
        masks: (a, h, w) in [0, 1].
        areas: (a,), ascending.

    Returns:
        The scores.
    """
    binary = jax.vmap(extremal.binarise)(masks, areas)
    seen = probabilities(logits_fn, image, target, jnp.concatenate([masks, binary]))
    soft, hard = jnp.split(seen, 2)
    consistency = evaluation.area_consistency(masks, areas)
    return MaskScores(
        soft=soft,
        binary=hard,
        calibration=consistency.calibration,
        nestedness=consistency.nestedness.mean(),
        continuity=consistency.continuity.mean(),
        softness=consistency.softness.mean(),
        total_variation=consistency.total_variation.mean(),
        components=jax.vmap(evaluation.count_components)(binary),
    )


def probabilities(
    logits_fn: LogitsFn, image: Image, target: Target, masks: Float[Array, "n h w"]
) -> Float[Array, "n"]:
    """p(target) of a photograph seen through masks, on its blur.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class.
        masks: (n, h, w) in [0, 1].

    Returns:
        (n,).
    """
    blend = extremal.make_blend(image, "blur")
    return jax.lax.map(lambda mask: jax.nn.softmax(logits_fn(blend(mask)))[target], masks)
