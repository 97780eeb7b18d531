"""Intervals for what experiments average, by SciPy."""

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
