"""The methods that tables compare, with their settings, and the controls they have to beat.

One list for every table: a method set differently from table to table would be several methods.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fitb_jax import attribution, extremal, models
from fitb_jax.evaluation import control_methods
from fitb_jax.saliency import as_saliency, extremal_saliency, fill_saliency
from fitb_jax.types import SaliencyFn

OURS = ("fill-in, first order", "fill-in, second order", "extremal INR")
"""Names of the package's own explanations, in whatever table they are."""

FILL_FIRST, FILL_SECOND, EXTREMAL = OURS

CONTROLS = tuple(control_methods.CONTROLS)
"""Names of the controls that ask no network."""

BLURRED = "gradient, blurred"
"""Name of a control of its method: the same map without detail."""

RANDOM_CLASS = ", random class"
"""Follows the name of a method whose map or mask is of another class, drawn at random."""

OF_RANDOM_CLASS = f"gradient{RANDOM_CLASS}"
"""Name of a control of its method: a map of any class but the image's."""

UNTRAINED = ", untrained network"
"""Follows the name of a method whose map or mask is of a network with freshly drawn weights."""

BLUR = 1.5 / 28
"""Standard deviation of a blurred map, as a share of the image's longer side."""

SMALL_INR = extremal.InrConfig(network=extremal.NetworkConfig(bandwidth=0.5), grid=14, steps=60)
"""Of digits, whose parts are larger than those of photographs."""


Named = TypeVar("Named")


def small_methods(architecture: models.Architecture = "cnn") -> dict[str, SaliencyFn]:
    """Every method, for grey images of about 28 x 28 and the small classifiers of this package."""
    fill = functools.partial(as_saliency, fill_saliency, ratio=0.5, patch=4)
    return {
        "gradient": as_saliency(attribution.gradient_magnitude),
        "input x gradient": as_saliency(attribution.input_x_gradient),
        "integrated gradients": as_saliency(attribution.integrated_gradients, nodes=16),
        "SmoothGrad": as_saliency(attribution.smoothgrad, draws=32),
        "SmoothGrad squared": as_saliency(attribution.smoothgrad_squared, draws=32),
        "VarGrad": as_saliency(attribution.vargrad, draws=32),
        "occlusion": as_saliency(attribution.occlusion, window=6, stride=2),
        "RISE": as_saliency(attribution.rise, draws=512, normalise="covariance"),
        **_of_layers("convolution2" if architecture == "cnn" else None),
        FILL_FIRST: fill(draws=64),
        FILL_SECOND: fill(draws=32, order="second"),
        EXTREMAL: as_saliency(extremal_saliency, config=SMALL_INR),
    }


def photo_methods(pretrained: models.Pretrained) -> dict[str, SaliencyFn]:
    """Every method, for photographs and a pretrained network."""
    noisy: dict[str, Any] = {"draws": 32, "chunk": 2}
    return {
        "gradient": as_saliency(attribution.gradient_magnitude),
        "input x gradient": as_saliency(attribution.input_x_gradient),
        "integrated gradients": as_saliency(attribution.integrated_gradients, chunk=2),
        "SmoothGrad": as_saliency(attribution.smoothgrad, **noisy),
        "SmoothGrad squared": as_saliency(attribution.smoothgrad_squared, **noisy),
        "VarGrad": as_saliency(attribution.vargrad, **noisy),
        "occlusion": as_saliency(
            attribution.occlusion, window=48, stride=16, background=0.5, chunk=2
        ),
        "RISE": as_saliency(attribution.rise, draws=512, normalise="covariance", chunk=2),
        **_of_layers(
            models.last_spatial_layer(pretrained.logits_fn, (pretrained.size, pretrained.size, 3))
        ),
        FILL_FIRST: as_saliency(fill_saliency, patch=32, draws=32, chunk=2),
        FILL_SECOND: as_saliency(fill_saliency, patch=32, draws=8, chunk=2, order="second"),
        EXTREMAL: as_saliency(extremal_saliency),
    }


def controls() -> dict[str, SaliencyFn]:
    """Maps that ask no network, with the signature of methods."""
    return dict(control_methods.CONTROLS)


def blurred(method: SaliencyFn, *, blur: float = BLUR) -> SaliencyFn:
    """A control of a method: its own map without detail."""
    return as_saliency(control_methods.blurred_control, sharp=method, blur=blur)


def of_random_class(method: SaliencyFn) -> SaliencyFn:
    """A control of a method: its own map, of another class, drawn uniformly for each image."""
    return as_saliency(control_methods.random_class_control, explained=method)


def chosen(methods: Mapping[str, Named], names: Sequence[str]) -> dict[str, Named]:
    """Some of the methods, in their own order."""
    if unknown := set(names) - set(methods):
        raise ValueError(f"methods must be among {list(methods)}, got {sorted(unknown)}")
    return {name: method for name, method in methods.items() if not names or name in names}


def _of_layers(layer: str | None) -> dict[str, SaliencyFn]:
    """Methods that look into a network of this package."""
    rule = {"map_activations": models.map_activations}
    found = {
        "deconvnet": as_saliency(attribution.deconvnet, **rule),
        "guided backpropagation": as_saliency(attribution.guided_backpropagation, **rule),
    }
    if layer is None:
        return found
    cam: dict[str, Any] = {"features_of": models.features_of, "layer": layer}
    return found | {
        "Grad-CAM": as_saliency(attribution.grad_cam, **cam),
        "LayerCAM": as_saliency(attribution.layer_cam, **cam),
    }
