"""Small data sets in the layouts of the large ones, by writers that share no code with them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 60, 40
"""Of all photographs here. A crop with fraction 1 is the columns 10 to 49, all 40 rows."""


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """No two of these are alike."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def save(image: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def save_sideways(image: Image.Image, path: Path) -> Path:
    """With the note of a camera that it is shown turned a quarter clockwise."""
    note = image.getexif()
    note[0x0112] = 6
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=note)
    return path


def xml(
    objects: Sequence[tuple[str, Sequence[float], int | None]],
    size: tuple[float, float] | None = (WIDTH, HEIGHT),
) -> str:
    """An annotation of VOC: name, (xmin, ymin, xmax, ymax) and the flag of each object."""
    parts = ["<annotation><folder>VOC</folder>"]
    if size is not None:
        parts.append(f"<size><width>{size[0]}</width><height>{size[1]}</height></size>")
    for name, box, difficult in objects:
        sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        inner = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
        flag = "" if difficult is None else f"<difficult>{difficult}</difficult>"
        part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        parts.append(f"<object><name>{name}</name>{flag}<bndbox>{inner}</bndbox>{part}</object>")
    return "".join([*parts, "</annotation>"])


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


VOC_OBJECTS: dict[str, list[tuple[str, Sequence[float], int | None]]] = {
    "000001": [("cat", (21, 11, 30, 20), 0), ("dog", (31.0, 1, 60, 40), 1)],
    "000002": [("person", (1, 1, 5, 5), None)],
    "000003": [("cat", (16, 1, 25, 10), 0), ("cat", (21, 6, 30, 15), 1)],
}


def voc(root: Path, year: str = "2007") -> Path:
    """VOCdevkit/VOC{year} with three photographs, of which the first has a segmentation."""
    folder = root / "VOCdevkit" / f"VOC{year}"
    for seed, (name, objects) in enumerate(VOC_OBJECTS.items()):
        save(picture(seed), folder / "JPEGImages" / f"{name}.jpg")
        write(folder / "Annotations" / f"{name}.xml", xml(objects))
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[10:20, 20:30] = 8  # cat
    values[9, 20:30] = 255
    mask = Image.frombytes("P", (WIDTH, HEIGHT), values.tobytes())
    mask.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    save(mask, folder / "SegmentationClass" / "000001.png")
    lists = folder / "ImageSets"
    write(lists / "Main" / "test.txt", "\n".join(VOC_OBJECTS) + "\n")
    write(lists / "Main" / "val.txt", "000003\n000001\n")
    write(lists / "Main" / "cat_test.txt", "000001  1\n000002 -1\n000003  0\n")
    write(lists / "Segmentation" / "test.txt", "000001\n")
    return root


def own_voc(root: Path) -> Path:
    """Two photographs with classes that VOC does not have, of which one is a .png."""
    folder = voc(root) / "VOCdevkit/VOC2007"
    for name, class_name in (("000001", "wyvern"), ("000002", "unicorn")):
        annotation = xml([(class_name, (11, 1, 50, 40), 0)])
        write(folder / "Annotations" / f"{name}.xml", annotation)
    mask = np.full((HEIGHT, WIDTH), 2, np.uint8)
    save(Image.fromarray(mask), folder / "SegmentationClass/000001.png")
    # As Windows and macOS leave them.
    write(folder / "ImageSets/Main/mine.txt", "\ufeff000001\n000002\n")
    write(folder / "Annotations/._000001.xml", "")
    (folder / "Annotations/000003.xml").unlink()
    (folder / "JPEGImages/000002.jpg").unlink()
    save(picture(1), folder / "JPEGImages/000002.PNG")
    return folder


TABBY, TENCH, PIZZA = "n02123045", "n01440764", "n07873807"
"""Classes 281, 0 and 963."""


def imagenet(
    root: Path, *, by_folder: bool, annotation: str | None, images: str = "ILSVRC/Data/CLS-LOC/val"
) -> Path:
    """Three photographs with a table ("csv"), XML files ("xml") or nothing that says the boxes."""
    rows: Mapping[str, tuple[str, list[tuple[int, int, int, int]]]] = {
        "ILSVRC2012_val_00000001": (TABBY, [(20, 10, 29, 19), (0, 0, 59, 39)]),
        "ILSVRC2012_val_00000002": (TENCH, [(0, 0, 5, 5)]),
        "ILSVRC2012_val_00000003": (PIZZA, [(15, 5, 24, 14)]),
    }
    lines = ["ImageId,PredictionString"]
    for seed, (name, (wordnet_id, boxes)) in enumerate(rows.items()):
        inside = f"{wordnet_id}/{name}.JPEG" if by_folder else f"{name}.JPEG"
        save(picture(seed), root / images / inside)
        text = " ".join(f"{wordnet_id} {' '.join(map(str, box))}" for box in boxes)
        lines.insert(1, f"{name},{text} ")  # in another order than the images, as in the original
        if annotation == "xml":
            objects = [(wordnet_id, box, 0) for box in boxes]
            write(root / f"ILSVRC/Annotations/CLS-LOC/val/{name}.xml", xml(objects))
    if annotation == "csv":
        write(root / "LOC_val_solution.csv", "\n".join(lines) + "\n")
    return root


def imagenet_s(root: Path, wordnet_ids: Sequence[str], *, split: str = "validation") -> Path:
    """One photograph for each class; its mask has the class, another one and undecided pixels."""
    folder = root / f"ImageNetS{len(wordnet_ids)}"
    for seed, wordnet_id in enumerate(wordnet_ids):
        name = f"{wordnet_id}/ILSVRC2012_val_{seed:08d}"
        save(picture(seed), folder / split / f"{name}.JPEG")
        value = sorted(wordnet_ids).index(wordnet_id) + 1
        values = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        values[10:20, 20:30, :2] = value % 256, value // 256
        values[20:30, 20:30, :2] = 1000 % 256, 1000 // 256
        save(Image.fromarray(values), folder / f"{split}-segmentation" / f"{name}.png")
    return root


def coco(root: Path, annotations: list[dict[str, Any]], *, images: str = "val2017") -> Path:
    """Two photographs and three categories with gaps between their ids."""
    for seed, name in enumerate(("000000000139.jpg", "000000000285.jpg")):
        save(picture(seed), root / images / name)
    content = {
        "info": {},
        "licenses": [],
        "images": [
            {"id": 285, "file_name": "000000000285.jpg", "width": WIDTH, "height": HEIGHT},
            {"id": 139, "file_name": "000000000139.jpg", "width": WIDTH, "height": HEIGHT},
        ],
        "annotations": annotations,
        "categories": [
            {"id": 18, "name": "dog", "supercategory": "animal"},
            {"id": 1, "name": "person", "supercategory": "person"},
            {"id": 17, "name": "cat", "supercategory": "animal"},
        ],
    }
    write(root / "annotations" / "instances_val2017.json", json.dumps(content))
    return root


def coco_polygons(root: Path, lines: list[str]) -> Path:
    """Two photographs, of which one has objects, and categories with gaps between their ids."""
    for seed, name in enumerate(("000000000139.jpg", "000000000285.jpg")):
        save(picture(seed), root / "images" / name)
    write(root / "polygons" / "000000000139.txt", "\n".join(lines))
    named = {"0": "unlabeled", "1": "person", "17": "cat", "18": "dog", "92": "banner"}
    write(root / "categories.json", json.dumps({"coco_category_names": named}))
    return root


_ENTITIES = "".join(
    f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMB = (
    f'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">{_ENTITIES}]>'
    "<annotation><object><name>&i;</name></object></annotation>"
)
"""A hundred million lols once it is expanded."""
