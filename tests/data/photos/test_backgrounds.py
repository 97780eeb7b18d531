"""Backgrounds of photographs: of other classes, and those of the certificate apart."""

import numpy as np
import pytest

from fitb_jax import data

# Each photograph has one brightness, by which it is known again in its crops.
SHADES = np.arange(1, 11) / 10
PHOTOS = np.broadcast_to(SHADES[:, None, None, None], (10, 16, 16, 3)).astype(np.float32)
PREDICTED = np.arange(10) % 5


def _shades(images: np.ndarray) -> set[int]:
    return {round(10 * float(image.mean())) for image in images}


def _find(count: int, searched: int, fresh: int) -> data.Backgrounds:
    sizes = {"searched": searched, "fresh": fresh}
    return data.other_class_backgrounds(PHOTOS[:count], PREDICTED[:count], 2, **sizes, seed=0)


@pytest.mark.parametrize(("count", "fresh"), [(10, 5), (10, 30), (5, 4)])
def test_no_photograph_is_in_both_parts_or_of_the_class(count: int, fresh: int) -> None:
    found = _find(count, 3, fresh)
    assert found.searched.shape == (3, 16, 16, 3)
    assert found.fresh.shape == (fresh, 16, 16, 3)
    searched, certified = _shades(found.searched), _shades(found.fresh)
    assert searched.isdisjoint(certified)
    assert (searched | certified).isdisjoint({3, 8})
    assert found.are_crops == (fresh > 5 or count == 5)
    if not found.are_crops:
        assert len(searched) + len(certified) == 3 + fresh


def test_crops_of_one_photograph_differ() -> None:
    ramp = np.linspace(0, 1, 16, dtype=np.float32)[None, None, :, None]
    photos = np.broadcast_to(ramp, (3, 16, 16, 3))
    found = data.other_class_backgrounds(photos, np.arange(3), 0, searched=6, fresh=6, seed=1)
    assert len({crop.tobytes() for crop in found.fresh}) > 3
    rises = np.diff(found.fresh.mean((1, 3)), axis=1).mean(1)
    assert (rises > 0).any()
    assert (rises < 0).any()  # mirrored ones


def test_one_other_class_is_not_enough() -> None:
    with pytest.raises(ValueError, match="at least 2 of other classes than 1, got 1"):
        data.other_class_backgrounds(PHOTOS[:2], PREDICTED[:2], 1, searched=1, fresh=1, seed=0)


def test_crops_have_the_channels_of_the_photographs() -> None:
    grey = PHOTOS[:3, ..., :1]
    found = data.other_class_backgrounds(grey, np.arange(3), 0, searched=6, fresh=6, seed=0)
    assert found.searched.shape == (6, 16, 16, 1)
    assert _shades(found.searched) <= {2, 3}
