"""Labelled images in memory, from idx files, an embedded sample, or TensorFlow Datasets."""

from fitb_jax.data.images import Images
from fitb_jax.data.loading import NAMES, load

__all__ = ["NAMES", "Images", "load"]
