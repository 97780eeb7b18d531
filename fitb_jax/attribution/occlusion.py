"""Occlusion: how much the objective drops when a window of the image is covered."""

import jax
import jax.numpy as jnp

from fitb_jax import batching, checks, masks
from fitb_jax.attribution.gradients import CHUNK
from fitb_jax.objectives import logit
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    LogitsFn,
    Objective,
    Saliency,
    Scalar,
    Target,
)


def occlusion(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    window: int = 16,
    stride: int = 8,
    background: Background = 0.0,
    objective: Objective = logit,
    chunk: int = CHUNK,
) -> Saliency:
    """Drop of the objective when a pixel is covered, averaged over the windows that cover it.

    The first window starts at the upper left corner. The last ones in a row or column are cut by
    the border where the stride does not fit, so that every pixel is covered.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        window: side of the window in pixels, at most the image's shorter side.
        stride: pixels from one window to the next, at most `window`.
        background: what a window shows: a number, one value per channel, or an image. Where it
            equals the image nothing is covered, and nothing can be said: black says nothing about
            what is black.
        objective: whose drop is measured.
        chunk: windows evaluated at once.

    Returns:
        (h, w), signed, in units of the objective: positive where covering lowers it.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks",
    section 4.2, whose grey square is here any background.
    """
    _check_arguments(logits_fn, image, target, window, stride, background)
    rows, columns = (_windows(size, window, stride) for size in image.shape[:2])
    whole = objective(logits_fn(image), target)

    def drop(row: Array, column: Array) -> Scalar:
        covered = rows[row][:, None] & columns[column][None, :]
        shown = masks.apply(image, (~covered).astype(image.dtype), background)
        return whole - objective(logits_fn(shown), target)

    grid = jnp.indices((len(rows), len(columns))).reshape(2, -1)
    drops = batching.chunked_vmap(drop, chunk=chunk)(*grid).reshape(len(rows), len(columns))
    down, across = rows.astype(drops.dtype), columns.astype(drops.dtype)
    times = down.sum(0)[:, None] * across.sum(0)[None, :]
    # The default precision of GPUs would round the drops to ten bits.
    total = jnp.einsum("rh,rc,cw->hw", down, drops, across, precision=jax.lax.Precision.HIGHEST)
    return total / times


def _windows(size: int, window: int, stride: int) -> Array:
    """Which pixels of a side each window covers, (windows, size)."""
    starts = jnp.arange(-(-(size - window) // stride) + 1) * stride
    offset = jnp.arange(size)[None, :] - starts[:, None]
    return (offset >= 0) & (offset < window)


def _check_arguments(
    logits_fn: LogitsFn,
    image: Float[Array, "h w c"],
    target: Target,
    window: int,
    stride: int,
    background: Background,
) -> None:
    checks.check_explained(logits_fn, image, target)
    checks.check_background(background, image.shape)
    checks.check_count("window", window)
    checks.check_count("stride", stride)
    if window > min(image.shape[:2]):
        raise ValueError(
            f"window must be at most the image's shorter side {min(image.shape[:2])}, got {window}"
        )
    if stride > window:
        raise ValueError(f"stride must be at most window = {window}, got {stride}")
