"""The layouts of torchvision once more, in plain torch.nn, for comparison with ours."""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from fitb_jax.models.architectures.resnet import ResNetConfig
from fitb_jax.models.architectures.vgg import VGGConfig
from fitb_jax.models.architectures.vit import ViTConfig


class _Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int, config: ResNetConfig) -> None:
        super().__init__()
        bottleneck = config.bottleneck
        last = 4 * width if bottleneck else width
        inner = config.widening * width
        second, groups = (stride, config.groups) if bottleneck else (1, 1)
        self.conv1, self.bn1, self.conv2, self.bn2 = (
            nn.Conv2d(channels, inner, 1, bias=False)
            if bottleneck
            else nn.Conv2d(channels, inner, 3, stride, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, inner, 3, second, 1, groups=groups, bias=False),
            nn.BatchNorm2d(inner),
        )
        if bottleneck:
            self.conv3, self.bn3 = nn.Conv2d(inner, last, 1, bias=False), nn.BatchNorm2d(last)
        self.bottleneck = bottleneck
        if stride > 1 or channels != last:
            shortcut = nn.Conv2d(channels, last, 1, stride, bias=False)
            self.downsample: Any = nn.Sequential(shortcut, nn.BatchNorm2d(last))
        else:
            self.downsample = nn.Identity()

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        if self.bottleneck:
            y = self.bn3(self.conv3(y.relu()))
        return (y + self.downsample(x)).relu()


def resnet(config: ResNetConfig) -> Any:
    layers: OrderedDict[str, Any] = OrderedDict(
        conv1=nn.Conv2d(3, config.width, 7, 2, 3, bias=False),
        bn1=nn.BatchNorm2d(config.width),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, 2, 1),
    )
    channels = config.width
    for index, count in enumerate(config.blocks):
        width = config.width << index
        blocks = []
        for number in range(count):
            stride = 2 if index and not number else 1
            blocks.append(_Block(channels, width, stride, config))
            channels = 4 * width if config.bottleneck else width
        layers[f"layer{index + 1}"] = nn.Sequential(*blocks)
    layers |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return nn.Sequential(layers | {"fc": nn.Linear(channels, config.classes)})


def vgg(config: VGGConfig) -> Any:
    layers: list[Any] = []
    channels = 3
    for block in config.blocks:
        for features in block:
            layers += [nn.Conv2d(channels, features, 3, padding=1), nn.ReLU()]
            channels = features
        layers.append(nn.MaxPool2d(2, 2))
    classifier = nn.Sequential(
        nn.Linear(channels * config.side**2, config.hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(config.hidden, config.hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(config.hidden, config.classes),
    )
    parts = {
        "features": nn.Sequential(*layers),
        "avgpool": nn.AdaptiveAvgPool2d(config.side),
        "flatten": nn.Flatten(),
        "classifier": classifier,
    }
    return nn.Sequential(OrderedDict(parts))


class _TransformerBlock(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(config.width, config.heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(config.width, eps=1e-6)
        expand, project = (
            nn.Linear(config.width, config.hidden),
            nn.Linear(config.hidden, config.width),
        )
        self.mlp = nn.Sequential(expand, nn.GELU(), nn.Dropout(0.0), project)

    def forward(self, x: Any) -> Any:
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class _ViT(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        tokens = (config.size // config.patch) ** 2 + 1
        self.conv_proj = nn.Conv2d(3, config.width, config.patch, config.patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(torch.zeros(1, tokens, config.width))
        blocks = [_TransformerBlock(config) for _ in range(config.depth)]
        named = {f"encoder_layer_{index}": block for index, block in enumerate(blocks)}
        self.encoder.layers = nn.Sequential(OrderedDict(named))
        self.encoder.ln = nn.LayerNorm(config.width, eps=1e-6)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(config.width, config.classes)))

    def forward(self, x: Any) -> Any:
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), patches], 1)
        encoded = self.encoder.ln(self.encoder.layers(tokens + self.encoder.pos_embedding))
        return self.heads(encoded[:, 0])


def vit(config: ViTConfig) -> Any:
    return _ViT(config)
