"""Some of six images that are as bright as their place."""

import numpy as np
import pytest

from fitb_jax import data

LABELS = np.array([1, 0, 1, 2, 0, 1], np.int32)
PIXELS = np.broadcast_to(np.arange(6, dtype=np.float32)[:, None, None, None] / 10, (6, 2, 2, 1))
IMAGES = data.Images(PIXELS, LABELS, ("a", "b", "c"), "made up")


def _places(images: np.ndarray) -> list[float]:
    return np.round(10 * images[..., 0, 0, 0], 5).tolist()


def test_the_first_of_classes_are_in_the_order_asked() -> None:
    assert _places(data.first_of_classes(IMAGES, (2, 0))) == [3, 1]
    with pytest.raises(ValueError, match=r"labels must be among \[0, 1, 2\], got \[7\]"):
        data.first_of_classes(IMAGES, (0, 7))


def test_every_class_has_as_many() -> None:
    assert _places(data.first_of_each_class(IMAGES, 1)) == [[1], [0], [3]]
    with pytest.raises(ValueError, match="count must be at most 1"):
        data.first_of_each_class(IMAGES, 2)


def test_others_are_of_no_own_class_and_drawn_once() -> None:
    found = _places(data.of_other_classes(IMAGES, 3, seed=0))
    for label, places in enumerate(found):
        assert len(set(places)) == 3
        assert label not in LABELS[np.array(places, int)]
    with pytest.raises(
        ValueError, match=r"count must be at most 3, .* other classes than 1, got 4"
    ):
        data.of_other_classes(IMAGES, 4, seed=0)


def test_means_are_of_the_class() -> None:
    np.testing.assert_allclose(_places(data.class_means(IMAGES)), [2.5, 7 / 3, 3], atol=1e-4)
    with pytest.raises(ValueError, match=r"got none of \[2\]"):
        data.class_means(IMAGES._replace(images=PIXELS[:3], labels=LABELS[:3]))
