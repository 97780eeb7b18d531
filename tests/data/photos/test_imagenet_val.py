import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fitb_jax import data
from tests.data.photos import layouts

open_imagenet = partial(data.photographs, "imagenet", size=80, fraction=1.0)

BOXES = [[[20, 20, 40, 40], [0, 0, 80, 80]], [], [[10, 10, 30, 30]]]


@pytest.mark.parametrize("annotation", ["csv", "xml"])
@pytest.mark.parametrize("by_folder", [False, True])
def test_images_and_boxes_are_found_in_every_layout(
    tmp_path: Path, annotation: str, by_folder: bool
) -> None:
    root = layouts.imagenet(tmp_path, by_folder=by_folder, annotation=annotation)
    photographs = open_imagenet(data_dir=root)
    assert photographs.names == tuple(f"ILSVRC2012_val_{i:08d}" for i in (1, 2, 3))
    assert photographs.class_names[281].startswith("tabby")
    found = list(photographs)
    assert [photograph.labels.tolist() for photograph in found] == [[281], [0], [963]]
    for photograph, boxes in zip(found, BOXES, strict=True):
        # Columns 20 to 29, both inside: the right edge is 30.
        np.testing.assert_array_equal(photograph.boxes, np.float32(boxes).reshape(-1, 4))
        assert not photograph.difficult.any()
        assert photograph.segmentation is None
    assert data.with_label(photographs, 963).names == ("ILSVRC2012_val_00000003",)


@pytest.mark.parametrize(("images", "by_index"), [("val", False), (".", False), (".", True)])
def test_folders_named_by_wordnet_ids_or_indices_are_enough_for_labels(
    tmp_path: Path, images: str, by_index: bool, caplog: pytest.LogCaptureFixture
) -> None:
    root = layouts.imagenet(tmp_path, by_folder=True, annotation=None, images=images)
    layouts.write(root / images / layouts.TABBY / ".ipynb_checkpoints/a.JPEG", "")
    if by_index:
        for name, index in ((layouts.TABBY, "281"), (layouts.TENCH, "0"), (layouts.PIZZA, "0963")):
            (root / name).rename(root / index)
    with caplog.at_level(logging.WARNING):
        photographs = open_imagenet(data_dir=root)
    assert "has no boxes" in caplog.text
    assert [photograph.labels.tolist() for photograph in photographs] == [[281], [0], [963]]
    assert photographs[0].boxes.shape == (0, 4)


def test_photographs_are_upright_unless_they_have_boxes(tmp_path: Path) -> None:
    stored = layouts.picture(0, 8, 8)
    layouts.save_sideways(stored, tmp_path / layouts.TABBY / "a.png")
    turned = np.rot90(np.asarray(stored), -1)
    for pixels, boxes in ((turned, False), (np.asarray(stored), True)):
        if boxes:
            annotation = layouts.xml([(layouts.TABBY, (0, 0, 7, 7), 0)], size=(8, 8))
            layouts.write(tmp_path / layouts.TABBY / "a.xml", annotation)
        (photograph,) = data.photographs("imagenet", data_dir=tmp_path, size=8, fraction=1.0)
        np.testing.assert_array_equal(photograph.image, pixels.astype(np.float32) / 255)


@pytest.mark.parametrize("annotation", ["csv", "xml"])
def test_images_of_one_name_are_told_apart_or_named(tmp_path: Path, annotation: str) -> None:
    root = layouts.imagenet(tmp_path, by_folder=True, annotation=annotation)
    images = root / "ILSVRC/Data/CLS-LOC/val"
    twin = f"{layouts.TENCH}/ILSVRC2012_val_00000001"
    layouts.save(layouts.picture(7), images / f"{twin}.JPEG")
    photographs = open_imagenet(data_dir=root)
    assert photographs.names[:2] == (f"{twin}.JPEG", f"{layouts.TABBY}/{twin[10:]}.JPEG")
    with pytest.raises(data.CorruptFileError, match=r"00000001, the name of 2|found 2 photographs"):
        photographs[0]
    if annotation == "xml":
        boxes = layouts.xml([(layouts.TENCH, (0, 0, 5, 5), 0)])
        layouts.write(root / f"ILSVRC/Annotations/CLS-LOC/val/{twin}.xml", boxes)
        assert open_imagenet(data_dir=root)[0].labels.tolist() == [0]


def test_without_annotation_the_places_are_listed(tmp_path: Path) -> None:
    root = layouts.imagenet(tmp_path, by_folder=False, annotation=None)
    with pytest.raises(FileNotFoundError, match=r"(?s)LOC_val_solution\.csv.*Annotations/CLS-LOC"):
        open_imagenet(data_dir=root)


def test_without_images_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="validation images of ImageNet not found"):
        open_imagenet(data_dir=tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="holds no image"):
        open_imagenet(data_dir=tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("n02123045 1 2 3", "found 'n02123045 1 2 3' for .*00000001"),
        ("", "found '' for"),
        ("n02123045 1 2 3 x", "could not convert string to float"),
        ("n02123045 1 2 3 nan", "the box"),
        ("n02123045 9 2 3 4", "the box"),
        ("n99999999 1 2 3 4", "the class 'n99999999'; expected a WordNet id"),
        (None, "no row of ILSVRC2012_val_00000001"),
        ("n02123045 1 2 3 4\nILSVRC2012_val_00000001,n02123045 1 2 3 4", "found 2 row of"),
    ],
)
def test_damaged_rows_are_named(tmp_path: Path, row: str | None, message: str) -> None:
    root = layouts.imagenet(tmp_path, by_folder=False, annotation="csv")
    table = root / "LOC_val_solution.csv"
    lines = [line for line in table.read_text().splitlines() if "00000001" not in line]
    lines += [] if row is None else [f"ILSVRC2012_val_00000001,{row}"]
    layouts.write(table, "\n".join(lines))
    photographs = open_imagenet(data_dir=root)
    with pytest.raises(data.CorruptFileError, match=f"LOC_val_solution.*{message}"):
        photographs[0]
    assert photographs[1].labels.tolist() == [0]


def test_a_table_of_another_kind_is_named(tmp_path: Path) -> None:
    root = layouts.imagenet(tmp_path, by_folder=False, annotation=None)
    layouts.write(root / "LOC_val_solution.csv", "file,label\na,b\n")
    with pytest.raises(data.CorruptFileError, match=r"columns .*'file'.* ImageId, Prediction"):
        open_imagenet(data_dir=root)
    (root / "LOC_val_solution.csv").write_bytes(b"ImageId,PredictionString\n\xff\xfe,\n")
    with pytest.raises(data.CorruptFileError, match="UnicodeDecodeError"):
        open_imagenet(data_dir=root)


def test_a_folder_that_contradicts_its_annotation_is_named(tmp_path: Path) -> None:
    root = layouts.imagenet(tmp_path, by_folder=True, annotation="csv")
    folder = root / "ILSVRC/Data/CLS-LOC/val"
    (folder / layouts.TABBY).rename(folder / "n07697537")
    with pytest.raises(data.CorruptFileError, match=r"found n02123045 for .* expected n07697537"):
        open_imagenet(data_dir=root)[0]


def test_a_missing_xml_file_is_named(tmp_path: Path) -> None:
    root = layouts.imagenet(tmp_path, by_folder=False, annotation="xml")
    next(root.rglob("*00000001.xml")).unlink()
    with pytest.raises(data.CorruptFileError, match=r"00000001\.xml: found no such file"):
        open_imagenet(data_dir=root)[0]
