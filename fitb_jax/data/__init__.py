"""Labelled images in memory, and photographs with their ground truth as a stream."""

import importlib
from typing import TYPE_CHECKING, Any

from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.images import Images
from fitb_jax.data.loading import NAMES, load

if TYPE_CHECKING:
    from fitb_jax.data.opening import PHOTOGRAPH_NAMES, photographs
    from fitb_jax.data.photograph import IGNORED, NO_CLASS, Annotated, Objects, Photograph
    from fitb_jax.data.streaming import Layout, Photographs, subset, with_label
    from fitb_jax.data.truth import ignored_mask, truth_mask

# Only who asks for photographs waits for PIL, Grain and pycocotools.
_MODULE_OF = {
    "PHOTOGRAPH_NAMES": "opening",
    "photographs": "opening",
    "IGNORED": "photograph",
    "NO_CLASS": "photograph",
    "Annotated": "photograph",
    "Objects": "photograph",
    "Photograph": "photograph",
    "Layout": "streaming",
    "Photographs": "streaming",
    "subset": "streaming",
    "with_label": "streaming",
    "ignored_mask": "truth",
    "truth_mask": "truth",
}

__all__ = [
    "IGNORED",
    "NAMES",
    "NO_CLASS",
    "PHOTOGRAPH_NAMES",
    "Annotated",
    "CorruptFileError",
    "Images",
    "Layout",
    "Objects",
    "Photograph",
    "Photographs",
    "ignored_mask",
    "load",
    "photographs",
    "subset",
    "truth_mask",
    "with_label",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
