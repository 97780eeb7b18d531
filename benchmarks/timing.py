"""Timing on a noisy machine: the sides take turns, and ratios are medians over the rounds."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Timing(NamedTuple):
    """Seconds per call of one side, one value per round."""

    seconds: np.ndarray

    @property
    def median(self) -> float:
        """Median seconds per call."""
        return float(np.median(self.seconds))


def interleave(sides: Mapping[str, Callable[[], Any]], *, rounds: int) -> dict[str, Timing]:
    """Time every side once per round, in an order that changes from round to round.

    Args:
        sides: functions that return when their work is done (synchronise inside).
        rounds: how often each is timed, after one call to warm up.

    Returns:
        The timings by name.
    """
    for call in sides.values():
        call()
    names = list(sides)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    order = np.random.default_rng(0)
    for _ in range(rounds):
        for index in order.permutation(len(names)):
            start = time.perf_counter()
            sides[names[index]]()
            seconds[names[index]].append(time.perf_counter() - start)
    return {name: Timing(np.array(values)) for name, values in seconds.items()}


def ratio(a: Timing, b: Timing) -> float:
    """How many times as long `a` takes as `b`: the median over rounds of the paired ratios."""
    return float(np.median(a.seconds / b.seconds))
