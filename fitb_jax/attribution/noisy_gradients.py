"""Gradients around an image: SmoothGrad and its square and variance forms."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import batching, checks
from fitb_jax.attribution.gradients import CHUNK, gradient_fn
from fitb_jax.objectives import logit
from fitb_jax.types import (
    Image,
    Key,
    LogitsFn,
    Number,
    Objective,
    Saliency,
    Target,
)

DRAWS = 50
NOISE = 0.15


def smoothgrad(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    draws: int = DRAWS,
    noise: Number = NOISE,
    objective: Objective = logit,
    chunk: int = CHUNK,
) -> Saliency:
    """Magnitude of the gradient averaged over Gaussian noise on the image.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        key: random key.
        draws: noisy images.
        noise: standard deviation, as a share of the image's range. An array argument.
        objective: what is differentiated.
        chunk: gradients evaluated at once.

    Returns:
        `|mean gradient|` summed over colours, (h, w).

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise", equation 2.
    """
    checks.check_count("draws", draws)
    moments = _noisy_gradients(
        logits_fn,
        image,
        target,
        key=key,
        draws=draws,
        noise=noise,
        objective=objective,
        chunk=chunk,
    )
    return jnp.abs(moments.centre + moments.deviations / draws).sum(-1)


def smoothgrad_squared(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    draws: int = DRAWS,
    noise: Number = NOISE,
    objective: Objective = logit,
    chunk: int = CHUNK,
) -> Saliency:
    """Square of the gradient averaged over Gaussian noise on the image.

    Args:
        logits_fn: as in `smoothgrad`, like all the others.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        key: random key.
        draws: noisy images.
        noise: standard deviation, as a share of the image's range. An array argument.
        objective: what is differentiated.
        chunk: gradients evaluated at once.

    Returns:
        The mean square of the gradient, summed over colours, (h, w).

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Hooker et al. 2019, "A benchmark for interpretability methods in deep neural networks",
    section 4.
    """
    checks.check_count("draws", draws)
    centre, deviations, squares = _noisy_gradients(
        logits_fn,
        image,
        target,
        key=key,
        draws=draws,
        noise=noise,
        objective=objective,
        chunk=chunk,
    )
    return (centre**2 + (2 * centre * deviations + squares) / draws).sum(-1)


def vargrad(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    draws: int = DRAWS,
    noise: Number = NOISE,
    objective: Objective = logit,
    chunk: int = CHUNK,
) -> Saliency:
    """Variance of the gradient under Gaussian noise on the image.

    Args:
        logits_fn: as in `smoothgrad`, like all the others.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        key: random key.
        draws: noisy images, at least 2.
        noise: standard deviation, as a share of the image's range. An array argument.
        objective: what is differentiated.
        chunk: gradients evaluated at once.

    Returns:
        The unbiased variance of the gradient, summed over colours, (h, w).

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Adebayo et al. 2018, "Local explanation methods for deep neural networks lack
    sensitivity to parameter values", section 2.
    """
    checks.check_count("draws", draws, least=2)
    _, deviations, squares = _noisy_gradients(
        logits_fn,
        image,
        target,
        key=key,
        draws=draws,
        noise=noise,
        objective=objective,
        chunk=chunk,
    )
    return (jnp.maximum(squares - deviations**2 / draws, 0) / (draws - 1)).sum(-1)


class _Moments(NamedTuple):
    """Sums over draws of how gradients deviate from `centre`.

    The gradient at the image itself is near their mean, so that the variance does not cancel.
    """

    centre: Image
    deviations: Image
    squares: Image


def _noisy_gradients(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    draws: int,
    noise: Number,
    objective: Objective,
    chunk: int,
) -> _Moments:
    checks.check_explained(logits_fn, image, target)
    checks.check_number("noise", noise, least=0)
    gradient_at = gradient_fn(logits_fn, target, objective)
    centre = gradient_at(image)
    scale = jnp.asarray(noise, image.dtype) * (image.max() - image.min())

    def deviation(draw_key: Key) -> tuple[Image, Image]:
        noisy = image + scale * jax.random.normal(draw_key, image.shape, image.dtype)
        found = gradient_at(noisy) - centre
        return found, found**2

    sums = batching.chunked_sum(deviation, chunk=chunk)(jax.random.split(key, draws))
    return _Moments(centre, *sums)
