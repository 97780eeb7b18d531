"""Intervals for what experiments average."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


class Interval(NamedTuple):
    """An estimate with the ends of its 95 % confidence interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        """As in a table: estimate and interval to three digits."""
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_interval(values: ArrayLike) -> Interval:
    """Mean of independent values with Student's t interval; nan values do not count.

    Args:
        values: one per image.

    Returns:
        The mean and its interval, nan where there are not two values.
    """
    flat = np.asarray(values, np.float64).ravel()
    flat = flat[np.isfinite(flat)]
    if flat.size < 2:
        mean = float(flat.mean()) if flat.size else float("nan")
        return Interval(mean, float("nan"), float("nan"))
    mean, error = float(flat.mean()), float(stats.sem(flat))
    reach = float(stats.t.ppf(0.975, flat.size - 1)) * error
    return Interval(mean, mean - reach, mean + reach)


def proportion_interval(hits: ArrayLike) -> Interval:
    """Share of hits with Wilson's interval.

    Args:
        hits: 1 or 0 (or booleans), one per image.

    Returns:
        The share and its interval.

    Raises:
        ValueError: no values.
    """
    flat = np.asarray(hits, np.float64).ravel()
    if flat.size == 0:
        raise ValueError("hits must hold at least one value, got none")
    ends = stats.binomtest(round(flat.sum()), flat.size).proportion_ci(method="wilson")
    return Interval(float(flat.mean()), float(ends.low), float(ends.high))


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[[np.ndarray], float] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """A statistic of independent cases with its interval by the percentile bootstrap.

    For what has no interval of its own, such as a ratio of means.

    Args:
        values: one per case, or a row of several that are resampled together; a case with a value
            that is not finite does not count.
        statistic: from the cases to a number; the mean by default.
        resamples: drawn with replacement, as many cases each.
        seed: of the draws.

    Returns:
        The statistic and its interval, nan where there are not two cases.

    Source: Efron & Tibshirani 1993, "An introduction to the bootstrap", section 13.3.
    """
    rows = np.asarray(values, np.float64)
    rows = rows[np.isfinite(rows).reshape(len(rows), -1).all(1)]
    if len(rows) == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    of = statistic or (lambda cases: float(cases.mean()))
    estimate = float(of(rows))
    if len(rows) == 1:
        return Interval(estimate, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    drawn = [of(rows[rng.integers(len(rows), size=len(rows))]) for _ in range(resamples)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(estimate, float(low), float(high))
