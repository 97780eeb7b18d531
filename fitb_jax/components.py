"""The connected parts of a region of pixels."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.types import Array, Int, Truth

CONNECTIVITIES = (4, 8)


class Components(NamedTuple):
    """Connected regions.

    Attributes:
        labels: (h, w), 0 outside, 1 .. number inside, in reading order of the first pixel of each.
        number: how many there are.
    """

    labels: Int[Array, "h w"]
    number: Int[Array, ""]


def connected_components(region: Truth, *, connectivity: int = 4) -> Components:
    """Label the connected parts of a region, by pointer jumping.

    Every pixel points at a pixel of its component with the same or a smaller index. Each round
    hooks the pixel pointed at to the smallest one that a neighbour points at. It then replaces each
    pointer by the pointer of its pixel. A component of n pixels takes about log n rounds, whatever
    its shape.

    Args:
        region: (h, w), True inside.
        connectivity: 4 (pixels that share an edge) or 8 (or a corner).

    Returns:
        The labels and their number.

    Raises:
        TypeError, ValueError: not a boolean array (h, w), or another connectivity.

    Source: Zhang, Azad & Buluc 2020, "Parallel algorithms for finding connected components using
    linear algebra" (FastSV).
    """
    checks.check_boolean("region", region, ("h", "w"))
    if connectivity not in CONNECTIVITIES:
        raise ValueError(f"connectivity must be one of {CONNECTIVITIES}, got {connectivity}")
    return _labelled(jnp.asarray(region), connectivity)


@functools.partial(jax.jit, static_argnums=1)  # compiled once, even without a caller's jit
def _labelled(region: Array, connectivity: int) -> Components:
    own = jnp.arange(region.size)
    inside = region.ravel()

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        parents, _ = state
        grandparents = parents[parents]
        nearby = _smallest_nearby(grandparents.reshape(region.shape), region, connectivity).ravel()
        hooked = parents.at[parents].min(nearby)
        shorter = jnp.minimum(hooked, jnp.minimum(nearby, grandparents))
        updated = jnp.where(inside, shorter, own)
        return updated, jnp.any(updated != parents)

    start = (own, inside.any())
    roots, _ = jax.lax.while_loop(lambda state: state[1], step, start)
    is_first = inside & (roots == own)
    numbers = jnp.cumsum(is_first)
    labels = jnp.where(inside, numbers[roots], 0).reshape(region.shape)
    return Components(labels, numbers[-1])


def _smallest_nearby(values: Array, region: Array, connectivity: int) -> Array:
    """Smallest value among a pixel and its neighbours in the region."""
    outside = values.size
    height, width = values.shape
    padded = jnp.pad(jnp.where(region, values, outside), 1, constant_values=outside)
    shifts = [(i, j) for i in (0, 1, 2) for j in (0, 1, 2) if connectivity == 8 or 1 in (i, j)]
    smallest = values
    for i, j in shifts:
        smallest = jnp.minimum(smallest, padded[i : i + height, j : j + width])
    return smallest
