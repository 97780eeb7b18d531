"""Connected regions of patches: made from masks, grown, and made smaller one patch at a time."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax.components import connected_components
from fitb_jax.extremal.area import binarise
from fitb_jax.types import Array, Bool, Float, Int, Mask

Region = Bool[Array, "rows columns"]
KeptFn = Callable[[Region], Int[Array, ""]]
"""Counts the backgrounds on which a region keeps the class."""


PATCHES = 14
"""Patches along the longer side, where no size of a patch is given."""


class Pruned(NamedTuple):
    """A region from which no single patch can be taken.

    Attributes:
        region: (rows, columns), True inside.
        kept: number of backgrounds on which it keeps the class.
        kept_without: (rows, columns), the same number without this patch; -1 outside of the region
            and where the rest would fall apart.
        tests: number of regions that were tried.
    """

    region: Region
    kept: Int[Array, ""]
    kept_without: Int[Array, "rows columns"]
    tests: Int[Array, ""]


class _State(NamedTuple):
    found: Pruned
    waiting: Array
    changed: Array


def from_mask(mask: Mask, patch: int) -> Region:
    """The patches that a mask shows most of, as many as its area says.

    Args:
        mask: (h, w) in [0, 1].
        patch: side of a patch in pixels; those at the right and bottom border may be cut.

    Returns:
        (rows, columns), True for the `round(mean(mask) * patches)` patches of largest mean.
    """
    return binarise(patch_means(mask, patch), mask.mean()) == 1


def patch_means(values: Float[Array, "h w"], patch: int) -> Float[Array, "rows columns"]:
    """Mean of each patch of a regular grid.

    Args:
        values: (h, w).
        patch: side of a patch in pixels; those at the right and bottom border may be cut.

    Returns:
        (rows, columns).
    """

    def total(pixels: Array) -> Array:
        height, width = pixels.shape
        padded = jnp.pad(pixels, ((0, -height % patch), (0, -width % patch)))
        rows, columns = padded.shape[0] // patch, padded.shape[1] // patch
        return padded.reshape(rows, patch, columns, patch).sum((1, 3))

    return total(values) / total(jnp.ones_like(values))


def largest_component(region: Region) -> Region:
    """The largest connected part, by shared edges; of equally large ones the first to be read.

    Args:
        region: (rows, columns), True inside.

    Returns:
        (rows, columns); empty where the region is.
    """
    labels = connected_components(region).labels
    sizes = jnp.zeros(region.size + 1, jnp.int32).at[labels.ravel()].add(1)
    return region & (labels == 1 + jnp.argmax(sizes[1:]))


def is_connected(region: Region) -> Bool[Array, ""]:
    """Whether a region is in one piece, by shared edges; the empty one is.

    Args:
        region: (rows, columns), True inside.

    Returns:
        A boolean.
    """
    return connected_components(region).number <= 1


def outer_border(region: Region) -> Region:
    """Patches outside of a region that share an edge with one of it.

    Args:
        region: (rows, columns), True inside.

    Returns:
        (rows, columns), disjoint from the region.
    """
    padded = jnp.pad(region, 1)
    above, below = padded[:-2, 1:-1], padded[2:, 1:-1]
    left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    return (above | below | left | right) & ~region


def prune(
    kept_fn: KeptFn,
    region: Region,
    order: Float[Array, "rows columns"],
    needed: Int[Array, ""],
    *,
    connected: bool | Bool[Array, ""] = True,
) -> Pruned:
    """Take patches away, one at a time, until none can go.

    In each pass, every patch without which the rest is in one piece is tried in its turn. It may
    lie inside of the region as well as on its border. It goes if the class is still kept often
    enough. The last pass takes nothing, and so confirms that nothing can go.

    Args:
        kept_fn: counts the backgrounds on which a region keeps the class.
        region: where to start, (rows, columns).
        order: patches of small values are tried first, (rows, columns).
        needed: number of backgrounds that must keep the class.
        connected: whether the region has to stay in one piece. An array argument.

    Returns:
        The region, with what each patch of it is needed for.
    """
    untried = jnp.full(region.shape, -1, jnp.int32)

    def step(state: _State) -> _State:
        # The first step tries the region as it is: one call of the classifier is compiled, not two.
        found = state.found
        is_first = found.tests == 0
        left, place = _next(found.region, state.waiting, order, jnp.asarray(connected))
        exists = left.any() & ~is_first
        place = place & exists
        smaller = found.region & ~place
        is_tried = exists | is_first
        kept = jax.lax.cond(is_tried, kept_fn, lambda _: jnp.full((), -1, jnp.int32), smaller)
        goes = exists & (kept >= needed)
        changed = state.changed | goes
        waiting = jnp.where(is_first, state.waiting, left & ~place)
        is_over = ~waiting.any() & changed
        region = jnp.where(goes, smaller, found.region)
        without = jnp.where(place, kept, found.kept_without)
        return _State(
            Pruned(
                region=region,
                kept=jnp.where(goes | is_first, kept, found.kept),
                kept_without=jnp.where(is_over, untried, without),
                tests=found.tests + is_tried,
            ),
            waiting=jnp.where(is_over, region, waiting),
            changed=changed & ~is_over,
        )

    start = Pruned(region, jnp.zeros((), jnp.int32), untried, jnp.zeros((), jnp.int32))
    state = _State(start, region, jnp.zeros((), bool))

    def goes_on(state: _State) -> Array:
        return state.waiting.any() | (state.found.tests == 0)

    return jax.lax.while_loop(goes_on, step, state).found


def _next(region: Region, waiting: Array, order: Array, connected: Array) -> tuple[Array, Array]:
    """Those that still wait, and the first of them that can go without breaking the rest."""

    def first(waiting: Array) -> Array:
        at = jnp.argmin(jnp.where(waiting, order, jnp.inf))
        return (jnp.arange(region.size) == at).reshape(region.shape)

    def is_blocked(waiting: Array) -> Array:
        return connected & waiting.any() & ~is_connected(region & ~first(waiting))

    waiting = jax.lax.while_loop(is_blocked, lambda left: left & ~first(left), waiting)
    return waiting, first(waiting)
