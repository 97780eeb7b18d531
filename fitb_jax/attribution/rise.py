"""RISE: how the objective of randomly masked images depends on what is visible."""

from typing import Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp

from fitb_jax import batching, checks, masks
from fitb_jax.attribution.gradients import CHUNK
from fitb_jax.objectives import prob
from fitb_jax.types import (
    Array,
    Background,
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
            is the mean colour, 0 of the images as its networks get them.
        normalise: which of the three.
        objective: what is averaged; the paper's is the probability.
        chunk: masks evaluated at once. One chunk and one running sum are in memory.

    Returns:
        (h, w), in units of the objective.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Petsiuk et al. 2018, "RISE: randomized input sampling for explanation of black-box
    models", equation 6.
    """
    checks.check_explained(logits_fn, image, target)
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

    The cells are upsampled bilinearly to one cell more than the image along each side, and the
    image's part is cut out at a random place less than a cell from the corner.

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
