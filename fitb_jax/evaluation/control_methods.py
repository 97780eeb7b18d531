"""Controls with the signature of methods: maps that ask no network, and a method's own maps."""

from collections.abc import Mapping
from types import MappingProxyType

import jax

from fitb_jax import checks
from fitb_jax.evaluation.control_maps import blurred_map, centre_point, random_map, sobel_edges
from fitb_jax.evaluation.sanity import random_other_class
from fitb_jax.types import Image, Key, LogitsFn, Number, Saliency, SaliencyFn, Target


def random_control(logits_fn: LogitsFn, image: Image, target: Target, *, key: Key) -> Saliency:
    """See `control_maps.random_map`."""
    del logits_fn, target
    return random_map((image.shape[0], image.shape[1]), key=key)


def centre_control(logits_fn: LogitsFn, image: Image, target: Target, *, key: Key) -> Saliency:
    """See `control_maps.centre_point`."""
    del logits_fn, target, key
    return centre_point((image.shape[0], image.shape[1]))


def sobel_control(logits_fn: LogitsFn, image: Image, target: Target, *, key: Key) -> Saliency:
    """See `control_maps.sobel_edges`."""
    del logits_fn, target, key
    return sobel_edges(image)


CONTROLS: Mapping[str, SaliencyFn] = MappingProxyType(
    {"random map": random_control, "centre": centre_control, "Sobel edges": sobel_control}
)
"""Control methods that ignore the network, by name."""


def blurred_control(
    logits_fn: LogitsFn, image: Image, target: Target, *, key: Key, sharp: SaliencyFn, blur: Number
) -> Saliency:
    """A method's own map, blurred.

    Args:
        logits_fn: the classifier.
        image: (h, w, c).
        target: class to explain, in [0, k).
        key: random key of the method.
        sharp: the method.
        blur: standard deviation, as a share of the longer side.

    Returns:
        (h, w).
    """
    saliency = sharp(logits_fn, image, target, key=key)
    return blurred_map(saliency, sigma=blur * max(image.shape[:2]))


def random_class_control(
    logits_fn: LogitsFn, image: Image, target: Target, *, key: Key, explained: SaliencyFn
) -> Saliency:
    """A method's own map of another class than the one asked for.

    Args:
        logits_fn: the classifier.
        image: (h, w, c).
        target: the class that is not explained, in [0, k).
        key: random key of the class, uniform among the others, and of the method.
        explained: the method.

    Returns:
        (h, w).
    """
    checks.check_key(key)
    class_key, map_key = jax.random.split(key)
    classes = jax.eval_shape(logits_fn, image).shape[0]
    other = random_other_class(target, classes, key=class_key)
    return explained(logits_fn, image, other, key=map_key)
