"""PASCAL VOC 2007 and 2012 (Everingham et al. 2010, 2015), and other data sets in the same form."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.photos import files, xml_annotations
from fitb_jax.data.photos.photograph import IGNORED, NO_CLASS, Annotated, Objects, listed
from fitb_jax.data.photos.streaming import Layout

CLASS_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
_VOID = 255
_WHOLE = "all"
"""Split of a data set of one's own: every annotation there is."""


def layout(
    data_dir: Path, split: str, *, year: str, class_names: Sequence[str] = CLASS_NAMES
) -> Layout:
    """Open the folder of one year.

    Args:
        data_dir: `VOC2007` (or 2012), `VOCdevkit`, or the folder that holds it.
        split: a list in `ImageSets/Main` ("train", "val", "trainval", "test"), or one with its
            folder ("Segmentation/val").
        year: "2007" or "2012".
        class_names: names of the objects' classes; value v of a mask is class v - 1.

    Returns:
        The photographs in the order of the list.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: there is no such split.
        CorruptFileError: the list is damaged or empty.
    """
    candidates = [f"VOC{year}", f"VOCdevkit/VOC{year}", "."]
    named = [f"{candidate}/Annotations" for candidate in candidates]
    root = files.first_existing(data_dir, named, f"VOC {year}").parent
    files.first_existing(root, ["ImageSets"], f"VOC {year}")
    splits = _splits(root / "ImageSets", class_names)
    files.check_split(f"voc{year}", split, splits)
    source = f"PASCAL VOC {year} in {root}, split {split}"
    return _opened(root, _listed(splits[split]), tuple(class_names), source, has_masks=True)


def own_layout(data_dir: Path, split: str, *, class_names: Sequence[str] | None = None) -> Layout:
    """Open a folder in the form of VOC with classes of one's own.

    Args:
        data_dir: the folder with `Annotations`, `JPEGImages`, and perhaps `ImageSets`.
        split: "all", or a list as in `layout`.
        class_names: names of the objects' classes; by default all that any annotation in the folder
            has, sorted. Masks are read only where `class_names` are given: value v of a mask is
            class v - 1.

    Returns:
        The photographs in the order of the list, or of their names.

    Raises:
        FileNotFoundError: a folder is missing, or there is no annotation.
        ValueError: there is no such split.
        CorruptFileError: the list is damaged or empty; or an annotation is, and no `class_names`
            are given.
    """
    folder = files.first_existing(data_dir, ["Annotations"], "the annotations in VOC's form")
    annotations = [path for path in files.visible(folder) if path.suffix == ".xml"]
    if not annotations:
        raise FileNotFoundError(f"{folder} holds no annotation (.xml)")
    known = _named_in(annotations) if class_names is None else tuple(class_names)
    splits = _splits(data_dir / "ImageSets", known)
    files.check_split("voc", split, (*splits, _WHOLE))
    names = _listed(splits[split]) if split in splits else tuple(path.stem for path in annotations)
    source = f"photographs in VOC's form in {data_dir}, split {split}"
    return _opened(data_dir, names, known, source, has_masks=class_names is not None)


def _opened(
    root: Path,
    names: tuple[str, ...],
    class_names: tuple[str, ...],
    source: str,
    *,
    has_masks: bool,
) -> Layout:
    pictures = files.first_existing(root, ["JPEGImages"], "the images in VOC's form")
    files_of = defaultdict(list)
    for path in files.visible(pictures):
        if path.suffix.lower() in files.SUFFIXES and not path.is_dir():
            files_of[path.stem].append(path)

    def read_annotation(index: int) -> tuple[Objects, tuple[int, int] | None]:
        path = root / "Annotations" / f"{names[index]}.xml"
        annotation = xml_annotations.read(path)
        return _objects(path, annotation.objects, class_names), annotation.size

    def read(index: int) -> Annotated:
        objects, size = read_annotation(index)
        found = files_of.get(names[index], [pictures / f"{names[index]}.jpg"])
        if len(found) > 1:
            alike = ", ".join(path.name for path in found)
            raise CorruptFileError(found[0], found=f"{alike}", expected="one image of that name")
        picture = files.read_picture(found[0], size)
        mask = root / "SegmentationClass" / f"{names[index]}.png"
        is_drawn = has_masks and mask.is_file()
        segmentation = _segmentation(mask, picture.size, len(class_names)) if is_drawn else None
        return Annotated(picture, objects, segmentation)

    return Layout(names, class_names, source, read, lambda index: read_annotation(index)[0])


def _named_in(annotations: Sequence[Path]) -> tuple[str, ...]:
    names: set[str] = set()
    for path in annotations:
        try:
            names.update(item.name for item in xml_annotations.read(path).objects)
        except CorruptFileError as error:
            # Without its names the classes after them would have other indices.
            error.add_note("class_names must be given where an annotation is damaged")
            raise
    return tuple(sorted(names))


def edges(xmin: float, ymin: float, xmax: float, ymax: float) -> tuple[float, float, float, float]:
    """The edges of a box of VOC, whose first pixel is 1 and whose last one is inside.

    Args:
        xmin: first column.
        ymin: first row.
        xmax: last column.
        ymax: last row.

    Returns:
        x0, y0, x1, y1, where pixel j is [j, j + 1) and counted from 0.
    """
    return (xmin - 1, ymin - 1, xmax, ymax)


def _objects(
    path: Path, objects: tuple[xml_annotations.XmlObject, ...], class_names: tuple[str, ...]
) -> Objects:
    index_of = {name: index for index, name in enumerate(class_names)}
    unknown = [item.name for item in objects if item.name not in index_of]
    if unknown:
        known = "the 20 of PASCAL VOC" if class_names == CLASS_NAMES else "the class_names given"
        raise CorruptFileError(
            path,
            found=f"the class {unknown[0]!r}",
            expected=f"one of {known}; layout 'voc' takes classes of one's own",
        )
    return listed(
        path,
        [index_of[item.name] for item in objects],
        [edges(*item.box) for item in objects],
        [item.difficult for item in objects],
    )


def _splits(folder: Path, class_names: Sequence[str]) -> dict[str, Path]:
    """Lists of images; those of one class, such as cat_train.txt, have another form."""
    of_classes = tuple(f"{name}_" for name in class_names)
    found = {}
    for kind in ("Main", "Segmentation", "Layout"):
        for path in files.files_below(folder / kind, {".txt"}):
            if path.parent == folder / kind and not path.name.startswith(of_classes):
                found[path.stem if kind == "Main" else f"{kind}/{path.stem}"] = path
    return found


def _listed(path: Path) -> tuple[str, ...]:
    with files.damage_named(path, "one name in each line"):
        # Lists of the Layout task have the number of a person behind the name.
        lines = [
            line.split()[0] for line in path.read_text("utf-8-sig").splitlines() if line.strip()
        ]
    names = tuple(dict.fromkeys(lines))
    wrong = [name for name in names if "/" in name or "\\" in name]
    if wrong or not names:
        raise CorruptFileError(
            path, found=repr(wrong[0]) if wrong else "no name", expected="names of images"
        )
    return names


def _segmentation(path: Path, size: tuple[int, int], classes: int) -> Int32[np.ndarray, "h w"]:
    pixels = files.read_pixels(path, "P", size)
    wrong = (pixels > classes) & (pixels != _VOID)
    if wrong.any():
        raise CorruptFileError(
            path,
            found=f"the value {pixels[wrong][0]}",
            expected=f"0 to {classes}, or {_VOID} for undecided",
        )
    # 0 is the background and 1 the first class.
    labels = np.where(pixels == 0, NO_CLASS, pixels - 1)
    return np.where(pixels == _VOID, IGNORED, labels).astype(np.int32)
