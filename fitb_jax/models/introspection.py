"""Look into classifiers: their layers by name, and the same weights used in another way."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.extend.core import Jaxpr, Var
from jax.tree_util import Partial
from jaxtyping import Float

from fitb_jax import checks, dependence
from fitb_jax.callables import as_argument
from fitb_jax.heads import HEADS
from fitb_jax.models.adapters import Bound, apply_nnx
from fitb_jax.types import Array, Background, FeaturesFn, Image, Logits, LogitsFn, Number

ActivationRule: TypeAlias = Callable[[Callable[[Array], Array]], Callable[[Array], Array]]
"""From an activation function to another, such as `attribution.GuidedActivation`."""

_KINDS = "logits_fn must come from `models.load` or `models.as_logits_fn`, of "


def features_of(logits_fn: LogitsFn) -> FeaturesFn:
    """Make the function that returns the layers of a classifier by name.

    Args:
        logits_fn: from `models.load`, or from `as_logits_fn` of one of these:
            - a Flax NNX module with a method `features(images, perturbations)`, as the classifiers
              of this package have;
            - a Linen or Equinox module, a functional or sequential Keras model, or a PyTorch
              module: their layers are what each submodule returns, by its name.

    Returns:
        A `Partial` over the same parameters, from one image to its layers by name. It also takes
        perturbations by name, which are added to the layers before they are used. The derivative by
        a layer is that by its perturbation.

    Raises:
        TypeError: another function, or a model whose layers cannot be told apart.
    """
    function = getattr(logits_fn, "func", None)
    wanted = (
        f"{_KINDS}a model whose layers are known: a Flax NNX module with a method `features` that "
        "returns them by name (docs/extending.md, A model), a Linen or Equinox module, a Keras "
        "model; for another give the methods as `features_of` a function from it to one that "
        "returns (image, perturbations) -> layers by name"
    )
    if isinstance(logits_fn, Partial) and hasattr(function, "features"):
        getattr(function, "check_layers", lambda: None)()
        return Bound(_Features(function), *logits_fn.args)
    head = getattr(function, "head", None)
    if isinstance(logits_fn, Partial) and isinstance(head, str) and head in HEADS:
        return Bound(_HeadedFeatures(head), features_of(*logits_fn.args))
    function, arguments = _taken_apart(logits_fn, wanted)
    if function is _shifted:
        inner, shift = arguments
        return Bound(_shifted_features, features_of(inner), shift)
    module = nnx.merge(*arguments)
    if not hasattr(module, "features"):
        raise TypeError(f"{wanted}; got {type(module).__name__}")
    return Bound(_nnx_features, *arguments)


def activations(
    logits_fn: LogitsFn, images: Float[Array, "n h w c"], layer: str
) -> Float[Array, "n ..."]:
    """One layer of a classifier, for several images.

    Args:
        logits_fn: as in `features_of`.
        images: (n, h, w, c).
        layer: its name.

    Returns:
        The layer of each image.

    Raises:
        TypeError: as in `features_of`.
        KeyError: there is no such layer.
    """
    features_fn = features_of(logits_fn)
    return jax.jit(jax.vmap(lambda image: features_fn(image)[layer]))(images)


def last_spatial_layer(logits_fn: LogitsFn, shape: tuple[int, int, int]) -> str | None:
    """The last spatial layer that reaches the logits: the usual one for class activation maps.

    Args:
        logits_fn: as in `features_of`.
        shape: (h, w, c) of an image that it classifies.

    Returns:
        The layer's name, None where none is (h', w', c') and reaches the logits.

    Raises:
        TypeError: as in `features_of`.
    """
    features_fn = features_of(logits_fn)
    image = jax.ShapeDtypeStruct(shape, "float32")
    in_order: list[str] = []

    def noted(image: Image) -> dict[str, Array]:
        # Inside, as what JAX returns has its names sorted.
        layers = features_fn(image)
        in_order.extend(layers)
        return layers

    def logits(perturbations: Mapping[str, Array], image: Image) -> Array:
        return features_fn(image, perturbations)["logits"]

    shapes = jax.eval_shape(noted, image)
    # What is pooled may keep its axes, with one place.
    spatial = {
        name: shapes[name]
        for name in in_order
        if len(shapes[name].shape) == 3 and shapes[name].shape[:2] != (1, 1)
    }
    reaches, _ = dependence.needed(logits, spatial, image)
    return next((name for name in reversed(spatial) if reaches[name]), None)


def map_activations(logits_fn: LogitsFn, rule: ActivationRule) -> LogitsFn:
    """Make the same classifier with other activation functions; the one given is not changed.

    Args:
        logits_fn: from `models.load`, or `as_logits_fn` of a Flax NNX module whose parts keep their
            activation functions in attributes `activation`.
        rule: from an activation function to the one that replaces it.

    Returns:
        A classifier with the same parameters.

    Raises:
        TypeError: another function, such as one of a PyTorch module.
        ValueError: a module that has no such attribute.
    """
    wanted = f"{_KINDS}a Flax NNX module whose parts have an attribute `activation`"
    function, arguments = _taken_apart(logits_fn, wanted)
    if function is _shifted:
        inner, shift = arguments
        return Bound(_shifted, map_activations(inner, rule), shift)
    if _is_functional(function):
        if not hasattr(function, "activation"):
            raise TypeError("activation functions of a PyTorch module cannot be replaced")
        changed = dataclasses.replace(function, activation=rule(function.activation))
        return Bound(changed, *arguments)
    module = nnx.merge(*arguments)
    parts = [part for _, part in nnx.iter_modules(module) if hasattr(part, "activation")]
    if not parts:
        raise ValueError(f"no part of {type(module).__name__} has an attribute `activation`")
    for part in parts:
        part.activation = rule(part.activation)
    return Bound(apply_nnx, *nnx.split(module))


def shift_input(logits_fn: LogitsFn, shift: Background) -> LogitsFn:
    """Make the same classifier for shifted images: it subtracts the shift first.

    Args:
        logits_fn: the classifier. Where it has layers (`features_of`) and activation functions
            (`map_activations`), so has the result.
        shift: what is subtracted: a number, one value per channel, or an image.

    Returns:
        `image -> logits_fn(image - shift)`, with `shift` as a parameter.

    Raises:
        TypeError: `logits_fn` is not callable.

    Source: Kindermans et al. 2019, "The (un)reliability of saliency methods", section 3.
    """
    if not callable(logits_fn):
        raise TypeError(f"logits_fn must be callable, got {type(logits_fn).__name__}")
    return Bound(_shifted, as_argument(logits_fn), jnp.asarray(shift, jnp.float32))


def at_size(logits_fn: LogitsFn, size: int) -> LogitsFn:
    """Make the same classifier for images of any size: it resizes them to its own first.

    So a network for images of another size can judge the masks of a first one.

    Args:
        logits_fn: the classifier, for images (size, size, c).
        size: side of its images, in pixels.

    Returns:
        `image -> logits_fn(resized image)`. The image is resized bicubically. One that is not
        square is made square.

    Raises:
        TypeError, ValueError: `logits_fn` is not callable, or `size` is not an integer above 0.

    Examples:
        >>> models.at_size(logits_fn, 16)(jnp.zeros((20, 20, 3))).shape
        (4,)
    """
    checks.check_callable("logits_fn", logits_fn)
    checks.check_count("size", size)
    return Bound(_AtSize(size), as_argument(logits_fn))


def scale_logits(logits_fn: LogitsFn, factor: Number) -> LogitsFn:
    """Make the same classifier with its logits multiplied; its predictions stay the same.

    Args:
        logits_fn: the classifier.
        factor: above 0. For an untrained network, one can be chosen that gives its logits the
            spread of a trained network's.

    Returns:
        `image -> factor * logits_fn(image)`, with `factor` as a parameter.

    Raises:
        TypeError, ValueError: a factor that is not a number above 0.
    """
    checks.check_number("factor", factor, least=0, open_least=True)
    return Bound(_scaled, jnp.asarray(factor, jnp.float32), as_argument(logits_fn))


def _scaled(factor: Array, logits_fn: LogitsFn, image: Image) -> Logits:
    return factor * logits_fn(image)


class _AtSize(NamedTuple):
    """A classifier of images of one size, for others; equal when the size is."""

    size: int

    def __call__(self, logits_fn: LogitsFn, image: Image) -> Logits:
        shape = (self.size, self.size, image.shape[-1])
        return logits_fn(jax.image.resize(image, shape, "cubic"))


def _taken_apart(logits_fn: LogitsFn, wanted: str) -> tuple[Any, tuple[Any, ...]]:
    function = getattr(logits_fn, "func", None)
    is_ours = _is_functional(function) or function in (apply_nnx, _shifted)
    if not isinstance(logits_fn, Partial) or not is_ours:
        # Not its `repr`, which has all its weights.
        kind = type(logits_fn if function is None else function)
        raise TypeError(f"{wanted}; got {getattr(function, '__name__', kind.__name__)}")
    return logits_fn.func, logits_fn.args


def _is_functional(function: Any) -> bool:
    """Whether it is a network `(parameters, image) -> logits` that shows its layers."""
    is_network = dataclasses.is_dataclass(function) and not isinstance(function, type)
    return is_network and hasattr(function, "features")


class _Features(NamedTuple):
    """A callable that is equal when its network is, for `jax.jit` to recognise."""

    network: Any

    def __call__(self, *arguments: Any, **perturbations: Any) -> dict[str, Array]:
        """The parameters, the image, and perturbations if there are any."""
        features: dict[str, Array] = self.network.features(*arguments, **perturbations)
        return features


class _HeadedFeatures(NamedTuple):
    """The layers of a classifier whose outputs are made logits; equal when the head is."""

    head: str

    def __call__(
        self,
        features_fn: FeaturesFn,
        image: Image,
        perturbations: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        added = dict(perturbations or {})
        to_logits = added.pop("logits", 0)
        layers = features_fn(image, added)
        logits = HEADS[self.head].to_logits(layers["logits"])
        return {**layers, "logits": logits + to_logits}


def _nnx_features(
    graph: Any, state: Any, image: Image, perturbations: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    batched = {name: added[None] for name, added in (perturbations or {}).items()}
    layers = nnx.merge(graph, state).features(image[None], batched)
    # Not a `jax.tree.map`, which sorts the names: they are in the order of the network.
    return {name: layer[0] for name, layer in layers.items()}


def _shifted(logits_fn: LogitsFn, shift: Array, image: Image) -> Logits:
    return logits_fn(image - jnp.broadcast_to(shift, image.shape).astype(image.dtype))


def _shifted_features(
    features_fn: FeaturesFn,
    shift: Array,
    image: Image,
    perturbations: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    moved = image - jnp.broadcast_to(shift, image.shape).astype(image.dtype)
    return features_fn(moved, perturbations)


class Layers(NamedTuple):
    """The layers of a classifier.

    Attributes:
        names: of the layers that are used, from the input to the logits.
        of_leaves: the layer of each array, in the order of `jax.tree.leaves`.
    """

    names: tuple[str, ...]
    of_leaves: tuple[str, ...]


def parameter_layers(logits_fn: LogitsFn, image: Image, *, depth: int = 1) -> Layers:
    """Group the parameters of a classifier by layers, in the order in which they are used.

    Args:
        logits_fn: a `Partial` over its parameters.
        image: (h, w, c), any one that it classifies.
        depth: how many entries of a parameter's path name its layer: 1 is an attribute of the
            module, such as "convolution1"; 2 one of its parts, such as "blocks.3". The array's own
            name (kernel, bias) is never among them.

    Returns:
        The layers.

    Raises:
        TypeError, ValueError: a classifier without parameters, or one that does not classify the
            image.
    """
    checks.check_count("depth", depth)
    checks.count_classes(logits_fn, image)
    found = jax.tree_util.tree_leaves_with_path(logits_fn)
    if not found or not all(hasattr(leaf, "dtype") for _, leaf in found):
        raise ValueError("logits_fn must have parameters: a jax.tree_util.Partial over them")
    paths = [_entries(path) for path, _ in found]
    # Entries that all paths begin with, such as those of the `Partial`, say nothing.
    columns = zip(*(path[:-1] for path in paths), strict=False)
    shared = len([*itertools.takewhile(lambda column: len(set(column)) == 1, columns)])
    of_leaves = tuple(".".join(path[shared:-1][:depth] or path[-1:]) for path in paths)
    jaxpr = jax.make_jaxpr(lambda function, pixels: function(pixels))(logits_fn, image).jaxpr
    uses = _first_uses(jaxpr)
    first: dict[str, tuple[float, ...]] = {}
    for name, variable in zip(of_leaves, jaxpr.invars, strict=False):
        use = uses.get(variable, (math.inf,))
        first[name] = min(first.get(name, (math.inf,)), use)
    used = [name for name in first if first[name] < (math.inf,)]
    return Layers(tuple(sorted(used, key=lambda name: first[name])), of_leaves)


def logit_weights(logits_fn: LogitsFn, image: Image) -> Float[np.ndarray, "k d"]:
    """Weights of the layer that makes the logits, a row per class.

    Args:
        logits_fn: a `Partial` over its parameters, whose last layer is dense.
        image: (h, w, c), any one that it classifies.

    Returns:
        (k, d), for d values of the layer before.

    Raises:
        TypeError, ValueError: as in `parameter_layers`, or a last layer without such weights.
    """
    layers = parameter_layers(logits_fn, image)
    classes = checks.count_classes(logits_fn, image)
    leaves = zip(jax.tree.leaves(logits_fn), layers.of_leaves, strict=True)
    last = [leaf for leaf, layer in leaves if layer == layers.names[-1]]
    kernels = [leaf for leaf in last if leaf.ndim == 2 and leaf.shape[1] == classes]
    if not kernels:
        raise ValueError(f"the last layer, {layers.names[-1]}, has no weights (d, {classes})")
    return np.asarray(kernels[-1]).T


def _entries(path: tuple[Any, ...]) -> list[str]:
    """The path as text, without the attribute in which Flax NNX keeps an array."""
    entries = [jax.tree_util.keystr((key,), simple=True) for key in path]
    return entries[:-1] if entries[-1] == "value" and len(entries) > 1 else entries


def _first_uses(jaxpr: Jaxpr) -> dict[Var, tuple[float, ...]]:
    """Where each argument is first used: place of the equation, and of that inside of it."""
    uses: dict[Var, tuple[float, ...]] = {}
    for place, equation in enumerate(jaxpr.eqns):
        inner = equation.params.get("jaxpr")
        nested: dict[Any, tuple[float, ...]] = {}
        if inner is not None and len(inner.jaxpr.invars) == len(equation.invars):
            within = _first_uses(inner.jaxpr)
            nested = {
                outside: within.get(inside, (math.inf,))
                for outside, inside in zip(equation.invars, inner.jaxpr.invars, strict=True)
                if isinstance(outside, Var)
            }
        for variable in equation.invars:
            if isinstance(variable, Var) and variable not in uses:
                uses[variable] = (float(place), *nested.get(variable, ()))
    return uses


def recorder(
    perturbations: Mapping[str, Array] | None = None,
) -> tuple[dict[str, Array], Callable[[str, Array], Array]]:
    """Make an empty dict of layers, and the function that puts a layer into it.

    Args:
        perturbations: by the name of a layer, what is added to it.

    Returns:
        The dict, and `keep(name, layer) -> layer`. The layer that `keep` returns has its
        perturbation added; the network must go on with it.
    """
    layers: dict[str, Array] = {}
    added = perturbations or {}

    def keep(name: str, layer: Array) -> Array:
        layers[name] = layer + added[name].astype(layer.dtype) if name in added else layer
        return layers[name]

    return layers, keep
