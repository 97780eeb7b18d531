"""Coordinate networks: they map the position of a pixel and the area of a mask to a score.

The bandwidth of the features makes masks smooth: the network cannot draw what its features do not
resolve.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from fitb_jax import checks
from fitb_jax.types import Array, Float, Key, Scalar

Features: TypeAlias = Literal["fourier", "positional", "siren"]
Conditioning: TypeAlias = Literal["concatenate", "film"]
Activation: TypeAlias = Literal["gelu", "relu", "silu", "tanh", "sine"]

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "sine": jnp.sin,
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NetworkConfig:
    """What a coordinate network looks like; `bandwidth` may be an array argument.

    Attributes:
        features: of a position u on [-1, 1]^2: "fourier" is sin and cos of 2 pi B u with normal B
            of deviation `bandwidth`; "positional" is sin and cos of 2^k pi u for each axis, faded
            in up to octave `bandwidth`; "siren" is u itself under a first layer sin(w W u + b),
            w = 2 pi `bandwidth`, and sine activations.
        frequencies: number of rows of B for "fourier", of octaves of each axis for "positional".
        bandwidth: scale of the features, as `features` says; larger gives finer masks.
        conditioning: how the area enters: "concatenate" feeds it in with the features, "film" lets
            it scale and shift every hidden layer.
        width: units of a hidden layer.
        depth: number of hidden layers.
        activation: "gelu", "relu", "silu", "tanh" or "sine"; "siren" has "sine" whatever is asked.
        outputs: number of scores of each pixel.
    """

    features: Features = field(default="fourier", metadata={"static": True})
    frequencies: int = field(default=12, metadata={"static": True})
    bandwidth: Any = 1.0
    conditioning: Conditioning = field(default="concatenate", metadata={"static": True})
    width: int = field(default=64, metadata={"static": True})
    depth: int = field(default=4, metadata={"static": True})
    activation: Activation = field(default="gelu", metadata={"static": True})
    outputs: int = field(default=1, metadata={"static": True})


class Frequencies(nnx.Variable):
    """Numbers of a network that are drawn or set once and not trained."""


class CoordinateMLP(nnx.Module):
    """Scores of positions on [-1, 1]^2 for an area.

    Sources: Tancik et al. 2020, "Fourier features let networks learn high frequency functions in
    low dimensional domains"; Sitzmann et al. 2020, "Implicit neural representations with periodic
    activation functions"; Perez et al. 2018, "FiLM"; Byra & Skibbe 2025, arXiv 2501.11784.
    """

    def __init__(self, config: NetworkConfig, *, rngs: nnx.Rngs) -> None:
        """Draw the frequencies and the weights."""
        self.features = config.features
        is_siren = config.features == "siren"
        self.activation = _ACTIVATIONS["sine" if is_siren else config.activation]
        frequencies = _draw_frequencies(config, key=rngs.params())
        self.frequencies = Frequencies(frequencies)
        inputs = {"fourier": 2, "positional": 4, "siren": 0}[config.features] * config.frequencies
        inputs = inputs or 2
        # Octaves that are faded out feed nothing in: those that are left start as large without.
        shown = 4 * jnp.maximum(1, (frequencies**2).sum())
        active = shown if config.features == "positional" else inputs
        is_film = config.conditioning == "film"
        draw = _siren_weights if is_siren else nnx.initializers.he_normal()
        # Of features and area together, as they would be concatenated.
        joint = nnx.initializers.normal((2 / (active + (not is_film) * AREA_FEATURES)) ** 0.5)
        self.first = nnx.Linear(
            inputs, config.width, kernel_init=_first_siren_weights if is_siren else joint, rngs=rngs
        )
        self.hidden = nnx.List(
            nnx.Linear(config.width, config.width, kernel_init=draw, rngs=rngs)
            for _ in range(config.depth - 1)
        )
        self.last = nnx.Linear(config.width, config.outputs, rngs=rngs)
        # A layer of its own adds the same as an area concatenated to the features would, but once
        # for the whole grid. With FiLM it moves every layer, and starts at the identity.
        conditioned = 2 * config.width * config.depth if is_film else config.width
        self.is_film = is_film
        self.area = nnx.Linear(
            AREA_FEATURES,
            conditioned,
            use_bias=False,
            kernel_init=nnx.initializers.zeros if is_film else joint,
            rngs=rngs,
        )

    def __call__(self, positions: Float[Array, "n 2"], area: Scalar) -> Float[Array, "n outputs"]:
        """Scores of positions, for one area in (0, 1)."""
        condition = self.area(area_features(area))
        x = self.first(self._encode(positions))
        if not self.is_film:
            x = self.activation(self._scaled(x) + condition[None])
            for layer in self.hidden:
                x = self.activation(layer(x))
            return self.last(x)
        layers = 1 + len(self.hidden)
        scales, shifts = jnp.split(condition.reshape(2 * layers, -1), 2)
        x = self.activation(self._scaled(x) * (1 + scales[0])[None] + shifts[0][None])
        for layer, scale, shift in zip(self.hidden, scales[1:], shifts[1:], strict=True):
            x = self.activation(layer(x) * (1 + scale)[None] + shift[None])
        return self.last(x)

    def _encode(self, positions: Float[Array, "n 2"]) -> Float[Array, "n f"]:
        frequencies = self.frequencies[...]
        if self.features == "siren":
            return positions
        if self.features == "fourier":
            return fourier_features(positions, frequencies)
        return positional_features(positions, octaves=frequencies)

    def _scaled(self, x: Array) -> Array:
        """The first layer of a SIREN is multiplied by its bandwidth; others stay as they are."""
        return 2 * jnp.pi * self.frequencies[...] * x if self.features == "siren" else x


def grid(shape: tuple[int, int], dtype: Any = jnp.float32) -> Float[Array, "n 2"]:
    """Centres of pixels on [-1, 1]^2, in reading order.

    The edges of the image, not the centres of its first and last pixels, are at -1 and 1, so that
    a position means the same at every resolution.

    Args:
        shape: (height, width) in pixels.
        dtype: floating type.

    Returns:
        (height * width, 2): row coordinate, column coordinate.

    Raises:
        TypeError, ValueError: not two positive integers.
    """
    checks.check_shape(shape)
    rows, columns = ((2 * jnp.arange(size, dtype=dtype) + 1) / size - 1 for size in shape)
    return jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def fourier_features(
    positions: Float[Array, "n d"], frequencies: Float[Array, "f d"]
) -> Float[Array, "n 2*f"]:
    """Sine and cosine of random projections.

    Args:
        positions: (n, d).
        frequencies: (f, d), in periods per unit.

    Returns:
        (n, 2 f), sines first.

    Source: Tancik et al. 2020, eq. 5.
    """
    phases = 2 * jnp.pi * positions @ frequencies.T
    return jnp.concatenate([jnp.sin(phases), jnp.cos(phases)], axis=1)


def positional_features(
    positions: Float[Array, "n d"], *, octaves: Float[Array, "k"]
) -> Float[Array, "n 2*d*k"]:
    """Sine and cosine of `2^k pi u` for each axis, each octave with its weight.

    Args:
        positions: (n, d) on [-1, 1].
        octaves: (k,), weights of octaves 0 to k - 1 in [0, 1].

    Returns:
        (n, 2 d k).

    Source: Mildenhall et al. 2020, "NeRF", eq. 4; Park et al. 2021, "Nerfies", eq. 8, for weights
    that fade octaves in.
    """
    factors = jnp.pi * 2.0 ** jnp.arange(octaves.shape[0], dtype=positions.dtype)
    phases = positions[:, :, None] * factors[None, None]
    waves = jnp.concatenate([jnp.sin(phases), jnp.cos(phases)], axis=1) * octaves[None, None]
    return waves.reshape(positions.shape[0], -1)


AREA_FEATURES = 3


def area_features(area: Scalar) -> Float[Array, "3"]:
    """Encode an area for the network, with a finer resolution where areas are small.

    Args:
        area: in (0, 1).

    Returns:
        `2 a - 1`, and sine and cosine of `pi log2(a) / 4`: one period for each factor of 256.
    """
    phase = jnp.pi / 4 * jnp.log2(area)
    return jnp.stack([2 * area - 1, jnp.sin(phase), jnp.cos(phase)])


def initial_weights(config: NetworkConfig, *, key: Key) -> Any:
    """Draw the weights with which `fit_inr` starts for the same key.

    Args:
        config: of the network.
        key: random key of the fit.

    Returns:
        The state of the network, for `fit_inr(..., initial=...)`.

    Raises:
        TypeError, ValueError: as `build`.
    """
    checks.check_key(key)
    network_key, _ = jax.random.split(key)
    return nnx.split(build(config, key=network_key))[1]


def build(config: NetworkConfig, *, key: Key) -> CoordinateMLP:
    """A network with freshly drawn weights.

    Args:
        config: what it looks like.
        key: random key of the frequencies and the weights.

    Returns:
        The network.

    Raises:
        TypeError, ValueError: a count below 1, an unknown name, a bandwidth that is not positive.
    """
    checks.check_key(key)
    check_network(config)
    return CoordinateMLP(config, rngs=nnx.Rngs(key))


def check_network(config: NetworkConfig) -> None:
    """Refuse a network that cannot be built.

    Args:
        config: to check.

    Raises:
        TypeError, ValueError: a count below 1, an unknown name, a bandwidth that is not positive.
    """
    checks.check_choice("features", config.features, get_args(Features))
    checks.check_choice("conditioning", config.conditioning, get_args(Conditioning))
    checks.check_choice("activation", config.activation, get_args(Activation))
    for name in ("frequencies", "width", "depth", "outputs"):
        checks.check_count(name, getattr(config, name))
    checks.check_number("bandwidth", config.bandwidth, least=0, open_least=True)


def _draw_frequencies(config: NetworkConfig, *, key: Key) -> Any:
    bandwidth = jnp.asarray(config.bandwidth, jnp.float32)
    if config.features == "fourier":
        return bandwidth * jax.random.normal(key, (config.frequencies, 2), bandwidth.dtype)
    if config.features == "positional":
        octaves = jnp.arange(config.frequencies)
        return 0.5 * (1 - jnp.cos(jnp.pi * jnp.clip(bandwidth - octaves, 0, 1)))
    return bandwidth


def _first_siren_weights(key: Key, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    return jax.random.uniform(key, shape, dtype, -1 / shape[0], 1 / shape[0])


def _siren_weights(key: Key, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    limit = (6 / shape[0]) ** 0.5
    return jax.random.uniform(key, shape, dtype, -limit, limit)
