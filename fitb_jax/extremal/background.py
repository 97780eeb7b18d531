"""What an image shows where a mask blanks it, and how the two are blended."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from fitb_jax import checks, masks
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Array, Background, Bool, Float, Image, Mask, Number

BackgroundName: TypeAlias = Literal["blur", "pyramid", "mean"]
"""Backgrounds that are made of the image itself; see `make_blend`."""

Blend: TypeAlias = Callable[[Mask], Image]

BLUR = 20 / 224
"""Standard deviation of the blurred background, as a share of the image's longer side."""

LEVELS = 8
"""Images in a blur pyramid, the sharp one included."""


def blur_pyramid(
    image: Image, *, sigma: Number, levels: int = LEVELS
) -> Float[Array, "levels h w c"]:
    """An image from blurred to sharp, in equal steps of the standard deviation.

    Args:
        image: (h, w, c).
        sigma: standard deviation of the most blurred level in pixels. An array argument.
        levels: at least 2.

    Returns:
        (levels, h, w, c); the last level is the image itself.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Fong et al. 2019, "Understanding deep networks via extremal perturbations", section 3.
    """
    checks.check_count("levels", levels, least=2)
    checks.check_number("sigma", sigma, least=0)
    sigmas = jnp.linspace(1.0, 0.0, levels)[:-1] * sigma
    blurred = jax.vmap(lambda each: gaussian_blur(image, sigma=each))(sigmas)
    return jnp.concatenate([blurred, image[None]])


def mean_colour(image: Image) -> Float[Array, "c"]:
    """The mean of each channel, a background without structure.

    Args:
        image: (h, w, c).

    Returns:
        (c,), to be broadcast over the pixels.

    Raises:
        TypeError, ValueError: not a finite floating image.
    """
    checks.check_image(image)
    return image.mean((0, 1))


def blend_pyramid(pyramid: Float[Array, "levels h w c"], mask: Mask) -> Image:
    """Show the level of a blur pyramid that the mask asks for at each pixel.

    Args:
        pyramid: from `blur_pyramid`.
        mask: (h, w) in [0, 1]; 0 shows the first level, 1 the last, and a value in between mixes
            the two nearest levels.

    Returns:
        (h, w, c).

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Fong et al. 2019, section 3.
    """
    checks.check_floating("pyramid", pyramid, ("levels", "h", "w", "c"))
    checks.check_mask(mask, pyramid.shape[1:3])
    last = pyramid.shape[0] - 1
    place = (last * mask).astype(pyramid.dtype)
    # The upper of two levels where the mask is at one, the lower at the end: a slope on both sides.
    below = jnp.clip(jnp.floor(place), 0, max(last - 1, 0))
    share = (place - below)[:, :, None]

    def level(index: Array) -> Array:
        whole = index.astype(jnp.int32)[None, :, :, None]
        return jnp.take_along_axis(pyramid, whole, axis=0)[0]

    return (1 - share) * level(below) + share * level(jnp.minimum(below + 1, last))


def make_blend(
    image: Image, background: BackgroundName | Background = "blur", *, blur: Number = BLUR
) -> Blend:
    """Make the function that shows an image through any mask, with its background computed once.

    Args:
        image: (h, w, c).
        background: "blur" (Gaussian), "pyramid" (its strength follows the mask), "mean" (the mean
            colour), or what `masks.apply` takes.
        blur: standard deviation of the blur, as a share of the longer side. An array argument.

    Returns:
        A function from a mask (h, w) to the blended image (h, w, c).

    Raises:
        TypeError, ValueError: an unknown name, or a wrong shape or range.
    """
    checks.check_image(image)
    check_background(background, image.shape)
    checks.check_number("blur", blur, least=0)
    sigma = blur * max(image.shape[:2])
    if isinstance(background, str):
        if background == "pyramid":
            pyramid = blur_pyramid(image, sigma=sigma)
            return lambda mask: blend_pyramid(pyramid, mask)
        if background == "blur":
            background = gaussian_blur(image, sigma=sigma)
        else:
            background = mean_colour(image)
    return lambda mask: masks.apply(image, mask, background)


def hides_something(blend: Blend, image: Image) -> Bool[Array, ""]:
    """Whether a mask makes any difference, that is, the image differs from its background.

    Args:
        blend: from `make_blend`.
        image: (h, w, c).

    Returns:
        A boolean scalar. Where it is false, a fit would follow the rounding errors of the blur.
    """
    shown = blend(jnp.ones(image.shape[:2], image.dtype))
    hidden = blend(jnp.zeros(image.shape[:2], image.dtype))
    return differs(shown, hidden)


def differs(seen: Array, image: Array) -> Bool[Array, ""]:
    """Whether what is seen differs from an image by more than rounding.

    Args:
        seen: one image or several.
        image: of the same shape, or of one of them.

    Returns:
        A boolean scalar.
    """
    return jnp.abs(seen - image).max() > 16 * jnp.finfo(image.dtype).eps


def check_background(background: Any, shape: tuple[int, ...]) -> None:
    """Refuse what is neither a name nor a background of an image.

    Args:
        background: a name, a number, one value per channel, or an image.
        shape: of the image.

    Raises:
        ValueError: an unknown name, or another shape.
    """
    if isinstance(background, str):
        checks.check_choice("background", background, get_args(BackgroundName))
    else:
        checks.check_background(background, shape)
