"""Annotations damaged anywhere: the file is read, or it is named; nothing else is raised."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitb_jax import data
from tests.data.photos import layouts
from tests.data.photos.test_coco import ANNOTATIONS
from tests.data.photos.test_coco_polygons import LINES

PIECES = np.frombuffer(b'0123456789.-,:"[]{}<>&/ \n\x00\xff', np.uint8)
VALUES: list[Any] = [None, True, 8.5, -1, 1e300, float("nan"), "x" * 400, [], [[1]], {}, 10**30]


def _read_all(name: str, root: Path) -> None:
    """Everything that is asked of the photographs of a folder."""
    photographs = data.photographs(name, data_dir=root, size=8, fraction=1.0)
    for at in range(len(photographs)):
        for read in (photographs.__getitem__, photographs.layout.read_objects):
            try:
                read(at)
            except data.CorruptFileError as error:
                _is_short(error)


def _is_short(error: data.CorruptFileError) -> None:
    assert len(str(error)) < 1000


def _named(name: str, root: Path) -> None:
    try:
        _read_all(name, root)
    except data.CorruptFileError as error:
        _is_short(error)


def _damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    content = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(content) - 1))
        match rng.integers(4):
            case 0:
                content[at] ^= int(rng.integers(1, 256))
            case 1:
                content[at] = rng.choice(PIECES)
            case 2:
                del content[at : at + int(rng.integers(1, 9))]
            case _:
                content[at:at] = content[at // 2 : at // 2 + 9]
    return bytes(content[: int(rng.integers(len(content)))] if rng.random() < 0.2 else content)


def _manifest(root: Path) -> Path:
    layouts.save(layouts.picture(0), root / "0.jpg")
    return layouts.write(
        root / "manifest.csv",
        'file,class_index,boxes_xyxy,width,height\n0.jpg,7,"[[1, 2, 3, 4]]",60,40\n',
    )


def _voc(root: Path) -> Path:
    return layouts.voc(root) / "VOCdevkit/VOC2007"


def _imagenet(root: Path, annotation: str) -> Path:
    return layouts.imagenet(root, by_folder=False, annotation=annotation)


KINDS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "xml": ("voc2007", lambda root: _voc(root) / "Annotations/000001.xml"),
    "list": ("voc2007", lambda root: _voc(root) / "ImageSets/Main/test.txt"),
    "png": ("voc2007", lambda root: _voc(root) / "SegmentationClass/000001.png"),
    "json": (
        "coco",
        lambda root: layouts.coco(root, ANNOTATIONS) / "annotations/instances_val2017.json",
    ),
    "text": (
        "coco_polygons",
        lambda root: layouts.coco_polygons(root, LINES) / "polygons/000000000139.txt",
    ),
    "csv": ("imagenet", lambda root: _imagenet(root, "csv") / "LOC_val_solution.csv"),
    "table": ("manifest", _manifest),
}


@pytest.mark.filterwarnings("ignore")  # PIL also warns of some damages
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_are_read_or_named(tmp_path: Path, kind: str) -> None:
    name, write = KINDS[kind]
    path = write(tmp_path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(40):
        path.write_bytes(_damaged(whole, rng))
        _named(name, tmp_path)


def _places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield before
    items = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else items:
        yield from _places(inner, (*before, key))


def test_other_values_in_json_are_read_or_named(tmp_path: Path) -> None:
    name, write = KINDS["json"]
    path = write(tmp_path)
    whole, rng = json.loads(path.read_bytes()), np.random.default_rng(0)
    for *before, last in list(_places(whole))[1:]:
        changed = copy.deepcopy(whole)
        inner = changed
        for key in before:
            inner = inner[key]
        inner[last] = VALUES[rng.integers(len(VALUES))]
        path.write_text(json.dumps(changed))
        _named(name, tmp_path)
