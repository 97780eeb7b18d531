"""PASCAL VOC 2007 and 2012 in their own folders (Everingham et al. 2010, 2015)."""

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
_INDEX_OF = {name: index for index, name in enumerate(CLASS_NAMES)}
_VOID = 255


def layout(data_dir: Path, split: str, *, year: str) -> Layout:
    """Open the folder of one year.

    Args:
        data_dir: `VOC2007` (or 2012), `VOCdevkit`, or the folder that holds it.
        split: a list in `ImageSets/Main` ("train", "val", "trainval", "test"), or one with its
            folder ("Segmentation/val").
        year: "2007" or "2012".

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
    for folder in ("JPEGImages", "ImageSets"):
        files.first_existing(root, [folder], f"VOC {year}")
    splits = _splits(root / "ImageSets")
    files.check_split(f"voc{year}", split, splits)
    names = _listed(splits[split])

    def read_annotation(index: int) -> tuple[Objects, tuple[int, int] | None]:
        path = root / "Annotations" / f"{names[index]}.xml"
        annotation = xml_annotations.read(path)
        return _objects(path, annotation.objects), annotation.size

    def read(index: int) -> Annotated:
        objects, size = read_annotation(index)
        picture = files.read_picture(root / "JPEGImages" / f"{names[index]}.jpg", size)
        masks = root / "SegmentationClass" / f"{names[index]}.png"
        return Annotated(
            picture, objects, _segmentation(masks, picture.size) if masks.is_file() else None
        )

    source = f"PASCAL VOC {year} in {root}, split {split}"
    return Layout(names, CLASS_NAMES, source, read, lambda index: read_annotation(index)[0])


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


def _objects(path: Path, objects: tuple[xml_annotations.XmlObject, ...]) -> Objects:
    unknown = [item.name for item in objects if item.name not in _INDEX_OF]
    if unknown:
        raise CorruptFileError(
            path, found=f"the class {unknown[0]!r}", expected="one of the 20 of PASCAL VOC"
        )
    return listed(
        path,
        [_INDEX_OF[item.name] for item in objects],
        [edges(*item.box) for item in objects],
        [item.difficult for item in objects],
    )


def _splits(folder: Path) -> dict[str, Path]:
    """Lists of images; those of one class, such as cat_train.txt, have another form."""
    of_classes = tuple(f"{name}_" for name in CLASS_NAMES)
    found = {}
    for kind in ("Main", "Segmentation", "Layout"):
        for path in sorted((folder / kind).glob("*.txt")):
            if not path.name.startswith(of_classes):
                found[path.stem if kind == "Main" else f"{kind}/{path.stem}"] = path
    return found


def _listed(path: Path) -> tuple[str, ...]:
    with files.damage_named(path, "one name in each line"):
        # Lists of the Layout task have the number of a person behind the name.
        lines = [line.split()[0] for line in path.read_text("utf-8").splitlines() if line.strip()]
    names = tuple(dict.fromkeys(lines))
    wrong = [name for name in names if "/" in name or "\\" in name]
    if wrong or not names:
        raise CorruptFileError(
            path, found=repr(wrong[0]) if wrong else "no name", expected="names of images"
        )
    return names


def _segmentation(path: Path, size: tuple[int, int]) -> Int32[np.ndarray, "h w"]:
    pixels = files.read_pixels(path, "P", size)
    wrong = (pixels > len(CLASS_NAMES)) & (pixels != _VOID)
    if wrong.any():
        raise CorruptFileError(
            path,
            found=f"the value {pixels[wrong][0]}",
            expected=f"0 to {len(CLASS_NAMES)}, or {_VOID} for undecided",
        )
    # 0 is the background and 1 the first class.
    classes = np.where(pixels == 0, NO_CLASS, pixels - 1)
    return np.where(pixels == _VOID, IGNORED, classes).astype(np.int32)
