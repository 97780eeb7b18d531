from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fitb_jax import data
from tests.data.photos import layouts

PERSON, CAT = 0, 1
"""Places of the category ids 1 and 17; what is above 90 is no thing."""

LINES = ["17 0.5 0.25 0.75 0.25 0.75 0.5 0.5 0.5", "", "1 0 0 0.25 0 0.25 0.5"]

open_polygons = partial(data.photographs, "coco_polygons", size=layouts.HEIGHT, fraction=1.0)


def test_shares_become_pixels_of_the_file(tmp_path: Path) -> None:
    photographs = open_polygons(data_dir=layouts.coco_polygons(tmp_path, LINES))
    assert photographs.class_names == ("person", "cat", "dog")
    assert photographs.names == ("000000000139.jpg", "000000000285.jpg")
    first, second = photographs
    assert first.labels.tolist() == [PERSON, CAT]
    assert not second.labels.size
    assert second.instances is not None
    assert second.instances.shape[0] == 0
    # The middle of a file that is wider than high: columns left of the crop are gone.
    left = (layouts.WIDTH - layouts.HEIGHT) / 2
    width, height = layouts.WIDTH, layouts.HEIGHT
    box = [0.5 * width - left, 0.25 * height, 0.75 * width - left, 0.5 * height]
    assert first.box_labels.tolist() == [CAT, PERSON]
    np.testing.assert_allclose(first.boxes[0], box)
    assert first.instances is not None
    rows, columns = np.nonzero(first.instances[0])
    assert (rows.min(), rows.max() + 1) == (box[1], box[3])
    assert (columns.min(), columns.max() + 1) == (box[0], box[2])
    assert first.instances[0].sum() == (box[2] - box[0]) * (box[3] - box[1])


def test_photographs_of_a_class_are_found_without_opening_them(tmp_path: Path) -> None:
    photographs = open_polygons(data_dir=layouts.coco_polygons(tmp_path, LINES))
    (tmp_path / "images" / "000000000285.jpg").write_bytes(b"damaged")
    assert photographs.layout.read_objects(1).labels.size == 0
    assert photographs.layout.read_objects(0).labels.tolist() == [PERSON, CAT]


def test_lines_that_are_no_outline_cost_their_object_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = (
        "",
        "0.75 0.25",
        "0.75 0.25 0.75",
        *(f"0.75 0.25 0.75 {y}" for y in ("1.5", "nan", "x")),
    )
    lines = [f"1 0.5 0.25 {end}" for end in ends]
    # Windows writes a mark of byte order.
    root = layouts.coco_polygons(tmp_path, ["\ufeff" + LINES[0], *lines])
    first = open_polygons(data_dir=root)[0]
    assert first.labels.tolist() == first.box_labels.tolist() == [CAT]
    assert caplog.text.count("000000000139.txt: found the line '1 0.5") == len(lines)


@pytest.mark.parametrize("line", ["cat 0 0 1 0 1 1", "92 0 0 1 0 1 1", "17.5 0 0 1 0 1 1"])
def test_unknown_categories_are_named(tmp_path: Path, line: str) -> None:
    photographs = open_polygons(data_dir=layouts.coco_polygons(tmp_path, [LINES[0], line]))
    with pytest.raises(data.CorruptFileError, match=r"000000000139\.txt.*known category"):
        photographs[0]


def test_outlines_are_found_in_the_subfolder_of_their_image(tmp_path: Path) -> None:
    root = layouts.coco_polygons(tmp_path, [])
    for folder, line in (("a", LINES[0]), ("b", LINES[2])):
        layouts.save(layouts.picture(0), root / "images" / folder / "1.jpg")
        layouts.write(root / "polygons" / folder / "1.txt", line)
    photographs = open_polygons(data_dir=root)
    assert photographs.names[2:] == ("a/1.jpg", "b/1.jpg")
    assert [photographs[at].labels.tolist() for at in (2, 3)] == [[CAT], [PERSON]]
    (root / "polygons/b/1.txt").unlink()
    assert open_polygons(data_dir=root)[3].labels.size == 0
    (root / "polygons/a/1.txt").rename(root / "polygons/1.txt")
    with pytest.raises(data.CorruptFileError, match=r"a/1\.jpg: found 2 photographs and 1 annot"):
        open_polygons(data_dir=root)[2]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="images"):
        open_polygons(data_dir=tmp_path)
    root = layouts.coco_polygons(tmp_path, LINES)
    (root / "categories.json").write_text('{"coco_category_names": {"92": "banner"}}')
    with pytest.raises(data.CorruptFileError, match="categories"):
        open_polygons(data_dir=root)
    (root / "categories.json").unlink()
    with pytest.raises(FileNotFoundError, match="categories"):
        open_polygons(data_dir=root)
    for image in (root / "images").iterdir():
        image.unlink()
    layouts.write(root / "categories.json", '{"coco_category_names": {"1": "person"}}')
    with pytest.raises(FileNotFoundError, match="no image"):
        open_polygons(data_dir=root)
