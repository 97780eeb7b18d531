"""ROAR: remove what a method calls important from every image, train again, and test.

A network that is trained again has seen images with pixels removed. If its accuracy falls,
information is missing, and the images are not merely unusual. One call trains one network. For
several fractions and seeds use `jax.vmap`, or `batching.chunked_vmap` where that is faster.
"""

from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, get_args, runtime_checkable

import jax
import jax.numpy as jnp

from fitb_jax import checks, masks
from fitb_jax.evaluation.ranking import ranks
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    Int,
    Key,
    LogitsFn,
    Number,
    Saliency,
    Scalar,
)

ROAR_FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the pixels that are removed, as in the paper."""

Order: TypeAlias = Literal["most", "least"]


@runtime_checkable
class TrainFn(Protocol):
    """Training from scratch as a pure function, such as one around `models.train`."""

    def __call__(
        self, images: Float[Array, "n h w c"], labels: Int[Array, "n"], *, key: Key
    ) -> LogitsFn:
        """Train one network."""
        ...


class ExplainedImages(NamedTuple):
    """Labelled images with the map of one method for each.

    Attributes:
        images: (n, h, w, c) in [0, 1].
        labels: (n,), class indices.
        saliency: (n, h, w), of the class that the network predicts. Maps of the label would tell a
            retrained network, by what they remove, the labels of the images that it is tested on.
    """

    images: Float[Array, "n h w c"]
    labels: Int[Array, "n"]
    saliency: Float[Array, "n h w"]


def retrained_accuracy(
    train_fn: TrainFn,
    train: ExplainedImages,
    test: ExplainedImages,
    fraction: Number,
    *,
    key: Key,
    background: Background | None = None,
    order: Order = "most",
) -> Scalar:
    """Accuracy of a network trained and tested on images without their most important pixels.

    Pure: `vmap` it over fractions and keys.

    Args:
        train_fn: trains one network from scratch.
        train: images that it is trained on.
        test: held out images.
        fraction: share of the pixels that is removed, in [0, 1]. An array argument.
        key: of the training and of the order of equal pixels.
        background: what removed pixels show: a number, one value per channel, or an image. None is
            the mean colour of the training images, which says nothing about the class.
        order: "most" removes the most important pixels (ROAR; low is good), "least" the least
            important ones (KAR, keep and retrain, with `1 - fraction` kept; high is good).

    Returns:
        Share of test images classified as they are labelled, in [0, 1].

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or an unknown order.

    Source: Hooker et al. 2019, "A benchmark for interpretability methods in deep neural networks",
    section 3.
    """
    checks.check_key(key)
    for name, given in (("train", train), ("test", test)):
        _check_explained_images(name, given)
    if test.images.shape[1:] != train.images.shape[1:]:
        raise ValueError(
            f"test.images must have the shape of train.images, {train.images.shape[1:]}, "
            f"got {test.images.shape[1:]}"
        )
    if not callable(train_fn):
        raise TypeError(f"train_fn must be callable, got {type(train_fn).__name__}")
    checks.check_choice("order", order, get_args(Order))
    checks.check_number("fraction", fraction, least=0, most=1)
    colour = train.images.mean((0, 1, 2)) if background is None else background
    checks.check_background(colour, train.images.shape[1:])
    train_key, *tie_keys = jax.random.split(key, 3)

    def removed(given: ExplainedImages, tie_key: Key) -> Float[Array, "n h w c"]:
        sign = 1 if order == "most" else -1

        def remove_one(image: Image, saliency: Saliency, key: Key) -> Image:
            return remove(image, sign * saliency, fraction, key=key, background=colour)

        keys = jax.random.split(tie_key, given.images.shape[0])
        return jax.vmap(remove_one)(given.images, given.saliency, keys)

    logits_fn = train_fn(removed(train, tie_keys[0]), train.labels, key=train_key)
    logits = jax.vmap(logits_fn)(removed(test, tie_keys[1]))
    return (jnp.argmax(logits, axis=-1) == test.labels).mean(dtype=train.images.dtype)


def remove(
    image: Image, saliency: Saliency, fraction: Number, *, key: Key, background: Background = 0.0
) -> Image:
    """An image without its most important pixels.

    Args:
        image: (h, w, c) in [0, 1].
        saliency: (h, w); only the order of its pixels matters.
        fraction: share of the pixels, in [0, 1]; `round(fraction h w)` of them. An array argument.
        key: random order of pixels of equal saliency.
        background: what they show instead: a number, one value per channel, or an image.

    Returns:
        (h, w, c).

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Hooker et al. 2019, section 3.
    """
    checks.check_image(image)
    checks.check_saliency(saliency, image.shape[:2])
    checks.check_number("fraction", fraction, least=0, most=1)
    checks.check_background(background, image.shape)
    count = jnp.round(jnp.asarray(fraction, jnp.float32) * saliency.size)
    kept = (ranks(saliency, key=key) >= count).astype(image.dtype)
    return masks.apply(image, kept, background)


def _check_explained_images(name: str, given: Any) -> None:
    checks.check_image(given.images, name=f"{name}.images", axes=("n", "h", "w", "c"))
    checks.check_floating(f"{name}.saliency", given.saliency, ("n", "h", "w"))
    count = given.images.shape[0]
    if given.saliency.shape != given.images.shape[:3]:
        raise ValueError(
            f"{name}.saliency must have the images' shape {given.images.shape[:3]}, "
            f"got {given.saliency.shape}"
        )
    if given.labels.shape != (count,):
        raise ValueError(f"{name}.labels must have shape {(count,)}, got {given.labels.shape}")
    if not jnp.issubdtype(given.labels.dtype, jnp.integer):
        raise TypeError(f"{name}.labels must be integers, got {given.labels.dtype}")
