"""The reverse question of a sufficient region: do real images that agree on it share the class?"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.extremal.certificate import check_backgrounds
from fitb_jax.precision import at_least_float32
from fitb_jax.types import Array, Bool, Float, Image, Int, Mask, Scalar, Target


class Neighbours(NamedTuple):
    """The images of a data set that agree best with one image on a region.

    Attributes:
        indices: of the nearest images, nearest first, (count,).
        distances: root mean square difference over the pixels of the region and channels, in units
            of intensity, (count,).
        same_class: which of the nearest images have the image's class, (count,).
        share: share of the nearest images that have the image's class, in [0, 1].
        base_share: the same share of the whole data set, which a region that says nothing gives.
    """

    indices: Int[Array, "count"]
    distances: Float[Array, "count"]
    same_class: Bool[Array, "count"]
    share: Scalar
    base_share: Scalar


def nearest_neighbours(
    image: Image,
    target: Target,
    region: Mask,
    images: Float[Array, "n h w c"],
    labels: Int[Array, "n"],
    *,
    count: int = 20,
) -> Neighbours:
    """Of the images that agree best with one image on a region, how many have its class?

    `sufficient_region` says that a region is enough for the classifier. This says whether it is
    enough in the data.

    Args:
        image: (h, w, c) in [0, 1].
        target: its class.
        region: (h, w) in [0, 1], weights of the pixels that have to agree. With an empty region
            all images agree, and the first ones are taken.
        images: (n, h, w, c), the data set, without the image itself.
        labels: (n,), their classes, as they are labelled or as a classifier sees them.
        count: how many of the nearest, at most n.

    Returns:
        The nearest images and their share of the class.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Disselhoff 2023, "Explainability using masks" (other samples Y with P_X = P_Y).
    """
    _check_arguments(image, target, region, images, labels, count)
    image, region = at_least_float32(image), at_least_float32(jnp.asarray(region))
    weight = region[:, :, None]
    total = jnp.maximum(region.sum() * image.shape[2], jnp.finfo(region.dtype).tiny)

    def distance(other: Image) -> Scalar:
        return jnp.sqrt((weight * (other - image) ** 2).sum() / total)

    distances = jax.vmap(distance)(images)
    nearest, indices = jax.lax.top_k(-distances, count)
    has_class = jnp.asarray(labels) == target
    same = has_class[indices]
    return Neighbours(
        indices=indices,
        distances=-nearest,
        same_class=same,
        share=same.mean(dtype=jnp.float32),
        base_share=has_class.mean(dtype=jnp.float32),
    )


def _check_arguments(
    image: Any, target: Any, region: Any, images: Any, labels: Any, count: Any
) -> None:
    checks.check_image(image)
    checks.check_mask(region, image.shape[:2], name="region")
    check_backgrounds(images, image, name="images")
    if not jnp.issubdtype(jnp.result_type(labels), jnp.integer):
        raise TypeError(f"labels must be integer class indices, got {jnp.result_type(labels)}")
    if jnp.shape(labels) != images.shape[:1]:
        raise ValueError(
            f"labels must have one entry for each of the {images.shape[0]} images, "
            f"got shape {jnp.shape(labels)}"
        )
    # How many classes there are, no argument says.
    checks.check_target(target, jnp.iinfo(jnp.int32).max)
    checks.check_count("count", count)
    if count > images.shape[0]:
        raise ValueError(f"count must be at most the {images.shape[0]} images, got {count}")
