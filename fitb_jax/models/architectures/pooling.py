"""Pooling as PyTorch does it, for networks in its layout."""

import functools

import jax.numpy as jnp
import numpy as np

from fitb_jax.types import Array, Float


def max_pool(
    x: Float[Array, "n h w c"], *, window: int, stride: int, padding: int = 0
) -> Float[Array, "n oh ow c"]:
    """The largest value in each window, as the largest of shifted views.

    XLA's own pooling has a transpose that is seven to ten times as slow on a CPU. As there and in
    PyTorch, the derivative is that of the first of equal values, row by row; a nan stays.

    Args:
        x: features (n, h, w, c).
        window: side of a window.
        stride: between windows.
        padding: rows and columns of minus infinity on each side.

    Returns:
        (n, oh, ow, c), with oh = (h + 2 padding - window) // stride + 1, and ow alike.
    """
    edges = (padding, padding)
    x = jnp.pad(x, ((0, 0), edges, edges, (0, 0)), constant_values=-jnp.inf)
    # How far the first entries of all windows reach.
    rows, columns = ((size - window) // stride * stride + 1 for size in x.shape[1:3])
    views = [
        x[:, row : row + rows : stride, column : column + columns : stride]
        for row in range(window)
        for column in range(window)
    ]
    return functools.reduce(_larger, views)


def _larger(first: Array, second: Array) -> Array:
    """Not `maximum`, which shares the derivative between equal values."""
    return jnp.where((second > first) | jnp.isnan(second), second, first)


def average_to(x: Float[Array, "n h w c"], side: int) -> Float[Array, "n side side c"]:
    """Adaptive average pooling: means over parts that overlap where they do not divide the map.

    Args:
        x: features (n, h, w, c).
        side: of the result; it may be larger than the map.

    Returns:
        (n, side, side, c).
    """
    if x.shape[1:3] == (side, side):
        return x
    rows, columns = (jnp.asarray(_parts(size, side), x.dtype) for size in x.shape[1:3])
    return jnp.einsum("nhwc,ph,qw->npqc", x, rows, columns)


def _parts(size: int, count: int) -> np.ndarray:
    """Weights (count, size) of the mean over each part."""
    place, part = np.arange(size)[None], np.arange(count)[:, None]
    inside = (place >= part * size // count) & (place < -(-(part + 1) * size // count))
    return inside / inside.sum(1, keepdims=True)
