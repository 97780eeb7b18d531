"""Maps on whole photographs."""

import numpy as np

from fitb_jax import cropping, plotting
from fitb_jax.command_line import pictures


def test_a_map_lies_where_the_classifier_sees_the_photograph() -> None:
    photograph = np.full((40, 60, 3), 0.5, np.float32)
    crop = cropping.centre_crop(60, 40, size=8)
    assert (crop.left, crop.top, crop.side) == (12, 2, 35)
    saliency = np.zeros((8, 8), np.float32)
    saliency[0, 0] = 1  # at the upper left of the square
    seen = pictures.map_on_photograph(photograph, saliency, crop)
    assert seen.shape == photograph.shape
    inside = np.zeros((40, 60), bool)
    inside[2:37, 12:47] = True
    np.testing.assert_allclose(seen[~inside], pictures.UNSEEN * 0.5, atol=1e-6)
    drawn = plotting.heat(
        cropping.uncrop(saliency, crop)[2:37, 12:47], over=photograph[2:37, 12:47]
    )
    np.testing.assert_allclose(seen[2:37, 12:47], drawn, atol=1e-6)
    brightest = np.unravel_index(seen.sum(-1).argmax(), inside.shape)
    assert brightest[0] < 7
    assert 12 <= brightest[1] < 17
    square = pictures.photograph_with_square(photograph, crop)
    expected = np.where(inside, 0.5, 0.5 * pictures.UNSEEN)
    np.testing.assert_allclose(square[..., 0], expected, atol=1e-6)
