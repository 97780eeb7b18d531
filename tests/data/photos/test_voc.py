from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fitb_jax import cropping, data
from tests.data.photos import layouts

CAT, DOG, PERSON = 7, 11, 14


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.voc(tmp_path_factory.mktemp("voc"))


open_voc = partial(data.photographs, "voc2007", size=80, fraction=1.0)


def test_boxes_labels_and_flags_are_those_of_the_files(root: Path) -> None:
    photographs = open_voc(data_dir=root)
    assert len(photographs) == 3
    assert photographs.names == ("000001", "000002", "000003")
    assert [photographs.class_names[label] for label in (CAT, DOG, PERSON)] == [
        "cat",
        "dog",
        "person",
    ]
    first, second, third = photographs
    # Pixel 21 of VOC is the 21st, its left edge 20. The crop begins at column 10 and doubles.
    np.testing.assert_array_equal(first.boxes, np.float32([[20, 20, 40, 40], [40, 0, 80, 80]]))
    np.testing.assert_array_equal(first.box_labels, [CAT, DOG])
    np.testing.assert_array_equal(first.difficult, [False, True])
    np.testing.assert_array_equal(first.labels, [CAT, DOG])
    assert second.boxes.shape == (0, 4)
    np.testing.assert_array_equal(second.labels, [PERSON])
    np.testing.assert_array_equal(third.labels, [CAT])
    np.testing.assert_array_equal(third.difficult, [False, True])
    picture = cropping.open_picture(root / "VOCdevkit/VOC2007/JPEGImages/000002.jpg")
    np.testing.assert_array_equal(second.image, cropping.crop_picture(picture, second.crop))


def test_the_segmentation_has_classes_background_and_undecided_pixels(root: Path) -> None:
    first, second, _ = open_voc(data_dir=root)
    expected = np.full((80, 80), data.NO_CLASS, np.int32)
    expected[20:40, 20:40] = CAT
    expected[18:20, 20:40] = data.IGNORED
    np.testing.assert_array_equal(first.segmentation, expected)
    assert second.segmentation is None
    np.testing.assert_array_equal(
        data.truth_mask(first, CAT, kind="boxes"), data.truth_mask(first, CAT, kind="masks")
    )


@pytest.mark.parametrize("place", [".", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_the_folder_may_be_given_at_three_levels(root: Path, place: str) -> None:
    assert len(open_voc(data_dir=root / place)) == 3


@pytest.mark.parametrize(
    ("split", "names"),
    [("val", ("000003", "000001")), ("Segmentation/test", ("000001",)), ("test", None)],
)
def test_splits_are_the_lists(root: Path, split: str, names: tuple[str, ...] | None) -> None:
    assert open_voc(data_dir=root, split=split).names == (names or tuple(layouts.VOC_OBJECTS))


def test_photographs_of_a_class_are_found_without_a_picture(tmp_path: Path) -> None:
    root = layouts.voc(tmp_path)
    for picture in root.rglob("*.jpg"):
        picture.unlink()
    photographs = open_voc(data_dir=root)
    assert data.with_label(photographs, CAT).names == ("000001", "000003")
    assert data.with_label(photographs, PERSON).names == ("000002",)
    assert len(data.with_label(photographs, 0)) == 0


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("tst", r"unknown split 'tst' of voc2007; .* test, .*closest match: test"),
        ("cat_test", "unknown split 'cat_test'"),
        ("../../secret", "unknown split"),
    ],
)
def test_unknown_splits(root: Path, split: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_voc(data_dir=root, split=split)


def test_a_missing_folder_lists_the_places(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"(?s)VOC 2007 not found.*VOCdevkit/VOC2007/Anno"):
        open_voc(data_dir=tmp_path)
    root = layouts.voc(tmp_path)
    (root / "VOCdevkit/VOC2007/ImageSets").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="ImageSets"):
        open_voc(data_dir=root)


CAT_XML = layouts.VOC_OBJECTS["000001"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (layouts.BOMB, "DTDForbidden"),
        ("<annotation><object>", "ParseError"),
        (layouts.xml([("unicorn", (1, 1, 2, 2), 0)]), "the class 'unicorn'"),
        (layouts.xml([("cat", (9, 1, 2, 2), 0)]), r"the box \(8.0, 0.0, 2.0, 2.0\)"),
        (layouts.xml([("cat", ("a", 1, 2, 2), 0)]), "xmin 'a'; expected a number"),
        (layouts.xml([("cat", ("nan", 1, 2, 2), 0)]), "xmin 'nan'; expected a finite"),
        (layouts.xml([("", (1, 1, 2, 2), 0)]), "object without name"),
        ("<annotation><object><name>cat</name></object></annotation>", "object without bndbox"),
        (layouts.xml(CAT_XML, size=(60.5, 40)), "60.5, which is no whole number"),
        (layouts.xml(CAT_XML, size=(61, 40)), "jpg: found 60 x 40 pixels; expected 61 x 40 pixels"),
        (None, "no such file; expected an annotation"),
    ],
)
def test_damaged_annotations_are_named(tmp_path: Path, text: str | None, message: str) -> None:
    root = layouts.voc(tmp_path)
    annotation = root / "VOCdevkit/VOC2007/Annotations/000001.xml"
    annotation.unlink()
    if text is not None:
        layouts.write(annotation, text)
    with pytest.raises(data.CorruptFileError, match=f"000001.*{message}"):
        open_voc(data_dir=root)[0]


@pytest.mark.parametrize("size", [None, (0, 0), (60.0, 40.0)])
def test_a_size_that_is_not_said_is_not_checked(
    tmp_path: Path, size: tuple[float, float] | None
) -> None:
    root = layouts.voc(tmp_path)
    annotation = root / "VOCdevkit/VOC2007/Annotations/000001.xml"
    layouts.write(annotation, layouts.xml(CAT_XML, size=size))
    assert len(open_voc(data_dir=root)[0].boxes) == 2


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Image.new("L", (60, 40), 21), "the value 21; expected 0 to 20, or 255"),
        (Image.new("RGB", (60, 40)), "pixels of mode RGB; expected mode P"),
        (Image.new("P", (40, 60)), "40 x 60 pixels; expected 60 x 40"),
    ],
)
def test_damaged_masks_are_named(tmp_path: Path, mask: Image.Image, message: str) -> None:
    root = layouts.voc(tmp_path)
    mask.save(root / "VOCdevkit/VOC2007/SegmentationClass/000001.png")
    with pytest.raises(data.CorruptFileError, match=rf"000001\.png: found {message}"):
        open_voc(data_dir=root)[0]


def test_an_empty_list_is_named(tmp_path: Path) -> None:
    root = layouts.voc(tmp_path)
    layouts.write(root / "VOCdevkit/VOC2007/ImageSets/Main/test.txt", "\n")
    with pytest.raises(data.CorruptFileError, match=r"test\.txt: found no name"):
        open_voc(data_dir=root)


UNICORN, WYVERN = 0, 1


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return layouts.own_voc(tmp_path)


def test_classes_of_ones_own_are_those_of_the_annotations(own: Path) -> None:
    for split in (None, "mine"):
        photographs = data.photographs("voc", data_dir=own, split=split, size=40, fraction=1.0)
        assert photographs.class_names == ("unicorn", "wyvern")
        assert photographs.names == ("000001", "000002")
        first, second = photographs
        assert (first.labels.tolist(), second.labels.tolist()) == ([WYVERN], [UNICORN])
        assert first.boxes.tolist() == [[0, 0, 40, 40]]
        # Which value of a mask is which class is not known.
        assert first.segmentation is None
    with pytest.raises(ValueError, match=r"unknown split 'none' of voc; expected one of .*mine"):
        data.photographs("voc", data_dir=own, split="none")
    layouts.save(layouts.picture(1), own / "JPEGImages/000002.jpg")
    with pytest.raises(
        data.CorruptFileError, match=r"found 000002\.PNG, 000002\.jpg; expected one"
    ):
        data.photographs("voc", data_dir=own)[1]


def test_classes_of_ones_own_may_be_given(own: Path) -> None:
    names = ["unseen", "wyvern", "unicorn"]
    for name, split in (("voc2007", "mine"), ("voc", "mine")):
        photographs = data.photographs(name, data_dir=own, split=split, class_names=names, size=80)
        assert photographs.class_names == tuple(names)
        assert photographs[0].labels.tolist() == [1]
        np.testing.assert_array_equal(photographs[0].segmentation, np.ones((80, 80), np.int32))
    with pytest.raises(
        data.CorruptFileError, match=r"the class 'wyvern'; .* the class_names given"
    ):
        data.photographs("voc", data_dir=own, class_names=["unicorn"])[0]
    with pytest.raises(data.CorruptFileError, match=r"'wyvern'; expected one of the 20 .* 'voc'"):
        data.photographs("voc2007", data_dir=own, split="mine")[0]
    with pytest.raises(ValueError, match="class_names must be None for 'coco'"):
        data.photographs("coco", data_dir=own, class_names=names)
    with pytest.raises(ValueError, match=r"class_names must be names, each once, got \['a', 'a'\]"):
        data.photographs("voc", data_dir=own, class_names=["a", "a"])


def test_annotated_photographs_stay_as_they_are_stored(tmp_path: Path) -> None:
    root = layouts.voc(tmp_path)
    path = root / "VOCdevkit/VOC2007/JPEGImages/000001.jpg"
    layouts.save_sideways(layouts.picture(0), path)
    stored = cropping.open_picture(path, upright=False)
    first = open_voc(data_dir=root)[0]
    crop = cropping.centre_crop(60, 40, size=80, fraction=1.0)
    expected = cropping.crop_picture(stored, crop)
    np.testing.assert_array_equal(first.image, expected)


def test_2012_is_read_alike(tmp_path: Path) -> None:
    photographs = data.photographs("voc2012", data_dir=layouts.voc(tmp_path, "2012"), size=8)
    assert photographs.names == ("000003", "000001")
    assert len(list(photographs)) == 2


def test_a_damaged_annotation_shifts_no_label(own: Path) -> None:
    (own / "Annotations/000001.xml").write_text("<annotation><object>")
    with pytest.raises(data.CorruptFileError, match=r"000001\.xml") as raised:
        data.photographs("voc", data_dir=own, on_corrupt="skip")
    assert "class_names must be given" in raised.value.__notes__[0]
    names = ("unicorn", "wyvern")
    photographs = data.photographs("voc", data_dir=own, class_names=names, on_corrupt="skip")
    assert [one.labels.tolist() for one in photographs] == [[UNICORN]]
