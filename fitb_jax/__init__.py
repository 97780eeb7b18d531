"""Explain image classifiers with masks, in pure JAX functions.

- `fitb_jax.fill`: how would a classifier fill in the hidden part of an image?
- `fitb_jax.extremal`: which part of an image is enough for the classifier?
- `fitb_jax.attribution`: published saliency methods to compare both with.
- `fitb_jax.evaluation`: should an explanation be believed?

No method needs `fitb_jax.models` and `fitb_jax.data`, so that they are imported by name only.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fitb_jax import (
        attribution,
        batching,
        derivatives,
        evaluation,
        extremal,
        fill,
        heads,
        masks,
        objectives,
        saliency,
        types,
    )

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
    # JAX takes a second to import, which a mistyped command line need not wait for.
    if name in __all__:
        return importlib.import_module(f"fitb_jax.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
