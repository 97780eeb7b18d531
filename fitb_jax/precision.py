"""Half precision holds pixels and activations; sums, counts and solvers need more."""

import jax.numpy as jnp

from fitb_jax.types import Array


def at_least_float32(values: Array) -> Array:
    """Convert half precision to float32; other values stay as they are.

    Args:
        values: floating, of any shape.

    Returns:
        The same values in float32 or float64.
    """
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))
