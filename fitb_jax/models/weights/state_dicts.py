"""State dicts of PyTorch networks: whether they fit, and how they become Flax NNX modules."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from flax import nnx

from fitb_jax.models.weights.tensor_pickle import WeightsError

Weights: TypeAlias = Mapping[str, np.ndarray]
"""A state dict: arrays by name."""

_NORM = ("weight", "bias", "running_mean", "running_var")


def check_entries(weights: Weights, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise WeightsError that lists every missing, unexpected or misshapen entry.

    Args:
        weights: a state dict; counters of batches are ignored.
        shapes: what is wanted, by name.

    Raises:
        WeightsError: they differ.
    """
    given = {name for name in weights if not name.endswith("num_batches_tracked")}
    problems = [f"{name} is missing" for name in sorted(shapes.keys() - given)]
    problems += [f"{name} is not expected" for name in sorted(given - shapes.keys())]
    problems += [
        f"{name} has shape {weights[name].shape} instead of {shapes[name]}"
        for name in sorted(given & shapes.keys())
        if weights[name].shape != shapes[name]
    ]
    if problems:
        raise WeightsError(f"the weights do not fit: {'; '.join(problems)}")


def fold_norm(
    weights: Weights, convolution: str, norm: str, *, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """A convolution without bias and the batch normalisation after it, as one convolution.

    Args:
        weights: a state dict.
        convolution: name of the convolution in it.
        norm: name of the batch normalisation.
        epsilon: added to the variance.

    Returns:
        The kernel, (out, in, kh, kw), and the bias, (out,).
    """
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + epsilon)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return weights[f"{convolution}.weight"] * scale[:, None, None, None], bias


def _same_name(name: str) -> str:
    return name


def _no_norm(convolution: str) -> None:
    """Every convolution has a bias of its own."""


@dataclass(frozen=True)
class Layout:
    """How the parameters of a Flax NNX module are called in a state dict.

    Attributes:
        build: makes the module; it is only traced, so no random number is drawn.
        name: from the path of a layer or parameter in the module, joined by dots, to its name in
            the state dict.
        norm: from the name of a convolution to that of the batch normalisation that is folded
            into it; None where there is none.
        epsilon: of the batch normalisations.
        translate: a state dict that calls the same entries otherwise, in this layout's names.
    """

    build: Callable[[], nnx.Module]
    name: Callable[[str], str] = _same_name
    norm: Callable[[str], str | None] = _no_norm
    epsilon: float = 1e-5
    translate: Callable[[Weights], Weights] = dict

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every entry that `fill` wants.

        Returns:
            By name.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for parameter in self._parameters(nnx.state(nnx.eval_shape(self.build))):
            shapes |= parameter.entries()
        return shapes

    def fill(self, weights: Weights) -> nnx.Module:
        """The module with these weights, in evaluation mode.

        Args:
            weights: a state dict.

        Returns:
            The module, its parameters of the type of the weights.

        Raises:
            WeightsError: entries are missing, not expected, or of another shape; all are listed.
        """
        weights = self.translate(weights)
        check_entries(weights, self.shapes())
        abstract = nnx.eval_shape(self.build)
        abstract.eval()
        graph, state = nnx.split(abstract)
        arrays = [
            (parameter.path, parameter.variable.replace(jnp.asarray(parameter.read(weights))))
            for parameter in self._parameters(state)
        ]
        return nnx.merge(graph, nnx.from_flat_state(arrays))

    def _parameters(self, state: Any) -> Iterator["_Parameter"]:
        for path, variable in nnx.to_flat_state(state):
            *layer, leaf = map(str, path)
            # A name is that of a layer, or of a parameter that belongs to none.
            is_layer = leaf in ("kernel", "scale", "bias")
            name = self.name(".".join(layer if is_layer else (*layer, leaf)))
            norm = self.norm(name) if is_layer else None
            yield _Parameter(path, variable, leaf if is_layer else "", name, norm, self.epsilon)


class _Parameter(NamedTuple):
    """One parameter of a module and where it comes from."""

    path: tuple[Any, ...]
    variable: Any
    leaf: str
    name: str
    norm: str | None
    epsilon: float

    def entries(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of the entries that it is made of."""
        shape = tuple(self.variable.shape)
        if self.norm is not None and self.leaf == "bias":
            return {f"{self.norm}.{entry}": shape for entry in _NORM}
        if self.leaf == "kernel":
            spatial, (channels, features) = shape[:-2], shape[-2:]
            return {f"{self.name}.weight": (features, channels, *spatial)}
        return {self._entry(): shape}

    def read(self, weights: Weights) -> np.ndarray:
        """Its values."""
        if self.norm is not None:
            kernel, bias = fold_norm(weights, self.name, self.norm, epsilon=self.epsilon)
            return bias if self.leaf == "bias" else kernel.transpose(2, 3, 1, 0)
        values = weights[self._entry()]
        if self.leaf != "kernel":
            return values
        return values.T if values.ndim == 2 else values.transpose(2, 3, 1, 0)

    def _entry(self) -> str:
        if not self.leaf:
            return self.name
        return f"{self.name}.{'bias' if self.leaf == 'bias' else 'weight'}"
