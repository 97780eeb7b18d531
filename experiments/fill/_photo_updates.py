"""Ways to update the blanks of a photograph: what might make a fill more than adversarial noise."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax

from fitb_jax import fill, objectives
from fitb_jax.extremal import mean_colour
from fitb_jax.types import Image, Key, LogitsFn, Mask, Target

Rule: TypeAlias = Callable[[LogitsFn, Image, Mask, Target, Key], Image]
"""(logits_fn, image, mask, target, key) -> update."""

FIRST_ORDER = "first order"
NEWTON = "newton"
SMOOTHED_MEAN = "mean over noise, smoothed"
WHITE_NOISE = "white noise"

SMOOTHING = 4.0


def rules(patch: int, steps: int) -> dict[str, Rule]:
    """All rules of the tables by name, for patches of so many pixels and steps of Lanczos."""
    first = functools.partial(_update, fill.first_order)
    noisy = functools.partial(_drawn, fill.over_noise)
    return {
        FIRST_ORDER: first,
        "first order, logit": functools.partial(first, objective=objectives.logit),
        "first order, margin": functools.partial(first, objective=objectives.margin),
        NEWTON: functools.partial(_update, fill.second_order, steps=steps),
        "mean over noise": noisy,
        "mean over masks": functools.partial(_drawn, fill.over_masks, patch=patch),
        "first order, smoothed": functools.partial(_smoothed, first),
        SMOOTHED_MEAN: functools.partial(_smoothed, noisy),
        WHITE_NOISE: _white_noise,
    }


def _update(update: Callable[..., Image], *asked: Any, **settings: Any) -> Image:
    """One of the library where the blanks show the mean colour; it needs no key."""
    logits_fn, image, mask, target, _ = asked
    settings["background"] = mean_colour(image)
    return update(logits_fn, image, mask, target, **settings)


def _drawn(update: Callable[..., Image], *asked: Any, **settings: Any) -> Image:
    """The same of one that draws at random."""
    return _update(update, *asked, key=asked[-1], **settings)


def _smoothed(rule: Rule, *asked: Any) -> Image:
    return fill.smoothed(rule(*asked), asked[2], sigma=SMOOTHING)


def _white_noise(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target, key: Key) -> Image:
    """A control that asks no network."""
    del logits_fn, mask, target
    return jax.random.normal(key, image.shape)
