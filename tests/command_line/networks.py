"""Classifiers that the command is told to explain, as `module:function`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from fitb_jax import models

NAMES = ("left, left half", "right", "neither")
SIZE = 32


def weights() -> np.ndarray:
    """Red in the left half speaks for the first class, in the right half for the second."""
    found = np.zeros((SIZE, SIZE, 3, 3), np.float32)
    found[:, : SIZE // 2, 0, 0] = found[:, SIZE // 2 :, 0, 1] = 8 / SIZE**2
    return found


def halves() -> Callable[[Array], Array]:
    """A function of one image."""
    return lambda image: jnp.tensordot(image, weights(), 3)


def halves_of_batches() -> Callable[[Array], Array]:
    """A function of images."""
    return lambda images: jnp.tensordot(images, weights(), 3)


def module_in_grey() -> object:
    """A module of Flax for grey images."""
    config = models.ClassifierConfig(
        widths=(4, 4), hidden=4, image_shape=(SIZE, SIZE, 1), classes=3
    )
    return models.build(config, key=jax.random.key(0))


def _stretched(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.resize((SIZE, SIZE)), np.float32) / 255


def with_names() -> object:
    """What `models.load` returns, with layers and a way of its own to see a photograph."""
    config = models.ClassifierConfig(
        activation="relu", widths=(4, 4), hidden=4, image_shape=(SIZE, SIZE, 3), classes=3
    )
    logits_fn = models.as_logits_fn(models.build(config, key=jax.random.key(0)))
    return models.Pretrained(
        logits_fn, models.features_of(logits_fn), _stretched, NAMES, (), SIZE, (0.5, 0.5, 0.5)
    )


def no_classifier() -> object:
    """Neither."""
    return 3


NUMBER = 3


def nan_of_dark() -> Callable[[Array], Array]:
    """Outputs that are nan where an image is dark, and maps that are nan everywhere."""

    @jax.custom_jvp
    def crooked(image: Array) -> Array:
        return image

    crooked.defjvp(lambda primals, tangents: (*primals, jnp.nan * tangents[0]))
    return lambda image: halves()(crooked(image)) + jnp.where(image.max() < 0.5, jnp.nan, 0)


def without_derivative() -> Callable[[Array], Array]:
    """Computed outside of JAX."""
    shape = jax.ShapeDtypeStruct((3,), jnp.float32)

    def outside(image: Array) -> Array:
        return jax.pure_callback(
            lambda x: np.tensordot(x, weights(), 3), shape, image, vmap_method="sequential"
        )

    return outside


def one_logit() -> Callable[[Array], Array]:
    """Of a binary classifier."""
    return lambda image: jnp.tensordot(image, weights()[..., :1], 3) - 2


def two_probabilities() -> Callable[[Array], Array]:
    """Softmax has been taken."""
    return lambda image: jax.nn.softmax(halves()(image))


def one_number() -> Callable[[Array], Array]:
    """Neither, too."""
    return lambda image: image.sum()
