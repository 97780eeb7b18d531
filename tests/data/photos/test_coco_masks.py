from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from fitb_jax.data import CorruptFileError
from fitb_jax.data.photos import coco_masks

FILE = Path("instances.json")
MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 300)))


def _runs(mask: np.ndarray) -> list[int]:
    """Lengths of the runs down the columns, beginning with what is outside."""
    runs, last = [0], False
    for value in mask.T.ravel().tolist():
        if value != last:
            runs.append(0)
        runs[-1] += 1
        last = value
    return runs


@given(MASKS)
@settings(max_examples=60)
def test_run_lengths_of_both_forms_are_what_the_library_encodes(mask: np.ndarray) -> None:
    height, width = mask.shape
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    for counts in (code, code.decode(), _runs(mask), [float(run) for run in _runs(mask)]):
        segmentation = {"size": [height, width], "counts": counts}
        found = coco_masks.decode(FILE, segmentation, width, height)
        np.testing.assert_array_equal(found, mask)


def test_polygons_are_filled_and_united() -> None:
    rectangle = [2.0, 3.0, 7.0, 3.0, 7.0, 9.0, 2.0, 9.0]
    triangle = [10, 10, 20, 10, 10, 20]
    found = coco_masks.decode(FILE, [rectangle, triangle], 24, 30)
    assert found.shape == (30, 24)
    expected = np.zeros((30, 24), bool)
    expected[3:9, 2:7] = True
    np.testing.assert_array_equal(found[:10], expected[:10])
    assert found[11, 11]
    assert not found[18, 18]
    assert abs(found[10:].sum() - 50) <= 10
    assert not coco_masks.decode(FILE, [], 4, 4).any()


@given(st.one_of(st.binary(max_size=40), st.text(max_size=40)))
@settings(max_examples=200)
def test_text_that_is_no_code_is_refused_or_fills_the_photograph(counts: bytes | str) -> None:
    segmentation = {"size": [4, 5], "counts": counts}
    try:
        assert coco_masks.decode(FILE, segmentation, 5, 4).shape == (4, 5)
    except CorruptFileError as error:
        assert "instances.json" in str(error)  # noqa: PT017 - not every text raises


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [4, 5], "counts": [19]}, "do not add up"),
        ({"size": [4, 5], "counts": [5, 16]}, "do not add up"),
        ({"size": [4, 5], "counts": [25, -5]}, "do not add up"),
        ({"size": [4, 5], "counts": [19.5, 0.5]}, "no whole number"),
        ({"size": [4, 5], "counts": b""}, "do not add up"),
        ({"size": [4, 5], "counts": 20}, "counts of another type"),
        ({"size": [4, 5], "counts": "zzzz"}, "damaged counts"),
        ({"size": [4, 5], "counts": "o" * 100}, "damaged counts"),
        ({"size": [5, 4], "counts": [20]}, r"size \[5, 4\]; expected \[4, 5\]"),
        ({"counts": [20]}, "another form"),
        ("polygon", "another form"),
        ([[0, 0, 1, 1]], r"the polygon \[0, 0, 1, 1\]"),
        ([[0, 0, 1, 1, 2]], "the polygon"),
        ([[0, 0, 1, 1, 2, 1e9]], "the polygon"),
        ([[0, 0, 1, 1, 2, float("nan")]], "the polygon"),
        ([[0, 0, 1, 1, 2, "3"]], "the polygon"),
        ([7], "the polygon 7"),
    ],
)
def test_what_is_no_mask_is_refused(segmentation: Any, message: str) -> None:
    with pytest.raises(CorruptFileError, match=message):
        coco_masks.decode(FILE, segmentation, 5, 4)
