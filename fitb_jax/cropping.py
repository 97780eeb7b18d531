"""Cut out the square that a classifier sees of any image, and crop its boxes and masks alike.

`models` and `data` import this, so that a photograph is cropped alike for a classifier and for its
ground truth. Coordinates are edges: pixel j covers [j, j + 1), and a box is (x0, y0, x1, y1).
"""

import struct
import zlib
from pathlib import Path
from typing import NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import Bool, Float, Float32, Shaped
from PIL import Image as Pictures
from PIL import ImageOps
from scipy import ndimage

from fitb_jax import checks

AnyImage: TypeAlias = str | Path | Pictures.Image | np.ndarray | jax.Array
CENTRE_FRACTION = 224 / 256
"""Side of the crop over the shorter side of the picture, usual in ImageNet evaluation."""

PICTURE_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError),
    *(AssertionError, AttributeError, NotImplementedError, struct.error, zlib.error),
    Pictures.DecompressionBombError,
)
"""What PIL raises for damaged files; each of its formats has errors of its own."""


class Crop(NamedTuple):
    """A square of a picture, resized.

    Attributes:
        left: column of the picture where the square begins.
        top: row of the picture where it begins.
        side: of the square, in pixels of the picture.
        size: side of the square in pixels after resizing.
        width: of the picture in pixels.
        height: of the picture in pixels.
    """

    left: int
    top: int
    side: int
    size: int
    width: int
    height: int


class CroppedBoxes(NamedTuple):
    """Boxes in the coordinates of a crop.

    Attributes:
        boxes: (m, 4) as x0, y0, x1, y1 in pixels of the square, clipped to it.
        kept: (n,), True for the m given boxes that are here; the others lie outside or are empty.
    """

    boxes: Float32[np.ndarray, "m 4"]
    kept: Bool[np.ndarray, " n"]


def centre_crop(width: int, height: int, *, size: int, fraction: float = CENTRE_FRACTION) -> Crop:
    """The square in the middle of a picture, and the size to which it is resized.

    Args:
        width: of the picture in pixels.
        height: of the picture in pixels.
        size: side of the result in pixels.
        fraction: side of the square over the shorter side of the picture, in (0, 1].

    Returns:
        The square; its side in the picture is `int(fraction * min(width, height))`, at least 1.

    Raises:
        TypeError, ValueError: a size that is no positive integer, a fraction outside of (0, 1].
    """
    for name, value in (("width", width), ("height", height), ("size", size)):
        checks.check_count(name, value)
    checks.check_number("fraction", fraction, least=0, most=1, open_least=True)
    side = max(1, int(fraction * min(width, height)))
    return Crop((width - side) // 2, (height - side) // 2, side, size, width, height)


def crop_picture(picture: Pictures.Image, crop: Crop) -> Float32[np.ndarray, "size size 3"]:
    """Cut a square out of a picture and resize it bicubically (with antialiasing).

    Args:
        picture: as `open_picture` gives it, of the size that the crop was made for.
        crop: of this picture.

    Returns:
        (size, size, 3), float32 in [0, 1].

    Raises:
        ValueError: the crop is of a picture of another size.
    """
    _check_size("picture", picture.size, crop)
    left, top, side, size = crop[:4]
    square = picture.crop((left, top, left + side, top + side))
    resized = square.resize((size, size), Pictures.Resampling.BICUBIC)
    return np.asarray(resized, np.float32) / 255


def whole_picture(image: AnyImage, *, size: int) -> Float32[np.ndarray, "size size 3"]:
    """Resize a whole picture to a square, bicubically; one that is no square is distorted.

    Args:
        image: as `open_picture` takes it.
        size: side of the result in pixels.

    Returns:
        (size, size, 3), float32 in [0, 1].

    Raises:
        FileNotFoundError, OSError, TypeError, ValueError: as of `open_picture`, or a size that is
            no positive integer.
    """
    checks.check_count("size", size)
    resized = open_picture(image).resize((size, size), Pictures.Resampling.BICUBIC)
    return np.asarray(resized, np.float32) / 255


def crop_boxes(boxes: Float[np.ndarray, "n 4"], crop: Crop) -> CroppedBoxes:
    """Move boxes from the coordinates of a picture to those of its crop.

    Args:
        boxes: (n, 4) as x0, y0, x1, y1 in pixels of the picture.
        crop: of the picture.

    Returns:
        The boxes that have an area on the square, clipped to it, and which of the given they are.

    Raises:
        TypeError, ValueError: boxes of another type or shape, or not finite.
    """
    boxes = np.asarray(boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must have shape (n, 4), got {boxes.shape}")
    if boxes.dtype.kind != "f":
        raise TypeError(f"boxes must be floating, got {boxes.dtype}")
    if not np.isfinite(boxes).all():
        raise ValueError("boxes must be finite, got NaN or infinity")
    origin = np.array([crop.left, crop.top, crop.left, crop.top], np.float64)
    moved = ((boxes - origin) * (crop.size / crop.side)).clip(0, crop.size).astype(np.float32)
    kept = (moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])
    return CroppedBoxes(moved[kept], kept)


def crop_classes(
    classes: Shaped[np.ndarray, "*stack h w"], crop: Crop
) -> Shaped[np.ndarray, "*stack size size"]:
    """Crop and resize class indices or masks of a picture: each takes its nearest pixel's value.

    Args:
        classes: (..., height, width), of any type; a stack of masks is one array.
        crop: of the picture.

    Returns:
        (..., size, size) of the same type.

    Raises:
        ValueError: the crop is of a picture of another size.
    """
    _check_size("classes", classes.shape[-2:][::-1], crop)
    # Integers, since a product of floats may fall short of the pixel whose edge it meets.
    nearest = (2 * np.arange(crop.size) + 1) * crop.side // (2 * crop.size)
    rows, columns = crop.top + nearest, crop.left + nearest
    return classes[..., rows[:, None], columns[None, :]]


def uncrop(
    values: Float[np.ndarray, "size size"] | Float[jax.Array, "size size"], crop: Crop
) -> Float32[np.ndarray, "height width"]:
    """Lay a map on the square, such as a saliency map, back over the whole picture.

    Args:
        values: (size, size), finite.
        crop: of the picture.

    Returns:
        (height, width), interpolated bilinearly between the centres of the pixels; NaN where the
        square is not.

    Raises:
        TypeError, ValueError: values of another type or shape, or not finite.
    """
    checks.check_floating("values", values, ("size", "size"))
    if values.shape != (crop.size, crop.size):
        raise ValueError(
            f"values must have the square's shape {(crop.size, crop.size)}, got {values.shape}"
        )
    centres = (np.arange(crop.side) + 0.5) * (crop.size / crop.side) - 0.5
    places = np.meshgrid(centres, centres, indexing="ij")
    # Half a pixel along the border lies outside of all centres: it has the value of the nearest.
    square = ndimage.map_coordinates(
        np.asarray(values, np.float32), places, order=1, mode="nearest"
    )
    whole = np.full((crop.height, crop.width), np.nan, np.float32)
    whole[crop.top : crop.top + crop.side, crop.left : crop.left + crop.side] = square
    return whole


def open_picture(image: AnyImage, *, upright: bool = True) -> Pictures.Image:
    """Open any image as a PIL image with three channels of bytes.

    Args:
        image: a path, a PIL image, or an array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), uint8 or
            floating in [0, 1]. Grey becomes three equal channels, transparent pixels become black.
        upright: turn a file or PIL image as its camera noted (EXIF). False keeps the pixels as they
            are stored, on which boxes and masks mostly are.

    Returns:
        A PIL image of mode RGB, as large as the image.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the file is no image, or is damaged.
        TypeError, ValueError: an array of another type, shape or range, or a picture whose values
            have no known range.
    """
    if isinstance(image, str | Path):
        return _rgb(_load(Path(image), upright=upright))
    if isinstance(image, Pictures.Image):
        return _rgb(ImageOps.exif_transpose(image) if upright else image)
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            "image must have shape (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), got "
            f"{np.shape(image)}"
        )
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise ValueError(f"image must lie in [0, 1], got [{array.min():g}, {array.max():g}]")
        array = np.round(255 * array).astype(np.uint8)
    if array.dtype != np.uint8:
        raise TypeError(f"image must be uint8 or floating in [0, 1], got {array.dtype}")
    return _rgb(Pictures.fromarray(array.squeeze(2) if array.shape[2] == 1 else array))


def _load(path: Path, *, upright: bool) -> Pictures.Image:
    try:
        with Pictures.open(path) as opened:
            opened.load()
            return ImageOps.exif_transpose(opened) if upright else opened
    except PICTURE_DAMAGE as error:
        if isinstance(error, OSError) and (error.errno is not None or str(path) in str(error)):
            raise
        raise OSError(f"image {path} cannot be read: {error}") from error


def _rgb(picture: Pictures.Image) -> Pictures.Image:
    if picture.mode in ("I", "F"):
        raise ValueError(
            f"image must have a mode whose range is known, got {picture.mode!r}; "
            "give it as an array in [0, 1]"
        )
    if picture.mode.startswith("I;16"):
        # PIL would cut 16 bits off at 255.
        bytes_of_grey = (np.asarray(picture) / 257).round().astype(np.uint8)
        return Pictures.fromarray(bytes_of_grey).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        visible = picture.convert("RGBA")
        black = Pictures.new("RGBA", visible.size, (0, 0, 0, 255))
        return Pictures.alpha_composite(black, visible).convert("RGB")
    return picture.convert("RGB")


def _check_size(name: str, given: tuple[int, ...], crop: Crop) -> None:
    if given != (crop.width, crop.height):
        raise ValueError(
            f"{name} must be as large as the crop's picture, {crop.width} x {crop.height}, "
            f"got {' x '.join(map(str, given))}"
        )
