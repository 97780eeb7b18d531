"""Masks that hide patches of an image: 1 = visible, 0 = blank.

Whatever the patch size, a mask has the full resolution of the image, so that one compiled update
serves the masks of a whole ablation.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fitb_jax import checks
from fitb_jax.types import Array, Background, Bool, Float, Image, Int, Key, Mask, Number

_LAST = np.uint32(2**32 - 1)


def random_patches(
    shape: tuple[int, ...], ratio: Number, patch: int | Int[ArrayLike, ""], *, key: Key
) -> Mask:
    """Blank out randomly chosen square patches of a regular grid, without replacement.

    Args:
        shape: (height, width) in pixels.
        ratio: share of the patches to blank, in [0, 1]; exactly `round(ratio * patches)` are.
            An array argument: one compiled program serves every ratio.
        patch: side of a patch in pixels; patches at the right and bottom border may be cut. It may
            be an array argument as well; the masks are the same.
        key: random key.

    Returns:
        The mask, (height, width), of zeros and ones.

    Raises:
        TypeError, ValueError: `key` is no random key, `ratio` is outside [0, 1], or `patch` is
            larger than the image.

    Source: Deelaka et al. 2024, arXiv 2411.10273, section 3.

    Examples:
        >>> mask = masks.random_patches((16, 16), 0.5, 4, key=key)
        >>> mask.shape, float(mask.mean())
        ((16, 16), 0.5)
    """
    checks.check_key(key)
    checks.check_number("ratio", ratio, least=0, most=1)
    if isinstance(patch, jax.Array | np.integer) and checks.known(patch) is not None:
        patch = patch.item()
    # A number of NumPy knows no `bit_length`.
    shape = tuple(map(int, shape))
    rows, columns = patch_grid(shape, patch)
    count = rows * columns
    places = jnp.arange(count if isinstance(count, int) else shape[0] * shape[1])
    scores = jnp.where(places < count, _distinct_scores(shape, key=key)[: len(places)], _LAST)
    blanks = jnp.round(jnp.asarray(ratio, jnp.float32) * count).astype(jnp.int32)
    # Sorting values is five times as fast as the permutation that ranks would need.
    threshold = jnp.append(jnp.sort(scores), _LAST)[blanks]
    row, column = (jnp.arange(size) // patch for size in shape)
    return (scores >= threshold)[row[:, None] * columns + column[None, :]].astype(jnp.float32)


def random_patches_of_settings(
    shape: tuple[int, ...], settings: Sequence[tuple[float, int]], *, key: Key
) -> Float[Array, "n h w"]:
    """One random mask for each ratio and patch.

    Args:
        shape: (height, width).
        settings: (ratio, patch) of each of n masks, see `random_patches`.
        key: random key; the masks are independent.

    Returns:
        (n, h, w), 1 = visible, 0 = blank.

    Raises:
        TypeError, ValueError: as in `random_patches`.
    """
    checks.check_key(key)
    keys = (jax.random.fold_in(key, index) for index in range(len(settings)))
    return jnp.stack(
        [
            random_patches(shape, ratio, patch, key=one)
            for one, (ratio, patch) in zip(keys, settings, strict=True)
        ]
    )


def partition(
    shape: tuple[int, ...], parts: int, patch: int, *, key: Key
) -> Float[Array, "parts h w"]:
    """Masks whose blanks are disjoint and together cover the image.

    Args:
        shape: (height, width) in pixels.
        parts: number of masks; their blanks differ in size by at most one patch.
        patch: side of a patch in pixels; patches at the right and bottom border may be cut.
        key: random key.

    Returns:
        The masks, (parts, height, width), of zeros and ones: each pixel is blank in exactly one.

    Raises:
        TypeError, ValueError: more parts than patches, `patch` larger than the image, or `key` is
            no random key.

    Examples:
        >>> parts = masks.partition((16, 16), 4, 4, key=key)
        >>> parts.shape, bool((parts.sum(0) == 3).all())  # each pixel is blank in one of four
        ((4, 16, 16), True)
    """
    checks.check_key(key)
    checks.check_count("parts", parts)
    rows, columns = patch_grid(shape, patch)
    if parts > rows * columns:
        raise ValueError(
            f"parts must be at most the {rows * columns} patches of {patch} pixels in {shape}, "
            f"got {parts}"
        )
    part = jax.random.permutation(key, jnp.arange(rows * columns) % parts).reshape(rows, columns)
    is_visible = part[None] != jnp.arange(parts)[:, None, None]
    return jax.vmap(lambda visible: from_patches(visible, shape, patch))(is_visible)


def checkerboard(shape: tuple[int, ...], patch: int, *, phase: int = 0) -> Mask:
    """Blank out every other patch of a regular grid.

    Args:
        shape: (height, width) in pixels.
        patch: side of a patch in pixels; patches at the right and bottom border may be cut.
        phase: 0 shows the upper left patch, 1 blanks it; what one mask blanks, the other shows.

    Returns:
        The mask, (height, width), of zeros and ones.

    Raises:
        ValueError: `phase` not 0 or 1, or `patch` larger than the image.
    """
    if phase not in (0, 1):
        raise ValueError(f"phase must be 0 or 1, got {phase}")
    rows, columns = patch_grid(shape, patch)
    parity = (jnp.arange(rows)[:, None] + jnp.arange(columns)[None, :]) % 2
    return from_patches(parity == phase, shape, patch)


def patch_grid(shape: tuple[int, ...], patch: Any) -> tuple[Any, Any]:
    """How many patches a regular grid has; a patch cut by the border counts.

    Args:
        shape: (height, width) in pixels.
        patch: side of a patch in pixels; it may be an array argument.

    Returns:
        Rows and columns.

    Raises:
        TypeError, ValueError: no shape, or `patch` larger than the image.
    """
    checks.check_shape(shape)
    if checks.known(patch) is None:
        return -(-shape[0] // patch), -(-shape[1] // patch)
    checks.check_count("patch", patch)
    if patch > min(shape):
        raise ValueError(
            f"patch must be at most the image's shorter side {min(shape)}, got {patch}"
        )
    return -(-shape[0] // patch), -(-shape[1] // patch)


def grid_cells(shape: tuple[int, ...], cells: int) -> Int[Array, "h w"]:
    """Number the cells of a square grid over the image, and say in which one each pixel is.

    Args:
        shape: (height, width) in pixels.
        cells: number of cells along each side. Where it does not divide the side, some cells are a
            pixel longer.

    Returns:
        (height, width), the cell of each pixel in [0, cells^2), numbered row by row.

    Raises:
        TypeError, ValueError: no shape, or more cells than pixels along a side.
    """
    checks.check_shape(shape)
    checks.check_count("cells", cells)
    if cells > min(shape):
        raise ValueError(
            f"cells must be at most the image's shorter side {min(shape)}, got {cells}"
        )
    rows, columns = (jnp.arange(size) * cells // size for size in shape)
    return rows[:, None] * cells + columns[None]


def from_patches(
    values: Bool[Array, "rows columns"] | Float[Array, "rows columns"],
    shape: tuple[int, ...],
    patch: int,
) -> Float[Array, "h w"]:
    """Spread values of the patches of a regular grid over their pixels.

    Args:
        values: (rows, columns), as many as `patch_grid` says, such as which patches are visible.
        shape: (height, width) in pixels.
        patch: side of a patch in pixels; patches at the right and bottom border may be cut.

    Returns:
        (height, width), float32; a mask of zeros and ones for booleans.

    Raises:
        TypeError, ValueError: `patch` larger than the image, or another number of patches.
    """
    if values.shape != (wanted := patch_grid(shape, patch)):
        raise ValueError(
            f"values must have the {wanted} patches of {patch} pixels in {shape}, "
            f"got {values.shape}"
        )
    pixels = jnp.repeat(jnp.repeat(values, patch, axis=0), patch, axis=1)
    return pixels[: shape[0], : shape[1]].astype(jnp.float32)


def apply(image: Image, mask: Mask, background: Background = 0.0) -> Image:
    """Show an image through a mask: `mask * image + (1 - mask) * background`.

    Args:
        image: (h, w, c).
        mask: (h, w) in [0, 1].
        background: what the blanks show: a number, one value per channel, or an image (h, w, c).

    Returns:
        The masked image, (h, w, c).

    Raises:
        TypeError, ValueError: an argument of another shape or dtype, or not finite.

    Examples:
        >>> masks.apply(image, mask, background=0.5).shape
        (16, 16, 3)
    """
    checks.check_floating("image", image, ("h", "w", "c"))
    checks.check_mask(mask, image.shape[:2])
    checks.check_background(background, image.shape)
    visible = mask[:, :, None].astype(image.dtype)
    shown = jnp.broadcast_to(jnp.asarray(background, image.dtype), image.shape)
    return visible * image + (1 - visible) * shown


def complement(mask: Mask) -> Mask:
    """Swap visible and blank; an update times this is its hidden part.

    Args:
        mask: (h, w) in [0, 1].

    Returns:
        `1 - mask`, (h, w).

    Raises:
        TypeError, ValueError: not a floating array (h, w), or a value outside [0, 1].
    """
    checks.check_mask(mask, jnp.shape(mask)[-2:])
    return 1 - mask


def _distinct_scores(shape: tuple[int, ...], *, key: Key) -> Array:
    """A random number below `_LAST` for each pixel; the low bits hold the place and break ties."""
    size = shape[0] * shape[1]
    random = jax.random.bits(key, (size,), jnp.uint32) >> 1
    bits = max(1, (size - 1).bit_length())
    return (random >> bits << bits) | jnp.arange(size, dtype=jnp.uint32)
