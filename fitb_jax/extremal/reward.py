"""The reward of a mask: the objective of the image seen through it (Fong et al. 2019)."""

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.batching import chunked_vmap
from fitb_jax.extremal.background import Blend
from fitb_jax.objectives import score_of
from fitb_jax.types import Array, Float, Image, LogitsFn, Mask, Objective, Scalar, Target

Variant: TypeAlias = Literal["preserve", "delete", "dual"]
"""What a mask is rewarded for; see `rewards`."""


def rewards(
    logits_fn: LogitsFn,
    target: Target,
    blend: Blend,
    variant: Variant,
    objective: Objective,
    *,
    flip: bool = False,
) -> Callable[[Mask], Scalar]:
    """Make the function that rewards a mask by the objective of the image through it.

    Args:
        logits_fn: the classifier.
        target: class to explain.
        blend: shows the image through a mask, from `make_blend`.
        variant: "preserve": the objective of the image through the mask; "delete": minus that of
            the image through the complement; "dual": the sum of both.
        objective: a function of logits and target.
        flip: show the classifier the mirror image.

    Returns:
        A function from a mask (h, w) to a scalar.

    Raises:
        ValueError: an unknown variant.

    Source: Fong et al. 2019, "Understanding deep networks via extremal perturbations", section 3.
    """
    checks.check_choice("variant", variant, get_args(Variant))

    def seen(mask: Mask) -> Scalar:
        shown = blend(mask)
        return objective(logits_fn(shown[:, ::-1] if flip else shown), target)

    return {
        "preserve": seen,
        "delete": lambda mask: -seen(1 - mask),
        "dual": lambda mask: seen(mask) - seen(1 - mask),
    }[variant]


def rewards_in_chunks(
    reward_fn: Callable[..., Scalar], masks: Float[Array, "k h w"], *arguments: Array, chunk: int
) -> Float[Array, "k"]:
    """The reward of each mask, with the classifier's activations of one chunk in memory at a time.

    It can be differentiated once, by the masks and all that they are made of. The gradient of a
    chunk is taken before the next chunk is begun.

    Args:
        reward_fn: from `rewards`, or of a mask and more.
        masks: (k, h, w).
        *arguments: what the function takes besides the mask, each with a leading axis of k.
        chunk: masks at once, at least 1. The result does not depend on it.

    Returns:
        The rewards, (k,).
    """
    fixed = jax.lax.stop_gradient(masks)
    of_one = jax.value_and_grad(reward_fn)
    reward, gradient = chunked_vmap(of_one, chunk=chunk)(fixed, *arguments)
    # Nothing is added, but for the gradient, which is carried on to what made the masks.
    return reward + (jax.lax.stop_gradient(gradient) * (masks - fixed)).sum((1, 2))


def blank_and_whole(
    logits_fn: LogitsFn, image: Image, target: Target, blend: Blend, objective: Objective
) -> tuple[Scalar, Scalar]:
    """The score of the class where nothing of the image is shown, and where all of it is.

    Args:
        logits_fn: the classifier.
        image: (h, w, c).
        target: class to explain.
        blend: of the image, from `make_blend`.
        objective: what the masks increase.

    Returns:
        `p_blank` and `p_whole`, in the terms of `objectives.score_of(objective)`.
    """
    score = score_of(objective)

    def seen_at(level: Scalar) -> Scalar:
        return score(logits_fn(blend(jnp.full(image.shape[:2], level, image.dtype))), target)

    # One after the other: each would be a copy of the classifier in the program.
    p_blank, p_whole = jax.lax.map(seen_at, jnp.arange(2, dtype=image.dtype))
    return p_blank, p_whole
