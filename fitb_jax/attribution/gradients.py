"""Attribution by first derivatives: at the image, along a path to it, and around it.

Every map is (h, w): channels are summed, after the absolute value or square where there is one.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import batching, checks
from fitb_jax.objectives import logit
from fitb_jax.precision import at_least_float32
from fitb_jax.types import (
    Background,
    Image,
    LogitsFn,
    Objective,
    Saliency,
    Scalar,
    Target,
)

NODES = 32
CHUNK = 16


class IntegratedGradients(NamedTuple):
    """Integrated gradients and how far they are from complete.

    Attributes:
        attribution: share of every value of the image in the difference, (h, w, c).
        saliency: `attribution` summed over channels, (h, w).
        difference: objective at the image minus objective at the baseline.
        completeness_error: `|sum(attribution) - difference|`, 0 for an exact integral.
    """

    attribution: Image
    saliency: Saliency
    difference: Scalar
    completeness_error: Scalar


def gradient_magnitude(
    logits_fn: LogitsFn, image: Image, target: Target, *, objective: Objective = logit
) -> Saliency:
    """Absolute gradient of the objective by the image, summed over channels.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        objective: what is differentiated.

    Returns:
        (h, w), at least 0, in units of the objective per unit of intensity.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Simonyan et al. 2014, "Deep inside convolutional networks", section 3, which takes the
    largest colour instead of their sum.

    Examples:
        >>> attribution.gradient_magnitude(logits_fn, image, 1).shape
        (16, 16)
    """
    checks.check_explained(logits_fn, image, target, objective)
    return jnp.abs(gradient_fn(logits_fn, target, objective)(image)).sum(-1)


def input_x_gradient(
    logits_fn: LogitsFn, image: Image, target: Target, *, objective: Objective = logit
) -> Saliency:
    """Gradient of the objective times the image, summed over channels.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        objective: what is differentiated.

    Returns:
        (h, w), signed, in units of the objective. Its sum is the logit of a network that is
        piecewise linear and has no biases.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Shrikumar et al. 2016, "Not just a black box", arXiv 1605.01713.
    """
    checks.check_explained(logits_fn, image, target, objective)
    return (image * gradient_fn(logits_fn, target, objective)(image)).sum(-1)


def integrated_gradients(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    baseline: Background = 0.0,
    nodes: int = NODES,
    objective: Objective = logit,
    chunk: int = CHUNK,
) -> Saliency:
    """Gradient averaged along the straight path from a baseline, times image minus baseline.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        baseline: where the path starts: a number, one value per channel, or an image.
        nodes: of the Gauss-Legendre rule. It is exact where the objective is a polynomial of degree
            `2 nodes` along the path.
        objective: what is explained.
        chunk: gradients evaluated at once.

    Returns:
        (h, w), signed, in units of the objective; its sum is the objective at the image minus that
        at the baseline, up to the error of the rule.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Sundararajan et al. 2017, "Axiomatic attribution for deep networks", equation 1.

    Examples:
        >>> saliency = attribution.integrated_gradients(logits_fn, image, 1)
        >>> change = logits_fn(image)[1] - logits_fn(jnp.zeros_like(image))[1]
        >>> bool(jnp.isclose(saliency.sum(), change, atol=1e-4))  # it is complete
        True
    """
    return integrated_gradients_with_diagnostics(
        logits_fn,
        image,
        target,
        baseline=baseline,
        nodes=nodes,
        objective=objective,
        chunk=chunk,
    ).saliency


def integrated_gradients_with_diagnostics(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    baseline: Background = 0.0,
    nodes: int = NODES,
    objective: Objective = logit,
    chunk: int = CHUNK,
) -> IntegratedGradients:
    """`integrated_gradients` of each channel, with its completeness error.

    See `integrated_gradients`.
    """
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_background(baseline, image.shape, name="baseline")
    checks.check_count("nodes", nodes)
    gradient_at = gradient_fn(logits_fn, target, objective)
    # Neighbouring places of the path are one in half precision.
    image = at_least_float32(image)
    start = jnp.broadcast_to(jnp.asarray(baseline, image.dtype), image.shape)
    places, weights = np.polynomial.legendre.leggauss(nodes)

    def weighted_gradient(place: Scalar, weight: Scalar) -> Image:
        return weight * gradient_at(start + place * (image - start))

    # The rule is for [-1, 1], the path is [0, 1].
    mean_gradient = batching.chunked_sum(weighted_gradient, chunk=chunk)(
        jnp.asarray((places + 1) / 2, image.dtype), jnp.asarray(weights / 2, image.dtype)
    )
    attribution = (image - start) * mean_gradient
    difference = objective(logits_fn(image), target) - objective(logits_fn(start), target)
    return IntegratedGradients(
        attribution,
        attribution.sum(-1),
        difference,
        jnp.abs(attribution.sum() - difference),
    )


def gradient_fn(
    logits_fn: LogitsFn, target: Target, objective: Objective
) -> Callable[[Image], Image]:
    """The derivative of an objective by the image.

    Args:
        logits_fn: the classifier.
        target: class index.
        objective: what is explained.

    Returns:
        A function from an image to its gradient, float32 at least.
    """
    gradient_of = jax.grad(lambda pixels: objective(logits_fn(pixels), target))
    return lambda image: at_least_float32(gradient_of(image))
