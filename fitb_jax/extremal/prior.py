"""Priors of fits: any saliency map, added to the scores of masks, and a cheap map by default."""

from typing import Any

import jax
import jax.numpy as jnp

from fitb_jax import batching, checks
from fitb_jax.evaluation.map_similarity import centred_ranks
from fitb_jax.extremal.config import InrConfig
from fitb_jax.objectives import logit
from fitb_jax.precision import at_least_float32
from fitb_jax.smoothing import blurred
from fitb_jax.types import Array, Bool, Float, Image, Key, LogitsFn, Number, Saliency, Target

PRIOR_BLUR = 8 / 224
"""Standard deviation of the blur of a prior, as a share of the longer side."""

PRIOR_START = 0.1
"""With a prior the network's last layer is scaled by this, so that masks start from the prior."""

PRIOR_WEIGHT = 8.0
"""Default weight of a prior: its scores are from -2 to 2 times this."""


def prior_scores(
    prior: Saliency, weight: Number, *, blur: Number = PRIOR_BLUR
) -> Float[Array, "h w"]:
    """The scores that a prior adds to those of a mask: its ranks, in [-2, 2] times a weight.

    Args:
        prior: (h, w); only the order of its pixels matters, after the blur.
        weight: at least 0. An array argument.
        blur: standard deviation, as a share of the longer side. An array argument.

    Returns:
        (h, w), `weight * 2 (2 r - 1)` with ranks r in [0, 1]; all 0 for a constant map.

    Raises:
        TypeError, ValueError: not a finite map (h, w), or a number out of range.
    """
    checks.check_saliency(prior, name="prior")
    checks.check_number("prior_weight", weight, least=0)
    checks.check_number("blur", blur, least=0)
    return scores_of(prior, weight, blur=blur)


def scores_of(prior: Saliency, weight: Number, *, blur: Number = PRIOR_BLUR) -> Array:
    """`prior_scores` of a map that may be nan, which then adds 0; nothing is checked.

    See `prior_scores`.
    """
    wide = at_least_float32(jnp.asarray(prior))
    wide = jnp.where(jnp.isfinite(wide).all(), wide, 0)
    smooth = blurred(wide[:, :, None], sigma=blur * max(prior.shape))[:, :, 0]
    ranks = 4 * centred_ranks(smooth).reshape(prior.shape)
    return jnp.where(has_order(wide), weight * ranks, 0)


NOISE = 0.15
"""Deviation of the noise of `noisy_gradients`."""


def noisy_gradients(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    gradients: int,
    chunk: int = 2,
) -> Saliency:
    """Mean square of the gradient of the logit by the image, over Gaussian noise on the image.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        key: random key of the noise.
        gradients: number of gradients that are averaged.
        chunk: gradients evaluated at once.

    Returns:
        (h, w), at least 0, summed over channels.

    Source: Hooker et al. 2019, "A benchmark for interpretability methods in deep neural networks"
    (SmoothGrad squared); `attribution.smoothgrad_squared` is the method with its options.
    """

    def squared(key: Key) -> Array:
        noise = NOISE * jax.random.normal(key, image.shape, image.dtype)
        slope = jax.grad(lambda x: logit(logits_fn(x), target))(image + noise)
        return jnp.square(at_least_float32(slope)).sum(-1)

    total = batching.chunked_sum(squared, chunk=chunk)(jax.random.split(key, gradients))
    return total / gradients


def own_prior(
    logits_fn: LogitsFn, image: Image, target: Target, config: InrConfig, *, key: Key
) -> Saliency:
    """The prior of a fit to which no prior is given, see `noisy_gradients`.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        config: of the fit, with `prior_gradients` above 0.
        key: random key of the fit.

    Returns:
        (h, w), at least 0.
    """
    return noisy_gradients(
        logits_fn,
        image,
        target,
        key=jax.random.fold_in(key, 3),
        gradients=config.prior_gradients,
        chunk=config.chunk,
    )


def with_small_end(state: Any, added: Array) -> Any:
    """Scale down the last layer of a network whose scores are added to those of a prior.

    Args:
        state: of the network.
        added: what is added to its scores, (h, w).

    Returns:
        The state, with its last layer times `PRIOR_START` unless all of `added` is 0.
    """
    factor = jnp.where((added != 0).any(), PRIOR_START, 1.0)
    state["last"] = jax.tree.map(lambda leaf: leaf * factor, state["last"])
    return state


def has_order(prior: Saliency) -> Bool[Array, ""]:
    """Whether a map says that some pixel matters more than another.

    Args:
        prior: (h, w).

    Returns:
        A boolean scalar, false where it is constant but for rounding.
    """
    spread = prior.max() - prior.min()
    return spread > 16 * jnp.finfo(prior.dtype).eps * jnp.abs(prior).max()
