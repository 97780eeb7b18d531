"""Make a `LogitsFn`, a pure function of one image, of a classifier in any framework."""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen, nnx
from jax.tree_util import Partial

from fitb_jax.models.torch_adapter import ChannelValues, from_torch
from fitb_jax.types import Array, Image, Logits, LogitsFn


def as_logits_fn(
    model: Any, *, mean: ChannelValues | None = None, std: ChannelValues | None = None
) -> LogitsFn:
    """Turn any classifier into a function of one image with its parameters as a pytree.

    The result is a `jax.tree_util.Partial`: it can be an argument of a jitted function (no retrace
    for new parameters) and be `vmap`ped over stacked parameters. The model itself is not changed.

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
        mean: of a PyTorch module: taken off images in [0, 1] before its first layer, a number or
            one value per channel. By default what timm's `pretrained_cfg` says, or nothing.
        std: what the difference is divided by; given with `mean`.

    Returns:
        A function from one image (h, w, c) to logits (k,).

    Raises:
        TypeError: `model` is none of these; `mean` of what is no PyTorch module.
        ValueError: a Keras model that is on another backend, or not built; a PyTorch module that
            has no weights yet; a mean or standard deviation that cannot be one.
        ImportError: a PyTorch module without torchax, or with one that does not work with it.
    """
    if (logits_fn := from_torch(model, mean=mean, std=std)) is not None:
        return logits_fn
    if mean is not None or std is not None:
        raise TypeError(
            f"mean and std are for PyTorch modules, got {type(model).__name__}: normalise inside "
            "of the model"
        )
    if isinstance(model, nnx.Module):
        evaluated = nnx.clone(model)
        evaluated.eval()
        graph, state = nnx.split(evaluated)
        return Partial(apply_nnx, graph, state)
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], linen.Module):
        module, variables = model
        return Partial(_Batched(module.apply), variables)
    for convert in (_from_equinox, _from_keras):
        if (logits_fn := convert(model)) is not None:
            return logits_fn
    if callable(model):
        return Partial(_Batched(model))
    raise TypeError(
        "model must be a Flax NNX module, a Flax Linen (module, variables) pair, an Equinox module "
        "or (module, state) pair, a Keras model, a PyTorch module or a batched callable, got "
        f"{type(model).__name__}"
    )


class _Batched:
    """A function with its batch axis added and removed; equal when the function is.

    Equality is what lets `jax.jit` recognise a `Partial` made of it a second time.
    """

    def __init__(self, apply: Callable[..., Array]) -> None:
        self._apply = apply

    def __call__(self, *arguments: Any) -> Logits:
        *parameters, image = arguments
        return self._apply(*parameters, image[None])[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Batched) and self._apply == other._apply

    def __hash__(self) -> int:
        return hash(self._apply)


def apply_nnx(graph: Any, state: Any, image: Image) -> Logits:
    """Logits of one image by a Flax NNX module.

    Args:
        graph: of the module, from `nnx.split`.
        state: its parameters.
        image: (h, w, c).

    Returns:
        The logits, (k,).
    """
    return nnx.merge(graph, state)(image[None])[0]


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
    return Partial(_Equinox(tuple(leaves), tree), parameters)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


class _Equinox(NamedTuple):
    """A module without its arrays: equal modules are equal, for `jax.jit` to recognise."""

    leaves: tuple[Any, ...]
    tree: Any

    def __call__(self, parameters: Any, image: Image) -> Logits:
        structure = jax.tree.unflatten(self.tree, self.leaves)
        module, *state = sys.modules["equinox"].combine(parameters, structure)
        return module(image, *state)[0] if state else module(image)


def _from_keras(model: Any) -> Partial | None:
    """A Keras 3 model on the JAX backend, with `training=False`.

    Args:
        model: anything.

    Returns:
        A `Partial` over its trainable and other variables; None if it is no Keras model.

    Raises:
        ValueError: it is on another backend, or not built.
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
    variables = (model.trainable_variables, model.non_trainable_variables)
    return Partial(_Keras(model), *([variable.value for variable in group] for group in variables))


class _Keras:
    """The structure of a Keras model; equal when the model is the same one."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, trainable: Any, others: Any, image: Image) -> Logits:
        logits, _ = self._model.stateless_call(trainable, others, image[None], training=False)
        return logits[0]

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
