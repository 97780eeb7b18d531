"""The order that a saliency map puts pixels in, and what becomes of pixels that are equal.

A map is often constant over many pixels. Taking equal pixels in reading order would favour the top
of the image, and a threshold by value would take all of them at once. Here they either share the
places that are left (`top_weights`: no key is needed) or are put in random order (`ranks`).
"""

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.types import Array, Float, Int, Key, Number, Saliency


def ranks(saliency: Saliency, *, key: Key) -> Int[Array, "h w"]:
    """Place of each pixel when they are taken from the most to the least important.

    Args:
        saliency: (h, w).
        key: random order of pixels of equal saliency.

    Returns:
        (h, w), each of 0 .. h w - 1 once; 0 is the most important pixel.

    Raises:
        TypeError, ValueError: not a finite floating map (h, w).
    """
    checks.check_key(key)
    checks.check_saliency(saliency)
    tie_breaks = jax.random.permutation(key, saliency.size)
    order = jnp.lexsort((tie_breaks, -jnp.ravel(saliency)))
    places = jnp.zeros_like(order).at[order].set(jnp.arange(saliency.size, dtype=order.dtype))
    return places.reshape(saliency.shape)


def top_weights(saliency: Saliency, area: Number) -> Float[Array, "h w"]:
    """Which pixels are in the most important share of the image.

    Args:
        saliency: (h, w).
        area: share of the image, in [0, 1]; `round(area h w)` pixels. An array argument.

    Returns:
        (h, w) in [0, 1] with the sum `round(area h w)`: 1 for the pixels that are in, 0 for those
        that are not. Pixels of equal saliency that are not all in share the places left: each
        weighs its probability of being in, were they taken in random order.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_saliency(saliency)
    checks.check_number("area", area, least=0, most=1)
    values = _counted(saliency)
    return _top_weights(values, jnp.round(jnp.asarray(area, values.dtype) * values.size))


def top_count_weights(saliency: Saliency, count: Number) -> Float[Array, "h w"]:
    """As `top_weights`, with a number of pixels in place of a share.

    Args:
        saliency: (h, w).
        count: whole number of pixels, in [0, h w]. An array argument.

    Returns:
        (h, w) in [0, 1] with the sum `count`.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_saliency(saliency)
    checks.check_number("count", count, least=0, most=saliency.size)
    values = _counted(saliency)
    return _top_weights(values, jnp.asarray(count, values.dtype))


def _counted(saliency: Saliency) -> Array:
    """At least in single precision: half precision counts pixels to 256."""
    return jnp.asarray(saliency, jnp.promote_types(saliency.dtype, jnp.float32))


def _top_weights(saliency: Array, count: Array) -> Array:
    descending = jnp.sort(saliency.ravel(), descending=True)
    last = descending[jnp.clip(count.astype(jnp.int32) - 1, 0, saliency.size - 1)]
    is_above, is_tied = saliency > last, saliency == last
    # Of no pixels the last one is the first: all weights are then 0, since none is above it.
    share = (count - is_above.sum()) / is_tied.sum()
    weights = jnp.where(is_above, 1, jnp.where(is_tied, share, 0)).astype(saliency.dtype)
    return jnp.where(jnp.isnan(saliency).any(), jnp.nan, weights)
