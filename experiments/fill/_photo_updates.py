"""Ways to update the blanks of a photograph: what might make a fill more than adversarial noise."""

import functools
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

FIRST_ORDER = "first order"
NEWTON = "newton"
SMOOTHED_MEAN = "mean over noise, smoothed"
WHITE_NOISE = "white noise"

DRAWS = 8
NOISE = 0.15
FURTHER_HIDDEN = 0.3
SMOOTHING = 4.0


def rules(patch: int, steps: int) -> dict[str, Rule]:
    """All rules of the tables by name, for patches of so many pixels and steps of Lanczos."""
    return {
        FIRST_ORDER: first_order,
        "first order, logit": functools.partial(first_order, objective=objectives.logit),
        "first order, margin": functools.partial(first_order, objective=objectives.margin),
        NEWTON: functools.partial(newton, steps=steps),
        "mean over noise": over_noise,
        "mean over masks": functools.partial(over_masks, patch=patch),
        "first order, smoothed": functools.partial(smoothed, rule=first_order),
        SMOOTHED_MEAN: functools.partial(smoothed, rule=over_noise),
        WHITE_NOISE: white_noise,
    }


def first_order(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    key: Key,
    objective: Objective = objectives.log_prob,
) -> Image:
    """The gradient of an objective, where the blanks show the mean colour."""
    del key
    seen = {"objective": objective, "background": mean_colour(image)}
    return fill.first_order(logits_fn, image, mask, target, **seen)


def newton(
    logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key, steps: int
) -> Image:
    """The damped Newton update."""
    del key
    seen = {"steps": steps, "background": mean_colour(image)}
    return fill.second_order(logits_fn, image, mask, target, **seen)


def over_noise(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
    """The gradient of the logit averaged over noise on what is seen.

    Source: Smilkov et al. 2017, "SmoothGrad".
    """
    seen = masks.apply(image, mask, mean_colour(image))

    def one(key: Key) -> Image:
        noisy = seen + NOISE * jax.random.normal(key, seen.shape)
        return jax.grad(lambda z: logits_fn(z)[target])(noisy)

    return jax.lax.map(one, jax.random.split(key, DRAWS)).mean(0)


def over_masks(
    logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key, patch: int
) -> Image:
    """The gradient of the logit averaged over masks that hide more patches of the photograph."""

    def one(key: Key) -> Image:
        seen = mask * masks.random_patches(mask.shape, FURTHER_HIDDEN, patch, key=key)
        return first_order(logits_fn, image, seen, target, key, objective=objectives.logit)

    return jax.lax.map(one, jax.random.split(key, DRAWS)).mean(0)


def smoothed(
    logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key, rule: Rule
) -> Image:
    """What another rule gives, blurred inside the blanks."""
    hidden = masks.apply(rule(logits_fn, image, mask, target, key), masks.complement(mask))
    # Blurring is linear, and images beyond the range of pixels are refused.
    scale = jnp.maximum(jnp.abs(hidden).max(), jnp.finfo(hidden.dtype).tiny)
    return gaussian_blur(hidden / scale, sigma=SMOOTHING)


def white_noise(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
    """A control that asks no network."""
    del logits_fn, mask, target
    return jax.random.normal(key, image.shape)
