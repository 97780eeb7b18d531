"""Stands in for `fitb_jax.extremal.background` until that is there; same name, same meaning."""

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.types import Array, Image, Number


def gaussian_blur(image: Image, *, sigma: Number) -> Image:
    """Blur an image with a Gaussian; at the edges the weights inside are rescaled to sum to 1.

    Args:
        image: (h, w, c).
        sigma: standard deviation in pixels, at least 0. An array argument.

    Returns:
        The blurred image, (h, w, c).

    Raises:
        TypeError, ValueError: not a finite floating image, or a negative sigma.
    """
    checks.check_image(image)
    checks.check_number("sigma", sigma, least=0)
    rows, columns = (_weights(size, sigma) for size in image.shape[:2])
    return jnp.einsum("ih,hwc,jw->ijc", rows, image, columns, optimize=True)


def _weights(size: int, sigma: Number) -> Array:
    at = jnp.arange(size, dtype=jnp.float32)
    spread = jnp.maximum(jnp.asarray(sigma, jnp.float32), 1e-3)
    return jax.nn.softmax(-0.5 * ((at[:, None] - at[None, :]) / spread) ** 2, axis=1)
