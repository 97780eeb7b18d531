import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fitb_jax import evaluation

NAN = float("nan")


def test_boxes_cover_the_pixels_whose_centres_they_hold() -> None:
    boxes = jnp.asarray([[1.0, 0.0, 3.0, 2.0], [3.4, 2.6, 5.0, 3.4]])
    found = np.asarray(evaluation.aggregation.fill_boxes(boxes, (4, 6)))
    expected = np.zeros((4, 6), bool)
    expected[0:2, 1:3] = True
    expected[3, 3:5] = False  # centres of row 3 are at 3.5, below 3.4
    np.testing.assert_array_equal(found, expected)


def test_a_voc_box_is_inclusive_and_one_based() -> None:
    xmin, ymin, xmax, ymax = 2, 3, 4, 3
    boxes = jnp.asarray([[xmin - 1, ymin - 1, xmax, ymax]], jnp.float32)
    found = np.asarray(evaluation.aggregation.fill_boxes(boxes, (4, 6)))
    assert found.sum() == 3
    assert found[2, 1:4].all()


def test_difficult_boxes_are_no_truth() -> None:
    boxes = jnp.asarray([[0.0, 0.0, 2.0, 2.0], [3.0, 0.0, 6.0, 4.0]])
    keep_first = jnp.asarray([True, False])
    found = evaluation.aggregation.fill_boxes(boxes, (4, 6), is_counted=keep_first)
    assert int(found.sum()) == 4
    nothing = evaluation.aggregation.fill_boxes(boxes, (4, 6), is_counted=jnp.zeros(2, bool))
    assert np.isnan(evaluation.pointing_game(jnp.ones((4, 6)), nothing))


def test_an_image_without_boxes_has_no_score() -> None:
    nothing = evaluation.aggregation.fill_boxes(jnp.zeros((0, 4)), (4, 6))
    assert nothing.shape == (4, 6)
    assert np.isnan(evaluation.pointing_game(jnp.ones((4, 6)), nothing))


def test_boxes_of_a_batch_of_images() -> None:
    boxes = jnp.asarray(np.random.default_rng(0).uniform(0, 6, size=(3, 2, 4)), jnp.float32)
    counted = jnp.asarray([[True, True], [True, False], [False, False]])
    found = jax.vmap(lambda b, c: evaluation.aggregation.fill_boxes(b, (5, 6), is_counted=c))(
        boxes, counted
    )
    for i in range(3):
        one = evaluation.aggregation.fill_boxes(boxes[i], (5, 6), is_counted=counted[i])
        np.testing.assert_array_equal(found[i], one)


def _truths(*areas: int) -> jax.Array:
    """Classes with so many of 16 pixels."""
    return jnp.stack([jnp.arange(16).reshape(4, 4) < area for area in areas])


def test_difficult_is_small_with_a_distractor() -> None:
    for areas, expected in (
        ((3, 8, 0), [True, False, False]),
        ((4, 8, 0), [False, False, False]),  # a quarter is not less than a quarter
        ((3, 0, 0), [False, False, False]),  # no distractor
        ((3, 2, 1), [True, True, True]),
        ((0, 0, 0), [False, False, False]),
    ):
        found = evaluation.aggregation.difficult_cases(_truths(*areas))
        np.testing.assert_array_equal(found, expected)


def test_case_class_and_image_means() -> None:
    scores = [1.0, 0.0, 0.0, 1.0, NAN, 1.0]
    images = [0, 0, 1, 1, 1, 2]
    classes = [7, 3, 3, 7, 9, 7]
    found = evaluation.summarise(scores, images=images, classes=classes)
    assert (found.cases, found.missing) == (5, 1)
    assert found.case_mean.estimate == pytest.approx(3 / 5)
    assert found.class_mean.estimate == pytest.approx((0 + 1) / 2)
    assert found.image_mean.estimate == pytest.approx((0.5 + 0.5 + 1) / 3)
    np.testing.assert_array_equal(found.classes, [3, 7])
    np.testing.assert_array_equal(found.means, [0, 1])
    np.testing.assert_array_equal(found.counts, [2, 3])


def test_one_case_an_image_has_the_plain_t_interval() -> None:
    scores = np.random.default_rng(0).normal(size=20)
    expected = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    found = evaluation.summarise([*scores, NAN])
    for mean in (found.case_mean, found.image_mean):
        np.testing.assert_allclose([mean.low, mean.high], [expected.low, expected.high])


def test_repeating_every_case_within_its_image_tells_nothing_new() -> None:
    scores = np.random.default_rng(0).normal(size=10)
    once = evaluation.summarise(scores, images=np.arange(10)).case_mean
    images = np.repeat(np.arange(10), 7)
    often = evaluation.summarise(np.repeat(scores, 7), images=images).case_mean
    np.testing.assert_allclose(often, once)


def test_class_mean_error_is_that_of_strata() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=8), rng.normal(2, 3, size=5)
    classes = np.repeat([0, 1], [8, 5])
    found = evaluation.summarise(np.concatenate([first, second]), classes=classes).class_mean
    expected = np.sqrt(stats.sem(first) ** 2 + stats.sem(second) ** 2) / 2
    np.testing.assert_allclose(found.estimate, (first.mean() + second.mean()) / 2)
    reach = stats.t.ppf(0.975, 12) * expected
    np.testing.assert_allclose(found[1:], (found.estimate - reach, found.estimate + reach))


def test_intervals_cover_the_truth_when_cases_share_images() -> None:
    rng = np.random.default_rng(2)
    images, classes = np.repeat(np.arange(40), 3), np.tile([0, 1, 2], 40)
    covered = []
    for _ in range(300):
        scores = np.repeat(rng.normal(size=40), 3) + rng.normal(size=120)
        found = evaluation.summarise(scores, images=images, classes=classes)
        covered.append([m.low < 0 < m.high for m in found[:3]])
    # 95 % of 300, give or take 4 standard errors.
    assert (np.abs(np.mean(covered, axis=0) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 300)).all()


def test_what_cannot_be_told_is_nan() -> None:
    for scores in ([], [NAN, NAN]):
        found = evaluation.summarise(scores)
        assert np.isnan(found.case_mean).all()
        assert found.cases == 0
    one = evaluation.summarise([0.25]).case_mean
    assert one.estimate == 0.25
    assert np.isnan(one[1:]).all()
    lonely = evaluation.summarise([1.0, 0.0, 1.0], classes=[0, 0, 1])
    assert np.isnan(lonely.class_mean.low)
    assert np.isfinite(lonely.case_mean.low)


def test_order_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    scores, images = rng.normal(size=30), rng.integers(0, 9, size=30)
    classes, order = rng.integers(0, 3, size=30), rng.permutation(30)
    whole = evaluation.summarise(scores, images=images, classes=classes)
    mixed = evaluation.summarise(scores[order], images=images[order], classes=classes[order])
    for a, b in zip(whole, mixed, strict=True):
        np.testing.assert_allclose(a, b)
