"""What a fit sees besides the image as it is: moved, with noise, on other backgrounds.

A mask that is good only for one blur, at one place, to the last digit, has found what its judge
overlooks rather than what it needs.
"""

import jax
import jax.numpy as jnp

from fitb_jax import checks, masks
from fitb_jax.extremal.background import Blend
from fitb_jax.types import Float, Image, Key, Mask, Number


def perturbed(
    blend: Blend,
    image: Image,
    *,
    key: Key,
    shift: int = 0,
    noise: Number = 0.0,
    backgrounds: Float[jax.Array, "b h w c"] | None = None,
) -> Blend:
    """One random view of everything that a blend shows; with nothing asked the blend itself.

    Args:
        blend: from `make_blend`.
        image: (h, w, c), that it shows.
        key: of this view.
        shift: what is seen is moved by up to so many pixels each way; its border is repeated.
        noise: deviation of Gaussian noise on what is seen. An array argument.
        backgrounds: (b, h, w, c). One of them or the blend's own, each as likely, is behind.

    Returns:
        A blend.
    """
    background_key, shift_key, noise_key = jax.random.split(key, 3)
    shown = blend
    if backgrounds is not None:
        place = jax.random.randint(background_key, (), 0, len(backgrounds) + 1)
        chosen = backgrounds[jnp.maximum(place - 1, 0)]

        def on_chosen(mask: Mask) -> Image:
            return jnp.where(place == 0, blend(mask), masks.apply(image, mask, chosen))

        shown = on_chosen
    if shift:
        before_shift = shown
        start = jax.random.randint(shift_key, (2,), 0, 2 * shift + 1)

        def moved(mask: Mask) -> Image:
            padded = jnp.pad(before_shift(mask), ((shift,) * 2, (shift,) * 2, (0, 0)), mode="edge")
            return jax.lax.dynamic_slice(padded, (*start, 0), image.shape)

        shown = moved
    if checks.known(noise) is None or checks.known(noise) != 0:
        before_noise = shown
        drawn = noise * jax.random.normal(noise_key, image.shape, image.dtype)

        def noisy(mask: Mask) -> Image:
            return before_noise(mask) + drawn

        shown = noisy
    return shown
