import numpy as np
import pytest

from fitb_jax import data


def test_groups_are_of_one_class_and_disjoint() -> None:
    test = data.load("mnist_5k", split="test")
    pixels, labels = data.class_groups(test, groups=2, together=2)
    assert pixels.shape == (20, 2, 28, 28, 1)
    np.testing.assert_array_equal(labels, np.repeat(np.arange(10), 2))
    flat = pixels.reshape(40, -1)
    assert len(np.unique(flat, axis=0)) == 40
    of_four = test.images[test.labels == 4][:4].reshape(4, -1)
    np.testing.assert_array_equal(flat[16:20], of_four)


def test_a_class_of_too_few_images_is_named() -> None:
    test = data.load("mnist_5k", split="test")
    few = test._replace(images=test.images[:1], labels=np.array([1], np.int32))
    with pytest.raises(ValueError, match="got 1 of the 0 images of class 0"):
        data.class_groups(few, groups=1, together=2)
