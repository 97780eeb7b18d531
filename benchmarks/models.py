"""EfficientNet-Lite0 against PyTorch on a CPU, and against the ceilings of a GPU."""

import functools
import time
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from benchmarks.timing import Row, Timing
from fitb_jax import batching, models, objectives
from fitb_jax.types import LogitsFn

try:
    from benchmarks import models_torch
except ImportError:  # PyTorch and the port are not dependencies
    models_torch = None  # type: ignore[assignment]  # a module otherwise

_CHUNKS = (1, 2, 8)
_WANTED = {("forward", 8): ">= 1", ("gradient", 8): ">= 1.15"}
_ACCELERATOR_BATCH = 256
_MATRIX = 8192
_COPIED = 2**28


def run(*, rounds: int = 9, batches: tuple[int, ...] = (1, 8, 32)) -> list[Row]:
    """Forward pass, input gradient and Hessian-vector product of Lite0.

    On a CPU against the PyTorch port with the same weights, in turns; ours in chunks of the size
    that is fastest, theirs in the layout that is. On a GPU, images a second and the share of what
    the device reaches in a large matrix product and in a copy.

    Args:
        rounds: timings of each side.
        batches: images per call.

    Returns:
        The rows of the table.
    """
    if jax.default_backend() != "cpu":
        return _accelerator_rows(rounds)
    logits_fn = models.load("efficientnet_lite0").logits_fn
    if models_torch is None:
        return [Row("PyTorch and the port", "not installed (dependency group bench)")]
    net = models_torch.network()
    rows: list[Row] = []
    for batch in batches:
        images, targets = _data(batch)
        ours = {
            (what, chunk): _synchronised(jax.jit(_batched(fn, chunk)), logits_fn, images, targets)
            for what, fn in _FUNCTIONS.items()
            for chunk in _CHUNKS
            if chunk <= batch
        }
        theirs = models_torch.sides(net, np.asarray(images), np.asarray(targets))
        rows += _parity_rows(ours, theirs, batch)
        for what in _FUNCTIONS:
            sides: dict[int | str, Callable[[], Any]] = {
                chunk: side for (name, chunk), side in ours.items() if name == what
            }
            sides |= {layout: functions[what] for layout, functions in theirs.items()}
            rows += _speed_rows(timing.interleave(sides, rounds=rounds), what, batch)
    return rows


def _forward(logits_fn: LogitsFn, image: jax.Array, target: jax.Array) -> jax.Array:
    del target
    return logits_fn(image)


def _gradient(logits_fn: LogitsFn, image: jax.Array, target: jax.Array) -> jax.Array:
    return jax.grad(lambda pixels: logits_fn(pixels)[target])(image)


def _hessian_product(logits_fn: LogitsFn, image: jax.Array, target: jax.Array) -> jax.Array:
    def gradient(pixels: jax.Array) -> jax.Array:
        return jax.grad(lambda z: objectives.log_prob(logits_fn(z), target))(pixels)

    return jax.jvp(gradient, (image,), (image,))[1]


_FUNCTIONS: dict[str, Callable[..., jax.Array]] = {
    "forward": _forward,
    "gradient": _gradient,
    "hessian product": _hessian_product,
}


def _batched(fn: Callable[..., jax.Array], chunk: int) -> Callable[..., jax.Array]:
    def batched(logits_fn: LogitsFn, images: jax.Array, targets: jax.Array) -> jax.Array:
        def one(image: jax.Array, target: jax.Array) -> jax.Array:
            return fn(logits_fn, image, target)

        if chunk == len(images):
            return jax.vmap(one)(images, targets)
        return batching.chunked_vmap(one, chunk=chunk)(images, targets)

    return batched


def _synchronised(compiled: Callable[..., Any], *arguments: Any) -> Callable[[], np.ndarray]:
    return lambda: np.asarray(compiled(*arguments))


def _data(batch: int) -> tuple[jax.Array, jax.Array]:
    """Smooth random pictures: what is timed does not depend on the content."""
    coarse = jax.random.uniform(jax.random.key(0), (batch, 14, 14, 3))
    images = jax.image.resize(coarse, (batch, 224, 224, 3), "cubic").clip(0, 1)
    return images, jnp.arange(batch) * 31 % 1000


def _parity_rows(ours: dict[Any, Any], theirs: dict[str, Any], batch: int) -> list[Row]:
    rows = []
    layout = next(iter(theirs))
    for what in _FUNCTIONS:
        a, b = ours[what, 1](), theirs[layout][what]()
        difference = np.linalg.norm(a - b) / np.linalg.norm(b)
        rows.append(
            Row(f"{what}, batch {batch}: relative difference to PyTorch", f"{difference:.1e}")
        )
    return rows


def _speed_rows(timings: dict[int | str, Timing], what: str, batch: int) -> list[Row]:
    """Ours are named by their chunk, those of PyTorch by their layout."""
    chunk = min((k for k in timings if isinstance(k, int)), key=lambda k: timings[k].median)
    ours = timings[chunk]
    ratios = ", ".join(
        f"{layout} {timing.ratio(theirs, ours):.2f}"
        for layout, theirs in timings.items()
        if isinstance(layout, str)
    )
    each = ours.median / batch * 1e3
    return [
        Row(f"{what}, batch {batch}", f"{each:.1f} ms an image, in chunks of {chunk}"),
        Row(
            f"{what}, batch {batch}: times PyTorch takes as long as ours",
            ratios,
            _WANTED.get((what, batch), ""),
        ),
    ]


def _accelerator_rows(rounds: int) -> list[Row]:
    """Images a second, and the share of the device's own ceilings."""
    bandwidth = _bandwidth(rounds)
    rows = [Row("bandwidth of a copy", f"{bandwidth / 1e9:,.0f} GB/s")]
    kinds: tuple[tuple[str, Literal["float32", "bfloat16"], str], ...] = (
        ("float32", "float32", "highest"),
        ("tf32", "float32", "tensorfloat32"),
        ("bfloat16", "bfloat16", "default"),
    )
    for name, compute, precision in kinds:
        logits_fn = models.load("efficientnet_lite0", compute=compute).logits_fn
        with jax.default_matmul_precision(precision):
            rows += _accelerator_rows_of(name, logits_fn, jnp.dtype(compute), bandwidth, rounds)
    return rows


def _accelerator_rows_of(
    name: str, logits_fn: LogitsFn, dtype: Any, bandwidth: float, rounds: int
) -> list[Row]:
    images, targets = _data(_ACCELERATOR_BATCH)
    ceiling = _matrix_products(dtype, rounds)
    rows = [Row(f"{name}: matrix product", f"{ceiling / 1e12:,.1f} TFLOP/s")]
    for what, fn in _FUNCTIONS.items():
        step = jax.jit(_batched(fn, _ACCELERATOR_BATCH))
        compiled = step.lower(logits_fn, images, targets).compile()
        cost = compiled.cost_analysis() or {}
        took = _median(functools.partial(compiled, logits_fn, images, targets), rounds)
        rows.append(
            Row(
                f"{name}: {what}, batch {_ACCELERATOR_BATCH}",
                f"{_ACCELERATOR_BATCH / took:,.0f} images/s, "
                f"{cost.get('flops', np.nan) / took / ceiling:.1%} of the matrix product, "
                f"{cost.get('bytes accessed', np.nan) / took / bandwidth:.1%} of the copy",
            )
        )
    return rows


def _matrix_products(dtype: Any, rounds: int) -> float:
    """Floating-point operations a second of a large square product."""
    a = jnp.ones((_MATRIX, _MATRIX), dtype)
    product = jax.jit(jnp.matmul)
    return 2 * _MATRIX**3 / _median(lambda: product(a, a), rounds)


def _bandwidth(rounds: int) -> float:
    """Bytes a second of an addition that reads and writes a large array."""
    x = jnp.zeros(_COPIED, jnp.float32)
    add = jax.jit(lambda x: x + 1)
    return 2 * x.nbytes / _median(lambda: add(x), rounds)


def _median(call: Callable[[], Any], rounds: int) -> float:
    jax.block_until_ready(call())
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
