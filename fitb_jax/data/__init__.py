"""Labelled images in memory, and photographs with their ground truth as a stream."""

import importlib
from typing import TYPE_CHECKING, Any

from fitb_jax import extras
from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.digits.class_groups import class_groups
from fitb_jax.data.digits.images import Images
from fitb_jax.data.digits.loading import NAMES, load
from fitb_jax.data.digits.selection import (
    class_means,
    first_of_classes,
    first_of_each_class,
    of_other_classes,
)
from fitb_jax.data.folders import folder_of

if TYPE_CHECKING:
    from fitb_jax.data.photos.backgrounds import Backgrounds, other_class_backgrounds
    from fitb_jax.data.photos.explained_object import (
        NOT_SEEN,
        UNLABELLED,
        ExplainedObject,
        find_explained_object,
        imagenet_labels,
        unknown_object,
    )
    from fitb_jax.data.photos.imagenet_kinds import imagenet_indices
    from fitb_jax.data.photos.opening import PHOTOGRAPH_NAMES, photographs
    from fitb_jax.data.photos.photograph import IGNORED, NO_CLASS, Annotated, Objects, Photograph
    from fitb_jax.data.photos.streaming import Layout, Photographs, subset, with_label
    from fitb_jax.data.photos.truth import ignored_mask, truth_mask

# Only who asks for photographs waits for PIL, Grain and pycocotools.
_MODULE_OF = {
    "Backgrounds": "photos.backgrounds",
    "other_class_backgrounds": "photos.backgrounds",
    "NOT_SEEN": "photos.explained_object",
    "UNLABELLED": "photos.explained_object",
    "ExplainedObject": "photos.explained_object",
    "find_explained_object": "photos.explained_object",
    "imagenet_labels": "photos.explained_object",
    "unknown_object": "photos.explained_object",
    "imagenet_indices": "photos.imagenet_kinds",
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
    "NOT_SEEN",
    "NO_CLASS",
    "PHOTOGRAPH_NAMES",
    "UNLABELLED",
    "Annotated",
    "Backgrounds",
    "CorruptFileError",
    "ExplainedObject",
    "Images",
    "Layout",
    "Objects",
    "Photograph",
    "Photographs",
    "class_groups",
    "class_means",
    "find_explained_object",
    "first_of_classes",
    "first_of_each_class",
    "folder_of",
    "ignored_mask",
    "imagenet_indices",
    "imagenet_labels",
    "load",
    "of_other_classes",
    "other_class_backgrounds",
    "photographs",
    "subset",
    "truth_mask",
    "unknown_object",
    "with_label",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with extras.needed(f"data.{name}", extra="photographs"):
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
