"""The networks of torchvision that can be loaded from a state dict, by name."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import nnx

from fitb_jax import checks
from fitb_jax.models.architectures import resnet, vgg, vit
from fitb_jax.models.architectures.efficientnet import Compute
from fitb_jax.models.architectures.normalisation import Normalisation
from fitb_jax.models.weights.state_dicts import Layout, Weights, count_classes
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


def layout(name: str, *, normalisation: Normalisation | None = None, classes: int = 1000) -> Layout:
    """The names in the state dict of a network.

    Args:
        name: one of `TORCHVISION`.
        normalisation: of the images; by default that of torchvision.
        classes: number of logits.

    Returns:
        The layout.
    """
    config = dataclasses.replace(_CONFIGS[name], classes=classes)
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
    """Build a network with given weights.

    Args:
        name: one of `TORCHVISION`.
        weights: a state dict in the names of torchvision or, where the layout is the same, timm;
            the size of its head is the number of classes.
        normalisation: of the images; by default that of torchvision.
        compute: type of the activations.

    Returns:
        A module on images (n, 224, 224, 3) in [0, 1], in evaluation mode.

    Raises:
        WeightsError: entries are missing, not expected, or of another shape; a few are named.
    """
    usual = _CONFIGS[name].classes
    fitting = layout(name, normalisation=normalisation, classes=usual)
    weights = fitting.fit_names(weights)
    classes = count_classes(weights, fitting.head, default=usual)
    if classes != usual:
        fitting = layout(name, normalisation=normalisation, classes=classes)
    module = fitting.fill(weights)
    if compute == "bfloat16":
        for path, layer in nnx.iter_modules(module):
            if not isinstance(layer, _COMPUTING):
                continue
            if fitting.name(".".join(map(str, path))) != fitting.head:
                layer.dtype = jnp.bfloat16
    return module


def untrained(name: str, *, key: Key, classes: int = 1000) -> nnx.Module:
    """A network with freshly drawn weights.

    Args:
        name: one of `TORCHVISION`.
        key: random key.
        classes: number of logits.

    Returns:
        A module as from `build`.
    """
    checks.check_key(key)
    config = dataclasses.replace(_CONFIGS[name], classes=classes)
    module = _MODULES[type(config)](config, rngs=nnx.Rngs(params=key))
    module.eval()
    return module
