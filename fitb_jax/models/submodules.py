"""The layers of Flax Linen, Equinox and Keras models: what each submodule returns, by its name.

Nothing of the model is changed: Linen intercepts methods itself, a module of Equinox is watched in
a copy, and the graph of a functional Keras model is gone through once more.
"""

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import linen
from jax.extend.core import get_opaque_trace_state

from fitb_jax.types import Array, Image

Keep: TypeAlias = Callable[[str, Any], Any]
Layers: TypeAlias = dict[str, Array]
Perturbations: TypeAlias = Mapping[str, Array] | None


class _Recorder:
    """What submodules return, each perturbed if it is to be.

    "logits" is what the whole model returns. What is no floating array, or is made within a
    transformation of the model's own (`vmap`, `scan`, `remat`), cannot be shown and is passed on.
    """

    def __init__(self, perturbations: Perturbations, *, is_batched: bool) -> None:
        self.layers: Layers = {}
        self._added = perturbations or {}
        self._is_batched = is_batched
        self._trace = get_opaque_trace_state()

    def keep(self, name: str, value: Any) -> Any:
        """Note a layer, and return what the model goes on with."""
        is_shown = (
            name != "logits"
            and isinstance(value, jax.Array)
            and jnp.issubdtype(value.dtype, jnp.floating)
            and (not self._is_batched or value.shape[:1] == (1,))
            and get_opaque_trace_state() == self._trace
        )
        if not is_shown:
            return value
        calls = sum(1 for known in self.layers if known.partition(":")[0] == name)
        name = f"{name}:{calls + 1}" if calls else name
        if name in self._added:
            added = self._added[name].astype(value.dtype)
            value = value + (added[None] if self._is_batched else added)
        self.layers[name] = value[0] if self._is_batched else value
        return value

    def with_logits(self, logits: Array) -> Layers:
        """All layers, the logits last."""
        return {**self.layers, "logits": logits + self._added.get("logits", 0)}


def linen_layers(
    apply: Callable[..., Array], variables: Any, image: Image, perturbations: Perturbations = None
) -> Layers:
    """What each submodule of a Linen module returns.

    Args:
        apply: `module.apply`.
        variables: of the module.
        image: (h, w, c).
        perturbations: by the name of a layer, what is added to it.

    Returns:
        The layers by the path of the submodule, such as "block.Conv_0", and "logits". The second
        call of a submodule is "block.Conv_0:2".
    """
    recorder = _Recorder(perturbations, is_batched=True)

    def watched(call: Any, arguments: Any, options: Any, context: Any) -> Any:
        value = call(*arguments, **options)
        if context.method_name != "__call__" or not context.module.path:
            return value
        return recorder.keep(".".join(context.module.path), value)

    with linen.intercept_methods(watched):
        logits = apply(variables, image[None])[0]
    return recorder.with_logits(logits)


def equinox_layers(
    module: Any, state: list[Any], image: Image, perturbations: Perturbations = None
) -> Layers:
    """What each submodule of an Equinox module returns.

    Args:
        module: in inference mode.
        state: a list with the module's state, or empty if it has none.
        image: (h, w, c).
        perturbations: by the name of a layer, what is added to it.

    Returns:
        The layers by the path of the submodule, such as "layers.0", and "logits". A layer with
        three axes has its channels first in Equinox; here it is (h', w', c').
    """
    recorder = _Recorder(perturbations, is_batched=False)

    def keep(name: str, value: Any) -> Any:
        is_map = getattr(value, "ndim", None) == 3
        kept = recorder.keep(name, jnp.moveaxis(value, 0, -1) if is_map else value)
        return jnp.moveaxis(kept, -1, 0) if is_map else kept

    found = _watched(module, keep, "")(image, *state)
    return recorder.with_logits(found[0] if state else found)


def _watched(module: Any, keep: Keep, path: str) -> Any:
    """A copy of a module whose submodules show what they return."""
    equinox: Any = sys.modules["equinox"]

    def is_part(node: Any) -> bool:
        return isinstance(node, equinox.Module) and node is not module

    found, structure = jax.tree_util.tree_flatten_with_path(module, is_leaf=is_part)
    parts = []
    for keys, part in found:
        name = ".".join([path, *(jax.tree_util.keystr((key,), simple=True) for key in keys)])
        name = name.removeprefix(".")
        parts.append(_watched(part, keep, name) if is_part(part) else part)
    copy = jax.tree.unflatten(structure, parts)
    if not path or not callable(module):
        return copy
    kind: Any = type(module)
    watching = object.__new__(_watching(kind))
    for name, value in vars(copy).items():
        object.__setattr__(watching, name, value)
    object.__setattr__(watching, "_keep", functools.partial(keep, path))
    return watching


@functools.cache
def _watching(kind: Any) -> Any:
    """A class of modules that pass on what they return to be kept; a copy of one does not."""
    equinox: Any = sys.modules["equinox"]

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        value = super(watching, self).__call__(*arguments, **options)
        keep = vars(self).get("_keep")
        if keep is None:
            return value
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], equinox.nn.State):
            return keep(value[0]), value[1]
        return keep(value)

    watching = type(kind)(kind.__name__, (kind,), {"__call__": call, "__module__": __name__})
    return watching


def keras_layers(
    model: Any,
    trainable: list[Array],
    others: list[Array],
    image: Image,
    perturbations: Perturbations = None,
) -> Layers:
    """What each layer of a functional or sequential Keras model returns.

    Args:
        model: on the JAX backend.
        trainable: values of its trainable variables.
        others: of its other ones.
        image: (h, w, c).
        perturbations: by the name of a layer, what is added to it.

    Returns:
        The layers by name, and "logits". A model inside of the model counts as one layer.
    """
    keras: Any = sys.modules["keras"]
    recorder = _Recorder(perturbations, is_batched=True)

    def watched(operation: Any) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if getattr(operation, "_call_has_training_arg", False):
                options["training"] = False
            return recorder.keep(operation.name, operation(*arguments, **options))

        return call

    variables = [*model.trainable_variables, *model.non_trainable_variables]
    mapping = [*zip(variables, [*trainable, *others], strict=True)]
    with keras.StatelessScope(state_mapping=mapping):
        graph = keras_graph(model)
        (logits,) = jax.tree.leaves(graph._run_through_graph([image[None]], watched))
    return recorder.with_logits(logits[0])


def keras_graph(model: Any) -> Any:
    """The graph of layers of a Keras model.

    Args:
        model: a built one.

    Returns:
        The functional model.

    Raises:
        TypeError: it is of a class of one's own, whose layers are called by its code.
    """
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_run_through_graph"):
        raise TypeError(
            f"the layers of {type(model).__name__} cannot be told apart, as its own code calls "
            "them: build it as a functional or sequential Keras model, or pass as `features_of` a "
            "function that returns (image, perturbations) -> layers by name"
        )
    return graph
