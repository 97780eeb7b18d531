"""Explain image classifiers with masks, in pure JAX functions.

`fitb_jax.fill` answers how a classifier would fill in the hidden part of an image,
`fitb_jax.extremal` which part of it is enough, `fitb_jax.attribution` has the methods that both are
compared with, and `fitb_jax.evaluation` says whether an explanation should be believed. `models`
and `data` are not imported here: no method needs them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fitb_jax import batching, derivatives, evaluation, fill, heads, masks, objectives, types

if TYPE_CHECKING:
    from fitb_jax import attribution, extremal, saliency

__version__ = "0.2.0"

__all__ = [
    "attribution",
    "batching",
    "derivatives",
    "evaluation",
    "extremal",
    "fill",
    "heads",
    "masks",
    "objectives",
    "saliency",
    "types",
]


def __getattr__(name: str) -> Any:
    # Networks of Flax, optimisers of optax, projections of scikit-learn: seconds to import.
    if name in ("attribution", "extremal", "saliency"):
        return importlib.import_module(f"fitb_jax.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
