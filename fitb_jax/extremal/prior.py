"""Any saliency map as the place where the search for masks begins."""

import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.evaluation.map_similarity import centred_ranks
from fitb_jax.precision import at_least_float32
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Array, Bool, Float, Number, Saliency

PRIOR_BLUR = 8 / 224
"""Standard deviation of the blur of a prior, as a share of the longer side."""

PRIOR_START = 0.1
"""With a prior the network's last layer starts this much smaller: the prior is what is seen."""


PRIOR_WEIGHT = 8.0
"""The highest and lowest rank are twice this far from the middle."""


def prior_scores(
    prior: Saliency, weight: Number, *, blur: Number = PRIOR_BLUR
) -> Float[Array, "h w"]:
    """What a saliency map adds to the scores of a mask: its ranks, in [-2, 2] times a weight.

    Args:
        prior: (h, w); only the order of its pixels matters, after the blur.
        weight: at least 0. An array argument.
        blur: standard deviation, as a share of the longer side. An array argument.

    Returns:
        (h, w), `weight * 2 (2 r - 1)` with ranks r in [0, 1]; 0 where the map is constant, which
        says nothing.

    Raises:
        TypeError, ValueError: not a finite map (h, w), or a number out of range.
    """
    checks.check_saliency(prior, name="prior")
    checks.check_number("prior_weight", weight, least=0)
    checks.check_number("blur", blur, least=0)
    wide = at_least_float32(jnp.asarray(prior))
    smooth = gaussian_blur(wide[:, :, None], sigma=blur * max(prior.shape))[:, :, 0]
    ranks = 4 * centred_ranks(smooth).reshape(prior.shape)
    return jnp.where(has_order(wide), weight * ranks, 0)


def has_order(prior: Saliency) -> Bool[Array, ""]:
    """Whether a map says that some pixel matters more than another.

    Args:
        prior: (h, w).

    Returns:
        A boolean scalar, false where it is constant but for rounding.
    """
    spread = prior.max() - prior.min()
    return spread > 16 * jnp.finfo(prior.dtype).eps * jnp.abs(prior).max()
