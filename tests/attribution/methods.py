"""Every method once, with what it is for a linear classifier and what it promises."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from fitb_jax import attribution, extremal, fill, saliency
from fitb_jax.objectives import logit

SHAPE = (6, 7, 2)
CLASSES = 3
BASELINE = 0.25


def apply_linear(parameters: tuple[jax.Array, jax.Array], image: jax.Array) -> jax.Array:
    weights, bias = parameters
    return jnp.tensordot(weights, image, 3) + bias


def linear(seed: int = 0) -> tuple[Partial, np.ndarray]:
    """A linear classifier with its weights (classes, h, w, c)."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(CLASSES, *SHAPE)).astype(np.float32)
    bias = rng.normal(size=CLASSES).astype(np.float32)
    return Partial(apply_linear, (jnp.asarray(weights), jnp.asarray(bias))), weights


def image(seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).uniform(size=SHAPE), jnp.float32)


def input_as_layer(logits_fn: Callable) -> Callable:
    """The image itself as the only layer of any classifier."""

    def features(pixels: jax.Array, perturbations: Any = None) -> dict[str, jax.Array]:
        seen = pixels + (perturbations or {}).get("input", 0)
        return {"input": seen, "flat": seen.ravel(), "logits": logits_fn(seen)}

    return features


def without_activations(logits_fn: Callable, rule: Callable) -> Callable:
    """A classifier without activations is the same under any rule for them."""
    return logits_fn


class Method(NamedTuple):
    """A method with small settings.

    Attributes:
        function: the method.
        options: its keyword arguments.
        closed_form: for a linear classifier, from the target's weights and the image; None where
            another test has it.
        is_complete: sums to the difference of the logits at the image and the baseline.
    """

    function: Callable
    options: dict[str, Any]
    closed_form: Callable[[np.ndarray, np.ndarray], np.ndarray] | None
    is_complete: bool = False


def _magnitude(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.abs(w).sum(-1)


def _zero(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.zeros(w.shape[:2])


def _grad_cam_plus_plus(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Equations 19 and 10, written with the powers of the gradient."""
    alpha = w**2 / (2 * w**2 + x.sum((0, 1)) * w**3)
    return np.maximum(((alpha * np.maximum(w, 0)).sum((0, 1)) * x).sum(-1), 0)


def _score_cam(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    masks = (x - x.min((0, 1))) / np.ptp(x, (0, 1))
    # What is the same for all channels does not change a softmax.
    scores = np.einsum("hwc,hwk->k", w * (x - BASELINE), masks)
    weights = np.exp(scores - scores.max())
    return np.maximum((x * weights / weights.sum()).sum(-1), 0)


def _eigen_cam(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """By the eigenvectors of the channels' second moments; all are positive."""
    channels = x.reshape(-1, x.shape[-1])
    vector = np.linalg.eigh(channels.T @ channels)[1][:, -1]
    return np.abs(x @ vector)


_CAM = {"features_of": input_as_layer, "layer": "input"}
_RULE = {"map_activations": without_activations}
_INR = extremal.InrConfig(
    grid=6, steps=3, areas_per_step=2, network=extremal.NetworkConfig(width=8, depth=1)
)
_DENSE = extremal.DenseConfig(steps=3, spacing=2, radius=3)
_IGOS = extremal.IgosConfig(grid=5, iterations=3, path_steps=2)
METHODS = {
    "gradient": Method(attribution.gradient_magnitude, {}, _magnitude),
    "input x gradient": Method(attribution.input_x_gradient, {}, lambda w, x: (w * x).sum(-1)),
    "integrated gradients": Method(
        attribution.integrated_gradients,
        {"baseline": BASELINE, "nodes": 6},
        lambda w, x: (w * (x - BASELINE)).sum(-1),
        is_complete=True,
    ),
    "smoothgrad": Method(attribution.smoothgrad, {"draws": 5}, _magnitude),
    "smoothgrad squared": Method(
        attribution.smoothgrad_squared, {"draws": 5}, lambda w, x: (w**2).sum(-1)
    ),
    "vargrad": Method(attribution.vargrad, {"draws": 5}, _zero),
    "occlusion": Method(
        attribution.occlusion,
        {"window": 1, "stride": 1, "background": BASELINE},
        lambda w, x: (w * (x - BASELINE)).sum(-1),
    ),
    "rise": Method(attribution.rise, {"draws": 7, "cells": 3, "normalise": "covariance"}, None),
    "grad-cam": Method(
        attribution.grad_cam, _CAM, lambda w, x: np.maximum((w.mean((0, 1)) * x).sum(-1), 0)
    ),
    "layer-cam": Method(
        attribution.layer_cam, _CAM, lambda w, x: np.maximum((np.maximum(w, 0) * x).sum(-1), 0)
    ),
    "grad-cam++": Method(attribution.grad_cam_plus_plus, _CAM, _grad_cam_plus_plus),
    "score-cam": Method(attribution.score_cam, {**_CAM, "background": BASELINE}, _score_cam),
    "eigen-cam": Method(attribution.eigen_cam, _CAM, _eigen_cam),
    "deconvnet": Method(attribution.deconvnet, _RULE, _magnitude),
    "guided backpropagation": Method(attribution.guided_backpropagation, _RULE, _magnitude),
    # So many masks of single pixels hide every pixel at least once.
    "fill-in, first order": Method(
        saliency.fill_saliency,
        {"patch": 1, "draws": 40, "order": functools.partial(fill.first_order, objective=logit)},
        _magnitude,
    ),
    "fill-in, second order": Method(
        saliency.fill_saliency, {"patch": 2, "draws": 5, "order": "second"}, None
    ),
    "extremal masks": Method(saliency.extremal_saliency, {"config": _INR}, None),
    "dense masks": Method(saliency.dense_saliency, {"config": _DENSE, "areas": (0.1, 0.3)}, None),
    "igos++": Method(saliency.igos_saliency, {"config": _IGOS}, None),
}
OF_GIVEN_AREAS = ("extremal masks", "dense masks")
NEVER_ZERO = (*OF_GIVEN_AREAS, "score-cam", "eigen-cam")
"""Whatever the classifier says."""
CHUNKED = [name for name, method in METHODS.items() if "chunk" in method.function.__annotations__]


def jitted(method: Method, **changes: Any) -> Callable:
    """`(logits_fn, image, target, key) -> map`, compiled."""
    map_fn = saliency.as_saliency(method.function, **{**method.options, **changes})
    return jax.jit(lambda logits_fn, image, target, key: map_fn(logits_fn, image, target, key=key))


@functools.cache
def compiled(name: str) -> Callable:
    """Shared by the tests: compile time is test time."""
    return jitted(METHODS[name])
