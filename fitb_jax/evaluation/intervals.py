"""How sure a number of a table is: an estimate with the ends of its confidence interval.

Means, shares and resampled statistics are computed on the host, once, at the end; the interval of
Clopper and Pearson also inside of a compiled program.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc
from numpy.typing import ArrayLike
from scipy import special

from fitb_jax import checks
from fitb_jax.types import Array, Number

CONFIDENCE = 0.95

_HALVINGS = 30
"""Of [0, 1]: a billionth, less than single precision knows."""


class Interval(NamedTuple):
    """An estimate with its confidence interval, of 95 % unless another confidence was asked for.

    Numbers of the host, or scalars of what is compiled.

    Attributes:
        estimate: the number.
        low: lower end of the interval; nan where it cannot be told.
        high: upper end.
    """

    estimate: Any
    low: Any
    high: Any

    def __str__(self) -> str:
        """As in a table: estimate and interval to three digits."""
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def student_interval(estimate: float, standard_error: float, freedom: int) -> Interval:
    """Student's t interval of an estimate, of 95 %.

    Args:
        estimate: the number.
        standard_error: of the estimate, in its units.
        freedom: degrees of freedom of the standard error, at least 1.

    Returns:
        The estimate and its interval.
    """
    reach = float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * standard_error
    return Interval(estimate, estimate - reach, estimate + reach)


def mean_interval(values: ArrayLike) -> Interval:
    """Mean of independent values with Student's t interval of 95 %.

    Args:
        values: one per image; those that are not finite do not count.

    Returns:
        The mean and its interval. With one value the interval is nan, without any also the mean.
    """
    flat = np.asarray(values, np.float64).ravel()
    flat = flat[np.isfinite(flat)]
    if flat.size < 2:
        mean = float(flat.mean()) if flat.size else np.nan
        return Interval(mean, np.nan, np.nan)
    error = float(flat.std(ddof=1) / np.sqrt(flat.size))
    return student_interval(float(flat.mean()), error, flat.size - 1)


def proportion_interval(hits: ArrayLike) -> Interval:
    """Share of hits with Wilson's interval.

    Args:
        hits: 1 or 0 (or booleans), one per image.

    Returns:
        The share and its interval.

    Raises:
        ValueError: no values.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    # It takes longer to import than all the rest of the package.
    from scipy import stats

    flat = np.asarray(hits, np.float64).ravel()
    if flat.size == 0:
        raise ValueError("hits must hold at least one value, got none")
    ends = stats.binomtest(round(flat.sum()), flat.size).proportion_ci(CONFIDENCE, "wilson")
    return Interval(float(flat.mean()), float(ends.low), float(ends.high))


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[[np.ndarray], float] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """A statistic of independent cases with its 95 % interval by the percentile bootstrap.

    It is for statistics without an interval in closed form, such as a ratio of means.

    Args:
        values: (n,) or (n, m), one value or row per case; a case with a value that is not finite
            does not count.
        statistic: from the cases to a number; the mean by default.
        resamples: how often n cases are drawn with replacement.
        seed: of the draws.

    Returns:
        The statistic and its interval. With one case the interval is nan, without any also the
        statistic.

    Source: Efron & Tibshirani 1993, "An introduction to the bootstrap", section 13.3.
    """
    rows = np.asarray(values, np.float64)
    rows = rows[np.isfinite(rows).reshape(len(rows), -1).all(1)]
    if len(rows) == 0:
        return Interval(np.nan, np.nan, np.nan)
    of = statistic or (lambda cases: float(cases.mean()))
    estimate = float(of(rows))
    if len(rows) == 1:
        return Interval(estimate, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    drawn = [of(rows[rng.integers(len(rows), size=len(rows))]) for _ in range(resamples)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(estimate, float(low), float(high))


def clopper_pearson(successes: Any, trials: int, *, confidence: Number = CONFIDENCE) -> Interval:
    """A share of independent trials with its exact interval.

    It is that of `scipy.stats.binomtest(...).proportion_ci("exact")`, and can be compiled by JAX.

    Args:
        successes: how many trials succeeded, in [0, trials]. An array argument.
        trials: at least 1.
        confidence: that the interval holds the true share, in (0, 1]. An array argument.

    Returns:
        The share and its interval, scalars.

    Raises:
        TypeError, ValueError: not a count, or a number out of range.

    Source: Clopper & Pearson 1934, "The use of confidence or fiducial limits illustrated in the
    case of the binomial".
    """
    checks.check_count("trials", trials)
    checks.check_number("successes", successes, least=0, most=trials)
    _check_whole("successes", successes)
    check_confidence(confidence)
    count = jnp.asarray(successes, jnp.float32)
    failures = trials - count
    tail = jnp.asarray(1 - confidence, jnp.float32) / 2
    # Both ends are lower quantiles, the upper one of the failures: near 1 single precision resolves
    # too little. A parameter of 0 has no distribution; those ends are 0 and 1.
    a = jnp.stack([jnp.maximum(count, 1), jnp.maximum(failures, 1)])
    b = jnp.stack([failures, count]) + 1
    low, missed = _beta_quantile(a, b, tail)
    return Interval(
        estimate=count / trials,
        low=jnp.where(count > 0, low, 0),
        high=jnp.where(failures > 0, 1 - missed, 1),
    )


def check_confidence(confidence: Any) -> None:
    """Refuse a confidence that is not in (0, 1]; that of 1 has the interval [0, 1].

    Args:
        confidence: the number to check.

    Raises:
        TypeError, ValueError: not a number in (0, 1].
    """
    checks.check_number("confidence", confidence, least=0, most=1, open_least=True)


def _check_whole(name: str, value: Any) -> None:
    values = checks.known(value)
    if values is not None and values != np.round(values):
        raise ValueError(f"{name} must be a whole number, got {values:g}")


@jax.jit  # compiled once, even without a caller's jit
def _beta_quantile(a: Array, b: Array, probability: Array) -> Array:
    """Where the distribution function of a beta distribution reaches a probability."""

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        is_below = betainc(a, b, middle) < probability
        return jnp.where(is_below, middle, low), jnp.where(is_below, high, middle)

    start = (jnp.zeros_like(a), jnp.ones_like(a))
    # The lower end, which is exactly 0 for a probability of 0.
    return jax.lax.fori_loop(0, _HALVINGS, halve, start)[0]
