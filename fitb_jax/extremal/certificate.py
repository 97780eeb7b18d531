"""How sure a share of backgrounds is: the interval of Clopper and Pearson."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc

from fitb_jax import batching, checks, masks
from fitb_jax.types import Array, Float, Image, Int, LogitsFn, Mask, Number, Scalar, Target

_HALVINGS = 30
"""Of [0, 1]: a billionth, less than single precision knows."""


class Certificate(NamedTuple):
    """In what share of trials something held, and how sure that is.

    Attributes:
        share: of the trials, in [0, 1].
        low: lower end of the interval of Clopper and Pearson.
        high: upper end.
        trials: how many.
    """

    share: Scalar
    low: Scalar
    high: Scalar
    trials: Int[Array, ""]


def clopper_pearson(successes: Any, trials: int, *, confidence: Number = 0.95) -> Certificate:
    """The exact interval of a share of independent trials.

    What `scipy.stats.binomtest(...).proportion_ci("exact")` says, but inside of a compiled program.

    Args:
        successes: how many trials succeeded, in [0, trials]. An array argument.
        trials: at least 1.
        confidence: that the interval holds the true share, in (0, 1]. An array argument.

    Returns:
        The share and its interval.

    Raises:
        TypeError, ValueError: not a count, or a number out of range.

    Source: Clopper & Pearson 1934, "The use of confidence or fiducial limits illustrated in the
    case of the binomial".
    """
    checks.check_count("trials", trials)
    checks.check_number("successes", successes, least=0, most=trials)
    _check_whole("successes", successes)
    check_confidence(confidence)
    count = jnp.asarray(successes, jnp.float32)
    failures = trials - count
    tail = jnp.asarray(1 - confidence, jnp.float32) / 2
    # Both ends are lower quantiles, the upper one of the failures: near 1 single precision resolves
    # too little. A parameter of 0 has no distribution; those ends are 0 and 1.
    a = jnp.stack([jnp.maximum(count, 1), jnp.maximum(failures, 1)])
    b = jnp.stack([failures, count]) + 1
    low, missed = _beta_quantile(a, b, tail)
    return Certificate(
        share=count / trials,
        low=jnp.where(count > 0, low, 0),
        high=jnp.where(failures > 0, 1 - missed, 1),
        trials=jnp.asarray(trials, jnp.int32),
    )


def kept_count(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    mask: Mask,
    backgrounds: Float[Array, "b h w c"],
    *,
    chunk: int,
) -> Int[Array, ""]:
    """On how many backgrounds the class is kept when they replace what the mask hides.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class.
        mask: (h, w), 1 = the image's pixel, 0 = the background's.
        backgrounds: (b, h, w, c).
        chunk: backgrounds evaluated at once.

    Returns:
        How many of them are classified as the target; where a logit is NaN the class is not kept.
    """

    def is_kept(background: Image) -> Array:
        logits = logits_fn(masks.apply(image, mask, background))
        # `argmax` takes NaN for the largest.
        return (jnp.argmax(logits) == target) & ~jnp.isnan(logits).any()

    return batching.chunked_vmap(is_kept, chunk=chunk)(backgrounds).sum(dtype=jnp.int32)


def certify(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    region: Mask,
    backgrounds: Float[Array, "b h w c"],
    *,
    confidence: Number = 0.95,
    chunk: int = 64,
) -> Certificate:
    """Share of backgrounds on which the pixels of a region keep the class.

    The interval is that of independent backgrounds which had no part in the choice of the region.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class, in [0, k).
        region: (h, w), 1 = the image's pixel is kept, 0 = it is the background's.
        backgrounds: (b, h, w, c), such as other images of the data set.
        confidence: of the interval, in (0, 1]. An array argument.
        chunk: backgrounds evaluated at once.

    Returns:
        The share and its interval.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.
    """
    checks.check_explained(logits_fn, image, target)
    checks.check_mask(region, image.shape[:2], name="region")
    check_backgrounds(backgrounds, image)
    checks.check_count("chunk", chunk)
    check_confidence(confidence)
    kept = kept_count(logits_fn, image, target, region, backgrounds, chunk=chunk)
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


def check_confidence(confidence: Any) -> None:
    """Refuse what is no confidence; 1 is one, of the interval [0, 1].

    Args:
        confidence: to check.

    Raises:
        ValueError: not a number in (0, 1].
    """
    checks.check_number("confidence", confidence, least=0, most=1, open_least=True)


def _check_whole(name: str, value: Any) -> None:
    values = checks.known(value)
    if values is not None and values != np.round(values):
        raise ValueError(f"{name} must be a whole number, got {values:g}")


def _beta_quantile(a: Array, b: Array, probability: Array) -> Array:
    """Where the distribution function of a beta distribution reaches a probability."""

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        is_below = betainc(a, b, middle) < probability
        return jnp.where(is_below, middle, low), jnp.where(is_below, high, middle)

    start = (jnp.zeros_like(a), jnp.ones_like(a))
    # The lower end, which is exactly 0 for a probability of 0.
    return jax.lax.fori_loop(0, _HALVINGS, halve, start)[0]
