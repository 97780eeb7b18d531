"""Perturbation: how the objective changes when parts of the image are covered.

Occlusion covers one window after the other. RISE covers random cells, half of them on average.
"""

import functools
from typing import Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp

from fitb_jax import batching, checks, masks
from fitb_jax.attribution.gradients import CHUNK
from fitb_jax.objectives import logit, prob
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    Key,
    LogitsFn,
    Mask,
    Number,
    Objective,
    Saliency,
    Scalar,
    Target,
)

Normalise: TypeAlias = Literal["expectation", "count", "covariance"]
"""What sums over masks are divided by; see `rise`."""

DRAWS = 4000
CELLS = 7
VISIBLE = 0.5


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
            equals the image, nothing is covered and the drop is 0, as with black on black pixels.
        objective: whose drop is measured.
        chunk: windows evaluated at once.

    Returns:
        (h, w), signed, in units of the objective: positive where covering lowers it.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks",
    section 4.2, whose grey square is here any background.

    Examples:
        >>> attribution.occlusion(logits_fn, image, 1, window=4, stride=2).shape
        (16, 16)
    """
    checks.check_objective(logits_fn, objective)
    _check_windows(logits_fn, image, target, window, stride, background)
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


def mean_occlusion(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    backgrounds: Float[Array, "m h w c"],
    *,
    window: int = 16,
    stride: int = 8,
) -> Saliency:
    """`occlusion` averaged over several images that the windows show.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        backgrounds: (m, h, w, c), what a window shows, such as images of other classes.
        window: as in `occlusion`.
        stride: as in `occlusion`.

    Returns:
        (h, w), signed, in units of the logit.

    Raises:
        TypeError, ValueError: as in `occlusion`.
    """
    _check_backgrounds(backgrounds, image)
    explain = functools.partial(occlusion, logits_fn, image, target, window=window, stride=stride)
    return jax.lax.map(lambda shown: explain(background=shown), backgrounds).mean(0)


def silent_share(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    backgrounds: Float[Array, "m h w c"],
    *,
    window: int = 16,
    least: Number = 1e-4,
) -> Scalar:
    """Share of the windows of a grid that change the logit by less than `least` on all backgrounds.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class whose logit is looked at, in [0, k).
        backgrounds: (m, h, w, c), what a window shows.
        window: side of a window in pixels.
        least: smallest change that counts, in units of the logit; rounding is about 1e-6.

    Returns:
        A share, in [0, 1].

    Raises:
        TypeError, ValueError: as in `occlusion`.
    """
    _check_backgrounds(backgrounds, image)
    explain = functools.partial(occlusion, logits_fn, image, target, window=window, stride=window)
    # The windows do not overlap: a pixel's value is that of its window.
    drops = jax.lax.map(lambda shown: explain(background=shown)[::window, ::window], backgrounds)
    return (jnp.abs(drops).max(0) < least).mean(dtype=jnp.float32)


def _check_backgrounds(backgrounds: Array, image: Image) -> None:
    checks.check_image(backgrounds, name="backgrounds", axes=("m", "h", "w", "c"))
    if backgrounds.shape[1:] != image.shape:
        raise ValueError(
            f"backgrounds must be images of shape {image.shape}, got shape {backgrounds.shape}"
        )


def _windows(size: int, window: int, stride: int) -> Array:
    """Which pixels of a side each window covers, (windows, size)."""
    starts = jnp.arange(-(-(size - window) // stride) + 1) * stride
    offset = jnp.arange(size)[None, :] - starts[:, None]
    return (offset >= 0) & (offset < window)


def _check_windows(
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


class _Sums(NamedTuple):
    scored_visibility: Mask
    visibility: Mask
    score: Scalar


def rise(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    draws: int = DRAWS,
    cells: int = CELLS,
    visible: Number = VISIBLE,
    background: Background = 0.0,
    normalise: Normalise = "expectation",
    objective: Objective = prob,
    chunk: int = CHUNK,
) -> Saliency:
    """Mean objective of masked images, each pixel's over the masks that show it.

    With M a random mask, p its expected visibility and s the objective of the masked image:

    - `expectation`: `mean(s M) / p`, the paper's, unbiased.
    - `count`: `sum(s M) / sum(M)`, the same with the visibility each pixel had. It varies less,
      is exact for a constant classifier, and has a bias that falls as 1 / draws.
    - `covariance`: `cov(s, M) / p`, unbiased: the first with the mean score taken off, a number
      that is the same for all pixels. It varies least and is zero for a constant classifier.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        key: random key of the masks.
        draws: masks; "covariance" needs two.
        cells: cells of the mask along each side of the image, see `rise_mask`.
        visible: probability that a cell is visible, in (0, 1]. An array argument.
        background: what the blanks show: a number, one value per channel, or an image. The paper's
            is 0 after its normalisation, which is the mean colour.
        normalise: one of the three names above.
        objective: what is averaged; the paper's is the probability.
        chunk: masks evaluated at once. One chunk and one running sum are in memory.

    Returns:
        (h, w), in units of the objective.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Petsiuk et al. 2018, "RISE: randomized input sampling for explanation of black-box
    models", equation 6.

    Examples:
        >>> attribution.rise(logits_fn, image, 1, key=key, draws=64).shape
        (16, 16)
    """
    checks.check_key(key)
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_background(background, image.shape)
    checks.check_choice("normalise", normalise, get_args(Normalise))
    checks.check_count("draws", draws, least=2 if normalise == "covariance" else 1)
    _check_mask_arguments(image.shape[:2], cells, visible)
    # Scores relative to the whole image's: the covariance of two sums does not cancel.
    offset = objective(logits_fn(image), target) if normalise == "covariance" else 0.0

    def sums_of(draw_key: Key) -> _Sums:
        mask = rise_mask(image.shape[:2], cells=cells, visible=visible, key=draw_key)
        mask = mask.astype(image.dtype)
        score = objective(logits_fn(masks.apply(image, mask, background)), target) - offset
        return _Sums(score * mask, mask, score)

    sums = batching.chunked_sum(sums_of, chunk=chunk)(jax.random.split(key, draws))
    if normalise == "expectation":
        return sums.scored_visibility / (draws * visible)
    if normalise == "count":
        is_seen = sums.visibility > 0
        return jnp.where(
            is_seen, sums.scored_visibility / jnp.where(is_seen, sums.visibility, 1), 0
        )
    products = sums.scored_visibility - sums.score * sums.visibility / draws
    return products / ((draws - 1) * visible)


def rise_mask(
    shape: tuple[int, ...], *, cells: int = CELLS, visible: Number = VISIBLE, key: Key
) -> Mask:
    """A smooth random mask: cells that are visible or blank, upsampled and shifted at random.

    The cells are upsampled bilinearly to one cell more than the image along each side. The image's
    part is cut out at a random place less than a cell from the corner.

    Args:
        shape: (height, width) in pixels.
        cells: along each side of the image.
        visible: probability that a cell is visible. An array argument.
        key: random key.

    Returns:
        (height, width) in [0, 1]; every pixel is `visible` on average.

    Raises:
        ValueError: more cells than pixels, or `visible` outside (0, 1].

    Source: Petsiuk et al. 2018, section 3.2.
    """
    checks.check_key(key)
    _check_mask_arguments(shape, cells, visible)
    cells_key, *shift_keys = jax.random.split(key, 3)
    is_visible = jax.random.bernoulli(cells_key, visible, (cells, cells)).astype(jnp.float32)
    rows, columns = (
        _shifted_interpolation(size, cells, key=shift_key)
        for size, shift_key in zip(shape, shift_keys, strict=True)
    )
    mask = jnp.einsum(
        "hi,ij,wj->hw", rows, is_visible, columns, precision=jax.lax.Precision.HIGHEST
    )
    return jnp.clip(mask, 0, 1)


def _shifted_interpolation(size: int, cells: int, *, key: Key) -> Array:
    """The bilinear weights of the cells in each of `size` pixels, (size, cells)."""
    cell = -(-size // cells)
    weights = jax.image.resize(jnp.eye(cells), ((cells + 1) * cell, cells), "linear")
    shift = jax.random.randint(key, (), 0, cell)
    return jax.lax.dynamic_slice_in_dim(weights, shift, size)


def _check_mask_arguments(shape: tuple[int, ...], cells: int, visible: Number) -> None:
    checks.check_shape(shape)
    checks.check_count("cells", cells)
    if cells > min(shape):
        raise ValueError(f"cells must be at most the shorter side {min(shape)}, got {cells}")
    checks.check_number("visible", visible, least=0, most=1, open_least=True)
