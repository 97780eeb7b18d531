"""ResNets of all widths for ImageNet in torchvision's layout, batch normalisations folded away.

The stride of a bottleneck is in its 3 x 3 convolution, as in torchvision.

Source: He et al. 2016, "Deep residual learning", arXiv 1512.03385; Xie et al. 2017, "Aggregated
residual transformations", arXiv 1611.05431 (ResNeXt); Zagoruyko & Komodakis 2016, "Wide residual
networks", arXiv 1605.07146.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from flax import nnx

from fitb_jax.models.architectures.activations import relu
from fitb_jax.models.architectures.normalisation import IMAGENET, Normalisation
from fitb_jax.models.architectures.pooling import max_pool
from fitb_jax.models.introspection import recorder
from fitb_jax.models.weights.state_dicts import Layout
from fitb_jax.types import Array, Float


@dataclass(frozen=True)
class ResNetConfig:
    """What a ResNet looks like.

    Attributes:
        blocks: residual blocks in each of the four layers.
        bottleneck: whether a block is 1 x 1, 3 x 3, 1 x 1 with four times the channels at its end,
            or else two convolutions of 3 x 3.
        width: channels of the stem; each layer after the first doubles them.
        classes: number of logits.
        normalisation: of the image.
        groups: number of groups of the 3 x 3 convolution of a bottleneck.
        widening: factor of the channels of that convolution, all groups together.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool
    width: int = 64
    classes: int = 1000
    normalisation: Normalisation = IMAGENET
    groups: int = 1
    widening: int = 1


class ResNet(nnx.Module):
    """A ResNet on images in [0, 1]; layers are called as in torchvision."""

    def __init__(self, config: ResNetConfig, *, rngs: nnx.Rngs) -> None:
        """Initialise with random weights."""
        make: Callable[..., _Basic | _Bottleneck] = _Basic
        if config.bottleneck:
            make = partial(_Bottleneck, groups=config.groups, widening=config.widening)
        self.normalisation, self.activation = config.normalisation, relu
        self.conv1 = _convolution(3, config.width, 7, 2, rngs)
        channels = config.width
        for index, count in enumerate(config.blocks):
            width = config.width * 2**index
            blocks = []
            for number in range(count):
                stride = 2 if index > 0 and number == 0 else 1
                blocks.append(make(channels, width, stride, rngs))
                channels = width * (4 if config.bottleneck else 1)
            setattr(self, f"layer{index + 1}", nnx.List(blocks))
        self.fc = nnx.Linear(channels, config.classes, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w 3"]) -> Float[Array, "n k"]:
        """Logits of images in [0, 1]."""
        return self.features(images)["logits"]

    def features(
        self, images: Float[Array, "n h w 3"], perturbations: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Named layers, for class-activation maps and embeddings.

        Args:
            images: (n, h, w, 3) in [0, 1].
            perturbations: by the name of a layer, what is added to it.

        Returns:
            "stem" (before its pooling) and "layer1" to "layer4", (n, h, w, c) each, "pooled" (n, c)
            and "logits" (n, k).
        """
        found, keep = recorder(perturbations)
        x = keep("stem", self.activation(self.conv1(self.normalisation(images))))
        x = max_pool(x, window=3, stride=2, padding=1)
        for index in range(1, 5):
            for block in getattr(self, f"layer{index}"):
                x = block(x)
            x = keep(f"layer{index}", x)
        x = keep("pooled", x.mean((1, 2)))
        keep("logits", self.fc(x))
        return found


class _Basic(nnx.Module):
    def __init__(self, channels: int, width: int, stride: int, rngs: nnx.Rngs) -> None:
        self.activation = relu
        self.conv1 = _convolution(channels, width, 3, stride, rngs)
        self.conv2 = _convolution(width, width, 3, 1, rngs)
        self.downsample = _shortcut(channels, width, stride, rngs)

    def __call__(self, x: Array) -> Array:
        before = x if self.downsample is None else self.downsample(x)
        return self.activation(self.conv2(self.activation(self.conv1(x))) + before)


class _Bottleneck(nnx.Module):
    def __init__(
        self,
        channels: int,
        width: int,
        stride: int,
        rngs: nnx.Rngs,
        *,
        groups: int,
        widening: int,
    ) -> None:
        self.activation = relu
        inner = widening * width
        self.conv1 = _convolution(channels, inner, 1, 1, rngs)
        self.conv2 = _convolution(inner, inner, 3, stride, rngs, groups)
        self.conv3 = _convolution(inner, 4 * width, 1, 1, rngs)
        self.downsample = _shortcut(channels, 4 * width, stride, rngs)

    def __call__(self, x: Array) -> Array:
        before = x if self.downsample is None else self.downsample(x)
        x = self.activation(self.conv2(self.activation(self.conv1(x))))
        return self.activation(self.conv3(x) + before)


def _convolution(
    channels: int, features: int, kernel: int, stride: int, rngs: nnx.Rngs, groups: int = 1
) -> nnx.Conv:
    """With torch's padding: the same on both sides, also where "SAME" would differ."""
    return nnx.Conv(
        channels,
        features,
        (kernel, kernel),
        strides=(stride, stride),
        padding=kernel // 2,
        feature_group_count=groups,
        rngs=rngs,
    )


def _shortcut(channels: int, features: int, stride: int, rngs: nnx.Rngs) -> nnx.Conv | None:
    if stride == 1 and channels == features:
        return None
    return _convolution(channels, features, 1, stride, rngs)


def layout(config: ResNetConfig) -> Layout:
    """The names in the state dict of such a network; timm's are the same.

    Args:
        config: the architecture.

    Returns:
        The layout.
    """
    return Layout(partial(_build, config), head="fc", name=_name, norm=_norm)


def _build(config: ResNetConfig) -> ResNet:
    return ResNet(config, rngs=nnx.Rngs(0))


def _name(path: str) -> str:
    return re.sub(r"downsample$", "downsample.0", path)


def _norm(convolution: str) -> str | None:
    if convolution == "fc":
        return None
    return re.sub(r"conv(\d)$", r"bn\1", convolution.replace("downsample.0", "downsample.1"))


RESNETS = {
    "resnet18": ResNetConfig((2, 2, 2, 2), bottleneck=False),
    "resnet34": ResNetConfig((3, 4, 6, 3), bottleneck=False),
    "resnet50": ResNetConfig((3, 4, 6, 3), bottleneck=True),
    "resnet101": ResNetConfig((3, 4, 23, 3), bottleneck=True),
    "resnet152": ResNetConfig((3, 8, 36, 3), bottleneck=True),
    "resnext50_32x4d": ResNetConfig((3, 4, 6, 3), bottleneck=True, groups=32, widening=2),
    "resnext101_32x8d": ResNetConfig((3, 4, 23, 3), bottleneck=True, groups=32, widening=4),
    "wide_resnet50_2": ResNetConfig((3, 4, 6, 3), bottleneck=True, widening=2),
    "wide_resnet101_2": ResNetConfig((3, 4, 23, 3), bottleneck=True, widening=2),
}
