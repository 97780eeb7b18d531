"""Backward passes that keep only positive gradients: deconvnet and guided backpropagation.

They are the gradient of a network whose activations have another derivative. The network is rebuilt
with such activations, and the one given stays as it is. The rebuilt network has derivatives in
reverse mode only: a ReLU of cotangents is not linear in them, which `custom_jvp` requires.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.attribution.gradients import gradient_magnitude
from fitb_jax.objectives import logit
from fitb_jax.types import Array, Image, LogitsFn, Objective, Saliency, Target

Activation: TypeAlias = Callable[[Array], Array]
MapActivations: TypeAlias = Callable[[LogitsFn, Callable[[Activation], Activation]], LogitsFn]
"""Rebuilds a classifier with other activations, as `models.map_activations`."""


@dataclass(frozen=True)
class DeconvnetActivation:
    """An activation whose backward pass is a ReLU of the gradient, whatever the input was.

    Attributes:
        activation: the activation function of the forward pass.
    """

    activation: Activation

    def __call__(self, x: Array) -> Array:
        """Apply the activation."""
        return _deconvnet(self.activation, x)


@dataclass(frozen=True)
class GuidedActivation:
    """An activation whose own backward pass is applied to the positive part of the gradient.

    Attributes:
        activation: the activation function of the forward pass.
    """

    activation: Activation

    def __call__(self, x: Array) -> Array:
        """Apply the activation."""
        return _guided(self.activation, x)


def deconvnet(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    map_activations: MapActivations,
    objective: Objective = logit,
) -> Saliency:
    """Magnitude of what a deconvolutional network shows of the image, summed over channels.

    Args:
        logits_fn: the classifier, of rectified linear units.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        map_activations: rebuilds the classifier with other activations, such as
            `models.map_activations`.
        objective: what is differentiated.

    Returns:
        (h, w), at least 0.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", section
    2.1; as a backward pass: Simonyan et al. 2014, section 4. Pooling is passed as the gradient
    passes it.
    """
    return _with_rule(DeconvnetActivation, logits_fn, image, target, map_activations, objective)


def guided_backpropagation(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    map_activations: MapActivations,
    objective: Objective = logit,
) -> Saliency:
    """Magnitude of the gradient along paths that are positive all the way, summed over channels.

    Args:
        logits_fn: the classifier, of rectified linear units.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        map_activations: rebuilds the classifier with other activations, such as
            `models.map_activations`.
        objective: what is differentiated.

    Returns:
        (h, w), at least 0.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Springenberg et al. 2015, "Striving for simplicity: the all convolutional net", section
    3.4.
    """
    return _with_rule(GuidedActivation, logits_fn, image, target, map_activations, objective)


def _with_rule(
    rule: Callable[[Activation], Activation],
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    map_activations: MapActivations,
    objective: Objective,
) -> Saliency:
    checks.check_explained(logits_fn, image, target, objective)
    return gradient_magnitude(map_activations(logits_fn, rule), image, target, objective=objective)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _deconvnet(activation: Activation, x: Array) -> Array:
    return activation(x)


def _deconvnet_forward(activation: Activation, x: Array) -> tuple[Array, None]:
    return activation(x), None


def _deconvnet_backward(activation: Activation, kept: None, cotangent: Array) -> tuple[Array]:
    del activation, kept
    return (jnp.maximum(cotangent, 0),)


def _guided_forward(activation: Activation, x: Array) -> tuple[Array, Any]:
    return jax.vjp(activation, x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _guided(activation: Activation, x: Array) -> Array:
    return activation(x)


def _guided_backward(activation: Activation, pull_back: Any, cotangent: Array) -> tuple[Array]:
    del activation
    return pull_back(jnp.maximum(cotangent, 0))


_deconvnet.defvjp(_deconvnet_forward, _deconvnet_backward)
_guided.defvjp(_guided_forward, _guided_backward)
