"""Make a `LogitsFn`, a pure function of one image, of a classifier in any framework."""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen, nnx
from jax.tree_util import GetAttrKey, Partial, register_pytree_with_keys_class

from fitb_jax import checks
from fitb_jax.heads import HEADS, with_head
from fitb_jax.models.submodules import equinox_layers, keras_graph, keras_layers, linen_layers
from fitb_jax.models.torch_adapter import ChannelValues, from_torch
from fitb_jax.types import Array, Image, Logits, LogitsFn


@register_pytree_with_keys_class
class Bound(Partial):
    """A `jax.tree_util.Partial` that prints the number of its parameters and not their values."""

    def __repr__(self) -> str:
        """Its name and size."""
        count = sum(np.size(leaf) for leaf in jax.tree.leaves(self))
        return f"<{_name_of(self.func, self.args)}: {count:,} parameters>"

    def tree_flatten_with_keys(self) -> tuple[Any, Any]:
        """For JAX."""
        named = (GetAttrKey("args"), self.args), (GetAttrKey("keywords"), self.keywords)
        return named, self.func

    def tree_flatten(self) -> tuple[Any, Any]:
        """For JAX."""
        return (self.args, self.keywords), self.func

    @classmethod
    def tree_unflatten(cls, function: Any, children: Any) -> "Bound":
        """For JAX."""
        arguments, keywords = children
        return cls(function, *arguments, **keywords)


def _name_of(function: Any, arguments: tuple[Any, ...]) -> str:
    kinds = [getattr(node, "type", None) for node in getattr([*arguments, None][0], "nodes", ())]
    root = next((kind for kind in kinds if isinstance(kind, type)), None)
    name = getattr(root, "__name__", None) or getattr(function, "name", None)
    return name or getattr(function, "__name__", None) or type(function).__name__


def as_logits_fn(
    model: Any,
    *,
    head: str = "softmax",
    mean: ChannelValues | None = None,
    std: ChannelValues | None = None,
) -> LogitsFn:
    """Turn any classifier into a function of one image with its parameters as a pytree.

    The result is a `jax.tree_util.Partial`. It can be an argument of a jitted function, which is
    not traced again for new parameters, and be `vmap`ped over stacked parameters. The model itself
    is not changed.

    Args:
        model: one of

            - a Flax NNX module, called on (n, h, w, c); it is used in evaluation mode;
            - a Flax Linen pair `(module, variables)`, called on (n, h, w, c);
            - an Equinox module, or a pair `(module, state)` if it has one: called on ONE image
              (h, w, c), as is usual there, without a key; it is used in inference mode;
            - a Keras 3 model on the JAX backend, called on (n, h, w, c) with `training=False`;
            - a PyTorch module (timm, torchvision, transformers, one's own), called on
              (n, c, h, w); it is used in evaluation mode, and carried out by JAX;
            - any callable from images (n, h, w, c) to logits (n, k).
        head: what its outputs mean, a name of `heads.HEADS`, such as "probabilities" where the
            model ends with a softmax, or "binary" for one logit; see `heads.with_head`.
        mean: of a PyTorch module: subtracted from images in [0, 1] before its first layer, a number
            or one value per channel. By default that of timm's `pretrained_cfg`, or nothing.
        std: of a PyTorch module: divides the difference, likewise; given with `mean`.

    Returns:
        A function from one image (h, w, c) to logits (k,).

    Raises:
        TypeError: `model` is none of these; `mean` or `std` for a model that is no PyTorch module;
            when called, outputs that are not one array.
        ValueError: an unknown head; a Keras model that is on another backend, not built, or ends
            with an activation that `head` does not name; a PyTorch module without weights yet; a
            mean or standard deviation that cannot be one; when called, outputs of another shape.
        ImportError: a PyTorch module without torchax, or with one that does not work with it.
    """
    checks.check_choice("head", head, HEADS)
    if (network := from_torch(model, mean=mean, std=std)) is not None:
        logits_fn: LogitsFn = Bound(*network)
    elif mean is None and std is None:
        logits_fn = _converted(model, head)
    else:
        raise TypeError(
            f"mean and std are for PyTorch modules, got {checks.describe(model)}: normalise "
            "inside of the model"
        )
    return logits_fn if head == "softmax" else with_head(logits_fn, head)


def _converted(model: Any, head: str) -> LogitsFn:
    if isinstance(model, nnx.Module):
        evaluated = nnx.clone(model)
        evaluated.eval()
        graph, state = nnx.split(evaluated)
        return Bound(apply_nnx, graph, state)
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], linen.Module):
        module, variables = model
        return Bound(_Linen(module.apply, type(module).__name__), variables)
    if isinstance(model, linen.Module) and model.scope is None:
        raise TypeError(
            f"model must come with its variables, (module, variables), got the Flax Linen module "
            f"{type(model).__name__} alone"
        )
    if (logits_fn := _from_equinox(model)) is not None:
        return logits_fn
    if (logits_fn := _from_keras(model, head)) is not None:
        return logits_fn
    if callable(model):
        return Bound(_Batched(model, checks.describe(model)))
    raise TypeError(
        "model must be a Flax NNX module, a Flax Linen (module, variables) pair, an Equinox module "
        "or (module, state) pair, a Keras model, a PyTorch module or a batched callable, "
        f"got {checks.describe(model)}"
    )


class _Batched:
    """A function with its batch axis added and removed; equal when the function is.

    Equality is what lets `jax.jit` recognise a `Partial` made of it a second time.
    """

    def __init__(self, apply: Callable[..., Array], name: str) -> None:
        self._apply = apply
        self.name = name

    def __call__(self, *arguments: Any) -> Logits:
        *parameters, image = arguments
        try:
            outputs = self._apply(*parameters, image[None])
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"model must take images (n, h, w, c), and failed on {(1, *image.shape)}: a "
                "function of one image is a logits_fn as it is (with a head: heads.with_head)"
            ) from error
        return only_row(outputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Batched) and self._apply == other._apply

    def __hash__(self) -> int:
        return hash(self._apply)


class _Linen(_Batched):
    def features(self, variables: Any, image: Image, perturbations: Any = None) -> dict[str, Array]:
        return linen_layers(self._apply, variables, image, perturbations)


def only_row(outputs: Any) -> Logits:
    """Take the logits out of the outputs for a batch of one image.

    Args:
        outputs: of a model, (1, k).

    Returns:
        (k,).

    Raises:
        TypeError: they are not one array.
        ValueError: they have another shape.
    """
    if getattr(outputs, "shape", (1,))[:1] != (1,) or getattr(outputs, "ndim", 2) != 2:
        raise ValueError(
            "model must map images (1, h, w, c) to logits (1, k), got "
            f"{checks.describe(outputs)}: a function of one image is a logits_fn as it is (with a "
            "head: heads.with_head)"
        )
    return checks.check_outputs(outputs[0] if hasattr(outputs, "dtype") else outputs, name="model")


def apply_nnx(graph: Any, state: Any, image: Image) -> Logits:
    """Logits of one image by a Flax NNX module.

    Args:
        graph: of the module, from `nnx.split`.
        state: its parameters.
        image: (h, w, c).

    Returns:
        The logits, (k,).
    """
    return only_row(nnx.merge(graph, state)(image[None]))


def _from_equinox(model: Any) -> Partial | None:
    """An Equinox module, or a pair `(module, state)`, in inference mode.

    Args:
        model: anything.

    Returns:
        A `Partial` over its arrays; None if it is no Equinox module.
    """
    # Not imported: a module of it cannot exist before the caller has done so.
    equinox: Any = sys.modules.get("equinox")
    if equinox is None:
        return None
    module, *state = model if isinstance(model, tuple) and len(model) == 2 else (model,)
    is_module = isinstance(module, equinox.Module) and callable(module)
    if not is_module or not all(isinstance(part, equinox.nn.State) for part in state):
        return None
    evaluated = (equinox.nn.inference_mode(module), *state)
    parameters, structure = equinox.partition(evaluated, _is_array)
    leaves, tree = jax.tree.flatten(structure)
    return Bound(_Equinox(tuple(leaves), tree, type(module).__name__), parameters)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


class _Equinox(NamedTuple):
    """A module without its arrays: equal modules are equal, for `jax.jit` to recognise."""

    leaves: tuple[Any, ...]
    tree: Any
    name: str

    def __call__(self, parameters: Any, image: Image) -> Logits:
        module, *state = self._model(parameters)
        outputs = module(image, *state)
        return checks.check_outputs(outputs[0] if state else outputs, name="model")

    def features(
        self, parameters: Any, image: Image, perturbations: Any = None
    ) -> dict[str, Array]:
        module, *state = self._model(parameters)
        return equinox_layers(module, state, image, perturbations)

    def _model(self, parameters: Any) -> Any:
        structure = jax.tree.unflatten(self.tree, self.leaves)
        return sys.modules["equinox"].combine(parameters, structure)


def _from_keras(model: Any, head: str) -> Partial | None:
    """A Keras 3 model on the JAX backend, with `training=False`.

    Args:
        model: anything.
        head: what its outputs are said to mean.

    Returns:
        A `Partial` over its trainable and other variables; None if it is no Keras model.

    Raises:
        ValueError: it is on another backend, not built, or ends with a softmax or a sigmoid while
            the head is one of logits.
    """
    keras: Any = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model):
        return None
    if (backend := keras.backend.backend()) != "jax":
        raise ValueError(
            f"model is a Keras model on the backend {backend!r}, and only 'jax' can be explained: "
            "set KERAS_BACKEND=jax in the environment before keras is imported"
        )
    if not model.built:
        raise ValueError("model is a Keras model without weights yet: call it on a batch first")
    ending = _keras_ending(model)
    if ending in ("softmax", "sigmoid") and "probabilit" not in head:
        heads = {"softmax": '"probabilities"'}.get(
            ending, '"binary_probability" (one output) or "multi_label_probabilities"'
        )
        raise ValueError(
            f"model is a Keras model whose last activation is {ending}, so that its outputs are no "
            f"logits: give head={heads}, or build it without (classifier_activation=None)"
        )
    variables = (model.trainable_variables, model.non_trainable_variables)
    return Bound(_Keras(model), *([variable.value for variable in group] for group in variables))


def _keras_ending(model: Any) -> str | None:
    """The name of the activation with which it ends, where it can be told."""
    layers = getattr(model, "layers", None)
    if layers:
        return _keras_ending(layers[-1])
    activation = getattr(model, "activation", None)
    name = getattr(activation, "__name__", None) or type(model).__name__
    return str(name).lower()


class _Keras:
    """The structure of a Keras model; equal when the model is the same one."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.name = model.name

    def __call__(self, trainable: Any, others: Any, image: Image) -> Logits:
        outputs, _ = self._model.stateless_call(trainable, others, image[None], training=False)
        return only_row(outputs)

    def features(
        self, trainable: Any, others: Any, image: Image, perturbations: Any = None
    ) -> dict[str, Array]:
        return keras_layers(self._model, trainable, others, image, perturbations)

    def check_layers(self) -> None:
        keras_graph(self._model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keras) and self._model is other._model

    def __hash__(self) -> int:
        return id(self._model)


def stack(logits_fns: list[LogitsFn]) -> LogitsFn:
    """Stack classifiers of one structure into an ensemble to `vmap` over.

    Args:
        logits_fns: from `as_logits_fn`, same architecture.

    Returns:
        One `Partial` whose parameters have a leading axis: use `in_axes=0` for it.

    Raises:
        ValueError: no classifiers, or differing structures.
    """
    if not logits_fns:
        raise ValueError("logits_fns must hold at least one classifier, got none")
    structures = {jax.tree.structure(logits_fn) for logits_fn in logits_fns}
    if len(structures) > 1:
        raise ValueError(f"logits_fns must share one structure, got {len(structures)} of them")
    return jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *logits_fns)
