import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitb_jax import masks

SETTINGS = settings(max_examples=25, deadline=None)
KEY = jax.random.key(0)


@SETTINGS
@given(
    height=st.sampled_from([5, 8]),
    width=st.sampled_from([6, 8]),
    patch=st.sampled_from([1, 2, 3]),
    ratio=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_random_patches_blank_exactly_the_share_asked(
    height: int, width: int, patch: int, ratio: float, seed: int
) -> None:
    mask = masks.random_patches((height, width), ratio, patch, key=jax.random.key(seed))
    corners = np.asarray(mask)[::patch, ::patch]
    assert (corners == 0).sum() == np.round(np.float32(ratio) * np.float32(corners.size))
    whole = np.repeat(np.repeat(corners, patch, 0), patch, 1)[:height, :width]
    np.testing.assert_array_equal(mask, whole)


def test_ratio_may_be_an_array_argument() -> None:
    drawn = jax.jit(lambda ratio: masks.random_patches((8, 8), ratio, 2, key=KEY))
    for ratio in (0.0, 0.3, 1.0):
        expected = masks.random_patches((8, 8), ratio, 2, key=KEY)
        np.testing.assert_array_equal(drawn(ratio), expected)
    assert drawn._cache_size() == 1


def test_patch_may_be_an_array_argument() -> None:
    drawn = jax.jit(lambda ratio, patch: masks.random_patches((7, 8), ratio, patch, key=KEY))
    for ratio, patch in ((0.0, 1), (0.3, 2), (0.5, 3), (1.0, 1), (0.7, 7)):
        expected = masks.random_patches((7, 8), ratio, patch, key=KEY)
        np.testing.assert_array_equal(drawn(ratio, patch), expected)
        array = jnp.asarray(patch)
        np.testing.assert_array_equal(masks.random_patches((7, 8), ratio, array, key=KEY), expected)
    of_numpy = masks.random_patches((7, 8), ratio, np.int64(patch), key=KEY)
    np.testing.assert_array_equal(of_numpy, expected)
    assert drawn._cache_size() == 1


def test_every_patch_is_blanked_equally_often() -> None:
    keys = jax.random.split(KEY, 4000)
    drawn = jax.vmap(lambda key: masks.random_patches((4, 4), 0.25, 1, key=key))(keys)
    share = 1 - np.asarray(drawn).mean(0)
    # Five standard errors of a share of 0.25 over 4000 draws.
    np.testing.assert_allclose(share, 0.25, atol=5 * np.sqrt(0.25 * 0.75 / 4000))


@SETTINGS
@given(parts=st.integers(1, 9), patch=st.sampled_from([1, 2, 3]), seed=st.integers(0, 99))
def test_partition_blanks_every_pixel_once(parts: int, patch: int, seed: int) -> None:
    found = np.asarray(masks.partition((8, 7), parts, patch, key=jax.random.key(seed)))
    np.testing.assert_array_equal((1 - found).sum(0), 1)
    sizes = (1 - found)[:, ::patch, ::patch].sum((1, 2))
    assert sizes.max() - sizes.min() <= 1


def test_partition_depends_on_the_key() -> None:
    one, other = (masks.partition((8, 8), 4, 2, key=jax.random.key(seed)) for seed in (0, 1))
    assert (np.asarray(one) != np.asarray(other)).any()


def test_checkerboards_are_complementary() -> None:
    shown, blanked = (masks.checkerboard((5, 7), 2, phase=phase) for phase in (0, 1))
    np.testing.assert_array_equal(shown, masks.complement(blanked))
    assert shown[0, 0] == 1
    assert shown[0, 2] == 0
    assert shown[2, 2] == 1


@pytest.mark.parametrize("background", [0.0, 2, np.array([0.1, 0.2, 0.3], np.float32)])
def test_apply_shows_the_image_or_the_background(background: object) -> None:
    image = jax.random.uniform(KEY, (4, 5, 3))
    mask = masks.checkerboard((4, 5), 1)
    shown = np.asarray(masks.apply(image, mask, jnp.asarray(background)))
    visible = np.asarray(mask) == 1
    np.testing.assert_array_equal(shown[visible], np.asarray(image)[visible])
    expected = np.broadcast_to(np.asarray(background, np.float32), image.shape)
    np.testing.assert_array_equal(shown[~visible], expected[~visible])


def test_the_two_halves_of_an_image_add_up() -> None:
    image = jax.random.uniform(KEY, (6, 6, 1))
    mask = masks.random_patches((6, 6), 0.5, 2, key=KEY)
    halves = masks.apply(image, mask) + masks.apply(image, masks.complement(mask))
    np.testing.assert_array_equal(halves, image)


def test_every_setting_has_its_mask() -> None:
    found = masks.random_patches_of_settings((8, 8), [(0.25, 4), (0.5, 2)], key=KEY)
    np.testing.assert_allclose(found.mean((1, 2)), [0.75, 0.5])
