"""The type of labelled images that every source of data returns."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Integer, UInt8


class Images(NamedTuple):
    """One split of an image classification data set.

    Attributes:
        images: float32 (n, h, w, c) in [0, 1].
        labels: int32 (n,), indices into `class_names`.
        class_names: one name for each class.
        source: where the images came from, as a sentence for people.
    """

    images: Float32[np.ndarray, "n h w c"]
    labels: Int32[np.ndarray, " n"]
    class_names: tuple[str, ...]
    source: str


def from_bytes(
    images: UInt8[np.ndarray, "n h w"] | UInt8[np.ndarray, "n h w c"],
    labels: Integer[np.ndarray, " n"],
    class_names: Sequence[str],
    source: str,
) -> Images:
    """Scale byte images to [0, 1] and give grey ones a channel axis.

    Args:
        images: intensities from 0 to 255, (n, h, w) or (n, h, w, c).
        labels: (n,), the class of each image.
        class_names: one name for each class.
        source: where the images came from.

    Returns:
        Images of shape (n, h, w, c).
    """
    with_channels = images[..., None] if images.ndim == 3 else images
    # Division rounds correctly, so that white is 1.0; a product with float32(1/255) may not.
    scaled = np.divide(with_channels, 255, dtype=np.float32)
    return Images(scaled, labels.astype(np.int32), tuple(class_names), source)
