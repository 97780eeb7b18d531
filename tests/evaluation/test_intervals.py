"""Intervals against SciPy, and how often they cover what they should."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fitb_jax.evaluation.intervals import (
    Interval,
    bootstrap_interval,
    clopper_pearson,
    mean_interval,
    proportion_interval,
)


def test_mean_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    found = mean_interval(values)
    reach = stats.t.ppf(0.975, 3) * values.std(ddof=1) / 2
    np.testing.assert_allclose(found, (4.0, 4.0 - reach, 4.0 + reach), rtol=1e-12)


def test_mean_interval_ignores_nan_and_says_when_it_cannot_tell() -> None:
    assert mean_interval([1.0, np.nan, 3.0]) == mean_interval([1.0, 3.0])
    single = mean_interval([2.0])
    assert single.estimate == 2.0
    assert np.isnan([single.low, single.high]).all()


def test_mean_interval_covers_the_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).exponential(size=(2000, 200))
    covered = np.mean([low <= 1 <= high for _, low, high in map(mean_interval, draws)])
    assert 0.93 < covered < 0.965


def test_proportion_interval_is_wilsons() -> None:
    found = proportion_interval(np.array([True] * 8 + [False] * 2))
    z = stats.norm.ppf(0.975)
    centre = (0.8 + z**2 / 20) / (1 + z**2 / 10)
    reach = z / (1 + z**2 / 10) * np.sqrt(0.16 / 10 + z**2 / 400)
    np.testing.assert_allclose(found, (0.8, centre - reach, centre + reach), rtol=1e-9)
    assert proportion_interval([1.0, 1.0]).high == 1.0


def test_proportion_interval_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="hits must hold at least one"):
        proportion_interval([])


def test_intervals_print_as_in_a_table() -> None:
    assert str(Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"


def test_bootstrap_interval_is_scipys() -> None:
    values = np.random.default_rng(1).exponential(size=80)
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(2)
    ).confidence_interval
    found = bootstrap_interval(values, resamples=5000)
    assert found.estimate == values.mean()
    np.testing.assert_allclose((found.low, found.high), expected, atol=0.01)


def test_bootstrap_interval_of_a_ratio_keeps_rows_together() -> None:
    """Of rows (x, 2 x) the ratio is 2 in every resample; apart it would vary."""
    x = np.random.default_rng(1).exponential(size=50)
    rows = np.stack([x, 2 * x], axis=1)
    found = bootstrap_interval(rows, lambda cases: cases[:, 1].sum() / cases[:, 0].sum())
    np.testing.assert_allclose(found, 2, rtol=1e-12)


def test_bootstrap_interval_leaves_out_what_is_not_finite() -> None:
    assert bootstrap_interval([1.0, np.nan, 3.0]) == bootstrap_interval([1.0, 3.0])
    assert np.isnan(bootstrap_interval([2.0])[1:]).all()
    assert np.isnan(bootstrap_interval([np.nan])).all()


def test_bootstrap_interval_covers_the_mean_nearly_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).exponential(size=(300, 60))
    found = [bootstrap_interval(values, resamples=300) for values in draws]
    assert 0.88 < np.mean([low <= 1 <= high for _, low, high in found]) < 0.98


@pytest.mark.parametrize(
    ("trials", "confidence"), [(1, 0.8), (400, 0.99), (100, 0.9999999), (100, 1.0)]
)
def test_clopper_pearson_is_scipys(trials: int, confidence: float) -> None:
    successes = np.arange(trials + 1)
    one = functools.partial(clopper_pearson, trials=trials, confidence=confidence)
    found = jax.jit(jax.vmap(one))(jnp.asarray(successes))
    wanted = [stats.binomtest(k, trials).proportion_ci(confidence, "exact") for k in successes]
    np.testing.assert_allclose(found.low, [each.low for each in wanted], atol=2e-5)
    np.testing.assert_allclose(found.high, [each.high for each in wanted], atol=2e-5)
    np.testing.assert_allclose(found.estimate, successes / trials, rtol=1e-6)
