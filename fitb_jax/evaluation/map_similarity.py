"""How alike are two saliency maps of one image? The measures of Adebayo et al. 2018.

Maps are compared as images, (h, w). A map with several channels is refused, since averaged or
flattened channels would make another measure.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import checks
from fitb_jax.evaluation.ranking import top_weights
from fitb_jax.precision import at_least_float32
from fitb_jax.types import Array, Float, Number, Saliency, Scalar

WINDOW = 11
WINDOW_SIGMA = 1.5
ORIENTATIONS = 9
CELLS_PER_BLOCK = 3
LARGEST_CELL = 16


class Similarity(NamedTuple):
    """How alike two maps are, by every measure of Adebayo et al. 2018.

    Attributes:
        spearman: rank correlation, with sign.
        spearman_magnitude: rank correlation of the magnitudes.
        ssim: structural similarity of the maps scaled to [0, 1].
        hog: correlation of histograms of oriented gradients.
    """

    spearman: Float[Array, "..."]
    spearman_magnitude: Float[Array, "..."]
    ssim: Float[Array, "..."]
    hog: Float[Array, "..."]


def similarity(a: Saliency, b: Saliency) -> Similarity:
    """How alike two maps are, by four measures.

    Args:
        a: (h, w), at least 11 x 11.
        b: (h, w).

    Returns:
        The measures, each in [-1, 1]. Cells of the histograms are of 16 pixels, as in
        `hog_correlation`, or the largest even number of which three fit into the image.

    Raises:
        TypeError, ValueError: maps that are not (h, w), of two shapes, too small, or not finite.

    Source: Adebayo et al. 2018, "Sanity checks for saliency maps".
    """
    _check_maps(a, b)
    cell = min(LARGEST_CELL, 2 * (min(a.shape) // (2 * CELLS_PER_BLOCK)))
    return Similarity(
        spearman=spearman(a, b),
        spearman_magnitude=spearman(a, b, absolute=True),
        ssim=ssim(a, b),
        hog=hog_correlation(a, b, pixels_per_cell=cell),
    )


def spearman(a: Saliency, b: Saliency, *, absolute: bool = False) -> Scalar:
    """Rank correlation of two maps.

    Args:
        a: (h, w).
        b: (h, w).
        absolute: compare magnitudes, so that a change of sign does not count.

    Returns:
        In [-1, 1]; pixels of equal saliency have their mean rank. nan where a map is constant.

    Raises:
        TypeError, ValueError: maps that are not (h, w), of two shapes, or not finite.

    Source: Adebayo et al. 2018, "Sanity checks for saliency maps".
    """
    _check_maps(a, b)
    both = jnp.stack([a, b])
    # One program for both.
    return correlation(*jax.vmap(centred_ranks)(jnp.abs(both) if absolute else both))


def mean_spearman(maps: Float[Array, "m n h w"]) -> Float[Array, "m m"]:
    """Rank correlation of every method's map with every other's, averaged over images.

    Args:
        maps: (methods, images, h, w).

    Returns:
        (methods, methods), in [-1, 1]; nan where a map is constant.

    Raises:
        TypeError, ValueError: as in `spearman`.
    """
    alike = jax.jit(lambda a, b: jax.vmap(spearman)(a, b).mean())
    return jnp.stack([jnp.stack([alike(a, b) for b in maps]) for a in maps])


def ssim(a: Saliency, b: Saliency, *, value_range: Number | None = None) -> Scalar:
    """Structural similarity of two maps as images.

    Args:
        a: (h, w), at least 11 x 11.
        b: (h, w).
        value_range: largest possible value less the smallest, above 0; the constants of the measure
            are relative to it. None scales both maps to [0, 1] first (`unit_range`), as the maps of
            Adebayo et al. are. An array argument.

    Returns:
        In [-1, 1], 1 for equal maps: the mean over all windows inside of the image, Gaussian with
        11 x 11 pixels and sigma 1.5.

    Raises:
        TypeError, ValueError: maps that are not (h, w), of two shapes, too small, or not finite.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural
    similarity", equation 13 with K = (.01, .03).
    """
    _check_maps(a, b)
    if min(a.shape) < WINDOW:
        raise ValueError(f"a must be at least {WINDOW} x {WINDOW} pixels, got {a.shape}")
    a, b = (at_least_float32(jnp.asarray(each)) for each in (a, b))
    if value_range is None:
        a, b, value_range = unit_range(a), unit_range(b), 1.0
    checks.check_number("value_range", value_range, least=0, open_least=True)
    small_mean, small_variance = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    mean_a, mean_b = _window_mean(a), _window_mean(b)
    # Variances do not change with the mean of a map; without it they are more accurate.
    a, b = a - a.mean(), b - b.mean()
    local_a, local_b = _window_mean(a), _window_mean(b)
    variances = _window_mean(a * a + b * b) - local_a**2 - local_b**2
    covariance = _window_mean(a * b) - local_a * local_b
    luminance = (2 * mean_a * mean_b + small_mean) / (mean_a**2 + mean_b**2 + small_mean)
    structure = (2 * covariance + small_variance) / (variances + small_variance)
    return (luminance * structure).mean()


def hog_correlation(a: Saliency, b: Saliency, *, pixels_per_cell: int = 16) -> Scalar:
    """Pearson correlation of the histograms of oriented gradients of two maps.

    Args:
        a: (h, w), at least three cells in each direction.
        b: (h, w).
        pixels_per_cell: side of a cell in pixels, even; 16 is for images of about 224.

    Returns:
        In [-1, 1]; nan where a map is constant.

    Raises:
        TypeError, ValueError: maps that are not (h, w), of two shapes, too small, or not finite.

    Source: Adebayo et al. 2018.
    """
    _check_maps(a, b)
    wide = (at_least_float32(jnp.asarray(x)) for x in (a, b))
    features = (hog(x, pixels_per_cell=pixels_per_cell).ravel() for x in wide)
    return correlation(*(x - x.mean() for x in features))


def top_k_iou(a: Saliency, b: Saliency, *, area: Number = 0.1) -> Scalar:
    """Intersection over union of the most important regions of two maps.

    Args:
        a: (h, w); only the order of its pixels matters.
        b: (h, w).
        area: share of the image that each region takes, in (0, 1]. Pixels tied at its edge weigh
            the share of them that fits in. An array argument.

    Returns:
        `sum(min) / sum(max)` of the two regions' weights, in [0, 1]; nan where the area holds no
        pixel.

    Raises:
        TypeError, ValueError: maps that are not (h, w), of two shapes, or not finite; an area out
            of range.
    """
    _check_maps(a, b)
    checks.check_number("area", area, least=0, most=1, open_least=True)
    return weighted_iou(top_weights(a, area), top_weights(b, area))


def weighted_iou(a: Float[Array, "*shape"], b: Float[Array, "*shape"]) -> Scalar:
    """Intersection over union of two sets whose members have weights.

    Args:
        a: weights of the members in one set, at least 0, of any shape.
        b: weights in the other set, of the same shape.

    Returns:
        `sum(min(a, b)) / sum(max(a, b))`; nan where both are empty.
    """
    return jnp.minimum(a, b).sum() / jnp.maximum(a, b).sum()


def hog(saliency: Saliency, *, pixels_per_cell: int = 16) -> Float[Array, "rows columns 3 3 9"]:
    """Histogram of oriented gradients of a map scaled to [0, 1].

    9 orientations without sign, blocks of 3 x 3 cells normalised by L2-Hys: what scikit-image's
    `hog` has by default.

    Args:
        saliency: (h, w), at least three cells in each direction.
        pixels_per_cell: side of a cell in pixels, even.

    Returns:
        (rows, columns, 3, 3, 9): blocks of cells of orientations.

    Raises:
        TypeError, ValueError: not a finite map (h, w), or one that is too small.

    Source: Dalal & Triggs 2005, "Histograms of oriented gradients for human detection".
    """
    checks.check_saliency(saliency)
    checks.check_count("pixels_per_cell", pixels_per_cell, least=2)
    if pixels_per_cell % 2:
        raise ValueError(f"pixels_per_cell must be even, got {pixels_per_cell}")
    rows, columns = (size // pixels_per_cell for size in saliency.shape)
    if min(rows, columns) < CELLS_PER_BLOCK:
        raise ValueError(
            f"pixels_per_cell must fit {CELLS_PER_BLOCK} cells into {saliency.shape}, "
            f"got {pixels_per_cell}"
        )
    histograms = _cell_histograms(unit_range(saliency), rows, columns, pixels_per_cell)
    windows = [
        jnp.stack([histograms[i : i + rows - 2, j : j + columns - 2] for j in range(3)], axis=2)
        for i in range(3)
    ]
    blocks = jnp.stack(windows, axis=2)
    return _unit_blocks(jnp.minimum(_unit_blocks(blocks), 0.2))


def unit_range(saliency: Saliency) -> Saliency:
    """Shift and scale a map to [0, 1].

    Args:
        saliency: (h, w).

    Returns:
        (h, w) with smallest value 0 and largest 1; zeros for a constant map.

    Raises:
        TypeError, ValueError: not a finite map (h, w).
    """
    checks.check_saliency(saliency)
    saliency = at_least_float32(jnp.asarray(saliency))
    least, most = saliency.min(), saliency.max()
    return (saliency - least) / jnp.where(most == least, 1, most - least)


def centred_ranks(saliency: Saliency) -> Float[Array, "n"]:
    """Ranks of all pixels, as `spearman` correlates them.

    Args:
        saliency: (h, w).

    Returns:
        (h w,), mean ranks of ties, divided by the number of pixels and of mean 0; nan where a pixel
        is nan.
    """
    values = jnp.ravel(saliency)
    # `jax.scipy.stats.rankdata` gives the same ranks and takes six times as long to compile.
    ordered = jnp.sort(values)
    less, up_to = (jnp.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    # The mean rank is known exactly, which a sum of thousands of them is not.
    twice = (less + up_to + 1).astype(at_least_float32(values).dtype)
    ranks = twice / (2 * values.size) - (values.size + 1) / (2 * values.size)
    return jnp.where(jnp.isnan(values).any(), jnp.nan, ranks)


def correlation(a: Float[Array, "n"], b: Float[Array, "n"]) -> Scalar:
    """Pearson correlation of values of mean 0.

    Args:
        a: (n,).
        b: (n,).

    Returns:
        In [-1, 1]; nan where either is constant.
    """
    is_constant = (a.min() == a.max()) | (b.min() == b.max())
    norms = jnp.linalg.norm(a) * jnp.linalg.norm(b)
    return jnp.clip(jnp.vdot(a, b) / jnp.where(is_constant, jnp.nan, norms), -1, 1)


def cross_correlations(
    a: Float[np.ndarray, "n ..."], b: Float[np.ndarray, "m ..."]
) -> Float[np.ndarray, "n m"]:
    """Pearson correlation over pixels of each image with each of others, on the host.

    Args:
        a: n images or maps.
        b: m of the same shape.

    Returns:
        (n, m) in [-1, 1]; 0 where either is constant.

    Raises:
        ValueError: images of different shapes.
    """
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"a and b must be of one shape, got {a.shape[1:]} and {b.shape[1:]}")

    def directions(of: np.ndarray) -> np.ndarray:
        flat = of.reshape(len(of), -1).astype(np.float64)
        centred = flat - flat.mean(1, keepdims=True)
        return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)

    return directions(a) @ directions(b).T


@functools.partial(jax.jit, static_argnums=(1, 2, 3))  # compiled once, even without a caller's jit
def _cell_histograms(values: Array, rows: int, columns: int, pixels: int) -> Array:
    """Mean gradient magnitude per cell and orientation, (rows, columns, 9)."""
    down = jnp.pad(values[2:] - values[:-2], ((1, 1), (0, 0)))
    right = jnp.pad(values[:, 2:] - values[:, :-2], ((0, 0), (1, 1)))
    angle = jnp.rad2deg(jnp.arctan2(down, right)) % 180
    # In floating point the remainder may be 180 itself.
    bins = (angle * (ORIENTATIONS / 180)).astype(jnp.int32) % ORIENTATIONS
    votes = jnp.hypot(down, right)[:, :, None] * jax.nn.one_hot(bins, ORIENTATIONS)
    cells = votes[: rows * pixels, : columns * pixels]
    return cells.reshape(rows, pixels, columns, pixels, ORIENTATIONS).mean((1, 3))


def _unit_blocks(blocks: Array) -> Array:
    return blocks / jnp.sqrt((blocks**2).sum((2, 3, 4), keepdims=True) + 1e-5**2)


@jax.jit  # compiled once, even without a caller's jit
def _window_mean(values: Array) -> Array:
    """Mean under a Gaussian window, wherever the window is inside of the image."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * (offsets / WINDOW_SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        size = values.shape[axis] - WINDOW + 1
        slices = [
            float(weight) * jax.lax.slice_in_dim(values, at, at + size, axis=axis)
            for at, weight in enumerate(weights)
        ]
        values = jnp.sum(jnp.stack(slices), axis=0)
    return values


def _check_maps(a: Any, b: Any) -> None:
    checks.check_saliency(a, name="a")
    checks.check_saliency(b, name="b")
    checks.check_same_shape("b", b, "a", a)
