"""Equinox and Keras classifiers as pure functions of one image.

Neither is imported unless the caller has done so: a model of theirs cannot exist before.
"""

import sys
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import Partial

from fitb_jax.types import Image, Logits


def from_equinox(model: Any) -> Partial | None:
    """An Equinox module, or a pair `(module, state)`, in inference mode.

    Args:
        model: anything.

    Returns:
        A `Partial` over its arrays; None if it is no Equinox module.
    """
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


def from_keras(model: Any) -> Partial | None:
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
