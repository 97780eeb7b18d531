"""Fill blanks from the visible pixels around them, without a classifier."""

import jax.numpy as jnp

from fitb_jax import checks, masks
from fitb_jax.precision import at_least_float32
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Array, Float, Image, Mask, Number

INPAINTING = 1 / 28
"""Standard deviation of the blur, as a share of the image's longer side: 8 pixels of 224."""


def inpaint(image: Image, mask: Mask, *, sigma: Number | None = None) -> Image:
    """Fill the blanks by normalised convolution: blur of what is visible over blur of the mask.

    Args:
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        sigma: standard deviation of the blur in pixels, at least 0; None takes `INPAINTING` of the
            longer side. An array argument.

    Returns:
        `mask * image + (1 - mask) * blur(mask * image) / blur(mask)`, (h, w, c), within the range
        of what is visible. A blank out of reach of anything visible has the mean colour of what is
        visible, and mid-grey where nothing is.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Knutsson & Westin 1993, "Normalized and differential convolution".
    """
    checks.check_image(image)
    checks.check_mask(mask, image.shape[:2])
    if sigma is None:
        sigma = INPAINTING * max(image.shape[:2])
    visible = at_least_float32(mask)[:, :, None]
    weight = gaussian_blur(visible, sigma=sigma)
    shown = gaussian_blur(visible * at_least_float32(image), sigma=sigma)
    is_reached = weight > jnp.finfo(weight.dtype).tiny / jnp.finfo(weight.dtype).eps
    around = jnp.where(
        is_reached, shown / jnp.where(is_reached, weight, 1), visible_mean(image, mask)
    )
    return masks.apply(image, mask, around)


def visible_mean(image: Image, mask: Mask) -> Float[Array, "c"]:
    """The mean colour of what is visible.

    Args:
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.

    Returns:
        (c,), float32 at least; mid-grey where nothing is visible.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_image(image)
    checks.check_mask(mask, image.shape[:2])
    visible = at_least_float32(mask)[:, :, None]
    total = visible.sum()
    mean = (visible * at_least_float32(image)).sum((0, 1)) / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, mean, 0.5)
