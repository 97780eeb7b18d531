"""State dicts of PyTorch networks: whether they fit, and how they become Flax NNX modules."""

import functools
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from flax import nnx

from fitb_jax.models.weights.tensor_pickle import WeightsError
from fitb_jax.models.weights.torch_files import few

Weights: TypeAlias = Mapping[str, np.ndarray]
"""A state dict: arrays by name."""

_NORM = ("weight", "bias", "running_mean", "running_var")


# Wrappers of PyTorch that may stand around any part of a network.
_WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_DEEPEST_START = 8


def check_entries(weights: Weights, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a state dict whose names or shapes are not those of a network.

    Args:
        weights: a state dict; counters of batches are ignored.
        shapes: the wanted shape of each entry, by name.

    Raises:
        WeightsError: entries are missing, unexpected or of another shape; counts them and names a
            few.
    """
    given = {name for name in weights if not name.endswith("num_batches_tracked")}
    misshapen = [
        f"{name} has shape {weights[name].shape} instead of {shapes[name]}"
        for name in sorted(given & shapes.keys())
        if weights[name].shape != shapes[name]
    ]
    missing, unexpected = sorted(shapes.keys() - given), sorted(given - shapes.keys())
    problems = [
        f"{len(missing)} of {len(shapes)} entries missing: {few(missing)}" if missing else "",
        f"{len(unexpected)} not expected: {few(unexpected)}" if unexpected else "",
        f"{len(misshapen)} of another shape: {few(misshapen)}" if misshapen else "",
    ]
    if any(problems):
        raise WeightsError(f"the weights do not fit: {'; '.join(filter(None, problems))}")


def fit_names(
    weights: Weights,
    shapes: Mapping[str, tuple[int, ...]],
    translate: Callable[[Weights], Weights] = dict,
) -> Weights:
    """Drop the prefixes of the names in a state dict, and the entries of other networks.

    Wrappers (`module.`, `_orig_mod.`) are dropped wherever they are. Of the other prefixes
    (`model.`, `backbone.net.`, ...) the one is taken whose entries fit best.

    Args:
        weights: a state dict.
        shapes: the wanted shape of each entry, by name.
        translate: from a state dict with other names to one with the wanted names.

    Returns:
        The state dict in the wanted names, as far as they are there.
    """
    bare = {_WRAPPERS.sub("", name): values for name, values in weights.items()}
    weights = bare if len(bare) == len(weights) else weights
    under = Counter(start for name in weights for start in _starts(name))
    starts = ["", *(start for start, count in under.items() if 2 * count >= len(shapes))]
    fits = {
        start: translate(
            {
                name[len(start) :]: values
                for name, values in weights.items()
                if name.startswith(start)
            }
        )
        for start in starts
    }
    found = {start: len(shapes.keys() & fit.keys()) for start, fit in fits.items()}
    most = max(found.values())
    best = [start for start in starts if found[start] == most]
    # A running average of the weights is not what one means by the network.
    best.sort(key=lambda start: "ema" in start.lower())
    if len(best) > 1 and most == len(shapes) and "" not in best:
        names = [start.rstrip(".") for start in best]
        warnings.warn(
            f"the weights hold several such networks: {', '.join(names)}. {names[0]} is taken; "
            f"entry={names[1]!r} takes another",
            stacklevel=2,
        )
    return fits[best[0]]


def _starts(name: str) -> Iterator[str]:
    parts = name.split(".", _DEEPEST_START)[:-1]
    return (f"{start}." for start in itertools.accumulate(parts, "{}.{}".format))


def count_classes(weights: Weights, head: str, *, default: int) -> int:
    """How many classes the head of a state dict has.

    Args:
        weights: a state dict.
        head: name of its last layer.
        default: where it has no such layer.

    Returns:
        The number of rows of its matrix.
    """
    matrix = weights.get(f"{head}.weight")
    return default if matrix is None or matrix.ndim != 2 else len(matrix)


def fold_norm(
    weights: Weights, convolution: str, norm: str, *, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fold a batch normalisation into the convolution without bias before it.

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
    """The names that a state dict has for the parameters of a Flax NNX module.

    Attributes:
        build: makes the module; it is only traced, so no random number is drawn.
        head: name of the layer of the logits in the state dict.
        name: from the path of a layer or parameter in the module, joined by dots, to its name in
            the state dict.
        norm: from the name of a convolution to that of the batch normalisation that is folded
            into it; None where there is none.
        epsilon: of the batch normalisations.
        translate: from a state dict with other names for the same entries to this layout's names.
    """

    build: Callable[[], nnx.Module]
    head: str
    name: Callable[[str], str] = _same_name
    norm: Callable[[str], str | None] = _no_norm
    epsilon: float = 1e-5
    translate: Callable[[Weights], Weights] = dict

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every entry that `fill` wants.

        Returns:
            The shapes by name.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for parameter in self._parameters(self._abstract[1]):
            shapes |= parameter.entries()
        return shapes

    def fit_names(self, weights: Weights) -> Weights:
        """A state dict in the names of this layout, see `fit_names`.

        Args:
            weights: a state dict.

        Returns:
            The same arrays.
        """
        return fit_names(weights, self.shapes(), self.translate)

    def fill(self, weights: Weights) -> nnx.Module:
        """The module with these weights, in evaluation mode.

        Args:
            weights: a state dict in the names of this layout.

        Returns:
            The module, its parameters of the type of the weights.

        Raises:
            WeightsError: entries are missing, not expected, or of another shape; a few are named.
        """
        check_entries(weights, self.shapes())
        graph, state = self._abstract
        arrays = [
            (parameter.path, parameter.variable.replace(jnp.asarray(parameter.read(weights))))
            for parameter in self._parameters(state)
        ]
        return nnx.merge(graph, nnx.from_flat_state(arrays))

    @functools.cached_property
    def _abstract(self) -> tuple[Any, Any]:
        """The module in evaluation mode and the shapes of its parameters."""
        module = nnx.eval_shape(self.build)
        module.eval()
        return nnx.split(module)

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
