from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fitb_jax import data, imagenet
from tests.data.photos import layouts

IDS = imagenet.classes().wordnet_ids
FIFTY = IDS[::20]
"""Fifty classes; that of value v in the masks is class 20 (v - 1)."""

open_s50 = partial(data.photographs, "imagenet_s50", size=80, fraction=1.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.imagenet_s(tmp_path_factory.mktemp("s50"), FIFTY)


def test_masks_are_labelled_as_the_classes_of_imagenet(root: Path) -> None:
    photographs = open_s50(data_dir=root)
    assert len(photographs) == 50
    for at in (0, 7, 49):
        photograph = photographs[at]
        label = 20 * at
        assert photograph.labels.tolist() == [label]
        assert photographs.class_names[label] == imagenet.classes().names[label]
        expected = np.full((80, 80), data.NO_CLASS, np.int32)
        expected[20:40, 20:40] = label
        expected[40:60, 20:40] = data.IGNORED
        np.testing.assert_array_equal(photograph.segmentation, expected)
        np.testing.assert_array_equal(
            data.truth_mask(photograph, label, kind="masks"), expected == label
        )
        assert photograph.boxes.shape == (0, 4)


def test_values_beyond_a_byte_are_read(tmp_path: Path) -> None:
    root = layouts.imagenet_s(tmp_path, IDS[:300])
    photographs = data.photographs("imagenet_s300", data_dir=root, size=80, fraction=1.0)
    segmentation = photographs[299].segmentation
    assert segmentation is not None
    assert segmentation[30, 30] == 299


def test_a_part_of_the_folders_needs_the_list_of_classes(tmp_path: Path) -> None:
    root = layouts.imagenet_s(tmp_path, FIFTY)
    folder = root / "ImageNetS50"
    (folder / "validation/.ipynb_checkpoints").mkdir()
    for part in ("validation", "validation-segmentation"):
        (folder / part / FIFTY[3]).rename(tmp_path / part)
    with pytest.raises(data.CorruptFileError, match=r"49 WordNet ids .* expected 50 .*im50\.txt"):
        open_s50(data_dir=root)
    # The list need not be in order, and may begin with a mark of byte order.
    listed = "\ufeff" + "\n".join(reversed(FIFTY))
    layouts.write(folder / "ImageNetS_categories_im50.txt", listed)
    photographs = open_s50(data_dir=root)
    assert photographs[3].labels.tolist() == [80]
    assert set(np.unique(photographs[3].segmentation)) == {data.IGNORED, data.NO_CLASS, 80}


def test_the_split_test_has_no_masks(tmp_path: Path) -> None:
    root = layouts.imagenet_s(tmp_path, FIFTY, split="test")
    for mask in (root / "ImageNetS50/test-segmentation").rglob("*.png"):
        mask.unlink()
    for folder in sorted((root / "ImageNetS50/test-segmentation").rglob("*"), reverse=True):
        folder.rmdir()
    (root / "ImageNetS50/test-segmentation").rmdir()
    assert open_s50(data_dir=root, split="test")[0].segmentation is None
    with pytest.raises(FileNotFoundError, match="ImageNet-S-50 not found"):
        open_s50(data_dir=root)


def test_a_split_without_its_masks_is_refused(tmp_path: Path) -> None:
    root = layouts.imagenet_s(tmp_path, FIFTY)
    (root / "ImageNetS50/validation-segmentation").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"validation-segmentation, the masks of"):
        open_s50(data_dir=root)


def test_unknown_splits(root: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown split 'val' of imagenet_s50.*train, .*validat"):
        open_s50(data_dir=root, split="val")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Image.new("RGB", (60, 40), (51, 0, 0)), "the value 51; expected 0 to 50, or 1000"),
        (Image.new("RGB", (60, 40), (0, 4, 0)), "the value 1024"),
        (Image.new("L", (60, 40)), "pixels of mode L; expected mode RGB"),
        (Image.new("RGB", (40, 60)), "40 x 60 pixels"),
    ],
)
def test_damaged_masks_are_named(tmp_path: Path, mask: Image.Image, message: str) -> None:
    root = layouts.imagenet_s(tmp_path, FIFTY)
    mask.save(next((root / f"ImageNetS50/validation-segmentation/{FIFTY[0]}").iterdir()))
    with pytest.raises(data.CorruptFileError, match=rf"00000000\.png: found {message}"):
        open_s50(data_dir=root)[0]
