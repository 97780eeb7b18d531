"""Masks judged by what had no part in the search for them."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.extremal.background import BLUR, BackgroundName, make_blend
from fitb_jax.extremal.certificate import check_backgrounds, kept_count
from fitb_jax.extremal.mask_scores import probabilities_through
from fitb_jax.objectives import check_predicts, is_predicted, prob
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    LogitsFn,
    Mask,
    Number,
    Objective,
    Scalar,
    Target,
)


class MaskJudgement(NamedTuple):
    """What masks are worth in the search that found them, and beyond it.

    Attributes:
        p: p(target) through each mask, by the network that was explained, (a,). A search climbs it.
        p_whole: the same of the whole image.
        p_blank: the same where nothing is shown. Where it is large, `p` proves nothing.
        p_other: p(target) through each mask by the other network, (a,); nan, like the next three,
            where none is given.
        p_other_whole: the same of the whole image.
        p_other_blank: the same where nothing is shown.
        is_first_of_other: 1 where the other network predicts the target through the mask, (a,).
        kept: share of other backgrounds on which the network that was explained predicts the
            target, (a,); nan where none are given.
    """

    p: Float[Array, "a"]
    p_whole: Scalar
    p_blank: Scalar
    p_other: Float[Array, "a"]
    p_other_whole: Scalar
    p_other_blank: Scalar
    is_first_of_other: Float[Array, "a"]
    kept: Float[Array, "a"]


def judge_masks(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    masks: Float[Array, "a h w"],
    *,
    other_logits_fn: LogitsFn | None = None,
    backgrounds: Float[Array, "b h w c"] | None = None,
    background: BackgroundName | Background = "blur",
    blur: Number = BLUR,
    objective: Objective = prob,
    chunk: int = 2,
) -> MaskJudgement:
    """Judge masks in the sample and out of it.

    A score that a search climbs proves nothing by itself. Another network and other backgrounds had
    no part in it: give one of them or both.

    Args:
        logits_fn: the classifier that was explained.
        image: (h, w, c) in [0, 1].
        target: the class, in [0, k).
        masks: (a, h, w) in [0, 1]. Binary ones of an area compare best, see `binarise`.
        other_logits_fn: a trained network of the same classes that took no part, for images of the
            same size: see `fitb_jax.models.at_size`.
        backgrounds: (b, h, w, c), other images that no search has seen.
        background: what the search showed where masks hide the image, as in `make_blend`.
        blur: as in `make_blend`. An array argument.
        objective: in whose terms it is judged: `prob`, or another one of `objectives`.
        chunk: other backgrounds evaluated at once.

    Returns:
        The judgement of each mask.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`. Or the
            networks differ in their number of classes.

    Examples:
        >>> judged = extremal.judge_masks(
        ...     logits_fn, image, 1, mask[None], other_logits_fn=logits_fn, backgrounds=images
        ... )
        >>> judged.kept.shape
        (1,)
    """
    checks.check_explained(logits_fn, image, target, objective)
    if other_logits_fn is None and backgrounds is None:
        raise ValueError("other_logits_fn or backgrounds must be given, got neither")
    if other_logits_fn is not None:
        _check_other(other_logits_fn, logits_fn, image, objective)
    checks.check_mask(masks, image.shape[:2], name="masks", axes=("a", "h", "w"))
    if backgrounds is not None:
        check_backgrounds(backgrounds, image)
    check_predicts(objective)
    checks.check_count("chunk", chunk)
    blend = make_blend(image, background, blur=blur)
    ends = jnp.stack([jnp.ones(image.shape[:2]), jnp.zeros(image.shape[:2])])
    # One program for the masks, the whole image and the blank.
    every = jnp.concatenate([masks, ends.astype(masks.dtype)])

    def by_other(judge: LogitsFn, mask: Mask) -> tuple[Scalar, Scalar]:
        logits = judge(blend(mask))
        is_first = is_predicted(logits, target, objective=objective) == 1
        return objective(logits, target), is_first.astype(jnp.float32)

    def share_kept(backgrounds: Float[Array, "b h w c"], mask: Mask) -> Scalar:
        kept = kept_count(
            logits_fn, image, target, mask, backgrounds, objective=objective, chunk=chunk
        )
        return kept / len(backgrounds)

    p = probabilities_through(
        logits_fn, image, target, every, background=background, blur=blur, objective=objective
    )
    p_other = is_first = jnp.full(len(every), jnp.nan)
    if other_logits_fn is not None:
        p_other, is_first = jax.lax.map(functools.partial(by_other, other_logits_fn), every)
    kept = jnp.full(len(masks), jnp.nan)
    if backgrounds is not None:
        kept = jax.lax.map(functools.partial(share_kept, backgrounds), masks)
    return MaskJudgement(
        p=p[:-2],
        p_whole=p[-2],
        p_blank=p[-1],
        p_other=p_other[:-2],
        p_other_whole=p_other[-2],
        p_other_blank=p_other[-1],
        is_first_of_other=is_first[:-2],
        kept=kept,
    )


def _check_other(
    other_logits_fn: LogitsFn, logits_fn: LogitsFn, image: Image, objective: Objective
) -> None:
    checks.check_callable("other_logits_fn", other_logits_fn)
    classes = checks.count_classes(logits_fn, image)
    try:
        of_other = checks.count_classes(other_logits_fn, image)
        checks.check_objective(other_logits_fn, objective)
    except (TypeError, ValueError) as error:
        error.add_note(
            "of other_logits_fn; models.at_size makes one of a network for images of another size"
        )
        raise
    if of_other != classes:
        raise ValueError(
            f"other_logits_fn must have the {classes} classes of logits_fn, got {of_other}"
        )
