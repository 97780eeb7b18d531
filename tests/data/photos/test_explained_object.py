"""Which class of an annotated photograph is explained, and where it is."""

import numpy as np
import pytest

from fitb_jax import cropping, data, imagenet
from fitb_jax.data import Photograph
from fitb_jax.data.photos.voc import CLASS_NAMES as VOC

INDICES = data.imagenet_indices(VOC)
SIZE = 8


def _photograph(*boxes: tuple[int, int, int, int, str, bool]) -> Photograph:
    """With boxes x0, y0, x1, y1 of a class, difficult or not."""
    labels = np.array([VOC.index(box[4]) for box in boxes], np.int32)
    return Photograph(
        image=np.zeros((SIZE, SIZE, 3), np.float32),
        labels=np.unique(labels),
        boxes=np.array([box[:4] for box in boxes], np.float32).reshape(-1, 4),
        box_labels=labels,
        difficult=np.array([box[5] for box in boxes], bool),
        segmentation=None,
        instances=None,
        name="one",
        crop=cropping.centre_crop(SIZE, SIZE, size=SIZE, fraction=1.0),
    )


@pytest.mark.parametrize("seen", ["dog", "person"])
def test_the_class_that_is_predicted_is_explained_where_it_is(seen: str) -> None:
    photograph = _photograph(
        (0, 0, 3, 3, "dog", False), (4, 4, 8, 8, "person", False), (0, 6, 2, 8, seen, True)
    )
    predicted = INDICES[VOC.index(seen)][0]
    found = data.find_explained_object(photograph, INDICES, predicted)
    assert (found.label, found.annotated) == (predicted, VOC.index(seen))
    assert found.truth.sum() == (9 if seen == "dog" else 16)
    assert found.ignored[6:8, 0:2].all()
    assert found.ignored.sum() == 4
    # 9 of 64 pixels with a person beside them; the person takes a quarter.
    assert found.is_difficult == (seen == "dog")


def test_a_prediction_that_is_not_annotated_has_no_truth_and_is_not_recognised() -> None:
    photograph = _photograph((0, 0, 3, 3, "dog", False), (4, 4, 8, 8, "person", False))
    found = data.find_explained_object(photograph, INDICES, imagenet.classes().names.index("zebra"))
    assert found.label < 0
    assert found.label != data.UNLABELLED
    assert not found.truth.any()
    nothing = data.find_explained_object(_photograph(), INDICES, 5)
    assert nothing.label == data.UNLABELLED


def test_one_class_that_the_network_knows_is_explained_whatever_it_predicts() -> None:
    found = data.find_explained_object(_photograph((1, 1, 3, 3, "horse", False)), INDICES, 0)
    assert imagenet.classes().names[found.label] == "sorrel"
    assert found.truth.sum() == 4
    assert data.truth_mask(_photograph((1, 1, 3, 3, "horse", True)), VOC.index("horse")).sum() == 0
