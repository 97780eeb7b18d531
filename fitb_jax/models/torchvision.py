"""The networks of torchvision that can be loaded from a state dict, by name."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.tree_util import Partial

from fitb_jax.models import resnet, vgg, vit
from fitb_jax.models.efficientnet import Compute
from fitb_jax.models.normalisation import Normalisation
from fitb_jax.models.state_dicts import Layout, Weights
from fitb_jax.types import Array, Image, Key

_CONFIGS: dict[str, Any] = {**resnet.RESNETS, **vgg.VGGS, **vit.VITS}
_LAYOUTS: dict[type, Any] = {
    resnet.ResNetConfig: resnet.layout,
    vgg.VGGConfig: vgg.layout,
    vit.ViTConfig: vit.layout,
}
_MODULES: dict[type, Any] = {
    resnet.ResNetConfig: resnet.ResNet,
    vgg.VGGConfig: vgg.VGG,
    vit.ViTConfig: vit.ViT,
}
_COMPUTING = (nnx.Conv, nnx.Linear, nnx.LayerNorm)
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


def build(
    name: str,
    weights: Weights,
    *,
    normalisation: Normalisation | None = None,
    compute: Compute = "float32",
) -> nnx.Module:
    """A network with its weights.

    Args:
        name: one of `TORCHVISION`.
        weights: a state dict in the names of torchvision or, where the layout is the same, timm.
        normalisation: of the images; by default that of torchvision.
        compute: type of the activations.

    Returns:
        A module on images (n, 224, 224, 3) in [0, 1], in evaluation mode.

    Raises:
        WeightsError: entries are missing, not expected, or of another shape; all are listed.
    """
    module = layout(name, normalisation=normalisation).fill(weights)
    if compute == "bfloat16":
        for _, layer in nnx.iter_modules(module):
            is_last = getattr(layer, "out_features", None) == _CONFIGS[name].classes
            if isinstance(layer, _COMPUTING) and not is_last:
                layer.dtype = jnp.bfloat16
    return module


def untrained(name: str, *, key: Key) -> nnx.Module:
    """A network with freshly drawn weights.

    Args:
        name: one of `TORCHVISION`.
        key: random key.

    Returns:
        A module as from `build`.
    """
    config = _CONFIGS[name]
    module = _MODULES[type(config)](config, rngs=nnx.Rngs(params=key))
    module.eval()
    return module


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
