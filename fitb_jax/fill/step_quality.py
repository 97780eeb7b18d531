"""How well steps along an update fill in a photograph, and whether the update is a shape."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import checks, masks
from fitb_jax.fill.fidelity_scores import hidden_correlation
from fitb_jax.fill.filling import step
from fitb_jax.objectives import logit, prob
from fitb_jax.precision import at_least_float32
from fitb_jax.smoothing import gaussian_blur
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


class StepScores(NamedTuple):
    """Measures of steps of several sizes along one update of one image.

    Attributes:
        correlation: of the update with the hidden values less the background, in [-1, 1]; nan where
            either is constant.
        coarse_correlation: the same after a blur of both by `coarse`.
        fine_energy: share of the update's sum of squares that a blur by `smooth` removes; nan for
            an update of 0.
        probability_whole: p(target) of the whole image.
        probability_masked: p(target) where the blanks show the background.
        probability_filled: (s,) p(target) after a step of each size.
        probability_blurred: (s,) the same after a blur of the blanks by `smooth`.
        rank_masked: rank of the target's logit for the masked image; 1 is the largest.
        rank_filled: (s,) the same after a step of each size.
    """

    correlation: Scalar
    coarse_correlation: Scalar
    fine_energy: Scalar
    probability_whole: Scalar
    probability_masked: Scalar
    probability_filled: Float[Array, "s"]
    probability_blurred: Float[Array, "s"]
    rank_masked: Scalar
    rank_filled: Float[Array, "s"]


def step_scores(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    update: Image,
    *,
    sizes: Float[Array, "s"],
    background: Background = 0.0,
    smooth: Number = 2.0,
    coarse: Number = 8.0,
    objective: Objective = prob,
) -> StepScores:
    """Judge steps along an update by a classifier, and the update by the hidden pixels.

    Args:
        logits_fn: the judge; it need not be the network the update comes from.
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        target: the class, in [0, k).
        update: (h, w, c), from any method.
        sizes: (s,), root mean square changes of the blanks, see `step`.
        background: what the blanks show before the step: a number, one value per channel, or an
            image.
        smooth: standard deviation in pixels of the blur that takes noise away.
        coarse: standard deviation in pixels of the blur that leaves only coarse shapes.
        objective: in whose terms it is judged: `prob`, or another one of `objectives`.

    Returns:
        The measures.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_explained(logits_fn, image, target, objective)
    move = functools.partial(step, image, mask, update, background=background)
    filled = jax.vmap(lambda size: move(size=size))(sizes)
    blur, blur_more = (functools.partial(gaussian_blur, sigma=sigma) for sigma in (smooth, coarse))
    blurred = jax.vmap(lambda one: masks.apply(image, mask, blur(one)))(filled)
    whole = jnp.stack([image, masks.apply(image, mask, background)])
    logits = jax.lax.map(logits_fn, jnp.concatenate([whole, filled, blurred]))
    p = jax.vmap(lambda one: objective(one, target))(logits)
    own = jax.vmap(lambda one: logit(one, target))(logits)
    rank = jnp.where(jnp.isnan(own), own, 1.0 + (logits > own[:, None]).sum(axis=1))
    count = len(sizes)
    shown = jnp.broadcast_to(jnp.asarray(background, image.dtype), image.shape)
    hidden, truth = _hidden(update, mask), _hidden(image - shown, mask)
    return StepScores(
        correlation=hidden_correlation(hidden, truth, mask),
        coarse_correlation=hidden_correlation(blur_more(hidden), blur_more(truth), mask),
        fine_energy=1 - (blur(hidden) ** 2).sum() / (hidden**2).sum(),
        probability_whole=p[0],
        probability_masked=p[1],
        probability_filled=p[2 : 2 + count],
        probability_blurred=p[2 + count :],
        rank_masked=rank[1],
        rank_filled=rank[2 : 2 + count],
    )


def _hidden(values: Image, mask: Mask) -> Image:
    """Only the blanks, scaled to at most 1: small gradients have squares of 0."""
    hidden = at_least_float32(masks.apply(values, masks.complement(mask)))
    largest = jnp.abs(hidden).max()
    return hidden / jnp.where(largest > 0, largest, 1)
