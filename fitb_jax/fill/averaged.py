"""Updates averaged over noise or over masks, or blurred: they have less of a gradient's noise."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fitb_jax import checks, masks, objectives
from fitb_jax.fill.updates import first_order
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Background, Image, Key, LogitsFn, Mask, Number, Objective, Target


def over_noise(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    *,
    key: Key,
    draws: int = 8,
    noise: Number = 0.15,
    objective: Objective = objectives.logit,
    background: Background = 0.0,
) -> Image:
    """The first-order update averaged over Gaussian noise on the masked image.

    Args:
        logits_fn: maps one image (h, w, c) to logits (k,).
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        target: class to fill in for, in [0, k).
        key: random key of the noise.
        draws: how many gradients are averaged.
        noise: standard deviation, in units of intensity.
        objective: what the update is to increase.
        background: what the blanks show: a number, one value per channel, or an image.

    Returns:
        (h, w, c), the update of every pixel, in units of the objective per unit of intensity.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; fewer than 1 draw, or negative noise.

    Source: Smilkov et al. 2017, "SmoothGrad", arXiv 1706.03825.
    """
    checks.check_key(key)
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_number("noise", noise, least=0)
    seen = masks.apply(image, mask, background)

    def one(key: Key) -> Image:
        noisy = seen + jnp.asarray(noise, seen.dtype) * jax.random.normal(
            key, seen.shape, seen.dtype
        )
        return jax.grad(lambda z: objective(logits_fn(z), target))(noisy)

    return _mean(one, draws, key)


def over_masks(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    *,
    key: Key,
    patch: int,
    ratio: Number = 0.3,
    draws: int = 8,
    objective: Objective = objectives.logit,
    background: Background = 0.0,
) -> Image:
    """The first-order update averaged over random masks that hide more patches of the image.

    Args:
        logits_fn: maps one image (h, w, c) to logits (k,).
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        target: class to fill in for, in [0, k).
        key: random key of the masks.
        patch: side of a further hidden patch in pixels.
        ratio: share of the patches that each random mask hides, in [0, 1].
        draws: how many gradients are averaged.
        objective: what the update is to increase.
        background: what the blanks show: a number, one value per channel, or an image.

    Returns:
        (h, w, c), the update of every pixel, in units of the objective per unit of intensity.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or fewer than 1 draw.
    """

    def one(key: Key) -> Image:
        seen = mask * masks.random_patches(mask.shape, ratio, patch, key=key)
        return first_order(
            logits_fn, image, seen, target, objective=objective, background=background
        )

    return _mean(one, draws, key)


def smoothed(update: Image, mask: Mask, *, sigma: Number) -> Image:
    """An update blurred inside the blanks, as if it were 0 outside of them.

    Args:
        update: (h, w, c), in any units.
        mask: (h, w), 1 = visible, 0 = blank.
        sigma: standard deviation of the blur in pixels.

    Returns:
        (h, w, c), scaled so that the largest magnitude before the blur is 1; 0 for an update of 0.

    Raises:
        TypeError, ValueError: a wrong shape or dtype, or a negative `sigma`.
    """
    hidden = masks.apply(update, masks.complement(mask))
    # Blurring is linear, and images beyond the range of pixels are refused.
    scale = jnp.maximum(jnp.abs(hidden).max(), jnp.finfo(hidden.dtype).tiny)
    return gaussian_blur(hidden / scale, sigma=sigma)


def _mean(one: Callable[[Key], Image], draws: int, key: Key) -> Image:
    checks.check_count("draws", draws)
    return jax.lax.map(one, jax.random.split(key, draws)).mean(0)
