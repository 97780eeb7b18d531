"""Adversarial examples near given images, by projected gradient ascent."""

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.types import Array, Float, Int, Number

Norm: TypeAlias = Literal["l2", "linf"]
"""Norms of a change of an image: the root of the sum of its squares, or its largest magnitude."""

_STRIDE = 2.5
"""All steps together are so many radii long: the border is reached, and there is way to turn."""


def projected_gradient(
    loss_fn: Callable[[Float[Array, "n h w c"]], Float[Array, ""]],
    images: Float[Array, "n h w c"],
    *,
    radius: Number,
    norm: Norm = "l2",
    steps: int = 4,
) -> Float[Array, "n h w c"]:
    """Raise a loss by changing each image within a ball about it, and within [0, 1].

    Args:
        loss_fn: from a batch (n, h, w, c) to the sum or mean of the losses of its images.
        images: (n, h, w, c) in [0, 1], where the steps start.
        radius: of the ball, in units of intensity. An array argument.
        norm: of the change of an image, "l2" over all its values or "linf".
        steps: gradients that are taken.

    Returns:
        The changed images, (n, h, w, c).

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Madry et al. 2018, "Towards deep learning models resistant to adversarial attacks".
    """
    checks.check_image(images, name="images", axes=("n", "h", "w", "c"))
    checks.check_choice("norm", norm, get_args(Norm))
    checks.check_number("radius", radius, least=0)
    checks.check_count("steps", steps)
    stride = _STRIDE * radius / steps

    def step(_: Int[Array, ""], moved: Array) -> Array:
        gradient = jax.grad(loss_fn)(moved)
        if norm == "linf":
            change = moved + stride * jnp.sign(gradient) - images
            change = jnp.clip(change, -1 * radius, radius)
        else:
            change = moved + stride * gradient / _lengths(gradient) - images
            change = change * jnp.minimum(1, radius / _lengths(change))
        return jnp.clip(images + change, 0, 1)

    return jax.lax.fori_loop(0, steps, step, images)


def _lengths(changes: Float[Array, "n h w c"]) -> Float[Array, "n 1 1 1"]:
    """Of each change, and 1 for none. Scaled first: squares of small gradients underflow."""
    largest = jnp.abs(changes).max((1, 2, 3), keepdims=True)
    scale = jnp.where(largest > 0, largest, 1)
    squares = ((changes / scale) ** 2).sum((1, 2, 3), keepdims=True)
    return scale * jnp.sqrt(jnp.where(squares > 0, squares, 1))
