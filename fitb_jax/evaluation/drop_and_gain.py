"""What is left of the prediction when the image is dimmed by its own map."""

from typing import NamedTuple

import jax.numpy as jnp

from fitb_jax import checks, masks
from fitb_jax.evaluation.map_similarity import unit_range
from fitb_jax.objectives import prob
from fitb_jax.precision import at_least_float32, seen_as_wide
from fitb_jax.types import Background, Image, LogitsFn, Objective, Saliency, Scalar, Target


class AverageDrop(NamedTuple):
    """Drop, increase and gain of one image; published tables have their means over images.

    Here p is p(target) of the whole image, and o that of the image through the map.

    Attributes:
        drop: share of p that is lost, `max(0, p - o) / p`.
        increase: 1 where o is above p, else 0.
        gain: share of the missing probability that is won, `max(0, o - p) / (1 - p)`.
    """

    drop: Scalar
    increase: Scalar
    gain: Scalar


def average_drop(
    logits_fn: LogitsFn,
    image: Image,
    saliency: Saliency,
    target: Target,
    *,
    background: Background = 0.0,
    objective: Objective = prob,
) -> AverageDrop:
    """Show each pixel as strongly as the map says: how much of the prediction is lost or won?

    A map that is high almost everywhere loses nothing, so that a score of small maps belongs beside
    it.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        saliency: (h, w); shifted and scaled to [0, 1].
        target: the class, in [0, k).
        background: what is seen where the map is lowest: a number, one value per channel or an
            image.
        objective: a probability: `prob`, or `sigmoid_prob` for one of several labels.

    Returns:
        Drop, increase and gain, each in [0, 1]; nan for a constant map.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Chattopadhyay et al. 2018, "Grad-CAM++", section 4.1 (drop and increase); Zhang et al.
    2023, "Opti-CAM", section 4.1 (gain).
    """
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_saliency(saliency, image.shape[:2])
    checks.check_background(background, image.shape)
    logits_fn = seen_as_wide(logits_fn, image)
    image = at_least_float32(image)
    scaled = unit_range(at_least_float32(jnp.asarray(saliency)))
    whole = objective(logits_fn(image), target)
    shown = masks.apply(image, scaled, background)
    through = objective(logits_fn(shown), target)
    change = jnp.where(scaled.max() > scaled.min(), through - whole, jnp.nan)
    return AverageDrop(
        drop=jnp.maximum(0, -change) / whole,
        increase=jnp.where(jnp.isnan(change), jnp.nan, 1.0 * (change > 0)),
        # Where nothing is missing nothing can be won.
        gain=jnp.maximum(0, change) / jnp.where(whole < 1, 1 - whole, 1),
    )
