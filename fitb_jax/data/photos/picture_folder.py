"""Photographs without an annotation format of their own: scikit-image's, a folder, a manifest."""

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fitb_jax import extras, imagenet
from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.photos import files
from fitb_jax.data.photos.photograph import Annotated, Objects, listed, whole
from fitb_jax.data.photos.streaming import Layout

SKIMAGE_FILES = {
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "camera": "camera.png",
    "motorcycle_left": "motorcycle_left.png",
}
"""Photographs inside the wheel of scikit-image; `skimage.data` downloads some of its others."""

MANIFEST = "manifest.csv"
_COLUMNS = ("file", "class_index", "boxes_xyxy")

_logger = logging.getLogger(__name__)


def skimage_layout() -> Layout:
    """The photographs that scikit-image installs. They have no labels.

    Returns:
        Five photographs, of which `camera` is grey.

    Raises:
        ImportError: scikit-image is not installed.
        FileNotFoundError: its wheel does not hold one of them.
    """
    with extras.needed('data.photographs("skimage")', extra="photographs"):
        import skimage
    folder = Path(skimage.__file__).parent / "data"
    paths = [
        files.first_existing(folder, [file], f"the photograph {name} of scikit-image")
        for name, file in SKIMAGE_FILES.items()
    ]
    return _plain(paths, tuple(SKIMAGE_FILES), "the photographs of scikit-image")


def folder_layout(data_dir: Path) -> Layout:
    """Open any folder of images. Each subfolder, with all that is below it, is a class.

    A subfolder without an image keeps its index, and a warning names it. Where no subfolder has an
    image there are no classes. Hidden files are left out, and links are followed.

    Args:
        data_dir: the folder.

    Returns:
        Its images in the order of their paths, turned as their camera noted. Images beside the
        subfolders have no label.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it, or a link in it leads
            nowhere, so that it may or may not be a class.
    """
    paths = _images(data_dir)
    names = tuple(path.relative_to(data_dir).as_posix() for path in paths)
    folders = [name.split("/")[0] if "/" in name else None for name in names]
    class_names = _classes(data_dir, set(filter(None, folders)))
    index_of = {name: index for index, name in enumerate(class_names)}
    labels = [[] if folder is None else [index_of[folder]] for folder in folders]
    return _plain(paths, names, f"the images in {data_dir}", class_names, labels)


def _classes(data_dir: Path, with_images: set[str]) -> tuple[str, ...]:
    if not with_images:
        return ()
    found = []
    for path in files.visible(data_dir):
        if path.is_dir():
            found.append(path.name)
        elif not path.exists() and path.suffix.lower() not in files.SUFFIXES:
            raise FileNotFoundError(
                f"{path} is a link that leads nowhere; mend or remove it, since a missing class "
                "would shift the labels of the others"
            )
    for name in found:
        if name not in with_images:
            _logger.warning("%s holds no image; its class keeps its index", data_dir / name)
    return tuple(found)


def manifest_layout(data_dir: Path) -> Layout:
    """Open photographs of ImageNet's classes that a table lists, with boxes.

    The table is `manifest.csv` with the columns `file`, `class_index` and `boxes_xyxy` (a JSON list
    of boxes as edges in pixels of the file). It may have `width` and `height` of the file as well.
    The images are in `images/` or beside the table.

    Args:
        data_dir: the folder of the table.

    Returns:
        The photographs in the order of the table.

    Raises:
        FileNotFoundError: there is no table.
        CorruptFileError: the table is damaged or lists nothing. A row is read when its photograph
            is asked for.
    """
    table = files.first_existing(data_dir, [MANIFEST], "the table of the photographs")
    folder = files.first_existing(data_dir, ["images", "."], "the images")
    with files.damage_named(table, "a CSV table"):
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        missing = [column for column in _COLUMNS if not rows or column not in rows[0]]
        if missing:
            raise CorruptFileError(
                table, found="no row with " + ", ".join(missing), expected=", ".join(_COLUMNS)
            )

    def entry(index: int) -> _Entry:
        return _parse(table, rows[index], index + 2)

    def read(index: int) -> Annotated:
        objects, size = entry(index)
        path = files.inside(folder, rows[index]["file"] or "", table)
        return Annotated(files.read_picture(path, size), objects)

    return Layout(
        names=tuple(row["file"] or "" for row in rows),
        class_names=imagenet.classes().names,
        source=f"the photographs that {table} lists",
        read=read,
        read_objects=lambda index: entry(index).objects,
    )


class _Entry(NamedTuple):
    objects: Objects
    size: tuple[int, int] | None


def _parse(table: Path, row: Mapping[str, str], number: int) -> _Entry:
    with files.damage_named(table, f"a class index and a JSON list of boxes in line {number}"):
        label = files.as_integer(row["class_index"])
        boxes = [[float(side) for side in box] for box in json.loads(row["boxes_xyxy"])]
        has_size = {"width", "height"} <= set(row)
        sides = [files.as_integer(row[side]) for side in ("width", "height") if has_size]
        if not 0 <= label < len(imagenet.classes().names):
            raise ValueError(f"class index {label}")
        objects = listed(table, [label] * len(boxes), boxes) if boxes else whole([label])
    return _Entry(objects, (sides[0], sides[1]) if has_size else None)


def _images(data_dir: Path) -> tuple[Path, ...]:
    if not data_dir.is_dir():
        raise FileNotFoundError(f"data_dir must be a folder of images, {data_dir} is none")
    paths = files.images_below(data_dir)
    if not paths:
        raise FileNotFoundError(f"{data_dir} holds no image ({', '.join(sorted(files.SUFFIXES))})")
    return paths


def _plain(
    paths: Sequence[Path],
    names: tuple[str, ...],
    source: str,
    class_names: tuple[str, ...] = (),
    labels: Sequence[Sequence[int]] | None = None,
) -> Layout:
    def read_objects(index: int) -> Objects:
        return whole([] if labels is None else labels[index])

    def read(index: int) -> Annotated:
        return Annotated(files.read_picture(paths[index], upright=True), read_objects(index))

    return Layout(names, class_names, source, read, read_objects)
