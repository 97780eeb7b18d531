"""On what share of backgrounds a region keeps the class, and how sure that is."""

from typing import Any

import jax.numpy as jnp

from fitb_jax import batching, checks, masks
from fitb_jax.evaluation.intervals import Interval, check_confidence, clopper_pearson
from fitb_jax.objectives import check_predicts, is_predicted, prob
from fitb_jax.types import Array, Float, Image, Int, LogitsFn, Mask, Number, Objective, Target


def kept_count(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    mask: Mask,
    backgrounds: Float[Array, "b h w c"],
    *,
    objective: Objective = prob,
    chunk: int,
) -> Int[Array, ""]:
    """On how many backgrounds the class is kept when they replace what the mask hides.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class.
        mask: (h, w), 1 = the image's pixel, 0 = the background's.
        backgrounds: (b, h, w, c).
        objective: in whose terms the class is kept, see `objectives.is_predicted`.
        chunk: backgrounds evaluated at once.

    Returns:
        How many of them are classified as the target; where a logit is NaN the class is not kept.
    """

    def is_kept(background: Image) -> Array:
        logits = logits_fn(masks.apply(image, mask, background))
        return is_predicted(logits, target, objective=objective) == 1

    return batching.chunked_vmap(is_kept, chunk=chunk)(backgrounds).sum(dtype=jnp.int32)


def certify(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    region: Mask,
    backgrounds: Float[Array, "b h w c"],
    *,
    confidence: Number = 0.95,
    objective: Objective = prob,
    chunk: int = 64,
) -> Interval:
    """Share of backgrounds on which the pixels of a region keep the class.

    The interval is that of independent backgrounds which had no part in the choice of the region.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class, in [0, k).
        region: (h, w), 1 = the image's pixel is kept, 0 = it is the background's.
        backgrounds: (b, h, w, c), such as other images of the data set.
        confidence: of the interval, in (0, 1]. An array argument.
        objective: in whose terms the class is kept, see `objectives.is_predicted`.
        chunk: backgrounds evaluated at once.

    Returns:
        The share and its interval of Clopper and Pearson.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.
    """
    checks.check_explained(logits_fn, image, target)
    checks.check_mask(region, image.shape[:2], name="region")
    check_backgrounds(backgrounds, image)
    checks.check_count("chunk", chunk)
    check_confidence(confidence)
    check_predicts(objective)
    kept = kept_count(
        logits_fn, image, target, region, backgrounds, objective=objective, chunk=chunk
    )
    return clopper_pearson(kept, backgrounds.shape[0], confidence=confidence)


def check_backgrounds(backgrounds: Any, image: Image, *, name: str = "backgrounds") -> None:
    """Refuse backgrounds that do not fit an image.

    Args:
        backgrounds: to check.
        image: (h, w, c).
        name: of the argument.

    Raises:
        TypeError, ValueError: not (b, h, w, c) of the image's size, or not in [0, 1].
    """
    checks.check_image(backgrounds, name=name, axes=("b", "h", "w", "c"))
    if backgrounds.shape[1:] != image.shape:
        raise ValueError(
            f"{name} must have the image's shape {image.shape}, got {backgrounds.shape}"
        )
