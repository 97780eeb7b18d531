import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from skimage import data, feature, metrics, transform

from fitb_jax import evaluation

SHAPE = (100, 90)
SPEARMAN = {
    absolute: jax.jit(lambda a, b, absolute=absolute: evaluation.spearman(a, b, absolute=absolute))
    for absolute in (False, True)
}
PHOTO = transform.resize(data.camera(), SHAPE)
NOISY = np.clip(PHOTO + 0.1 * np.random.default_rng(0).normal(size=SHAPE), 0, 1)
CATS = transform.resize(data.chelsea().mean(-1) / 255, SHAPE)
PAIRS = [(PHOTO, NOISY), (PHOTO, CATS), (NOISY, 1 - NOISY)]


def _jax(*maps: np.ndarray) -> list[jax.Array]:
    return [jnp.asarray(x, jnp.float32) for x in maps]


@given(seed=st.integers(0, 10_000), levels=st.sampled_from([2, 5, 1000]))
@settings(max_examples=30, deadline=None)
def test_spearman_is_scipys(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-levels, levels, size=(2, 6, 7)) / levels
    for absolute, (x, y) in ((False, (a, b)), (True, (np.abs(a), np.abs(b)))):
        found = SPEARMAN[absolute](*_jax(a, b))
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            assert np.isnan(found)
        else:
            expected = stats.spearmanr(x.ravel(), y.ravel()).statistic
            np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("pair", PAIRS)
def test_spearman_of_photographs(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    expected = stats.spearmanr(a.ravel(), b.ravel()).statistic
    np.testing.assert_allclose(SPEARMAN[False](*_jax(a, b)), expected, rtol=1e-4)


def test_ranks_of_constants_are_no_correlation() -> None:
    """The mean of tens of thousands of equal ranks is not quite the rank."""
    flat, photo = jnp.full((224, 224), 0.1), jax.random.normal(jax.random.key(0), (224, 224))
    assert np.isnan(evaluation.spearman(flat, photo))
    assert np.isnan(evaluation.spearman(photo, flat))


def test_a_map_that_is_nan_has_no_correlation() -> None:
    """Inside of `jax.jit`, where its values cannot be refused."""
    photo = jax.random.normal(jax.random.key(0), (6, 7))
    assert np.isnan(SPEARMAN[False](photo, photo.at[2, 3].set(np.nan)))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_ssim_is_scikit_images(pair: tuple[np.ndarray, np.ndarray], scale: float) -> None:
    a, b = scale * pair[0], scale * pair[1]
    expected = metrics.structural_similarity(
        a, b, data_range=scale, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    found = evaluation.ssim(*_jax(a, b), value_range=scale)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_ssim_by_default_compares_maps_whatever_their_units() -> None:
    """With a range of 1, maps with values of 1e-5 would all be alike."""
    a, b = _jax(PHOTO, CATS)
    expected = evaluation.ssim(
        evaluation.map_similarity.unit_range(a),
        evaluation.map_similarity.unit_range(b),
        value_range=1.0,
    )
    found = evaluation.ssim(1e-5 * a - 3e-5, 1e4 * b)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert float(evaluation.ssim(1e-5 * a, 1e-5 * b, value_range=1.0)) > 0.99


def test_ssim_is_of_images_and_not_of_vectors() -> None:
    """A peer flattens the maps: neighbours in a row then look alike, those in a column do not."""
    a, b = _jax(PHOTO, NOISY)
    np.testing.assert_allclose(evaluation.ssim(a.T, b.T), evaluation.ssim(a, b), rtol=1e-4)
    with pytest.raises(Exception, match=r"shape|type"):
        evaluation.ssim(a.ravel(), b.ravel())


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("pixels", [8, 16])
def test_hog_is_scikit_images(pair: tuple[np.ndarray, np.ndarray], pixels: int) -> None:
    scaled = [(x - x.min()) / np.ptp(x) for x in pair]
    features = [feature.hog(x, pixels_per_cell=(pixels, pixels)) for x in scaled]
    for given_map, expected in zip(_jax(*pair), features, strict=True):
        found = evaluation.map_similarity.hog(given_map, pixels_per_cell=pixels)
        # A gradient at the border of two orientations may fall to either in single precision.
        np.testing.assert_allclose(found.ravel(), expected, atol=1e-4)
    correlation = evaluation.hog_correlation(*_jax(*pair), pixels_per_cell=pixels)
    np.testing.assert_allclose(correlation, np.corrcoef(*features)[0, 1], rtol=1e-4)


def test_hog_of_maps_with_almost_flat_parts_is_scikit_images() -> None:
    """There the constant in the norm decides, and sums of a cell are not its means."""
    rows, columns = np.mgrid[:48, :48]
    bump = np.exp(-((rows - 12.0) ** 2 + (columns - 20.0) ** 2) / 30)
    faint = bump + 1e-6 * np.sin(rows / 3 + columns / 5)
    scaled = (faint - faint.min()) / np.ptp(faint)
    wanted = feature.hog(scaled, pixels_per_cell=(8, 8))
    (given_map,) = _jax(scaled)
    found = evaluation.map_similarity.hog(given_map, pixels_per_cell=8)
    np.testing.assert_allclose(found.ravel(), wanted, atol=0.05)
    assert (wanted.reshape(found.shape)[-1, -1] > 0.01).any()


def test_constant_maps_have_no_gradients() -> None:
    flat = jnp.full(SHAPE, 0.1)
    assert np.isnan(evaluation.hog_correlation(flat, _jax(PHOTO)[0]))
    np.testing.assert_array_equal(evaluation.map_similarity.unit_range(flat), jnp.zeros(SHAPE))


def test_top_k_iou_of_shifted_bars() -> None:
    a, b = jnp.zeros((10, 10)).at[:, :4].set(1.0), jnp.zeros((10, 10)).at[:, 2:6].set(1.0)
    np.testing.assert_allclose(evaluation.top_k_iou(a, b, area=0.4), 20 / 60)
    np.testing.assert_allclose(evaluation.top_k_iou(a, 1 - a, area=0.4), 0)
    # Half of each bar, no pixel before another: both weigh 1/2 on their 40 pixels.
    np.testing.assert_allclose(evaluation.top_k_iou(a, b, area=0.2), 10 / 30)


SYMMETRIC = {
    "spearman": evaluation.spearman,
    "ssim": evaluation.ssim,
    "hog": evaluation.hog_correlation,
    "top_k_iou": evaluation.top_k_iou,
}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_a_map_is_like_itself_and_both_ways_are_one(name: str) -> None:
    a, b = _jax(PHOTO, CATS)
    np.testing.assert_allclose(SYMMETRIC[name](a, a), 1, rtol=1e-5)
    np.testing.assert_allclose(SYMMETRIC[name](a, b), SYMMETRIC[name](b, a), rtol=1e-4)


def test_opposites() -> None:
    (a,) = _jax(PHOTO)
    np.testing.assert_allclose(evaluation.spearman(a, -a), -1, rtol=1e-5)
    np.testing.assert_allclose(evaluation.spearman(a, -a, absolute=True), 1, rtol=1e-5)


def test_cross_correlations_are_numpys_and_0_of_a_constant() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4, 5)), rng.normal(size=(2, 4, 5))
    found = evaluation.map_similarity.cross_correlations(a, b)
    expected = np.corrcoef(a.reshape(3, -1), b.reshape(2, -1))[:3, 3:]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    flat = evaluation.map_similarity.cross_correlations(np.ones((1, 4, 5)), b)
    np.testing.assert_allclose(flat, 0, atol=1e-9)
    with pytest.raises(ValueError, match="of one shape"):
        evaluation.map_similarity.cross_correlations(a, b[:, :2])


def test_the_mean_rank_correlation_is_that_of_each_pair() -> None:
    maps = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4, 5)), jnp.float32)
    found = evaluation.map_similarity.mean_spearman(maps)
    expected = np.mean([evaluation.spearman(*pair) for pair in zip(*maps, strict=True)])
    np.testing.assert_allclose(found, [[1, expected], [expected, 1]], atol=1e-6)
