"""Class activation maps: what a convolutional layer sees, weighted by what the class wants of it.

The derivative by a layer is that by a perturbation added to it: nothing of the model is hooked.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.objectives import logit
from fitb_jax.types import (
    Array,
    FeaturesFn,
    Float,
    Image,
    LogitsFn,
    Objective,
    Saliency,
    Scalar,
    Target,
)

FeaturesOf: TypeAlias = Callable[[LogitsFn], FeaturesFn]
"""From a classifier to its layers, as `models.features_of`: new weights give new layers."""

Activations: TypeAlias = Float[Array, "hl wl cl"]


def grad_cam(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    features_of: FeaturesOf,
    layer: str,
    objective: Objective = logit,
) -> Saliency:
    """Channels of a layer, each weighted by its mean gradient; the positive part of their sum.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        features_of: from the classifier to a function of its layers by name, such as
            `models.features_of`.
        layer: name of a layer (h', w', c'); the last one with places is usual.
        objective: what is differentiated.

    Returns:
        (h, w), at least 0, upsampled bilinearly from the layer.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or a layer that is not there or has no
            places; see `fitb_jax.checks`.

    Source: Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2.
    """
    activations, gradient = layer_gradient(
        logits_fn, image, target, features_of=features_of, layer=layer, objective=objective
    )
    weights = gradient.mean((0, 1))
    return _upsampled((activations * weights[None, None]).sum(-1), image)


def layer_cam(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    features_of: FeaturesOf,
    layer: str,
    objective: Objective = logit,
) -> Saliency:
    """Values of a layer, each weighted by its own gradient where that is positive.

    Unlike Grad-CAM's, the maps of early layers make sense, and are fine.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        features_of: from the classifier to a function of its layers by name, such as
            `models.features_of`.
        layer: name of a layer (h', w', c').
        objective: what is differentiated.

    Returns:
        (h, w), at least 0, upsampled bilinearly from the layer.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or a layer that is not there or has no
            places; see `fitb_jax.checks`.

    Source: Jiang et al. 2021, "LayerCAM: exploring hierarchical class activation maps for
    localization", equations 5 and 6.
    """
    activations, gradient = layer_gradient(
        logits_fn, image, target, features_of=features_of, layer=layer, objective=objective
    )
    return _upsampled((jax.nn.relu(gradient) * activations).sum(-1), image)


def layer_gradient(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    features_of: FeaturesOf,
    layer: str,
    objective: Objective = logit,
) -> tuple[Activations, Activations]:
    """A layer, and the gradient of the objective by it.

    Args:
        logits_fn: as in `grad_cam`, like all the others.
        image: (h, w, c).
        target: class index.
        features_of: from the classifier to a function of its layers.
        layer: name of a layer (h', w', c').
        objective: what is differentiated.

    Returns:
        Both (h', w', c').

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or a layer that is not there or has no
            places; see `fitb_jax.checks`.
    """
    checks.check_explained(logits_fn, image, target)
    features_fn = features_of(logits_fn)
    shapes = jax.eval_shape(features_fn, image)
    checks.check_choice("layer", layer, shapes)
    shape = shapes[layer]
    if len(shape.shape) != 3:
        raise ValueError(f"layer must have places (h, w, c), got {layer!r} of shape {shape.shape}")

    def perturbed(perturbation: Activations) -> tuple[Scalar, Activations]:
        layers = features_fn(image, {layer: perturbation})
        return objective(layers["logits"], target), layers[layer]

    nothing = jnp.zeros(shape.shape, shape.dtype)
    gradient, activations = jax.grad(perturbed, has_aux=True)(nothing)
    return activations, gradient


def _upsampled(values: Float[Array, "hl wl"], image: Image) -> Saliency:
    positive = jax.nn.relu(values).astype(image.dtype)
    return jax.image.resize(positive, image.shape[:2], "linear", antialias=False)
