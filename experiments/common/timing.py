"""How long one call takes, for tables; `benchmarks` compares two sides in turns."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

_LONG = 10.0
"""Seconds. Calls that take longer are made once: their noise is a small share."""


def median_seconds(call: Callable[[], Any]) -> float:
    """What a call takes, without the first one, which may compile."""
    jax.block_until_ready(call())
    found = []
    for _ in range(3):
        start = time.perf_counter()
        jax.block_until_ready(call())
        found.append(time.perf_counter() - start)
        if found[0] > _LONG:
            break
    return float(np.median(found))
