"""COCO's instances (Lin et al. 2014, arXiv 1405.0312), and what others write in the same form."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.photos import coco_masks, files
from fitb_jax.data.photos.photograph import Annotated, Objects, listed
from fitb_jax.data.photos.streaming import Layout

_PREFIX = "instances_"

_logger = logging.getLogger(__name__)


def layout(data_dir: Path, split: str) -> Layout:
    """Open one split.

    Args:
        data_dir: the folder with `annotations/instances_SPLIT.json` and the images in `SPLIT/` or
            `images/SPLIT/`.
        split: such as "val2017".

    Returns:
        All images of the file in the order of their ids, also those without an object. A label is
        the index of its category id among the sorted ids. `iscrowd` becomes `difficult`. An object
        whose segmentation is damaged is left out, with a warning.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: there is no such split.
        CorruptFileError: the file is damaged.
    """
    annotations = files.first_existing(data_dir, ["annotations"], "COCO")
    tables = [path.name for path in files.visible(annotations) if path.is_file()]
    tables = [name for name in tables if name.startswith(_PREFIX) and name.endswith(".json")]
    splits = [name.removeprefix(_PREFIX).removesuffix(".json") for name in tables]
    if not splits:
        raise FileNotFoundError(f"{annotations} holds no {_PREFIX}SPLIT.json")
    files.check_split("coco", split, splits)
    folder = files.first_existing(data_dir, [split, f"images/{split}"], f"COCO's images of {split}")
    path = annotations / f"{_PREFIX}{split}.json"
    images, objects_of, categories = _read(path)
    label_of = {category["id"]: label for label, category in enumerate(categories)}

    def find(index: int) -> tuple[tuple[int, int], Sequence[Any]]:
        image = images[index]
        size = _size(path, image)
        return size, _readable(path, objects_of.get(image["id"], ()), size)

    def read_objects(index: int) -> Objects:
        return _objects(path, find(index)[1], label_of)

    def read(index: int) -> Annotated:
        size, found = find(index)
        file = files.inside(folder, str(images[index]["file_name"]), path)
        picture = files.read_picture(file, size)
        # Sets that only have boxes leave the segmentation out.
        has_masks = all(item.get("segmentation") is not None for item in found)
        masks = _masks(path, found, *size) if has_masks else None
        return Annotated(picture, _objects(path, found, label_of), None, masks)

    return Layout(
        names=tuple(str(image["file_name"]) for image in images),
        class_names=tuple(str(category["name"]) for category in categories),
        source=f"COCO in {path}, images in {folder}",
        read=read,
        read_objects=read_objects,
    )


def _read(path: Path) -> tuple[list[Any], Mapping[Any, Sequence[Any]], list[Any]]:
    with files.damage_named(path, "JSON in the form of COCO's instances"):
        content = json.loads(path.read_bytes())
        images = sorted(_entries(content, "images", "id", "file_name", "width", "height"), key=_id)
        categories = sorted(_entries(content, "categories", "id", "name"), key=_id)
        objects_of = defaultdict(list)
        for item in _entries(content, "annotations", "image_id", "category_id", "bbox"):
            objects_of[item["image_id"]].append(item)
        for kind, entries in (("images", images), ("categories", categories)):
            if not entries or len({entry["id"] for entry in entries}) != len(entries):
                raise ValueError(f"no {kind}, or two with one id")
    return images, dict(objects_of), categories


def _id(entry: Mapping[str, Any]) -> Any:
    return entry["id"]


def _entries(content: Any, kind: str, *keys: str) -> list[Any]:
    entries = content[kind]
    for entry in entries:
        missing = [key for key in keys if key not in entry]
        if missing:
            raise ValueError(f"one of the {kind} without {', '.join(missing)}")
    return list(entries)


def _size(path: Path, image: Mapping[str, Any]) -> tuple[int, int]:
    with files.damage_named(path, f"the size of image {image['id']} in pixels"):
        return files.as_integer(image["width"]), files.as_integer(image["height"])


def _readable(path: Path, found: Sequence[Any], size: tuple[int, int]) -> Sequence[Any]:
    kept = []
    for item in found:
        try:
            if item.get("segmentation") is not None:
                coco_masks.check(path, item["segmentation"], *size)
            kept.append(item)
        except CorruptFileError as error:
            _logger.warning("left out object %s: %s", item.get("id"), error)
    return kept


def _objects(path: Path, found: Sequence[Any], label_of: Mapping[Any, int]) -> Objects:
    with files.damage_named(path, "a known category and x, y, width, height for each object"):
        labels = [label_of[item["category_id"]] for item in found]
        boxes = [(x, y, x + width, y + height) for x, y, width, height in _boxes(found)]
        crowds = [files.as_integer(item.get("iscrowd") or 0) != 0 for item in found]
        return listed(path, labels, boxes, crowds)


def _boxes(found: Sequence[Any]) -> Iterator[list[float]]:
    for item in found:
        yield [float(value) for value in item["bbox"]]


def _masks(
    path: Path, found: Sequence[Any], width: int, height: int
) -> Iterator[Bool[np.ndarray, "h w"]]:
    for item in found:
        yield coco_masks.decode(path, item["segmentation"], width, height)
