"""Smoothing of images and maps, which backgrounds, controls and experiments share."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fitb_jax import checks
from fitb_jax.types import Array, Image, Number


def gaussian_blur(image: Image, *, sigma: Number) -> Image:
    """Blur an image with a Gaussian, one direction after the other.

    At the edges the weights of the pixels inside the image are rescaled to sum to 1: each value is
    an average of the image, no colour comes in from outside, and a constant image stays as it is.

    Args:
        image: (h, w, c).
        sigma: standard deviation in pixels, at least 0 (no blur). An array argument.

    Returns:
        The blurred image, (h, w, c), within the range of the image.

    Raises:
        TypeError, ValueError: not a finite floating image, or a negative `sigma`.
    """
    checks.check_image(image)
    checks.check_number("sigma", sigma, least=0)
    return blurred(image, sigma=sigma)


def blurred(values: Float[Array, "h w c"], *, sigma: Number) -> Float[Array, "h w c"]:
    """`gaussian_blur` of values in any units, such as those of a map; nothing is checked.

    See `gaussian_blur`.
    """
    rows = _blur_matrix(values.shape[0], sigma, values.dtype)
    columns = _blur_matrix(values.shape[1], sigma, values.dtype)
    # Two matrix products beat a convolution with a kernel of about 6 sigma on every device. The
    # default precision of GPUs would round colours to ten bits.
    return jnp.einsum(
        "ih,hwc,jw->ijc", rows, values, columns, optimize=True, precision=jax.lax.Precision.HIGHEST
    )


def trailing_mean(
    curves: Float[np.ndarray, "... steps"], *, window: int
) -> Float[np.ndarray, "... steps"]:
    """Mean of each value and the `window - 1` values before it, or as many as there are.

    Args:
        curves: (..., steps).
        window: how many values are averaged, at least 1.

    Returns:
        The means, (..., steps), in double precision.

    Raises:
        TypeError, ValueError: a window below 1.
    """
    checks.check_count("window", window)
    sums = np.cumsum(curves.astype(np.float64), axis=-1)
    most = min(window, curves.shape[-1])
    sums[..., most:] -= sums[..., :-most].copy()
    counts = np.minimum(np.arange(curves.shape[-1]) + 1, most)
    means: np.ndarray = sums / counts
    return means


def _blur_matrix(size: int, sigma: Number, dtype: Any) -> Array:
    """Row i holds the weights of all pixels in the value of pixel i."""
    # Half precision counts to 256.
    places = jnp.arange(size, dtype=jnp.promote_types(dtype, jnp.float32))
    distance = places[:, None] - places[None, :]
    # The floor stands for no blur: all weight on the pixel itself.
    spread = jnp.maximum(jnp.asarray(sigma, places.dtype), 1e-3)
    return jax.nn.softmax(-0.5 * (distance / spread) ** 2, axis=1).astype(dtype)
