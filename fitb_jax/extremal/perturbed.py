"""Random views for a fit: the image shifted, with noise, and on other backgrounds.

A mask that works only for one blur, at one place and without noise is adversarial: it has found a
weakness of the classifier, not what the classifier needs.
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
    """One random view of everything that a blend shows; by default the blend itself.

    Args:
        blend: from `make_blend`.
        image: (h, w, c), the image of the blend.
        key: random key of this view.
        shift: largest shift in pixels along each axis; the border of the image is repeated.
        noise: standard deviation of Gaussian noise on what is seen. An array argument.
        backgrounds: (b, h, w, c). The background is one of these or the blend's own, drawn with
            equal probabilities.

    Returns:
        A function from a mask (h, w) to the view (h, w, c).
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
        drawn = jnp.asarray(noise, image.dtype) * jax.random.normal(
            noise_key, image.shape, image.dtype
        )

        def noisy(mask: Mask) -> Image:
            return before_noise(mask) + drawn

        shown = noisy
    return shown
