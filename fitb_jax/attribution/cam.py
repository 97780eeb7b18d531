"""Class activation maps: the channels of a layer, weighted by how much the class depends on them.

The derivative by a layer is that by a perturbation that is added to it, so that no hooks are
needed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp

from fitb_jax import batching, checks, dependence, masks
from fitb_jax.objectives import logit
from fitb_jax.precision import at_least_float32
from fitb_jax.types import (
    Array,
    Background,
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
"""Makes the function of a classifier's layers, such as `models.features_of`."""

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
    """Grad-CAM: the positive part of the sum of a layer's channels, weighted by mean gradients.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        features_of: from the classifier to a function of its layers by name, such as
            `models.features_of`.
        layer: name of a layer (h', w', c'); the last spatial one is usual.
        objective: what is differentiated.

    Returns:
        (h, w), at least 0, upsampled bilinearly from the layer.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or a layer that is not there, is not
            spatial or does not reach the logits; see `fitb_jax.checks`.

    Source: Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2.

    Examples:
        >>> network = models.as_logits_fn(
        ...     models.build(models.ClassifierConfig(image_shape=(16, 16, 3), classes=4), key=key)
        ... )
        >>> layer = models.last_spatial_layer(network, image.shape)
        >>> cam = attribution.grad_cam(
        ...     network, image, 1, features_of=models.features_of, layer=layer
        ... )
        >>> cam.shape
        (16, 16)
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
    """LayerCAM: values of a layer, each weighted by its own gradient where that is positive.

    Unlike with Grad-CAM, early layers give useful maps of fine resolution.

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
        TypeError, ValueError: a wrong shape, dtype or range, or a layer that is not there, is not
            spatial or does not reach the logits; see `fitb_jax.checks`.

    Source: Jiang et al. 2021, "LayerCAM: exploring hierarchical class activation maps for
    localization", equations 5 and 6.
    """
    activations, gradient = layer_gradient(
        logits_fn, image, target, features_of=features_of, layer=layer, objective=objective
    )
    return _upsampled((jax.nn.relu(gradient) * activations).sum(-1), image)


def grad_cam_plus_plus(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    features_of: FeaturesOf,
    layer: str,
    objective: Objective = logit,
) -> Saliency:
    """Grad-CAM++: as Grad-CAM, but channels are weighted by a weighted sum of positive gradients.

    The weights of this sum come from higher derivatives of the exponential of the objective. They
    are powers of the gradient where the layers in between are piecewise linear. A channel that is
    active in few positions counts as much as one that is active in many.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        features_of: from the classifier to a function of its layers by name, such as
            `models.features_of`.
        layer: name of a layer (h', w', c'); the last spatial one is usual.
        objective: what is differentiated.

    Returns:
        (h, w), at least 0, upsampled bilinearly from the layer.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or a layer that is not there, is not
            spatial or does not reach the logits; see `fitb_jax.checks`.

    Source: Chattopadhyay et al. 2018, "Grad-CAM++", equations 9, 10 and 19.
    """
    activations, gradient = layer_gradient(
        logits_fn, image, target, features_of=features_of, layer=layer, objective=objective
    )
    # Equation 19 with both sides divided by the squared gradient, which may underflow.
    denominator = 2 + activations.sum((0, 1), keepdims=True) * gradient
    is_zero = denominator == 0
    parts = jnp.where(is_zero, 0, jax.nn.relu(gradient) / jnp.where(is_zero, 1, denominator))
    return _upsampled((activations * parts.sum((0, 1), keepdims=True)).sum(-1), image)


def score_cam(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    features_of: FeaturesOf,
    layer: str,
    background: Background = 0.0,
    objective: Objective = logit,
    chunk: int = 16,
) -> Saliency:
    """Score-CAM: channels of a layer, each weighted by the class's score where it shows the image.

    Each channel is a mask of the image. This takes one forward pass per channel and no gradient.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        features_of: from the classifier to a function of its layers by name, such as
            `models.features_of`.
        layer: name of a layer (h', w', c'); the last spatial one is usual.
        background: what is seen where a channel is low: a number, one value per channel of the
            image, or an image. The paper's is the colour that the network subtracts.
        objective: the score of a masked image.
        chunk: masked images evaluated at once.

    Returns:
        (h, w), at least 0, upsampled bilinearly from the layer; 0 where no channel varies.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or a layer that is not there, is not
            spatial or does not reach the logits; see `fitb_jax.checks`.

    Source: Wang et al. 2020, "Score-CAM", algorithm 1.
    """
    checks.check_background(background, image.shape)
    activations = _layer(logits_fn, image, target, features_of=features_of, layer=layer)
    low, high = activations.min((0, 1)), activations.max((0, 1))
    varies = high > low

    def worth(channel: Float[Array, "hl wl"], low: Array, high: Array) -> Scalar:
        mask = (_resized(channel, image) - low) / jnp.where(high > low, high - low, 1)
        return objective(logits_fn(masks.apply(image, mask, background)), target)

    channels = jnp.moveaxis(activations, -1, 0)
    scores = batching.chunked_vmap(worth, chunk=chunk)(channels, low, high)
    weights = jnp.where(varies, jax.nn.softmax(jnp.where(varies, scores, -jnp.inf)), 0)
    return _upsampled((activations * weights[None, None]).sum(-1), image)


def eigen_cam(
    logits_fn: LogitsFn, image: Image, target: Target, *, features_of: FeaturesOf, layer: str
) -> Saliency:
    """Eigen-CAM: a layer projected onto its first principal direction, the same for all classes.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: only checked, for the sake of one signature: all classes have one map.
        features_of: from the classifier to a function of its layers by name, such as
            `models.features_of`.
        layer: name of a layer (h', w', c'); the last spatial one is usual.

    Returns:
        (h, w), at least 0: the layer along its first right singular vector, signed so that the sum
        is positive, and upsampled bilinearly.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or a layer that is not there, is not
            spatial or does not reach the logits; see `fitb_jax.checks`.

    Source: Muhammad & Yeasin 2020, "Eigen-CAM", section III.
    """
    activations = _layer(logits_fn, image, target, features_of=features_of, layer=layer)
    height, width, _ = activations.shape
    places = activations.reshape(height * width, -1).astype(jnp.float32)
    left, values, _ = jnp.linalg.svd(places, full_matrices=False)
    along = (left[:, 0] * values[0]).reshape(height, width)
    return _upsampled(jnp.where(along.sum() < 0, -along, along), image)


def attention_rollout(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    features_of: FeaturesOf,
    layers: Sequence[str] | None = None,
) -> Saliency:
    """Attention rollout: how much of each patch reaches the class token, the same for all classes.

    Each block mixes tokens by the mean of its attention and the identity, for the skip connection.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: only checked, for the sake of one signature: all classes have one map.
        features_of: from the classifier to a function of its layers by name, such as
            `models.features_of`.
        layers: names of the attentions (tokens, tokens), the mean over heads, the class token
            first, in the order of the network. By default all whose names end with "attention".

    Returns:
        (h, w), at least 0, upsampled bilinearly from the patches. The shares of all patches add up
        to at most 1; the rest comes from the class token itself.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or layers that are not there or are no
            attentions of a class token and a square of patches.

    Source: Abnar & Zuidema 2020, "Quantifying attention flow in transformers", equation 1.
    """
    checks.check_explained(logits_fn, image, target)
    found = features_of(logits_fn)(image)
    names = [name for name in found if name.endswith("attention")] if layers is None else layers
    if not names:
        raise ValueError(
            f"layers must be given: of {', '.join(found)} none is called an attention; "
            "grad_cam needs none"
        )
    for name in names:
        checks.check_choice("layers", name, found)
    shapes = {found[name].shape for name in names}
    (tokens, *_), *others = shapes
    side = math.isqrt(max(tokens - 1, 0))
    if others or shapes != {(side**2 + 1, side**2 + 1)}:
        raise ValueError(
            "layers must be attentions of a class token and a square of patches, each "
            f"(n * n + 1, n * n + 1), got {sorted(shapes)}"
        )
    flow = jnp.eye(tokens, dtype=image.dtype)
    for name in names:
        attention = found[name].astype(image.dtype)
        mixed = attention + jnp.eye(tokens, dtype=image.dtype)
        flow = (mixed / mixed.sum(-1, keepdims=True)) @ flow
    return _upsampled(flow[0, 1:].reshape(side, side), image)


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
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class index, in [0, k).
        features_of: from the classifier to a function of its layers by name.
        layer: name of a layer (h', w', c').
        objective: what is differentiated.

    Returns:
        The layer and the gradient, both (h', w', c') and float32 at least.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or a layer that is not there, is not
            spatial or does not reach the logits; see `fitb_jax.checks`.
    """
    checks.check_explained(logits_fn, image, target, objective)
    features_fn = features_of(logits_fn)
    shape = _checked_layer(features_fn, image, layer)

    def perturbed(perturbation: Activations) -> tuple[Scalar, Activations]:
        layers = features_fn(image, {layer: perturbation})
        return objective(layers["logits"], target), layers[layer]

    nothing = jnp.zeros(shape.shape, shape.dtype)
    gradient, activations = jax.grad(perturbed, has_aux=True)(nothing)
    return at_least_float32(activations), at_least_float32(gradient)


def _layer(
    logits_fn: LogitsFn, image: Image, target: Target, *, features_of: FeaturesOf, layer: str
) -> Activations:
    checks.check_explained(logits_fn, image, target)
    features_fn = features_of(logits_fn)
    _checked_layer(features_fn, image, layer)
    return at_least_float32(features_fn(image)[layer])


def _checked_layer(features_fn: FeaturesFn, image: Image, layer: str) -> jax.ShapeDtypeStruct:
    """The shape of a layer with places that the logits depend on."""
    shapes = jax.eval_shape(features_fn, image)
    checks.check_choice("layer", layer, shapes)
    shape: jax.ShapeDtypeStruct = shapes[layer]
    if len(shape.shape) != 3:
        raise ValueError(f"layer must have places (h, w, c), got {layer!r} of shape {shape.shape}")

    def logits(perturbations: Mapping[str, Array], image: Image) -> Array:
        return features_fn(image, perturbations)["logits"]

    spatial = {name: its for name, its in shapes.items() if len(its.shape) == 3}
    reaches, sees_image = dependence.needed(logits, spatial, image)
    # The map of a constant classifier is zero, rightly.
    if sees_image and not reaches[layer]:
        others = ", ".join(name for name in spatial if reaches[name]) or "none with places"
        raise ValueError(
            f"layer must reach the logits, and nothing that they depend on looks at {layer!r}, so "
            f"that its map would be zero: those that do are {others}"
        )
    return shape


def _upsampled(values: Float[Array, "hl wl"], image: Image) -> Saliency:
    return _resized(jax.nn.relu(values), image)


def _resized(values: Float[Array, "hl wl"], image: Image) -> Saliency:
    return jax.image.resize(at_least_float32(values), image.shape[:2], "linear", antialias=False)
