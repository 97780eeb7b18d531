import io
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fitb_jax import cropping, models
from fitb_jax.cropping import Crop

SIDES = st.integers(1, 90)


@given(SIDES, SIDES, st.integers(1, 40), st.floats(0.01, 1))
def test_the_crop_is_a_centred_square_inside(w: int, h: int, size: int, fraction: float) -> None:
    crop = cropping.centre_crop(w, h, size=size, fraction=fraction)
    assert crop.side == max(1, int(fraction * min(w, h)))
    assert 0 <= crop.left <= crop.left + crop.side <= w
    assert 0 <= crop.top <= crop.top + crop.side <= h
    assert abs(crop.left - (w - crop.side - crop.left)) <= 1
    assert abs(crop.top - (h - crop.side - crop.top)) <= 1


def _pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_a_picture_is_cropped_as_it_is_for_a_classifier() -> None:
    picture = cropping.open_picture(_pixels(41, 67, 3))
    crop = cropping.centre_crop(67, 41, size=24)
    square = cropping.crop_picture(picture, crop)
    np.testing.assert_array_equal(square, models.preprocess(picture, size=24))
    box = (crop.left, crop.top, crop.left + crop.side, crop.top + crop.side)
    by_pil = picture.resize((24, 24), Image.Resampling.BICUBIC, box=box, reducing_gap=None)
    # Near the border the two differ: the crop does not see the pixels outside.
    np.testing.assert_allclose(square[3:-3, 3:-3], np.asarray(by_pil)[3:-3, 3:-3] / 255, atol=0.01)
    assert square.dtype == np.float32


def test_a_whole_picture_keeps_its_quarters() -> None:
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:20, :32] = 255
    found = cropping.whole_picture(pixels, size=24)
    assert found.shape == (24, 24, 3)
    # Three rows of bicubic weights about the edges.
    np.testing.assert_allclose(found[:10, :10], 1, atol=1e-6)
    np.testing.assert_allclose(found[14:], 0, atol=1e-6)
    np.testing.assert_allclose(found[:, 14:], 0, atol=1e-6)
    with pytest.raises(ValueError, match="size must be at least 1"):
        cropping.whole_picture(pixels, size=0)


def test_boxes_are_moved_scaled_clipped_and_dropped() -> None:
    crop = Crop(left=10, top=20, side=40, size=80, width=60, height=100)
    boxes = np.array(
        [
            [20, 30, 30, 50],  # inside
            [0, 0, 100, 100],  # around
            [0, 0, 10, 100],  # touches from the left
            [45, 55, 300, 58],  # reaches over the right border
            [20, 30, 20, 40],  # no width
            [0, 61, 60, 99],  # below
        ],
        np.float64,
    )
    found = cropping.crop_boxes(boxes, crop)
    np.testing.assert_array_equal(found.kept, [True, True, False, True, False, False])
    expected = [[20, 20, 40, 60], [0, 0, 80, 80], [70, 70, 80, 76]]
    np.testing.assert_array_equal(found.boxes, np.float32(expected))
    none = cropping.crop_boxes(np.zeros((0, 4), np.float32), crop)
    assert none.boxes.shape == (0, 4)
    assert none.kept.shape == (0,)


@given(SIDES, SIDES, st.integers(1, 40))
@settings(max_examples=50)
def test_classes_are_those_of_the_nearest_pixel(w: int, h: int, size: int) -> None:
    classes = np.random.default_rng(w + 100 * h).integers(-2, 1000, (h, w), dtype=np.int32)
    crop = cropping.centre_crop(w, h, size=size)
    box = (crop.left, crop.top, crop.left + crop.side, crop.top + crop.side)
    by_pil = Image.fromarray(classes).crop(box).resize((size, size), Image.Resampling.NEAREST)
    found = cropping.crop_classes(classes, crop)
    assert found.dtype == np.int32
    # At the edge between two pixels both are nearest, and PIL's rounding decides.
    clear = (2 * np.arange(size) + 1) * crop.side % (2 * size) != 0
    np.testing.assert_array_equal(found[clear][:, clear], np.asarray(by_pil)[clear][:, clear])
    stack = np.stack([classes > 0, classes == -1])
    np.testing.assert_array_equal(cropping.crop_classes(stack, crop)[0], found > 0)


@pytest.mark.parametrize("size", [7, 24, 60])
def test_a_map_comes_back_where_it_belongs(size: int) -> None:
    crop = cropping.centre_crop(50, 40, size=size, fraction=0.6)
    scale = crop.side / crop.size
    centres = (np.arange(size) + 0.5) * scale
    # A plane is reproduced exactly by bilinear interpolation, except beyond the outermost centres.
    plane = (crop.top + centres)[:, None] * 2 - (crop.left + centres)[None, :] * 0.5
    whole = cropping.uncrop(jnp.asarray(plane, jnp.float32), crop)
    assert whole.shape == (40, 50)
    inside = np.zeros((40, 50), bool)
    inside[crop.top : crop.top + crop.side, crop.left : crop.left + crop.side] = True
    np.testing.assert_array_equal(np.isnan(whole), ~inside)
    rows, columns = np.mgrid[:40, :50] + 0.5
    nearest_centre = [
        np.clip(at, start + scale / 2, start + crop.side - scale / 2)
        for at, start in ((rows, crop.top), (columns, crop.left))
    ]
    expected = nearest_centre[0] * 2 - nearest_centre[1] * 0.5
    np.testing.assert_allclose(whole[inside], expected[inside], rtol=1e-5)


def test_a_map_of_the_size_of_its_square_comes_back_unchanged() -> None:
    crop = cropping.centre_crop(30, 20, size=10, fraction=0.5)
    values = np.random.default_rng(0).normal(size=(10, 10)).astype(np.float32)
    whole = cropping.uncrop(values, crop)
    np.testing.assert_array_equal(
        whole[crop.top : crop.top + 10, crop.left : crop.left + 10], values
    )


def test_a_box_drawn_on_the_picture_is_the_box_on_the_square() -> None:
    picture = np.zeros((90, 120), np.int32)
    picture[20:50, 40:80] = 1
    crop = cropping.centre_crop(120, 90, size=156)
    square = cropping.crop_classes(picture, crop)
    boxes = cropping.crop_boxes(np.array([[40.0, 20.0, 80.0, 50.0]]), crop).boxes
    x0, y0, x1, y1 = np.round(boxes[0]).astype(int)
    drawn = np.zeros_like(square)
    drawn[y0:y1, x0:x1] = 1
    np.testing.assert_array_equal(square, drawn)


def test_every_mode_becomes_colour(tmp_path: Path) -> None:
    grey = _pixels(6, 5)
    expected = np.repeat(grey[:, :, None], 3, 2)
    sixteen = tmp_path / "sixteen.png"
    Image.fromarray(grey.astype(np.uint16) * 257).save(sixteen)
    palette = Image.fromarray(grey).convert("P")
    opaque = Image.fromarray(grey).convert("LA")
    for image in (grey, grey / 255, sixteen, str(sixteen), palette, opaque):
        np.testing.assert_array_equal(np.asarray(cropping.open_picture(image)), expected)
    for mode in ("1", "CMYK", "YCbCr", "RGBA", "RGB"):
        assert cropping.open_picture(Image.new(mode, (3, 2))).mode == "RGB"


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(_pixels(64, 64, 3)).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[:600])
    with pytest.raises(OSError, match=r"image .*cut.jpg cannot be read: (?i:.*truncated)"):
        cropping.open_picture(tmp_path / "cut.jpg")


def test_a_photograph_is_turned_as_its_camera_noted_unless_forbidden(tmp_path: Path) -> None:
    pixels = _pixels(4, 6, 3)
    sideways = Image.fromarray(pixels)
    orientation = sideways.getexif()
    orientation[0x0112] = 6  # shown turned a quarter clockwise
    sideways.save(tmp_path / "sideways.png", exif=orientation)
    stored = np.asarray(cropping.open_picture(tmp_path / "sideways.png", upright=False))
    np.testing.assert_array_equal(stored, pixels)
    for image in (tmp_path / "sideways.png", sideways):
        upright = cropping.open_picture(image)
        np.testing.assert_array_equal(np.asarray(upright), np.rot90(pixels, -1))
        # Not once more.
        again = cropping.open_picture(upright)
        np.testing.assert_array_equal(np.asarray(again), np.asarray(upright))


CROP = cropping.centre_crop(40, 30, size=8)
BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: cropping.centre_crop(0, 3, size=8), ValueError, "width must be at least 1"),
    (lambda: cropping.centre_crop(3, 3, size=0), ValueError, "size must be at least 1, got 0"),
    (lambda: cropping.centre_crop(3, 3, size=2.5), TypeError, "size must be an integer"),
    (lambda: cropping.centre_crop(3, 3, size=2, fraction=0.0), ValueError, "fraction must lie in (0, 1]"),
    (lambda: cropping.centre_crop(3, 3, size=2, fraction=1.5), ValueError, "fraction must lie in (0, 1]"),
    (lambda: cropping.crop_boxes(np.zeros((2, 3)), CROP), ValueError, "boxes must have shape (n, 4), got (2, 3)"),
    (lambda: cropping.crop_boxes(np.zeros((2, 4), int), CROP), TypeError, "boxes must be floating, got int64"),
    (lambda: cropping.crop_boxes(np.full((2, 4), np.nan), CROP), ValueError, "boxes must be finite"),
    (lambda: cropping.crop_classes(np.zeros((40, 30), int), CROP), ValueError, "classes must be as large as the crop's picture, 40 x 30, got 30 x 40"),
    (lambda: cropping.crop_picture(Image.new("RGB", (30, 40)), CROP), ValueError, "picture must be as large"),
    (lambda: cropping.uncrop(np.zeros((7, 8), np.float32), CROP), ValueError, "values must have the square's shape (8, 8), got (7, 8)"),
    (lambda: cropping.uncrop(np.zeros((8, 8), int), CROP), TypeError, "values must be an array of floating"),
    (lambda: cropping.uncrop(np.full((8, 8), np.nan), CROP), ValueError, "values must be finite"),
    (lambda: cropping.open_picture(Image.new("F", (3, 3))), ValueError, "image must have a mode whose range is known, got 'F'"),
]  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments_are_refused_by_name(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()
