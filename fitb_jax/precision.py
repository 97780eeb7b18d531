"""Half precision holds pixels and activations; sums, counts and solvers need more."""

import jax.numpy as jnp

from fitb_jax.types import Array


def at_least_float32(values: Array) -> Array:
    """The same values, in float32 where they were of half precision.

    Args:
        values: floating.

    Returns:
        float32 or float64.
    """
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))
