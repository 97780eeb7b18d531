"""The masks of COCO's annotations: polygons and run lengths (Lin et al. 2014)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as coco

from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.photos import files

_SIX_BITS_FROM, _MORE, _SIGN, _VALUE = ord("0"), 0x20, 0x10, 0x1F


def decode(path: Path, segmentation: Any, width: int, height: int) -> Bool[np.ndarray, "h w"]:
    """Decode the mask of one object.

    Args:
        path: the annotation file, for messages.
        segmentation: a list of polygons [x0, y0, x1, y1, ...], or `{"size", "counts"}` with run
            lengths as a list, or as text in COCO's six-bit code.
        width: of the photograph in pixels.
        height: of the photograph in pixels.

    Returns:
        (height, width), True inside.

    Raises:
        CorruptFileError: polygons of fewer than three points or far outside, or run lengths that do
            not fill the photograph.
    """
    if isinstance(segmentation, list):
        _check_polygons(path, segmentation, width, height)
        return _draw(path, segmentation, width, height)
    return _fill(_run_lengths(path, segmentation, width, height), width, height)


def check(path: Path, segmentation: Any, width: int, height: int) -> None:
    """Refuse what `decode` refuses, without drawing a mask.

    Args:
        path: as in `decode`.
        segmentation: as in `decode`.
        width: as in `decode`.
        height: as in `decode`.

    Raises:
        CorruptFileError: as in `decode`.
    """
    if isinstance(segmentation, list):
        _check_polygons(path, segmentation, width, height)
    else:
        _run_lengths(path, segmentation, width, height)


def _run_lengths(path: Path, segmentation: Any, width: int, height: int) -> Sequence[int]:
    if not isinstance(segmentation, dict) or {"size", "counts"} - set(segmentation):
        raise CorruptFileError(
            path, found="a segmentation of another form", expected="polygons or run lengths"
        )
    size, counts = segmentation["size"], segmentation["counts"]
    if size != [height, width]:
        raise CorruptFileError(
            path, found=f"run lengths of size {size}", expected=f"{[height, width]}"
        )
    if not isinstance(counts, list):
        return _checked(path, _decompressed(path, counts), width, height)
    with files.damage_named(path, "whole numbers as run lengths"):
        runs = [files.as_integer(run) for run in counts]
    return _checked(path, runs, width, height)


def _check_polygons(path: Path, polygons: list[Any], width: int, height: int) -> None:
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


def _draw(path: Path, polygons: list[Any], width: int, height: int) -> np.ndarray:
    if not polygons:
        return np.zeros((height, width), bool)
    united = coco.merge(coco.frPyObjects(polygons, height, width))
    runs = _checked(path, _decompressed(path, united["counts"]), width, height)
    return _fill(runs, width, height)


def _decompressed(path: Path, text: Any) -> list[int]:
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


def _checked(path: Path, runs: list[int], width: int, height: int) -> Sequence[int]:
    if any(run < 0 for run in runs) or sum(runs) != width * height:
        raise CorruptFileError(
            path,
            found="run lengths that do not add up to the photograph",
            expected=f"{height} x {width} pixels",
        )
    return runs


def _fill(runs: Sequence[int], width: int, height: int) -> np.ndarray:
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T
