"""Small Flax NNX classifiers for small images, smooth and piecewise linear."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from fitb_jax import checks
from fitb_jax.models.introspection import recorder
from fitb_jax.types import Array, Float, Key

Architecture: TypeAlias = Literal["cnn", "mlp"]
"""Names of the small classifiers."""

Activation: TypeAlias = Literal["gelu", "softplus", "relu"]
"""Names of activation functions."""

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": jax.nn.gelu,
    # Shifted to pass through 0: the same functions as softplus, but better at initialisation.
    "softplus": lambda x: jax.nn.softplus(x) - math.log(2),
    "relu": jax.nn.relu,
}


@dataclass(frozen=True)
class ClassifierConfig:
    """What a small classifier looks like.

    Attributes:
        architecture: "cnn" (two convolutions of stride 2, one hidden layer) or "mlp" (two hidden
            layers).
        activation: "gelu" and "softplus" have a curvature of their own; of "relu" second-order
            updates see only what the objective adds.
        widths: channels of the two convolutions, or units of the two hidden layers.
        hidden: units of the layer before the logits ("cnn" only).
        image_shape: (height, width, channels).
        classes: number of logits.
        mean: intensity that the network subtracts from images in [0, 1].
        deviation: intensity by which the network divides the difference, above 0.
    """

    architecture: Architecture = "cnn"
    activation: Activation = "gelu"
    widths: tuple[int, int] = (16, 32)
    hidden: int = 128
    image_shape: tuple[int, int, int] = (28, 28, 1)
    classes: int = 10
    mean: float = 0.13
    deviation: float = 0.31


class Convolution(nnx.Module):
    """A strided convolution written as one matrix product over gathered patches.

    The same function as `nnx.Conv` with SAME padding. On a CPU inside `lax.scan` it is the faster
    one, and `vmap` over parameters makes it a batched matrix product instead of a grouped
    convolution.
    """

    def __init__(
        self, channels_in: int, channels_out: int, *, kernel: int, stride: int, rngs: nnx.Rngs
    ) -> None:
        """Draw the weights; `kernel` and `stride` are in pixels.

        Raises:
            ValueError: `kernel` is not a multiple of `stride`.
        """
        if kernel % stride:
            raise ValueError(f"kernel must be a multiple of stride {stride}, got {kernel}")
        self.kernel_size, self.stride = kernel, stride
        self.linear = nnx.Linear(kernel * kernel * channels_in, channels_out, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
        """Convolve."""
        return self.linear(_patches(images, self.kernel_size, self.stride))

    def kernel(self) -> Float[Array, "k k c c2"]:
        """The weights in the layout of `nnx.Conv`."""
        side, stride = self.kernel_size, self.stride
        blocks = side // stride
        weights = self.linear.kernel[...].reshape(blocks, blocks, stride, stride, -1)
        return weights.transpose(0, 2, 1, 3, 4).reshape(side, side, -1, self.linear.out_features)


class CNN(nnx.Module):
    """Two strided convolutions, one hidden layer.

    The kernels are multiples of the stride, so that every pixel is seen by equally many outputs and
    gradients show no checkerboard (Odena et al. 2016, "Deconvolution and checkerboard artifacts").
    """

    def __init__(self, config: ClassifierConfig, *, rngs: nnx.Rngs) -> None:
        """Draw the weights."""
        height, width, channels = config.image_shape
        first, second = config.widths
        features = -(-height // 4) * -(-width // 4) * second
        self.activation = _ACTIVATIONS[config.activation]
        self.mean, self.deviation = config.mean, config.deviation
        self.convolution1 = Convolution(channels, first, kernel=4, stride=2, rngs=rngs)
        self.convolution2 = Convolution(first, second, kernel=4, stride=2, rngs=rngs)
        self.hidden = nnx.Linear(features, config.hidden, rngs=rngs)
        self.logits = nnx.Linear(config.hidden, config.classes, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Logits of images in [0, 1]."""
        return self.features(images)["logits"]

    def features(
        self, images: Float[Array, "n h w c"], perturbations: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Named layers, for class-activation maps and embeddings.

        Args:
            images: (n, h, w, c) in [0, 1].
            perturbations: by the name of a layer, what is added to it.

        Returns:
            "convolution1", "convolution2" (n, h', w', c'), "hidden" and "logits" (n, k).
        """
        found, keep = recorder(perturbations)
        x = (images - self.mean) / self.deviation
        x = keep("convolution1", self.activation(self.convolution1(x)))
        x = keep("convolution2", self.activation(self.convolution2(x)))
        x = keep("hidden", self.activation(self.hidden(x.reshape(x.shape[0], -1))))
        keep("logits", self.logits(x))
        return found


class MLP(nnx.Module):
    """Two hidden layers on the flattened image."""

    def __init__(self, config: ClassifierConfig, *, rngs: nnx.Rngs) -> None:
        """Draw the weights."""
        height, width, channels = config.image_shape
        first, second = config.widths
        self.activation = _ACTIVATIONS[config.activation]
        self.mean, self.deviation = config.mean, config.deviation
        self.hidden1 = nnx.Linear(height * width * channels, first, rngs=rngs)
        self.hidden2 = nnx.Linear(first, second, rngs=rngs)
        self.logits = nnx.Linear(second, config.classes, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
        """Logits of images in [0, 1]."""
        return self.features(images)["logits"]

    def features(
        self, images: Float[Array, "n h w c"], perturbations: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Named layers, for embeddings.

        Args:
            images: (n, h, w, c) in [0, 1].
            perturbations: by the name of a layer, what is added to it.

        Returns:
            "hidden1", "hidden2" and "logits", (n, units).
        """
        found, keep = recorder(perturbations)
        x = (images.reshape(images.shape[0], -1) - self.mean) / self.deviation
        x = keep("hidden1", self.activation(self.hidden1(x)))
        x = keep("hidden2", self.activation(self.hidden2(x)))
        keep("logits", self.logits(x))
        return found


def build(config: ClassifierConfig, *, key: Key) -> nnx.Module:
    """Make a classifier with freshly drawn weights.

    Args:
        config: its architecture.
        key: random key of the weights.

    Returns:
        A module from images (n, h, w, c) to logits (n, classes).

    Raises:
        TypeError, ValueError: an unknown architecture or activation, a size below 1, fewer than two
            classes, or a deviation that is not above 0.
    """
    checks.check_key(key)
    checks.check_choice("architecture", config.architecture, get_args(Architecture))
    checks.check_choice("activation", config.activation, _ACTIVATIONS)
    checks.check_number("mean", config.mean)
    checks.check_number("deviation", config.deviation, least=0, open_least=True)
    for name, length in (("widths", 2), ("image_shape", 3)):
        if len(getattr(config, name)) != length:
            raise ValueError(f"{name} must hold {length} sizes, got {getattr(config, name)}")
    for size in (*config.widths, config.hidden, *config.image_shape):
        checks.check_count("every size of the classifier", size)
    checks.check_count("classes", config.classes, least=2)
    module = {"cnn": CNN, "mlp": MLP}[config.architecture]
    return module(config, rngs=nnx.Rngs(params=key))


def _patches(
    images: Float[Array, "n h w c"], kernel: int, stride: int
) -> Float[Array, "n h2 w2 kkc"]:
    """The kernel x kernel neighbourhood of every output pixel, SAME padding.

    Blocks of stride x stride pixels become channels first, so that few shifted copies are needed
    and their derivative scatters whole blocks. Patch entries are ordered (block row, block column,
    row in block, column in block, channel).
    """
    n, height, width, channels = images.shape
    blocks = kernel // stride
    rows, columns = -(-height // stride), -(-width // stride)
    padded_rows, padded_columns = rows + blocks - 1, columns + blocks - 1
    excess = (padded_rows * stride - height, padded_columns * stride - width)
    padding = [(total // 2, total - total // 2) for total in excess]
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    split = padded.reshape(n, padded_rows, stride, padded_columns, stride, channels)
    deep = split.transpose(0, 1, 3, 2, 4, 5).reshape(n, padded_rows, padded_columns, -1)
    shifted = [
        deep[:, row : row + rows, column : column + columns]
        for row in range(blocks)
        for column in range(blocks)
    ]
    return jnp.concatenate(shifted, axis=-1)
