"""Maps drawn on the whole photograph, of which a classifier sees a square."""

import base64
import io

import numpy as np
from jaxtyping import Float
from PIL import Image as Pictures

from fitb_jax import cropping, plotting
from fitb_jax.cropping import Crop

LONGEST_SIDE = 800
"""Longest side of a drawn picture in pixels, so that a page of a dozen opens on a phone."""

UNSEEN = 0.35
"""Brightness of the part that the classifier does not see, as a share of its own."""


def shrunk(picture: Pictures.Image) -> Pictures.Image:
    """Shrink a picture to the size at which it is drawn on.

    Args:
        picture: of any size.

    Returns:
        A copy whose sides are at most `LONGEST_SIDE`.
    """
    copy = picture.copy()
    copy.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return copy


def photograph_with_square(
    photograph: Float[np.ndarray, "h w 3"], crop: Crop
) -> Float[np.ndarray, "h w 3"]:
    """A photograph, dark where the classifier does not see it.

    Args:
        photograph: (h, w, 3) in [0, 1].
        crop: of it.

    Returns:
        (h, w, 3) in [0, 1].
    """
    whole, square = UNSEEN * photograph, _square(crop)
    whole[square] = photograph[square]
    return whole


def map_on_photograph(
    photograph: Float[np.ndarray, "h w 3"], saliency: Float[np.ndarray, "size size"], crop: Crop
) -> Float[np.ndarray, "h w 3"]:
    """Draw a map over its square of the photograph; the rest of the photograph is grey and dark.

    Args:
        photograph: (h, w, 3) in [0, 1].
        saliency: (size, size), finite, the map of the square.
        crop: the square of the photograph.

    Returns:
        (h, w, 3) in [0, 1].
    """
    grey = photograph.mean(-1, keepdims=True)
    whole, square = np.repeat(UNSEEN * grey, 3, axis=-1), _square(crop)
    on_square = cropping.uncrop(np.asarray(saliency, np.float32), crop)[square]
    whole[square] = plotting.heat(on_square, over=photograph[square])
    return whole


def as_png(picture: Float[np.ndarray, "h w c"]) -> bytes:
    """Encode a picture as a PNG file.

    Args:
        picture: (h, w, 1) or (h, w, 3) in [0, 1].

    Returns:
        The content of a PNG file.
    """
    return _encoded(picture, "PNG")


def as_data_uri(picture: Float[np.ndarray, "h w c"]) -> str:
    """Encode a picture as a data URI for a page.

    Args:
        picture: (h, w, 1) or (h, w, 3) in [0, 1].

    Returns:
        The `src` of an `img`, with the picture in WebP.
    """
    content = base64.b64encode(_encoded(picture, "WEBP", quality=82)).decode("ascii")
    return f"data:image/webp;base64,{content}"


def _encoded(picture: np.ndarray, kind: str, **options: int) -> bytes:
    coloured = np.round(255 * plotting.as_rgb(picture)).astype(np.uint8)
    file = io.BytesIO()
    Pictures.fromarray(coloured).save(file, kind, **options)
    return file.getvalue()


def _square(crop: Crop) -> tuple[slice, slice]:
    rows = slice(crop.top, crop.top + crop.side)
    return rows, slice(crop.left, crop.left + crop.side)
