"""Images of COCO with the outlines of their objects in a text file for each, as for YOLO."""

import json
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fitb_jax.data.photos import coco_masks, files
from fitb_jax.data.photos.photograph import Annotated, Objects, listed, whole
from fitb_jax.data.photos.streaming import Layout

_LAST_THING = 90
"""Ids of COCO's categories: things up to here, then stuff, which has no outlines of objects."""

_logger = logging.getLogger(__name__)


class _Outline(NamedTuple):
    """Of an object: places of its points, x and y."""

    label: int
    points: Float64[np.ndarray, "n 2"]


def layout(data_dir: Path) -> Layout:
    """Open a folder of images with outlines.

    Each line of `polygons/NAME.txt` is an object of `images/NAME.*`: the id of its category, then x
    and y of each point as shares of width and height. Where images are in subfolders, the text
    files are in the same ones, or all names differ. A line that is no outline is left out, with a
    warning. `categories.json` has the names of the ids under `coco_category_names`.

    Args:
        data_dir: the folder.

    Returns:
        All images in the order of their paths, also those without a text file. A label is the index
        of its category id among the sorted ids from 1 to 90 (COCO's things).

    Raises:
        FileNotFoundError: a folder or the categories are missing.
        CorruptFileError: the categories are damaged.
    """
    folder = files.first_existing(data_dir, ["images"], "the images with polygons")
    polygons = files.first_existing(data_dir, ["polygons"], "the polygons")
    categories = files.first_existing(data_dir, ["categories.json"], "the names of categories")
    names = _names(categories)
    label_of = {identity: label for label, identity in enumerate(sorted(names))}
    paths = files.images_below(folder)
    if not paths:
        raise FileNotFoundError(f"{folder} holds no image")

    text_of = files.beside(paths, folder, files.files_below(polygons, {".txt"}), polygons)

    def outlines(index: int) -> list[_Outline]:
        text = text_of(paths[index])
        return [] if text is None else _read(text, label_of)

    def read_objects(index: int) -> Objects:
        return whole([each.label for each in outlines(index)])

    def read(index: int) -> Annotated:
        path = paths[index]
        picture = files.read_picture(path)
        size = picture.size
        found = [_Outline(label, points * np.array(size)) for label, points in outlines(index)]
        masks = (coco_masks.decode(path, [each.points.ravel().tolist()], *size) for each in found)
        return Annotated(picture, _objects(path, found), None, masks)

    return Layout(
        names=tuple(path.relative_to(folder).as_posix() for path in paths),
        class_names=tuple(names[identity] for identity in sorted(names)),
        source=f"COCO's images in {folder} with {polygons}",
        read=read,
        read_objects=read_objects,
    )


def _names(path: Path) -> dict[int, str]:
    with files.damage_named(path, "JSON with coco_category_names"):
        named = json.loads(path.read_bytes())["coco_category_names"]
        things = {files.as_integer(key): str(name) for key, name in dict(named).items()}
        things = {each: name for each, name in things.items() if 1 <= each <= _LAST_THING}
        if not things:
            raise ValueError(f"no category with an id from 1 to {_LAST_THING}")
    return things


def _read(path: Path, label_of: dict[int, int]) -> list[_Outline]:
    found = []
    with files.damage_named(path, "a known category at the beginning of each line"):
        for line in filter(str.strip, path.read_text("utf-8-sig").splitlines()):
            identity, *numbers = line.split()
            label = label_of[files.as_integer(identity)]
            if (points := _points(numbers)) is None:
                _logger.warning(
                    "left out an object: %s: found the line %.60r; expected a category and three "
                    "points or more within the image",
                    path,
                    line,
                )
            else:
                found.append(_Outline(label, points))
    return found


def _points(numbers: list[str]) -> Float64[np.ndarray, "n 2"] | None:
    try:
        points = np.array(numbers, np.float64).reshape(-1, 2)
    except ValueError:
        return None
    is_outline = len(points) >= 3 and ((points >= 0) & (points <= 1)).all()
    return points if is_outline else None


def _objects(path: Path, found: list[_Outline]) -> Objects:
    boxes = [[*each.points.min(0), *each.points.max(0)] for each in found]
    return listed(path, [each.label for each in found], boxes)
