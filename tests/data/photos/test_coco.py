import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from fitb_jax import data
from tests.data.photos import layouts

PERSON, CAT, DOG = 0, 1, 2
"""Places of the category ids 1, 17 and 18, which the file lists in another order."""

open_coco = partial(data.photographs, "coco", size=80, fraction=1.0)


def _mask(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((layouts.HEIGHT, layouts.WIDTH), np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def _compressed(mask: np.ndarray) -> dict[str, Any]:
    code = coco.encode(np.asfortranarray(mask))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def _uncompressed(*runs: int) -> dict[str, Any]:
    return {"size": [layouts.HEIGHT, layouts.WIDTH], "counts": list(runs)}


SQUARE = [20, 10, 30, 10, 30, 20, 20, 20]


def _object(
    category: int, bbox: list[float], segmentation: Any, *, iscrowd: int = 0
) -> dict[str, Any]:
    return {
        "image_id": 139,
        "category_id": category,
        "bbox": bbox,
        "segmentation": segmentation,
        "iscrowd": iscrowd,
    }


ANNOTATIONS = [
    _object(17, [20, 10, 10, 10], [SQUARE]),
    _object(1, [0, 0, 5, 5], [[0, 0, 5, 0, 5, 5]]),
    _object(17, [25, 15.5, 10, 10], _compressed(_mask(25, 15, 35, 25)), iscrowd=1),
    # All of the columns 40 to 59.
    _object(18, [40, 0, 20, 40], _uncompressed(1600, 800), iscrowd=1),
]


@pytest.mark.parametrize("images", ["val2017", "images/val2017"])
def test_polygons_run_lengths_and_crowds_are_read(tmp_path: Path, images: str) -> None:
    photographs = open_coco(data_dir=layouts.coco(tmp_path, ANNOTATIONS, images=images))
    assert photographs.names == ("000000000139.jpg", "000000000285.jpg")
    assert photographs.class_names == ("person", "cat", "dog")
    first, second = photographs
    np.testing.assert_array_equal(first.labels, [PERSON, CAT, DOG])
    # The person lies left of the crop.
    np.testing.assert_array_equal(first.box_labels, [CAT, CAT, DOG])
    np.testing.assert_array_equal(first.difficult, [False, True, True])
    boxes = [[20, 20, 40, 40], [30, 31, 50, 51], [60, 0, 80, 80]]
    np.testing.assert_array_equal(first.boxes, np.float32(boxes))
    expected = np.zeros((3, 80, 80), bool)
    expected[0, 20:40, 20:40] = expected[1, 30:50, 30:50] = expected[2, :, 60:] = True
    np.testing.assert_array_equal(first.instances, expected)
    np.testing.assert_array_equal(data.truth_mask(first, CAT, kind="masks"), expected[0])
    undecided = data.ignored_mask(first, CAT, kind="masks")
    np.testing.assert_array_equal(undecided, expected[1] & ~expected[0])
    assert first.segmentation is None
    assert second.labels.shape == (0,)
    assert second.instances is not None
    assert second.instances.shape == (0, 80, 80)
    assert data.with_label(photographs, DOG).names == ("000000000139.jpg",)


def test_boxes_without_segmentation_are_enough(tmp_path: Path) -> None:
    only_boxes = [
        {key: item[key] for key in ("image_id", "category_id", "bbox")} for item in ANNOTATIONS
    ]
    first = open_coco(data_dir=layouts.coco(tmp_path, only_boxes))[0]
    assert first.instances is None
    assert len(first.boxes) == 3
    assert not first.difficult.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [1, 2, 3]}, "not enough values"),
        ({"bbox": [1, 2, -3, 4]}, "the box"),
        ({"bbox": [1, 2, float("nan"), 4]}, "the box"),
        ({"bbox": "abcd"}, "could not convert"),
        ({"bbox": None}, "TypeError"),
        ({"category_id": 99}, "KeyError: 99; expected a known category"),
        ({"iscrowd": "yes"}, "could not convert"),
    ],
)
def test_damaged_objects_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    root = layouts.coco(tmp_path, [{**ANNOTATIONS[0], **change}])
    photographs = open_coco(data_dir=root)
    with pytest.raises(data.CorruptFileError, match=rf"instances_val2017\.json.*{message}"):
        photographs[0]
    assert photographs[1].boxes.shape == (0, 4)


@pytest.mark.parametrize("segmentation", [_uncompressed(7), [SQUARE, [1, 2, 3, 4]]])
def test_a_damaged_segmentation_costs_its_object_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, segmentation: Any
) -> None:
    damaged = {**ANNOTATIONS[3], "id": 77, "segmentation": segmentation}
    photographs = open_coco(data_dir=layouts.coco(tmp_path, [damaged, ANNOTATIONS[0]]))
    first = photographs[0]
    assert first.instances is not None
    assert first.instances.sum(axis=(1, 2)).tolist() == [20 * 20]
    assert (first.labels.tolist(), first.box_labels.tolist()) == ([CAT], [CAT])
    assert not len(data.with_label(photographs, DOG))
    assert "left out object 77: " in caplog.text
    assert "instances_val2017.json" in caplog.text


def test_sizes_may_be_written_as_floats(tmp_path: Path) -> None:
    floats = {**IMAGE, "width": 60.0, "height": 40.0}
    root = _rewritten(layouts.coco(tmp_path, ANNOTATIONS), images=[floats, {**IMAGE, "id": 2}])
    assert len(open_coco(data_dir=root)) == 2
    assert open_coco(data_dir=root)[0].crop.width == 60
    _rewritten(root, images=[{**floats, "width": 60.5}, {**floats, "id": 2}])
    with pytest.raises(data.CorruptFileError, match=r"60\.5, which is no whole number; .* image 1"):
        open_coco(data_dir=root)[0]
    assert len(list(open_coco(data_dir=root, on_corrupt="skip"))) == 1


def _rewritten(root: Path, **changes: Any) -> Path:
    path = root / "annotations" / "instances_val2017.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return root


IMAGE = {"id": 1, "file_name": "000000000139.jpg", "width": 60, "height": 40}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "KeyError: 'images'"),
        ({"images": []}, "no images, or two with one id"),
        ({"images": [IMAGE, IMAGE]}, "no images, or two with one id"),
        ({"images": [{"id": 1}]}, "one of the images without file_name, width, height"),
        ({"images": [{**IMAGE, "id": []}]}, "TypeError"),
        ({"images": 7}, "TypeError"),
        ({"categories": []}, "no categories"),
        ({"annotations": [{"id": 7}]}, "one of the annotations without image_id"),
    ],
)
def test_a_file_of_another_form_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    root = _rewritten(layouts.coco(tmp_path, []), **changes)
    with pytest.raises(data.CorruptFileError, match=rf"instances_val2017\.json: found .*{message}"):
        open_coco(data_dir=root)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", "7"])
def test_what_is_no_json_is_named(tmp_path: Path, text: str) -> None:
    root = layouts.coco(tmp_path, [])
    layouts.write(root / "annotations/instances_val2017.json", text)
    with pytest.raises(data.CorruptFileError, match="instances_val2017"):
        open_coco(data_dir=root)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", ""])
def test_file_names_stay_inside(tmp_path: Path, name: str) -> None:
    root = _rewritten(layouts.coco(tmp_path, []), images=[{**IMAGE, "file_name": name}])
    with pytest.raises(data.CorruptFileError, match="expected a path inside the image folder"):
        open_coco(data_dir=root)[0]


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    root = _rewritten(layouts.coco(tmp_path, []), images=[{**IMAGE, "width": 61}])
    with pytest.raises(data.CorruptFileError, match="found 60 x 40 pixels; expected 61 x 40"):
        open_coco(data_dir=root)[0]


def test_missing_places_and_splits(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="COCO not found"):
        open_coco(data_dir=tmp_path)
    (tmp_path / "annotations").mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds no instances_SPLIT\.json"):
        open_coco(data_dir=tmp_path)
    root = layouts.coco(tmp_path, [])
    with pytest.raises(ValueError, match=r"unknown split 'val2071' of coco.*val2017"):
        open_coco(data_dir=root, split="val2071")
    (root / "val2017").rename(root / "elsewhere")
    with pytest.raises(FileNotFoundError, match="COCO's images of val2017 not found"):
        open_coco(data_dir=root)
