"""Gradients around an image: SmoothGrad and its square and variance forms."""

from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from fitb_jax import batching, checks
from fitb_jax.attribution.gradients import CHUNK, gradient_fn
from fitb_jax.objectives import logit
from fitb_jax.precision import at_least_float32
from fitb_jax.types import (
    Image,
    Key,
    LogitsFn,
    Number,
    Objective,
    Saliency,
    Target,
)

Statistic: TypeAlias = Literal["mean", "square", "variance"]
"""Of the gradients over the noise; see `smoothgrad`."""

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
    statistic: Statistic = "mean",
    objective: Objective = logit,
    chunk: int = CHUNK,
) -> Saliency:
    """The gradient over Gaussian noise on the image: its mean, square or variance.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        key: random key.
        draws: noisy images; "variance" needs two.
        noise: standard deviation, as a share of the image's range. An array argument.
        statistic: "mean": the magnitude of the mean gradient, SmoothGrad; "square": the mean
            square, SmoothGrad squared; "variance": the unbiased variance, VarGrad.
        objective: what is differentiated.
        chunk: gradients evaluated at once.

    Returns:
        The statistic of each pixel, summed over channels, (h, w), at least 0.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise", equation 2; Hooker et
    al. 2019, "A benchmark for interpretability methods in deep neural networks", section 4;
    Adebayo et al. 2018, "Local explanation methods for deep neural networks lack sensitivity to
    parameter values", section 2.

    Examples:
        >>> attribution.smoothgrad(logits_fn, image, 1, key=key, draws=8).shape
        (16, 16)
    """
    checks.check_key(key)
    checks.check_choice("statistic", statistic, get_args(Statistic))
    checks.check_count("draws", draws, least=2 if statistic == "variance" else 1)
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_number("noise", noise, least=0)
    gradient_at = gradient_fn(logits_fn, target, objective)
    # Near the mean of all, so that the variance does not cancel.
    centre = gradient_at(image) if statistic == "variance" else 0.0
    scale = at_least_float32(image.max() - image.min()) * noise

    def deviation(draw_key: Key) -> tuple[Image, Image]:
        drawn = jax.random.normal(draw_key, image.shape, scale.dtype)
        found = gradient_at((image + scale * drawn).astype(image.dtype)) - centre
        return found, found**2

    deviations, squares = batching.chunked_sum(deviation, chunk=chunk)(jax.random.split(key, draws))
    if statistic == "mean":
        found = jnp.abs(deviations / draws)
    elif statistic == "square":
        found = squares / draws
    else:
        found = jnp.maximum(squares - deviations**2 / draws, 0) / (draws - 1)
    return found.sum(-1)


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
    """Mean square of the gradient over Gaussian noise on the image.

    See `smoothgrad`.
    """
    return smoothgrad(
        logits_fn,
        image,
        target,
        key=key,
        draws=draws,
        noise=noise,
        statistic="square",
        objective=objective,
        chunk=chunk,
    )


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
    """Variance of the gradient over Gaussian noise on the image.

    See `smoothgrad`.
    """
    return smoothgrad(
        logits_fn,
        image,
        target,
        key=key,
        draws=draws,
        noise=noise,
        statistic="variance",
        objective=objective,
        chunk=chunk,
    )
