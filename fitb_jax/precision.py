"""Half precision holds pixels and activations; sums, counts and solvers need more."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from fitb_jax.types import Array, Image


def at_least_float32(values: Array) -> Array:
    """Convert half precision to float32; other values stay as they are.

    Args:
        values: floating, of any shape.

    Returns:
        The same values in float32 or float64.
    """
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def seen_as(fn: Callable[[Image], Any], dtype: Any) -> Callable[[Image], Any]:
    """Let a function see its image in the precision that it is made for, whatever it is given.

    Args:
        fn: of an image (h, w, c), such as a classifier in half precision, which refuses float32.
        dtype: of the images that it takes.

    Returns:
        The same function of an image in any precision.
    """
    return lambda image: fn(image.astype(dtype))
