"""Ways to update the blanks of a photograph: what might make a fill more than adversarial noise."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from fitb_jax import fill, masks, objectives
from fitb_jax.extremal import mean_colour
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Image, Key, LogitsFn, Mask, Objective, Target

Rule: TypeAlias = Callable[[LogitsFn, Image, Mask, Target, Key], Image]
"""(logits_fn, image, mask, target, key) -> update."""

DRAWS = 8
NOISE = 0.15
FURTHER_HIDDEN = 0.3
SMOOTHING = 4.0


def first_order(objective: Objective = objectives.log_prob) -> Rule:
    """The gradient, where the blanks show the mean colour.

    Args:
        objective: what is to grow.

    Returns:
        The rule.
    """

    def rule(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
        del key
        return fill.first_order(
            logits_fn, image, mask, target, objective=objective, background=mean_colour(image)
        )

    return rule


def newton(steps: int) -> Rule:
    """The damped Newton update.

    Args:
        steps: of Lanczos.

    Returns:
        The rule.
    """

    def rule(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
        del key
        return fill.second_order(
            logits_fn, image, mask, target, steps=steps, background=mean_colour(image)
        )

    return rule


def over_noise(draws: int = DRAWS) -> Rule:
    """The gradient of the logit averaged over noise on what is seen.

    Args:
        draws: of the noise, whose standard deviation is `NOISE`.

    Returns:
        The rule.

    Source: Smilkov et al. 2017, "SmoothGrad".
    """

    def rule(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
        seen = masks.apply(image, mask, mean_colour(image))

        def one(key: Key) -> Image:
            noisy = seen + NOISE * jax.random.normal(key, seen.shape)
            return jax.grad(lambda z: logits_fn(z)[target])(noisy)

        return jax.lax.map(one, jax.random.split(key, draws)).mean(0)

    return rule


def over_masks(patch: int, draws: int = DRAWS) -> Rule:
    """The gradient of the logit averaged over masks that hide more of the photograph.

    Args:
        patch: side of the patches that are hidden besides, in pixels.
        draws: masks, each hiding the share `FURTHER_HIDDEN` of all patches.

    Returns:
        The rule.
    """

    def rule(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
        def one(key: Key) -> Image:
            further = masks.random_patches(mask.shape, FURTHER_HIDDEN, patch, key=key)
            return fill.first_order(
                logits_fn,
                image,
                mask * further,
                target,
                objective=objectives.logit,
                background=mean_colour(image),
            )

        return jax.lax.map(one, jax.random.split(key, draws)).mean(0)

    return rule


def smoothed(rule: Rule, sigma: float = SMOOTHING) -> Rule:
    """Blur what another rule gives, inside the blanks.

    Args:
        rule: the other.
        sigma: of the Gaussian in pixels.

    Returns:
        The rule.
    """

    def blurred(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
        update = rule(logits_fn, image, mask, target, key)
        hidden = masks.apply(update, masks.complement(mask))
        # Blurring is linear, and images beyond the range of pixels are refused.
        scale = jnp.maximum(jnp.abs(hidden).max(), jnp.finfo(hidden.dtype).tiny)
        return gaussian_blur(hidden / scale, sigma=sigma)

    return blurred


def noise(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
    """A control: white noise, which asks no network.

    Args:
        logits_fn: not used.
        image: for the shape.
        mask: not used.
        target: not used.
        key: of the noise.

    Returns:
        The update.
    """
    del logits_fn, mask, target
    return jax.random.normal(key, image.shape)


def named(patch: int, steps: int) -> dict[str, Rule]:
    """All rules of the tables.

    Args:
        patch: side of the masks' patches in pixels.
        steps: of Lanczos.

    Returns:
        By the name in a table.
    """
    many = over_noise()
    return {
        "first order": first_order(),
        "first order, logit": first_order(objectives.logit),
        "first order, margin": first_order(objectives.margin),
        "newton": newton(steps),
        "mean over noise": many,
        "mean over masks": over_masks(patch),
        "first order, smoothed": smoothed(first_order()),
        "mean over noise, smoothed": smoothed(many),
        "white noise": noise,
    }
