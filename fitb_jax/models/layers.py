"""Classifiers taken apart: their layers by name, and the same weights used in another way."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jax.tree_util import Partial

from fitb_jax.models.efficientnet import EfficientNetLite
from fitb_jax.models.functional import apply_nnx
from fitb_jax.types import Array, Background, FeaturesFn, Image, Logits, LogitsFn

ActivationRule: TypeAlias = Callable[[Callable[[Array], Array]], Callable[[Array], Array]]
"""From an activation function to another, such as `attribution.GuidedActivation`."""

_KINDS = (
    "logits_fn must be an EfficientNetLite of `models.load` or come from `models.as_logits_fn` of "
    "a Flax NNX module"
)


def features_of(logits_fn: LogitsFn) -> FeaturesFn:
    """The layers of a classifier, with its parameters.

    Args:
        logits_fn: from `models.load`, or `as_logits_fn` of a Flax NNX module with a method
            `features(images, perturbations)`, as the classifiers of this package have.

    Returns:
        A `Partial` over the same parameters, from one image to its layers by name. It also takes
        perturbations by name, which are added to the layers before they are used: the derivative
        by a layer is that by its perturbation.

    Raises:
        TypeError: another function, or a module without layers.
    """
    function, arguments = _taken_apart(logits_fn)
    if function is _shifted:
        inner, shift = arguments
        return Partial(_shifted_features, features_of(inner), shift)
    if isinstance(function, EfficientNetLite):
        return Partial(_Features(function), *arguments)
    module = nnx.merge(*arguments)
    if not hasattr(module, "features"):
        raise TypeError(f"{_KINDS} that has a method `features`, got {type(module).__name__}")
    return Partial(_nnx_features, *arguments)


def map_activations(logits_fn: LogitsFn, rule: ActivationRule) -> LogitsFn:
    """The same classifier with other activation functions; the one given is left as it is.

    Args:
        logits_fn: from `models.load`, or `as_logits_fn` of a Flax NNX module whose parts keep their
            activation functions in attributes `activation`.
        rule: from an activation function to the one that replaces it.

    Returns:
        A classifier with the same parameters.

    Raises:
        TypeError: another function.
        ValueError: a module that has no such attribute.
    """
    function, arguments = _taken_apart(logits_fn)
    if function is _shifted:
        inner, shift = arguments
        return Partial(_shifted, map_activations(inner, rule), shift)
    if isinstance(function, EfficientNetLite):
        changed = dataclasses.replace(function, activation=rule(function.activation))
        return Partial(changed, *arguments)
    module = nnx.merge(*arguments)
    parts = [part for _, part in nnx.iter_modules(module) if hasattr(part, "activation")]
    if not parts:
        raise ValueError(f"no part of {type(module).__name__} has an attribute `activation`")
    for part in parts:
        part.activation = rule(part.activation)
    return Partial(apply_nnx, *nnx.split(module))


def shift_input(logits_fn: LogitsFn, shift: Background) -> LogitsFn:
    """The same classifier for images with something added to them: it is taken off first.

    Args:
        logits_fn: the classifier. Where it has layers (`features_of`) and activation functions
            (`map_activations`), so has the result.
        shift: a number, one value per channel, or an image.

    Returns:
        `image -> logits_fn(image - shift)`, with `shift` as a parameter.

    Raises:
        TypeError: `logits_fn` is not callable.

    Source: Kindermans et al. 2019, "The (un)reliability of saliency methods", section 3.
    """
    if not callable(logits_fn):
        raise TypeError(f"logits_fn must be callable, got {type(logits_fn).__name__}")
    return Partial(_shifted, logits_fn, jnp.asarray(shift, jnp.float32))


def _taken_apart(logits_fn: LogitsFn) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    function = getattr(logits_fn, "func", None)
    is_ours = isinstance(function, EfficientNetLite) or function in (apply_nnx, _shifted)
    if not isinstance(logits_fn, Partial) or not is_ours:
        raise TypeError(f"{_KINDS}, got {logits_fn!r}")
    return logits_fn.func, logits_fn.args


class _Features(NamedTuple):
    """A callable that is equal when its network is, for `jax.jit` to recognise."""

    network: EfficientNetLite

    def __call__(
        self, parameters: Any, image: Image, perturbations: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        return self.network.features(parameters, image, perturbations)


def _nnx_features(
    graph: Any, state: Any, image: Image, perturbations: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    batched = {name: added[None] for name, added in (perturbations or {}).items()}
    layers = nnx.merge(graph, state).features(image[None], batched)
    return jax.tree.map(lambda layer: layer[0], layers)


def _shifted(logits_fn: LogitsFn, shift: Array, image: Image) -> Logits:
    return logits_fn(image - jnp.broadcast_to(shift, image.shape).astype(image.dtype))


def _shifted_features(
    features_fn: FeaturesFn,
    shift: Array,
    image: Image,
    perturbations: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    moved = image - jnp.broadcast_to(shift, image.shape).astype(image.dtype)
    return features_fn(moved, perturbations)
