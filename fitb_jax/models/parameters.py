"""Which layer each array of a classifier's parameters belongs to, whatever framework it is of."""

import itertools
import math
from typing import Any, NamedTuple

import jax
from jax.extend.core import Jaxpr, Var

from fitb_jax import checks
from fitb_jax.types import Image, LogitsFn


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
