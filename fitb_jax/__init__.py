"""Explain image classifiers with masks, in pure JAX functions.

`fitb_jax.fill` answers how a classifier would fill in the hidden part of an image,
`fitb_jax.extremal` which part of it is enough, `fitb_jax.evaluation` whether an explanation should
be believed. `models` and `data` are not imported here: no method needs them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fitb_jax import batching, derivatives, evaluation, fill, masks, objectives, types

if TYPE_CHECKING:
    from fitb_jax import extremal

__version__ = "0.1.0"

__all__ = [
    "batching",
    "derivatives",
    "evaluation",
    "extremal",
    "fill",
    "masks",
    "objectives",
    "types",
]


def __getattr__(name: str) -> Any:
    # Its networks are Flax's and its optimiser optax's, which take seconds to import.
    if name == "extremal":
        return importlib.import_module("fitb_jax.extremal")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
