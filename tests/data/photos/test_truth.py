import numpy as np
import pytest

from fitb_jax import cropping, data
from fitb_jax.data.photos.photograph import IGNORED, NO_CLASS, Photograph

CROP = cropping.centre_crop(8, 8, size=8, fraction=1.0)
BOXES = np.float32([[0, 0, 4, 2], [2, 1, 6, 4], [6.4, 0, 7.6, 8], [0, 0, 8, 8]])
LABELS = np.array([3, 3, 3, 5], np.int32)
DIFFICULT = np.array([False, True, False, False])


def _photograph(
    segmentation: np.ndarray | None = None, instances: np.ndarray | None = None
) -> Photograph:
    return Photograph(
        image=np.zeros((8, 8, 3), np.float32),
        labels=np.array([3, 5], np.int32),
        boxes=BOXES,
        box_labels=LABELS,
        difficult=DIFFICULT,
        segmentation=segmentation,
        instances=instances,
        name="drawn",
        crop=CROP,
    )


def _drawn(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    drawn = np.zeros((8, 8), bool)
    for x0, y0, x1, y1 in boxes:
        drawn[y0:y1, x0:x1] = True
    return drawn


EASY = _drawn((0, 0, 4, 2), (6, 0, 8, 8))  # 6.4 to 7.6 holds the centres 6.5 and 7.5
HARD = _drawn((2, 1, 6, 4))


def test_boxes_of_a_class_without_and_with_the_difficult_ones() -> None:
    photograph = _photograph()
    np.testing.assert_array_equal(data.truth_mask(photograph, 3), EASY)
    np.testing.assert_array_equal(data.truth_mask(photograph, 3, difficult=True), EASY | HARD)
    np.testing.assert_array_equal(data.ignored_mask(photograph, 3), HARD & ~EASY)
    assert data.truth_mask(photograph, 5).all()
    assert not data.ignored_mask(photograph, 5).any()
    assert not data.truth_mask(photograph, 4).any()


def test_a_segmentation_has_classes_and_undecided_pixels() -> None:
    segmentation = np.full((8, 8), NO_CLASS, np.int32)
    segmentation[:2], segmentation[2], segmentation[3] = 3, IGNORED, 5
    photograph = _photograph(segmentation)
    for difficult in (False, True):
        found = data.truth_mask(photograph, 3, kind="masks", difficult=difficult)
        np.testing.assert_array_equal(found, segmentation == 3)
    np.testing.assert_array_equal(
        data.ignored_mask(photograph, 3, kind="masks"), _drawn((0, 2, 8, 3))
    )
    np.testing.assert_array_equal(data.truth_mask(photograph, 3), EASY)


def test_instances_of_a_class_and_its_crowds() -> None:
    instances = np.stack([_drawn((0, 0, 1, 1)), HARD, _drawn((5, 3, 7, 5)), _drawn((7, 7, 8, 8))])
    photograph = _photograph(instances=instances)
    easy = instances[0] | instances[2]
    np.testing.assert_array_equal(data.truth_mask(photograph, 3, kind="masks"), easy)
    np.testing.assert_array_equal(
        data.truth_mask(photograph, 3, kind="masks", difficult=True), easy | HARD
    )
    np.testing.assert_array_equal(data.ignored_mask(photograph, 3, kind="masks"), HARD & ~easy)
    assert not data.truth_mask(photograph, 4, kind="masks").any()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("function", [data.truth_mask, data.ignored_mask])
def test_bad_arguments(function) -> None:
    with pytest.raises(ValueError, match=r"kind must be one of \['boxes', 'masks'\], got 'pixels'"):
        function(_photograph(), 3, kind="pixels")
    with pytest.raises(ValueError, match="kind must be 'boxes' for drawn, which has no masks"):
        function(_photograph(), 3, kind="masks")
