"""Labelled images in memory, and photographs with their ground truth as a stream."""

from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.images import Images
from fitb_jax.data.loading import NAMES, load
from fitb_jax.data.opening import PHOTOGRAPH_NAMES, photographs
from fitb_jax.data.photograph import IGNORED, NO_CLASS, Photograph
from fitb_jax.data.streaming import Photographs, subset, with_label
from fitb_jax.data.truth import ignored_mask, truth_mask

__all__ = [
    "IGNORED",
    "NAMES",
    "NO_CLASS",
    "PHOTOGRAPH_NAMES",
    "CorruptFileError",
    "Images",
    "Photograph",
    "Photographs",
    "ignored_mask",
    "load",
    "photographs",
    "subset",
    "truth_mask",
    "with_label",
]
