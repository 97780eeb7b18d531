"""Photographs of other classes as backgrounds of a region, for sufficient regions."""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from PIL import Image as Pictures


class Backgrounds(NamedTuple):
    """Backgrounds for `extremal.sufficient_region`.

    Attributes:
        searched: backgrounds of the search, (b, h, w, c).
        fresh: backgrounds of the certificate, (f, h, w, c), from photographs that are not in
            `searched`.
        are_crops: whether they are crops, because there are too few photographs.
    """

    searched: Float[np.ndarray, "b h w c"]
    fresh: Float[np.ndarray, "f h w c"]
    are_crops: bool


def other_class_backgrounds(
    images: Float[np.ndarray, "n size size c"],
    predicted: Integer[np.ndarray, " n"],
    target: int,
    *,
    searched: int,
    fresh: int,
    seed: int,
) -> Backgrounds:
    """Choose backgrounds among photographs that the network predicts to be of another class.

    Where they are too few, random crops of half of them serve the search, and crops of the other
    half the certificate. A crop has at least half the side, and may be mirrored.

    Args:
        images: (n, size, size, c) in [0, 1].
        predicted: (n,), the class that the network predicts for each image.
        target: the class that no background has.
        searched: number of backgrounds of the search.
        fresh: number of backgrounds of the certificate.
        seed: of the random choice.

    Returns:
        The backgrounds, as many as were asked for.

    Raises:
        ValueError: fewer than two photographs of other classes.
    """
    rng = np.random.default_rng(seed)
    others = rng.permutation(np.flatnonzero(predicted != target))
    if len(others) < 2:
        raise ValueError(
            f"photographs must hold at least 2 of other classes than {target}, got {len(others)}"
        )
    if len(others) >= searched + fresh:
        parts = others[:searched], others[searched : searched + fresh]
        return Backgrounds(images[parts[0]], images[parts[1]], are_crops=False)
    half = len(others) // 2
    crops = functools.partial(_crops, rng=rng)
    return Backgrounds(
        crops(images[others[:half]], searched),
        crops(images[others[half:]], fresh),
        are_crops=True,
    )


def _crops(images: np.ndarray, count: int, *, rng: np.random.Generator) -> np.ndarray:
    size = images.shape[1]
    found = []
    for at in range(count):
        side = int(rng.integers(size // 2, size + 1))
        top, left = rng.integers(0, size - side + 1, size=2)
        crop = images[at % len(images), top : top + side, left : left + side]
        crop = crop[:, ::-1] if rng.integers(2) else crop
        planes = np.moveaxis(np.round(255 * crop).astype(np.uint8), -1, 0)
        resized = [
            Pictures.fromarray(plane).resize((size, size), Pictures.Resampling.BILINEAR)
            for plane in planes
        ]
        found.append(np.stack([np.asarray(one, np.float32) for one in resized], -1) / 255)
    return np.stack(found)
