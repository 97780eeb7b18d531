"""The masks of COCO's annotations: polygons and run lengths (Lin et al. 2014)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as coco

from fitb_jax.data.corrupt import CorruptFileError

_SIX_BITS_FROM, _MORE, _SIGN, _VALUE = ord("0"), 0x20, 0x10, 0x1F


def decode(path: Path, segmentation: Any, width: int, height: int) -> Bool[np.ndarray, "h w"]:
    """The mask of one object.

    Args:
        path: the annotation file, for messages.
        segmentation: a list of polygons [x0, y0, x1, y1, ...], or `{"size", "counts"}` with run
            lengths as a list, or as text in COCO's six-bit code.
        width: of the photograph in pixels.
        height: of the photograph in pixels.

    Returns:
        True inside.

    Raises:
        CorruptFileError: polygons that are none, or run lengths that do not fill the photograph.
    """
    if isinstance(segmentation, list):
        return _polygons(path, segmentation, width, height)
    if not isinstance(segmentation, dict) or {"size", "counts"} - set(segmentation):
        raise CorruptFileError(
            path, found="a segmentation of another form", expected="polygons or run lengths"
        )
    size, counts = segmentation["size"], segmentation["counts"]
    if size != [height, width]:
        raise CorruptFileError(
            path, found=f"run lengths of size {size}", expected=f"{[height, width]}"
        )
    runs = counts if isinstance(counts, list) else _runs(path, counts)
    return _fill(path, runs, width, height)


def _polygons(path: Path, polygons: list[Any], width: int, height: int) -> np.ndarray:
    for polygon in polygons:
        # Four numbers would be taken for a box by the library.
        is_points = isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0
        is_near = is_points and all(
            isinstance(value, int | float) and abs(value) <= 2 * max(width, height)
            for value in polygon
        )
        if not is_near:
            raise CorruptFileError(
                path,
                found=f"the polygon {polygon}"[:100],
                expected="three points or more, on the photograph",
            )
    if not polygons:
        return np.zeros((height, width), bool)
    united = coco.merge(coco.frPyObjects(polygons, height, width))
    return _fill(path, _runs(path, united["counts"]), width, height)


def _runs(path: Path, text: Any) -> list[int]:
    """Differences to the run before the last, in groups of five bits with a sixth for "more".

    Not left to the library: for runs that are too short, its mask is memory it has not written.
    """
    if not isinstance(text, str | bytes):
        raise CorruptFileError(path, found="counts of another type", expected="a list or text")
    runs: list[int] = []
    value = shift = 0
    for code in text.encode() if isinstance(text, str) else text:
        bits = code - _SIX_BITS_FROM
        if not 0 <= bits < 2 * _MORE or shift > 30:
            raise CorruptFileError(path, found="damaged counts", expected="COCO's six-bit code")
        value |= (bits & _VALUE) << shift
        shift += 5
        if not bits & _MORE:
            signed = value - (1 << shift) if bits & _SIGN else value
            runs.append(signed + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def _fill(path: Path, runs: Sequence[Any], width: int, height: int) -> np.ndarray:
    is_valid = all(isinstance(run, int) and 0 <= run <= width * height for run in runs)
    if not is_valid or sum(runs) != width * height:
        raise CorruptFileError(
            path,
            found="run lengths that do not add up to the photograph",
            expected=f"{height} x {width} pixels",
        )
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T
