"""The networks of torchvision that can be loaded from a state dict, by name."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import nnx

from fitb_jax import checks
from fitb_jax.models.architectures import resnet, vgg, vit
from fitb_jax.models.architectures.efficientnet import Compute
from fitb_jax.models.architectures.normalisation import Normalisation
from fitb_jax.models.weights.state_dicts import Layout, Weights
from fitb_jax.types import Key

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
    checks.check_key(key)
    config = _CONFIGS[name]
    module = _MODULES[type(config)](config, rngs=nnx.Rngs(params=key))
    module.eval()
    return module
