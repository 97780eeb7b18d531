"""The validation set of ImageNet (ILSVRC 2012) with its boxes (Russakovsky et al. 2015)."""

import csv
import functools
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fitb_jax import imagenet
from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.photos import files, xml_annotations
from fitb_jax.data.photos.photograph import Annotated, Objects, listed, whole
from fitb_jax.data.photos.streaming import Layout

IMAGE_FOLDERS = ("ILSVRC/Data/CLS-LOC/val", "Data/CLS-LOC/val", "val", ".")
TABLES = ("LOC_val_solution.csv", "ILSVRC/LOC_val_solution.csv")
XML_FOLDERS = ("ILSVRC/Annotations/CLS-LOC/val", "Annotations/CLS-LOC/val", "Annotations/val")
_COLUMNS = ("ImageId", "PredictionString")

_logger = logging.getLogger(__name__)


class _Annotation(NamedTuple):
    objects: Objects
    size: tuple[int, int] | None


def layout(data_dir: Path) -> Layout:
    """Open the folder of the validation set.

    The images are searched for in `IMAGE_FOLDERS`, in one folder or one for each WordNet id. The
    boxes come from the first of `TABLES` or else of `XML_FOLDERS` (also beside the images) that
    exists. They are on the pixels as they are stored.

    Without boxes, the names of the folders give the labels: WordNet ids, or the indices 0 to 999 of
    the classes as in ImageNetV2. Photographs are then turned as their camera noted.

    Args:
        data_dir: the folder.

    Returns:
        The photographs in the order of their names, labelled as ImageNet's classes.

    Raises:
        FileNotFoundError: there are no images, or nothing that says what is on them.
        CorruptFileError: the table is damaged.
    """
    folder = files.first_existing(data_dir, IMAGE_FOLDERS, "the validation images of ImageNet")
    paths = sorted(files.images_below(folder), key=lambda path: (path.stem, path))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no image")
    annotation_of, where = _annotations(data_dir, folder, paths)

    def read(index: int) -> Annotated:
        objects, size = annotation_of(paths[index])
        upright = annotation_of is _from_folder
        return Annotated(files.read_picture(paths[index], size, upright=upright), objects)

    return Layout(
        names=files.names_of(paths, folder),
        class_names=imagenet.classes().names,
        source=f"the validation set of ImageNet in {folder}, {where}",
        read=read,
        read_objects=lambda index: annotation_of(paths[index]).objects,
    )


def _annotations(
    data_dir: Path, folder: Path, paths: Sequence[Path]
) -> tuple[Callable[[Path], _Annotation], str]:
    tables = [data_dir / table for table in TABLES if (data_dir / table).is_file()]
    if tables:
        rows, alike = _read_table(tables[0]), Counter(path.stem for path in paths)
        return functools.partial(_from_table, tables[0], rows, alike), f"boxes from {tables[0]}"
    for place in (*(data_dir / candidate for candidate in XML_FOLDERS), folder):
        if found := files.files_below(place, {".xml"}):
            find = files.beside(paths, folder, found, place)
            return functools.partial(_from_xml, place, find), f"boxes from {place}"
    by_id = all(path.parent.name in imagenet.classes().index_of for path in paths)
    if by_id or all(_is_index(path.parent.name) for path in paths):
        _logger.warning("%s has no boxes: labels are those of its folders", data_dir)
        return _from_folder, "no boxes"
    searched = "\n".join(f"  - {data_dir / place}" for place in (*TABLES, *XML_FOLDERS))
    raise FileNotFoundError(
        f"no annotation of the images in {folder} was found. Searched:\n{searched}\n"
        "  - folders named by WordNet ids or class indices, for labels without boxes"
    )


def _read_table(table: Path) -> Mapping[str, Sequence[str]]:
    """Boxes as text, by the name of the image: parsed when asked for, to name what is damaged."""
    with (
        files.damage_named(table, "a CSV table"),
        table.open(newline="", encoding="utf-8-sig") as file,
    ):
        reader = csv.DictReader(file)
        if not set(_COLUMNS) <= set(reader.fieldnames or ()):
            raise CorruptFileError(
                table, found=f"columns {reader.fieldnames}", expected=", ".join(_COLUMNS)
            )
        rows = defaultdict(list)
        for row in reader:
            rows[row["ImageId"]].append(row["PredictionString"] or "")
        return dict(rows)


def _from_table(
    table: Path, rows: Mapping[str, Sequence[str]], alike: Mapping[str, int], path: Path
) -> _Annotation:
    found = rows.get(path.stem, ())
    if len(found) != 1 or alike[path.stem] != 1:
        raise CorruptFileError(
            table,
            found=f"{len(found) or 'no'} row of {path.stem}, the name of {alike[path.stem]} images",
            expected="one for each image",
        )
    words = found[0].split()
    if not words or len(words) % 5:
        raise CorruptFileError(
            table,
            found=f"{found[0]!r} for {path.stem}",
            expected="a WordNet id and four numbers for each box",
        )
    with files.damage_named(table, f"numbers for the boxes of {path.stem}"):
        boxes = [[float(word) for word in words[at + 1 : at + 5]] for at in range(0, len(words), 5)]
    return _annotation(table, path, words[::5], boxes, None)


def _from_xml(place: Path, find: Callable[[Path], Path | None], path: Path) -> _Annotation:
    source = find(path)
    if source is None:
        raise CorruptFileError(
            place / f"{path.stem}.xml", found="no such file", expected="the boxes of an image"
        )
    annotation = xml_annotations.read(source)
    names = [item.name for item in annotation.objects]
    boxes = [list(item.box) for item in annotation.objects]
    return _annotation(source, path, names, boxes, annotation.size)


def _from_folder(path: Path) -> _Annotation:
    name = path.parent.name
    return _Annotation(whole([int(name) if _is_index(name) else _label(path, name)]), None)


def _is_index(name: str) -> bool:
    return name.isdecimal() and int(name) < len(imagenet.classes().names)


def _annotation(
    source: Path,
    path: Path,
    names: Sequence[str],
    boxes: Sequence[Sequence[float]],
    size: tuple[int, int] | None,
) -> _Annotation:
    folder = path.parent.name
    if folder in imagenet.classes().index_of and folder not in names:
        raise CorruptFileError(
            source, found=f"{', '.join(sorted(set(names)))} for {path}", expected=f"{folder}"
        )
    labels = [_label(source, name) for name in names]
    # Coordinates begin at 0, and the last column and row are inside.
    edges = [(x0, y0, x1 + 1, y1 + 1) for x0, y0, x1, y1 in boxes]
    return _Annotation(listed(source, labels, edges), size)


def _label(source: Path, wordnet_id: str) -> int:
    label = imagenet.classes().index_of.get(wordnet_id)
    if label is None:
        raise CorruptFileError(
            source, found=f"the class {wordnet_id!r}", expected="a WordNet id of ImageNet"
        )
    return label
