"""EfficientNet-Lite for one image, in evaluation mode, from the weights of its PyTorch port.

Source: Tan & Le 2019, "EfficientNet"; the Lite variants of TensorFlow's model garden (2020).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax.models.architectures.activations import relu6
from fitb_jax.models.architectures.convolutions import dense, depthwise
from fitb_jax.models.introspection import recorder
from fitb_jax.models.weights.state_dicts import check_entries, fold_norm
from fitb_jax.types import Array, Image, Key, Logits

_EPSILON = 1e-3
_DIVISOR = 8


class Stage(NamedTuple):
    """Blocks of one resolution: how many, of what kernel, stride, expansion and channels."""

    repeat: int
    kernel: int
    stride: int
    expand: int
    channels: int


_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280
_MEAN, _DEVIATION = 127, 128
MEAN_COLOUR = (_MEAN / 255,) * 3
"""What the networks subtract from an image in [0, 1]."""


class Layer(NamedTuple):
    """A convolution with its batch normalisation folded in."""

    kernel: Array
    bias: Array


class Block(NamedTuple):
    """An inverted residual block; `expand` is None where channels are not expanded."""

    expand: Layer | None
    depthwise: Layer
    project: Layer


class Parameters(NamedTuple):
    """All weights of a network."""

    stem: Layer
    blocks: tuple[Block, ...]
    head: Layer
    classifier: Layer


Features: TypeAlias = dict[str, Array]
Compute: TypeAlias = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class EfficientNetLite:
    """An architecture; it is called as `(parameters, image) -> logits`, and equal ones are equal.

    Attributes:
        width: factor of the channels between stem and head.
        depth: factor of the repeats of all stages but the first and the last.
        size: side of the image it was trained on, in pixels.
        classes: number of logits.
        compute: type of the activations; parameters and logits keep theirs. "bfloat16" is for
            accelerators: logits agree to two digits.
        activation: activation function between the layers; ReLU6, or one with another derivative.
    """

    width: float
    depth: float
    size: int
    classes: int = 1000
    compute: Compute = "float32"
    activation: Callable[[Array], Array] = relu6

    def __call__(self, parameters: Parameters, image: Image) -> Logits:
        """Logits of one image in [0, 1]."""
        return self.features(parameters, image)["logits"]

    def features(
        self,
        parameters: Parameters,
        image: Image,
        perturbations: Mapping[str, Array] | None = None,
    ) -> Features:
        """Named layers of one image, for class-activation maps and embeddings.

        Args:
            parameters: from `fold`.
            image: (h, w, 3) in [0, 1].
            perturbations: by the name of a layer, what is added to it.

        Returns:
            "stem", "stage1" to "stage7", "head" (h, w, c each), "pooled" (1280,) and "logits".
        """
        found, keep = recorder(perturbations)
        x = (255 * image - _MEAN) / _DEVIATION
        x = x.astype(jnp.bfloat16) if self.compute == "bfloat16" else x
        x = keep("stem", self.activation(_layer(parameters.stem, x, stride=2)))
        blocks = iter(parameters.blocks)
        for number, stage in enumerate(self.stages(), start=1):
            for index in range(stage.repeat):
                x = self._residual(next(blocks), x, stage.stride if index == 0 else 1)
            x = keep(f"stage{number}", x)
        x = keep("head", self.activation(_layer(parameters.head, x)))
        x = keep("pooled", x.mean((0, 1), dtype=parameters.classifier.bias.dtype))
        keep("logits", x @ parameters.classifier.kernel + parameters.classifier.bias)
        return found

    def _residual(self, block: Block, x: Array, stride: int) -> Array:
        before = x
        if block.expand is not None:
            x = self.activation(_layer(block.expand, x))
        x = depthwise(x, block.depthwise.kernel, stride=stride) + _bias(block.depthwise, x)
        x = _layer(block.project, self.activation(x))
        return before + x if stride == 1 and before.shape == x.shape else x

    def stages(self) -> list[Stage]:
        """The stages with width and depth applied.

        Returns:
            Seven stages.
        """
        last = len(_STAGES) - 1
        return [
            stage._replace(
                repeat=stage.repeat if i in (0, last) else math.ceil(stage.repeat * self.depth),
                channels=_rounded(stage.channels * self.width),
            )
            for i, stage in enumerate(_STAGES)
        ]

    def fold(self, weights: Mapping[str, np.ndarray]) -> Parameters:
        """Parameters from a state dict, with every batch normalisation folded.

        Args:
            weights: arrays by the names of the PyTorch port.

        Returns:
            The parameters, of the type of the weights.

        Raises:
            WeightsError: entries are missing, not expected, or of another shape; a few are named.
        """
        check_entries(weights, self.shapes())
        blocks = []
        for index, (expand, _, _, _) in enumerate(self._blocks()):
            name = f"_blocks.{index}"
            blocks.append(
                Block(
                    _folded(weights, f"{name}._expand_conv", f"{name}._bn0")
                    if expand > 1
                    else None,
                    _folded(weights, f"{name}._depthwise_conv", f"{name}._bn1", depthwise=True),
                    _folded(weights, f"{name}._project_conv", f"{name}._bn2"),
                )
            )
        return Parameters(
            _folded(weights, "_conv_stem", "_bn0"),
            tuple(blocks),
            _folded(weights, "_conv_head", "_bn1"),
            Layer(jnp.asarray(weights["_fc.weight"].T), jnp.asarray(weights["_fc.bias"])),
        )

    def initial(self, *, key: Key) -> Parameters:
        """Freshly drawn parameters, as where training starts: every normalisation is the identity.

        Args:
            key: random key.

        Returns:
            Convolutions normal with variance 2 / fan out, the classifier uniform, no biases.
        """
        keys = iter(jax.random.split(key, 3 + 3 * sum(1 for _ in self._blocks())))

        def drawn(*shape: int) -> Layer:
            deviation = math.sqrt(2 / (shape[0] * shape[1] * (shape[-1] if len(shape) == 4 else 1)))
            kernel = _normal(shape, deviation, key=next(keys))
            return Layer(kernel, jnp.asarray(np.zeros(shape[-1], kernel.dtype)))

        stem, blocks, channels = drawn(3, 3, 3, _STEM), [], _STEM
        for expand, kernel, inner, channels in self._blocks():
            wide = inner * expand
            blocks.append(
                Block(
                    drawn(1, 1, inner, wide) if expand > 1 else None,
                    drawn(kernel, kernel, wide),
                    drawn(1, 1, wide, channels),
                )
            )
        head = drawn(1, 1, channels, _HEAD)
        limit = 1 / math.sqrt(self.classes)
        classifier = jax.random.uniform(
            next(keys), (_HEAD, self.classes), minval=-limit, maxval=limit
        )
        return Parameters(stem, tuple(blocks), head, Layer(classifier, jnp.zeros(self.classes)))

    def _blocks(self) -> Iterator[tuple[int, int, int, int]]:
        """Expansion, kernel, channels in and channels out of each block."""
        channels = _STEM
        for stage in self.stages():
            for _ in range(stage.repeat):
                yield stage.expand, stage.kernel, channels, stage.channels
                channels = stage.channels

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every entry that `fold` wants.

        Returns:
            The shapes, by the names of the PyTorch port.
        """
        shapes: dict[str, tuple[int, ...]] = {"_conv_stem.weight": (_STEM, 3, 3, 3)}
        shapes |= _norm_shapes("_bn0", _STEM)
        channels = _STEM
        for index, (expand, kernel, inner, channels) in enumerate(self._blocks()):
            name, wide = f"_blocks.{index}", inner * expand
            if expand > 1:
                shapes[f"{name}._expand_conv.weight"] = (wide, inner, 1, 1)
                shapes |= _norm_shapes(f"{name}._bn0", wide)
            shapes[f"{name}._depthwise_conv.weight"] = (wide, 1, kernel, kernel)
            shapes |= _norm_shapes(f"{name}._bn1", wide)
            shapes[f"{name}._project_conv.weight"] = (channels, wide, 1, 1)
            shapes |= _norm_shapes(f"{name}._bn2", channels)
        shapes["_conv_head.weight"] = (_HEAD, channels, 1, 1)
        shapes |= _norm_shapes("_bn1", _HEAD)
        return {**shapes, "_fc.weight": (self.classes, _HEAD), "_fc.bias": (self.classes,)}


def _normal(shape: tuple[int, ...], deviation: float, *, key: Key) -> Array:
    """A normal draw, of which the first numbers are kept.

    Draws of many sizes compile for half a minute where nobody has put them under `jit`. Rounded up,
    there are four sizes.
    """
    size = math.prod(shape)
    drawn = deviation * jax.random.normal(key, (16 ** math.ceil(math.log(size, 16)),))
    return jax.lax.slice(drawn, (0,), (size,)).reshape(shape)


def _norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    entries = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{entry}": (channels,) for entry in entries}


def _folded(
    weights: Mapping[str, np.ndarray], convolution: str, norm: str, *, depthwise: bool = False
) -> Layer:
    kernel, bias = fold_norm(weights, convolution, norm, epsilon=_EPSILON)
    kernel = kernel.transpose(2, 3, 1, 0)
    return Layer(jnp.asarray(kernel[:, :, 0] if depthwise else kernel), jnp.asarray(bias))


def _layer(layer: Layer, x: Array, *, stride: int = 1) -> Array:
    return dense(x, layer.kernel, stride=stride) + _bias(layer, x)


def _bias(layer: Layer, x: Array) -> Array:
    return layer.bias.astype(x.dtype)[None, None]


def _rounded(channels: float) -> int:
    """To a multiple of 8, and never by more than a tenth down."""
    found = max(_DIVISOR, int(channels + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return found + _DIVISOR if found < 0.9 * channels else found


LITE: dict[str, Any] = {
    "efficientnet_lite0": EfficientNetLite(1.0, 1.0, 224),
    "efficientnet_lite1": EfficientNetLite(1.0, 1.1, 240),
    "efficientnet_lite2": EfficientNetLite(1.1, 1.2, 260),
}
