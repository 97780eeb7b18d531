"""Half precision holds pixels and activations; sums, counts and solvers need more."""

from collections.abc import Callable
from typing import Any

import jax
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


def seen_as_wide(fn: Callable[[Image], Any], image: Image) -> Callable[[Image], Any]:
    """Let a function see images in single precision, unless it refuses all but its own.

    Args:
        fn: of an image (h, w, c), such as a classifier. A convolution in half precision refuses an
            image in another one.
        image: that it takes, for its shape and precision.

    Returns:
        The function, which takes an image in any precision and sees it as wide as it can.
    """
    wide = jnp.promote_types(image.dtype, jnp.float32)
    if image.dtype == wide:
        return fn
    try:
        jax.eval_shape(fn, jax.ShapeDtypeStruct(image.shape, wide))
    except (TypeError, ValueError):
        return lambda seen: fn(seen.astype(image.dtype))
    return fn
