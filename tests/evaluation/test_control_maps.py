import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from skimage import data, filters

from fitb_jax import evaluation

SHAPE = (12, 9)
KEY = jax.random.key(0)
PHOTO = jnp.asarray(data.chelsea()[100:140, 150:200] / 255, jnp.float32)


@pytest.mark.parametrize(("shape", "maxima"), [((7, 9), 1), ((8, 9), 2), ((8, 10), 4)])
def test_the_centre_is_the_maximum(shape: tuple[int, int], maxima: int) -> None:
    found = np.asarray(evaluation.control_maps.centre_point(shape))
    assert (found == 1).sum() == maxima
    assert found[shape[0] // 2, shape[1] // 2] == 1
    assert found.min() == found[0, 0] == 0
    np.testing.assert_allclose(found, found[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize("area", [0.0, 0.1, 0.25, 1.0])
def test_a_disc_has_its_area_and_is_round(area: float) -> None:
    found = np.asarray(evaluation.control_maps.centred_disc((40, 50), area))
    assert found.sum() == round(area * 2000)
    rows, columns = np.nonzero(found)
    if area in (0.1, 0.25):
        distances = np.hypot(rows - 19.5, columns - 24.5)
        others = np.hypot(*(np.argwhere(found == 0) - [19.5, 24.5]).T)
        assert distances.max() <= others.min() + 1e-5
        assert ndimage.label(found)[1] == 1


def test_random_maps_follow_the_key() -> None:
    for control in (evaluation.control_maps.random_map, evaluation.control_maps.random_smooth):
        first, again = control(SHAPE, key=KEY), control(SHAPE, key=KEY)
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, control(SHAPE, key=jax.random.key(1)))
        assert first.shape == SHAPE


def test_smooth_maps_are_smooth() -> None:
    rough = evaluation.total_variation(evaluation.control_maps.random_map((64, 64), key=KEY))
    smooth = evaluation.control_maps.random_smooth((64, 64), key=KEY)
    assert float(evaluation.total_variation(smooth)) < 0.2 * float(rough)
    assert (float(smooth.min()), float(smooth.max())) == pytest.approx((0, 1), abs=1e-6)


def test_sobel_is_scikit_images() -> None:
    grey = PHOTO[:, :, :1]
    np.testing.assert_allclose(
        evaluation.control_maps.sobel_edges(grey),
        filters.sobel(np.asarray(grey[:, :, 0])),
        atol=1e-5,
    )
    channels = [filters.sobel(np.asarray(PHOTO[:, :, c])) for c in range(3)]
    expected = np.sqrt(np.mean(np.square(channels), axis=0))
    np.testing.assert_allclose(evaluation.control_maps.sobel_edges(PHOTO), expected, atol=1e-5)
    assert not np.any(evaluation.control_maps.sobel_edges(jnp.full((5, 5, 3), 0.3)))


def test_a_blurred_map_keeps_its_units_and_its_place() -> None:
    saliency = jnp.zeros((41, 41)).at[10, 30].set(-7e4)
    found = evaluation.control_maps.blurred_map(saliency, sigma=2.0)
    expected = ndimage.gaussian_filter(np.asarray(saliency), 2.0, truncate=8)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1)
    assert np.unravel_index(np.argmin(found), found.shape) == (10, 30)
    np.testing.assert_allclose(
        evaluation.control_maps.blurred_map(saliency, sigma=0.0), saliency, atol=1e-2
    )
    constant = jnp.full((8, 8), 3.0)
    np.testing.assert_allclose(evaluation.control_maps.blurred_map(constant, sigma=2.0), constant)


def test_all_controls_at_once_and_in_a_batch() -> None:
    images = jnp.stack([PHOTO, 1 - PHOTO, PHOTO**2])
    keys = jax.random.split(KEY, 3)
    together = jax.jit(jax.vmap(lambda x, key: evaluation.controls(x, key=key)))(images, keys)
    one = jax.jit(lambda image, key: evaluation.controls(image, key=key))
    for i in range(3):
        alone = one(images[i], keys[i])
        for a, b in zip(alone, together, strict=True):
            assert a.shape == PHOTO.shape[:2]
            np.testing.assert_allclose(a, b[i], atol=1e-5)
