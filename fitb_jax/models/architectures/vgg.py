"""VGG for ImageNet in torchvision's layout.

Source: Simonyan & Zisserman 2015, "Very deep convolutional networks", arXiv 1409.1556.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise

from flax import nnx

from fitb_jax.models.architectures.activations import relu
from fitb_jax.models.architectures.normalisation import IMAGENET, Normalisation
from fitb_jax.models.architectures.pooling import average_to, max_pool
from fitb_jax.models.introspection import recorder
from fitb_jax.models.weights.state_dicts import Layout, Weights
from fitb_jax.types import Array, Float


@dataclass(frozen=True)
class VGGConfig:
    """What a VGG looks like.

    Attributes:
        blocks: channels of the convolutions between two poolings.
        hidden: units of the two layers before the logits.
        side: of the map that these see, in pixels; a larger or smaller one is averaged to it.
        classes: number of logits.
        normalisation: of the image.
    """

    blocks: tuple[tuple[int, ...], ...]
    hidden: int = 4096
    side: int = 7
    classes: int = 1000
    normalisation: Normalisation = IMAGENET


class VGG(nnx.Module):
    """A VGG on images in [0, 1], as it is evaluated: without dropout."""

    def __init__(self, config: VGGConfig, *, rngs: nnx.Rngs) -> None:
        """Initialise with random weights."""
        self.normalisation, self.side = config.normalisation, config.side
        self.activation = relu
        blocks, channels = [], 3
        for block in config.blocks:
            layers = []
            for features in block:
                layers.append(nnx.Conv(channels, features, (3, 3), padding=1, rngs=rngs))
                channels = features
            blocks.append(nnx.List(layers))
        self.blocks = nnx.List(blocks)
        sizes = (channels * config.side**2, config.hidden, config.hidden, config.classes)
        self.classifier = nnx.List([nnx.Linear(*pair, rngs=rngs) for pair in pairwise(sizes)])

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
            "block1" to "block5", (n, h, w, c) each, before their poolings; "pooled", the map that
            the hidden layers see, (n, 7, 7, c); "hidden1", "hidden2" (n, 4096); "logits" (n, k).
        """
        found, keep = recorder(perturbations)
        x = self.normalisation(images)
        for number, block in enumerate(self.blocks, start=1):
            for convolution in block:
                x = self.activation(convolution(x))
            x = max_pool(keep(f"block{number}", x), window=2, stride=2)
        x = keep("pooled", average_to(x, self.side))
        # The first linear layer of a PyTorch file counts channels, then rows, then columns.
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        *hidden, last = self.classifier
        for number, linear in enumerate(hidden, start=1):
            x = keep(f"hidden{number}", self.activation(linear(x)))
        keep("logits", last(x))
        return found


def layout(config: VGGConfig) -> Layout:
    """The names in the state dict of such a network.

    Args:
        config: the architecture.

    Returns:
        The layout.
    """
    name = partial(_name, config)
    return Layout(
        partial(_build, config), head=name("classifier.2"), name=name, translate=_translate
    )


def _build(config: VGGConfig) -> VGG:
    return VGG(config, rngs=nnx.Rngs(0))


def _name(config: VGGConfig, path: str) -> str:
    """Every ReLU, pooling and dropout has a number in the file, too."""
    part, *numbers = path.split(".")
    if part == "classifier":
        return f"classifier.{3 * int(numbers[0])}"
    firsts = list(accumulate((2 * len(block) + 1 for block in config.blocks), initial=0))
    block, convolution = map(int, numbers)
    return f"features.{firsts[block] + 2 * convolution}"


def _translate(weights: Weights) -> Weights:
    """From timm, where the two hidden layers are convolutions of the whole map."""
    names = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3"}
    found = {}
    for name, values in weights.items():
        layer, _, entry = name.rpartition(".")
        if layer in names:
            flat = values.reshape(len(values), -1) if entry == "weight" else values
            found[f"{names[layer]}.{entry}"] = flat
        else:
            found[name.replace("head.fc.", "classifier.6.")] = values
    return found


VGGS = {
    "vgg16": VGGConfig(
        ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    ),
}
