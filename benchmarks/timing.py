"""Timing on a noisy machine: the sides take turns, and ratios are medians over the rounds."""

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

Name = TypeVar("Name", bound=Hashable)
_ENOUGH = 0.1


class Timing(NamedTuple):
    """Seconds per call of one side, one value per round."""

    seconds: np.ndarray

    @property
    def median(self) -> float:
        """Median seconds per call."""
        return float(np.median(self.seconds))


class Row(NamedTuple):
    """One line of a printed table."""

    what: str
    value: str
    required: str = ""


def interleave(sides: Mapping[Name, Callable[[], Any]], *, rounds: int) -> dict[Name, Timing]:
    """Time every side once per round, in an order that changes from round to round.

    A timing is the mean of as many calls as fill a tenth of a second.

    Args:
        sides: functions that return when their work is done (synchronise inside).
        rounds: how often each is timed, after one call to warm up.

    Returns:
        The timings by name.
    """
    calls = {name: max(1, round(_ENOUGH / _seconds(side, 1))) for name, side in sides.items()}
    names = list(sides)
    seconds: dict[Name, list[float]] = {name: [] for name in names}
    order = np.random.default_rng(0)
    for _ in range(rounds):
        for index in order.permutation(len(names)):
            name = names[index]
            seconds[name].append(_seconds(sides[name], calls[name]))
    return {name: Timing(np.array(values)) for name, values in seconds.items()}


def _seconds(side: Callable[[], Any], calls: int) -> float:
    """Mean seconds of a few calls after one to warm up."""
    side()
    start = time.perf_counter()
    for _ in range(calls):
        side()
    return (time.perf_counter() - start) / calls


def ratio(a: Timing, b: Timing) -> float:
    """How many times as long `a` takes as `b`: the median over rounds of the paired ratios."""
    return float(np.median(a.seconds / b.seconds))
