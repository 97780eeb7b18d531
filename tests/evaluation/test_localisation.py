import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fitb_jax import evaluation

SHAPE = (12, 10)
END_AREAS = jnp.asarray([0.1, 16 / 120])
AREAS = jnp.asarray([0.05, 0.1, 0.2, 0.4, 0.8])
DISTANCE = jax.jit(evaluation.localisation.squared_distance)
NOWHERE = jnp.zeros(SHAPE, bool)


def _point(row: int, column: int, value: float = 1.0) -> jax.Array:
    return jnp.zeros(SHAPE).at[row, column].set(value)


def _box(top: int, left: int, bottom: int, right: int) -> jax.Array:
    return NOWHERE.at[top:bottom, left:right].set(True)


SQUARE = _box(2, 3, 6, 7)  # 16 of 120 pixels


@pytest.mark.parametrize(
    ("row", "column", "tolerance", "hit"),
    [
        (3, 4, 0, 1.0),
        (2, 3, 0, 1.0),
        (1, 3, 0, 0.0),
        (1, 3, 1, 1.0),
        (1, 2, 1, 0.0),  # sqrt(2) away
        (1, 2, 1.5, 1.0),
        (9, 3, 4, 1.0),  # exactly 4 below the last row
        (9, 3, 3.99, 0.0),
        (11, 9, 100, 1.0),
    ],
)
def test_a_hit_is_within_a_disc(row: int, column: int, tolerance: float, hit: float) -> None:
    found = evaluation.pointing_game(_point(row, column), SQUARE, tolerance=tolerance)
    assert float(found) == hit


def test_the_default_tolerance_is_15_pixels() -> None:
    truth = jnp.zeros((40, 40), bool).at[0, 0].set(True)
    for column, hit in ((15, 1.0), (16, 0.0)):
        saliency = jnp.zeros((40, 40)).at[0, column].set(1.0)
        assert float(evaluation.pointing_game(saliency, truth)) == hit


def test_no_truth_is_nan_and_not_a_hit() -> None:
    """A peer stores nan in a boolean array, which reads as a hit."""
    found = evaluation.pointing_game(_point(0, 0), NOWHERE)
    assert jnp.issubdtype(found.dtype, jnp.floating)
    assert np.isnan(found)
    both = jax.vmap(evaluation.pointing_game, in_axes=(None, 0))(
        _point(0, 0), jnp.stack([NOWHERE, SQUARE])
    )
    np.testing.assert_array_equal(both, [np.nan, 1.0])
    assert evaluation.summarise(both).case_mean.estimate == 1.0
    assert evaluation.summarise(both).missing == 1


def test_tied_maxima_share_the_hit() -> None:
    """A peer takes the first pixel of a constant map, the upper left one."""
    two = _point(3, 4) + _point(11, 9)
    assert float(evaluation.pointing_game(two, SQUARE, tolerance=1)) == 0.5
    constant = jnp.ones(SHAPE)
    assert float(evaluation.pointing_game(constant, SQUARE, tolerance=0)) == pytest.approx(16 / 120)
    for flip in (jnp.flipud, jnp.fliplr):
        assert float(evaluation.pointing_game(flip(two), flip(SQUARE), tolerance=1)) == 0.5


def test_negative_maps_point_at_their_largest_value() -> None:
    assert float(evaluation.pointing_game(_point(3, 4) - 5, SQUARE, tolerance=0)) == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_and_cannot_be_refused_is_no_hit(value: float) -> None:
    for score in (
        evaluation.pointing_game,
        evaluation.relevance_mass,
        evaluation.relevance_rank,
        lambda s, t: evaluation.iou_curve(s, t, AREAS).area_under_curve,
    ):
        found = jax.jit(score)(_point(3, 4, value), SQUARE)
        assert np.isnan(found)


@given(seed=st.integers(0, 1000), share=st.sampled_from([0.005, 0.05, 0.5]))
@settings(max_examples=30, deadline=None)
def test_distances_are_scipys(seed: int, share: float) -> None:
    truth = np.random.default_rng(seed).uniform(size=SHAPE) < share
    found = np.asarray(DISTANCE(jnp.asarray(truth)))
    if truth.any():
        expected = ndimage.distance_transform_edt(~truth) ** 2
        np.testing.assert_array_equal(found, np.round(expected))
    else:
        assert np.isinf(found).all()


def test_relevance_mass_is_the_positive_share() -> None:
    saliency = _point(3, 4, 3.0) + _point(0, 0, 1.0)
    np.testing.assert_allclose(evaluation.relevance_mass(saliency, SQUARE), 0.75)
    np.testing.assert_allclose(evaluation.energy_pointing_game(saliency, SQUARE), 0.75)


def test_signed_maps_do_not_leave_the_scale() -> None:
    """A peer divides signed sums: 3 / (3 + 1 - 3.9) = 30."""
    saliency = _point(3, 4, 3.0) + _point(0, 0, 1.0) + _point(0, 9, -3.9)
    np.testing.assert_allclose(evaluation.relevance_mass(saliency, SQUARE), 0.75)


def test_a_map_without_positive_values_finds_nothing() -> None:
    for saliency in (jnp.zeros(SHAPE), -jnp.ones(SHAPE)):
        assert float(evaluation.relevance_mass(saliency, SQUARE)) == 0.0


def test_relevance_rank_counts_the_best_k() -> None:
    # The truth has 16 pixels: 12 of them are the best, 4 of the next best are outside.
    saliency = jnp.where(_box(2, 3, 5, 7), 3.0, jnp.where(_box(8, 0, 9, 4), 2.0, 1.0))
    np.testing.assert_allclose(evaluation.relevance_rank(saliency, SQUARE), 12 / 16)


def test_ties_at_the_last_place_are_shared() -> None:
    # 12 above; 8 tied for the 4 places left, 4 of them inside: half of them, on average.
    tied = _box(5, 3, 6, 7) | _box(8, 0, 9, 4)
    saliency = jnp.where(_box(2, 3, 5, 7), 3.0, jnp.where(tied, 2.0, 1.0))
    np.testing.assert_allclose(evaluation.relevance_rank(saliency, SQUARE), 14 / 16)


def test_soft_and_binary_precision() -> None:
    mask = 0.75 * SQUARE + 0.25 * _box(8, 0, 12, 4)
    np.testing.assert_allclose(evaluation.precision(mask, SQUARE), 0.75)
    np.testing.assert_allclose(evaluation.precision(mask, SQUARE, area=16 / 120), 1.0)
    np.testing.assert_allclose(evaluation.precision(mask, SQUARE, area=24 / 120), 16 / 24)
    assert float(evaluation.precision(jnp.zeros(SHAPE), SQUARE)) == 0.0
    assert float(evaluation.precision(mask, SQUARE, area=0.0)) == 0.0


def test_iou_of_nested_squares() -> None:
    saliency = jnp.where(_box(2, 3, 5, 7), 3.0, jnp.where(SQUARE, 2.0, 1.0))
    areas = jnp.asarray([12 / 120, 16 / 120, 1.0])
    found = evaluation.iou_curve(saliency, SQUARE, areas)
    np.testing.assert_allclose(found.iou, [12 / 16, 1.0, 16 / 120], rtol=1e-6)
    expected = np.trapezoid([0.75, 1, 16 / 120], areas) / (1 - 0.1)
    np.testing.assert_allclose(found.area_under_curve, expected, rtol=1e-5)


def test_the_area_under_a_curve_that_rises_evenly_is_its_height_in_the_middle() -> None:
    everything = jnp.ones(SHAPE, bool)
    found = evaluation.iou_curve(jnp.ones(SHAPE), everything, AREAS)
    np.testing.assert_allclose(found.iou, AREAS, rtol=1e-6)
    np.testing.assert_allclose(found.area_under_curve, (AREAS[0] + AREAS[-1]) / 2, rtol=1e-6)


@pytest.mark.parametrize("size", [1e37, 2e-38])
def test_the_mass_of_large_and_small_maps_is_that_of_others(size: float) -> None:
    saliency, truth = jnp.full(SHAPE, size), jnp.zeros(SHAPE, bool).at[:2].set(True)
    found = evaluation.relevance_mass(saliency, truth)
    np.testing.assert_allclose(found, truth.mean(), rtol=1e-5)


def test_half_precision_counts_pixels_and_distances() -> None:
    noise = jnp.asarray(np.random.default_rng(0).normal(size=(64, 64)), jnp.bfloat16)
    truth = jnp.zeros((64, 64), bool).at[:30, :40].set(True)
    single = noise.astype(jnp.float32)
    for score in (evaluation.relevance_rank, evaluation.relevance_mass):
        np.testing.assert_array_equal(score(noise, truth), score(single, truth))
    weights = evaluation.ranking.top_weights(noise, 0.3)
    assert weights.max() <= 1
    np.testing.assert_allclose(weights.sum(), round(0.3 * 64 * 64), rtol=1e-6)
    # 20 across and 1 down: 401 in squared pixels, which bfloat16 takes for 400.
    peak = jnp.zeros((4, 40), jnp.bfloat16).at[1, 25].set(1.0)
    corner = jnp.zeros((4, 40), bool).at[0, 5].set(True)
    assert evaluation.pointing_game(peak, corner, tolerance=20) == 0


SCORES = {
    "pointing_game": jax.jit(lambda s, t: evaluation.pointing_game(s, t, tolerance=0)),
    "relevance_mass": jax.jit(evaluation.relevance_mass),
    "relevance_rank": jax.jit(evaluation.relevance_rank),
    "precision": jax.jit(lambda s, t: evaluation.precision(s, t, area=16 / 120)),
    "iou_curve": jax.jit(lambda s, t: evaluation.iou_curve(s, t, END_AREAS).iou[1]),
}


@pytest.mark.parametrize("name", SCORES)
def test_oracle_and_anti_oracle_are_the_ends_of_the_scale(name: str) -> None:
    oracle = SQUARE.astype(jnp.float32)
    assert float(SCORES[name](oracle, SQUARE)) == pytest.approx(1.0)
    assert float(SCORES[name](1 - oracle, SQUARE)) == pytest.approx(0.0)
    assert np.isnan(SCORES[name](oracle, NOWHERE))


@pytest.mark.parametrize("name", SCORES)
@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_mirrored_images_have_mirrored_scores(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    saliency = jnp.asarray(rng.integers(0, 4, size=SHAPE) / 4, jnp.float32)
    truth = jnp.asarray(rng.uniform(size=SHAPE) < 0.3)
    score = SCORES[name](saliency, truth)
    mirrored = SCORES[name](saliency[::-1, ::-1], truth[::-1, ::-1])
    np.testing.assert_allclose(score, mirrored, rtol=1e-5)


def test_what_the_annotators_left_undecided_is_neither_hit_nor_missed() -> None:
    difficult = _box(8, 0, 10, 2)
    saliency = _point(8, 1) * 2 + _point(3, 4)
    assert float(evaluation.pointing_game(saliency, SQUARE, tolerance=0)) == 0.0
    left = evaluation.localisation.leave_out(saliency, difficult)
    assert float(evaluation.pointing_game(left, SQUARE, tolerance=0)) == 1.0
    assert float(evaluation.relevance_mass(left, SQUARE)) == 1.0
    negative = evaluation.localisation.leave_out(saliency - 5, difficult)
    assert float(negative[8, 1]) < -5.0
    assert float(evaluation.localisation.leave_out(saliency + 5, difficult)[8, 1]) < 0.0
    huge = evaluation.localisation.leave_out(saliency - 1e12, difficult)
    assert float(huge[8, 1]) < float(huge[3, 3])
    np.testing.assert_array_equal(evaluation.localisation.leave_out(saliency, NOWHERE), saliency)


@pytest.mark.parametrize("level", [0.0, -2.0, 3.0])
def test_a_constant_map_is_judged_on_what_is_not_left_out_alone(level: float) -> None:
    right_half = jnp.zeros(SHAPE, bool).at[:, SHAPE[1] // 2 :].set(True)
    truth = SQUARE & ~right_half
    left = evaluation.localisation.leave_out(jnp.full(SHAPE, level), right_half)
    chance = truth.sum() / (~right_half).sum()
    for score in (
        evaluation.pointing_game(left, truth, tolerance=0),
        evaluation.relevance_rank(left, truth),
    ):
        np.testing.assert_allclose(score, chance, rtol=1e-5)
