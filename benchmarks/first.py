"""The first map of a process, which traces and compiles a program, and a later one."""

import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.timing import Row
from fitb_jax import attribution, data, extremal, models
from fitb_jax.types import LogitsFn


def run(*, rounds: int = 3) -> list[Row]:
    """The first call and the next of several methods, of EfficientNet-Lite0 and one photograph.

    Args:
        rounds: how often each is compiled anew; the median counts.

    Returns:
        The rows of the table.
    """
    # What another process compiled would be read from disk.
    jax.config.update("jax_enable_compilation_cache", False)
    pretrained = models.load("efficientnet_lite0")
    photograph = next(iter(data.photographs("skimage", size=pretrained.size)))
    image = jnp.asarray(photograph.image)
    key = jax.random.key(0)
    methods: dict[str, Callable] = {
        "gradient": attribution.gradient_magnitude,
        "SmoothGrad": functools.partial(attribution.smoothgrad, key=key),
        "RISE, 512 masks": functools.partial(attribution.rise, key=key, draws=512),
        "extremal masks": functools.partial(extremal.fit_inr, key=key),
    }
    rows = []
    for name, method in methods.items():
        found = [_seconds(method, pretrained.logits_fn, image) for _ in range(rounds)]
        first, later = (sorted(each)[rounds // 2] for each in zip(*found, strict=True))
        rows.append(Row(f"{name}: seconds, first call", f"{first:.1f}"))
        rows.append(Row(f"{name}: seconds, next call", f"{later:.2f}"))
    return rows


def _seconds(method: Callable, logits_fn: LogitsFn, image: jax.Array) -> tuple[float, float]:
    jax.clear_caches()
    compiled = jax.jit(lambda *arguments: method(*arguments))  # a function that JAX has not seen
    found = []
    for _ in range(2):
        start = time.perf_counter()
        jax.block_until_ready(jax.tree.leaves(compiled(logits_fn, image, 0)))
        found.append(time.perf_counter() - start)
    return found[0], found[1]
