"""Labelled images in memory, and photographs with their ground truth as a stream."""

import importlib
from typing import TYPE_CHECKING, Any

from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.digits.images import Images
from fitb_jax.data.digits.loading import NAMES, load

if TYPE_CHECKING:
    from fitb_jax.data.photos.opening import PHOTOGRAPH_NAMES, photographs
    from fitb_jax.data.photos.photograph import IGNORED, NO_CLASS, Annotated, Objects, Photograph
    from fitb_jax.data.photos.streaming import Layout, Photographs, subset, with_label
    from fitb_jax.data.photos.truth import ignored_mask, truth_mask

# Only who asks for photographs waits for PIL, Grain and pycocotools.
_MODULE_OF = {
    "PHOTOGRAPH_NAMES": "photos.opening",
    "photographs": "photos.opening",
    "IGNORED": "photos.photograph",
    "NO_CLASS": "photos.photograph",
    "Annotated": "photos.photograph",
    "Objects": "photos.photograph",
    "Photograph": "photos.photograph",
    "Layout": "photos.streaming",
    "Photographs": "photos.streaming",
    "subset": "photos.streaming",
    "with_label": "photos.streaming",
    "ignored_mask": "photos.truth",
    "truth_mask": "photos.truth",
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
