"""Saliency maps that know nothing of the classifier: what every method has to beat.

A table without them does not show whether a method looks at the network or only at the middle of
the photograph, or at its edges.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import checks
from fitb_jax.evaluation.map_similarity import unit_range
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Array, Image, Key, Number, Saliency

SMOOTHNESS = 20 / 224
"""Standard deviation of the blur of a random smooth map, as a share of the longer side."""


class Controls(NamedTuple):
    """One map of each kind for one image, (h, w) each.

    Attributes:
        centre_point: nearness to the centre.
        centred_disc: a disc in the middle.
        random_smooth: blurred noise.
        random_map: noise.
        sobel_edges: strength of the edges of the image.
    """

    centre_point: Saliency
    centred_disc: Saliency
    random_smooth: Saliency
    random_map: Saliency
    sobel_edges: Saliency


def controls(image: Image, *, key: Key, area: Number = 0.25) -> Controls:
    """Every control that needs no other map; `blurred_map` is the one that does.

    Args:
        image: (h, w, c) in [0, 1].
        key: of the random maps.
        area: share of the image that the disc takes, in [0, 1]. An array argument.

    Returns:
        The maps.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_key(key)
    checks.check_image(image)
    shape = (image.shape[0], image.shape[1])
    smooth_key, map_key = jax.random.split(key)
    return Controls(
        centre_point=centre_point(shape),
        centred_disc=centred_disc(shape, area),
        random_smooth=random_smooth(shape, key=smooth_key),
        random_map=random_map(shape, key=map_key),
        sobel_edges=sobel_edges(image),
    )


def centre_point(shape: tuple[int, int]) -> Saliency:
    """Nearness to the centre, so that the centre is the maximum and every region a disc.

    Args:
        shape: (height, width) in pixels.

    Returns:
        (h, w) in [0, 1]: 1 at the centre (of an even side: at the two middle pixels), falling
        linearly with the distance to 0 in the corners.

    Raises:
        TypeError, ValueError: not two sizes of at least 1.
    """
    distance = _centre_distance(shape)
    nearness = distance.max() - distance
    return jnp.asarray(nearness / max(nearness.max(), np.finfo(float).tiny), jnp.float32)


def centred_disc(shape: tuple[int, int], area: Number) -> Saliency:
    """A disc in the middle, as a mask of an area.

    Args:
        shape: (height, width) in pixels.
        area: share of the image, in [0, 1]: the `round(area h w)` pixels that are nearest to the
            centre; of the pixels at the edge that are equally near, those first in reading order.
            An array argument.

    Returns:
        (h, w) of zeros and ones.

    Raises:
        TypeError, ValueError: not two sizes of at least 1, or an area out of range.
    """
    checks.check_number("area", area, least=0, most=1)
    distance = _centre_distance(shape)
    places = np.empty(distance.size, np.int32)
    places[np.argsort(distance, axis=None, kind="stable")] = np.arange(distance.size)
    shown = jnp.round(jnp.asarray(area, jnp.float32) * distance.size)
    return (jnp.asarray(places.reshape(shape)) < shown).astype(jnp.float32)


def random_smooth(shape: tuple[int, int], *, key: Key, smoothness: Number = SMOOTHNESS) -> Saliency:
    """Blurred noise: as smooth as an explanation, and about nothing.

    Args:
        shape: (height, width) in pixels.
        key: random key.
        smoothness: standard deviation of the blur, as a share of the longer side, at least 0. An
            array argument.

    Returns:
        (h, w) in [0, 1], both ends reached.

    Raises:
        TypeError, ValueError: not two sizes of at least 1, or a negative smoothness.
    """
    checks.check_key(key)
    checks.check_shape(shape)
    checks.check_number("smoothness", smoothness, least=0)
    noise = jax.random.uniform(key, (*shape, 1))
    return unit_range(gaussian_blur(noise, sigma=smoothness * max(shape))[:, :, 0])


def random_map(shape: tuple[int, int], *, key: Key) -> Saliency:
    """Independent uniform noise: pixels in random order.

    Args:
        shape: (height, width) in pixels.
        key: random key.

    Returns:
        (h, w) in [0, 1).

    Raises:
        TypeError, ValueError: not two sizes of at least 1.
    """
    checks.check_key(key)
    checks.check_shape(shape)
    return jax.random.uniform(key, shape)


def sobel_edges(image: Image) -> Saliency:
    """Strength of the edges of an image, which looks like an explanation and is none.

    Args:
        image: (h, w, c) in [0, 1].

    Returns:
        (h, w), at least 0: root mean square over channels of the strength of the edge, with the
        image mirrored at its border.

    Raises:
        TypeError, ValueError: not a finite floating image (h, w, c).

    Source: as the edge detector in Adebayo et al. 2018, "Sanity checks for saliency maps", figure
    1; the scale of scikit-image's `sobel`.
    """
    checks.check_image(image)
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="symmetric")
    down = _smooth(padded[2:] - padded[:-2], axis=1)
    right = _smooth(padded[:, 2:] - padded[:, :-2], axis=0)
    return jnp.sqrt(((down**2 + right**2) / 2).mean(-1))


def blurred_map(saliency: Saliency, *, sigma: Number) -> Saliency:
    """Blur a map: how much of its score is due to the rough place alone?

    Args:
        saliency: (h, w), in any units.
        sigma: standard deviation in pixels, at least 0. An array argument.

    Returns:
        (h, w), in the same units.

    Raises:
        TypeError, ValueError: not a finite map (h, w), or a negative sigma.
    """
    checks.check_saliency(saliency)
    checks.check_number("sigma", sigma, least=0)
    least, most = saliency.min(), saliency.max()
    # In [0, 1], where an image is meant to be.
    blurred = gaussian_blur(unit_range(saliency)[:, :, None], sigma=sigma)[:, :, 0]
    return least + (most - least) * blurred


def _smooth(values: Array, axis: int) -> Array:
    """Weights 1/4, 1/2, 1/4 along an axis that is two pixels too long."""
    size = values.shape[axis] - 2
    left, middle, right = (
        jax.lax.slice_in_dim(values, at, at + size, axis=axis) for at in range(3)
    )
    return (left + 2 * middle + right) / 4


def _centre_distance(shape: tuple[int, int]) -> np.ndarray:
    """On the host: it depends on the shape alone, and pixels equally near are equal there."""
    checks.check_shape(shape)
    rows, columns = (np.arange(size) - (size - 1) / 2 for size in shape)
    return np.hypot(rows[:, None], columns[None, :])
