"""The networks of torchvision that can be loaded from a state dict, by name."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax.tree_util import Partial

from fitb_jax.models import resnet, vgg, vit
from fitb_jax.models.normalisation import Normalisation
from fitb_jax.models.state_dicts import Layout, Weights
from fitb_jax.types import Array, Image

_CONFIGS: dict[str, Any] = {**resnet.RESNETS, **vgg.VGGS, **vit.VITS}
_LAYOUTS: dict[type, Any] = {
    resnet.ResNetConfig: resnet.layout,
    vgg.VGGConfig: vgg.layout,
    vit.ViTConfig: vit.layout,
}
TORCHVISION = tuple(_CONFIGS)
SIZE = 224


def layout(name: str, *, normalisation: Normalisation | None = None) -> Layout:
    """How the state dict of a network is called.

    Args:
        name: one of `TORCHVISION`.
        normalisation: of the images; by default that of torchvision.

    Returns:
        The layout.
    """
    config = _CONFIGS[name]
    if normalisation is not None:
        config = dataclasses.replace(config, normalisation=normalisation)
    return _LAYOUTS[type(config)](config)


def build(name: str, weights: Weights, *, normalisation: Normalisation | None = None) -> nnx.Module:
    """A network with its weights.

    Args:
        name: one of `TORCHVISION`.
        weights: a state dict in the names of torchvision or, where the layout is the same, timm.
        normalisation: of the images; by default that of torchvision.

    Returns:
        A module on images (n, 224, 224, 3) in [0, 1], in evaluation mode.

    Raises:
        WeightsError: entries are missing, not expected, or of another shape; all are listed.
    """
    return layout(name, normalisation=normalisation).fill(weights)


def features_fn(module: nnx.Module) -> Callable[[Image], dict[str, Array]]:
    """The layers of one image by name, as `as_logits_fn` gives its logits.

    Args:
        module: from `build`.

    Returns:
        A `Partial` over the parameters, from one image to its layers.
    """
    graph, state = nnx.split(module)
    return Partial(_apply, graph, state)


def _apply(graph: Any, state: Any, image: Image) -> dict[str, Array]:
    layers = nnx.merge(graph, state).features(image[None])
    return jax.tree.map(lambda layer: layer[0], layers)
