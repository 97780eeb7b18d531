"""Images of COCO with the outlines of their objects in a text file for each, as for YOLO."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fitb_jax.data.photos import coco_masks, files
from fitb_jax.data.photos.photograph import Annotated, Objects, listed, whole
from fitb_jax.data.photos.streaming import Layout

_LAST_THING = 90
"""Ids of COCO's categories: things up to here, then stuff, which has no outlines of objects."""


class _Outline(NamedTuple):
    """Of an object: places of its points, x and y."""

    label: int
    points: Float64[np.ndarray, "n 2"]


def layout(data_dir: Path) -> Layout:
    """Open a folder of images with outlines.

    Each line of `polygons/NAME.txt` is an object of `images/NAME.*`: the id of its category, then x
    and y of each point as shares of width and height. `categories.json` has the names of the ids
    under `coco_category_names`.

    Args:
        data_dir: the folder.

    Returns:
        All images in the order of their paths, also those without a text file. Labels are places
        among the things of the categories, in the order of their ids.

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

    def text_of(index: int) -> Path:
        return polygons / f"{paths[index].stem}.txt"

    def read_objects(index: int) -> Objects:
        return whole([each.label for each in _read(text_of(index), label_of)])

    def read(index: int) -> Annotated:
        picture, text = files.read_picture(paths[index]), text_of(index)
        size = picture.size
        found = [
            _Outline(label, points * np.array(size)) for label, points in _read(text, label_of)
        ]
        masks = (coco_masks.decode(text, [each.points.ravel().tolist()], *size) for each in found)
        return Annotated(picture, _objects(text, found), None, masks)

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
        things = {int(identity): str(name) for identity, name in dict(named).items()}
        things = {each: name for each, name in things.items() if 1 <= each <= _LAST_THING}
        if not things:
            raise ValueError(f"no category with an id from 1 to {_LAST_THING}")
    return things


def _read(path: Path, label_of: dict[int, int]) -> list[_Outline]:
    if not path.exists():
        return []
    expected = "a known category and three points or more within the image in each line"
    found = []
    with files.damage_named(path, expected):
        for line in filter(str.strip, path.read_text("utf-8").splitlines()):
            identity, *numbers = line.split()
            points = np.array(numbers, np.float64).reshape(-1, 2)
            if len(points) < 3 or not ((points >= 0) & (points <= 1)).all():
                raise ValueError(f"the line {line[:60]!r}")
            found.append(_Outline(label_of[int(identity)], points))
    return found


def _objects(path: Path, found: list[_Outline]) -> Objects:
    boxes = [[*each.points.min(0), *each.points.max(0)] for each in found]
    return listed(path, [each.label for each in found], boxes)
