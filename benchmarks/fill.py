"""Fill-in updates: against the bare gradient of the same network, and against PyTorch."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks import timing
from benchmarks.timing import Row
from fitb_jax import batching, fill, masks, models, objectives
from fitb_jax.models.classifiers import CNN
from fitb_jax.types import LogitsFn

try:
    from benchmarks import fill_torch
except ImportError:  # PyTorch is not a dependency
    fill_torch = None  # type: ignore[assignment]  # a module otherwise

STEPS = 8
FILL_STEPS = 16
CLASS_CHUNKS = (1, 5)
IMAGE_CHUNKS = (8, 16, 32, 64)
"""Images that all classes are asked for at once, by `batching.chunked_vmap`."""

ROBUST_STEPS, TOGETHER = 4, 3


def run(*, rounds: int = 15, batches: tuple[int, ...] = (32, 64, 256)) -> list[Row]:
    """Fill-in updates against the bare gradient of the same network, and against PyTorch.

    Every side is given the batch size that is fastest for it: on a CPU a second-order update of
    many images at once leaves the cache, a single gradient does not.

    Args:
        rounds: timings of each side.
        batches: images per call.

    Returns:
        The rows of the table.
    """
    module = CNN(models.ClassifierConfig(), rngs=nnx.Rngs(0))
    logits_fn = models.as_logits_fn(module)
    rows: list[Row] = []
    sides: dict[tuple[str, int], Callable[[], Any]] = {}
    for batch in batches:
        data = _data(batch)
        ours = _jax_sides(logits_fn, *data)
        torch_sides: dict[str, Callable[[], Any]] = {}
        if fill_torch is None:
            rows = [Row("PyTorch", "not installed (dependency group bench)")]
        else:
            torch_sides = fill_torch.sides(module, *map(np.asarray, data), steps=STEPS)
            rows = _parity_rows(ours, torch_sides)
        sides |= {(name, batch): side for name, side in {**ours, **torch_sides}.items()}
    timings = timing.interleave(sides, rounds=rounds)
    return [
        *rows,
        *_speed_rows(_per_image(timings, batches), list(torch_sides)),
        *_classes_rows({b: {n: t for (n, at), t in timings.items() if at == b} for b in batches}),
        *_training_rows(rounds),
        *_memory_rows(logits_fn),
        _compile_row(logits_fn),
    ]


def _data(batch: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    images = jax.random.uniform(jax.random.key(1), (batch, 28, 28, 1))
    keys = jax.random.split(jax.random.key(2), batch)
    seen = jax.vmap(lambda key: masks.random_patches((28, 28), 0.5, 4, key=key))(keys)
    return images, seen, jnp.arange(batch) % 10


def _parity_rows(
    ours: dict[str, Callable[[], Any]], theirs: dict[str, Callable[[], Any]]
) -> list[Row]:
    rows = []
    for name in ("first order", "newton"):
        found, expected = np.asarray(ours[name]()), theirs[f"torch.func {name}"]()
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        rows.append(Row(f"{name}: relative difference to PyTorch's result", f"{error:.1e}"))
    return rows


def _per_image(
    timings: dict[tuple[str, int], timing.Timing], batches: tuple[int, ...]
) -> dict[str, tuple[timing.Timing, int]]:
    """Seconds an image at the batch size whose median is the least, and that batch size."""
    best = {}
    for name in dict.fromkeys(name for name, _ in timings):
        by_batch = {b: timing.Timing(timings[name, b].seconds / b) for b in batches}
        batch = min(by_batch, key=lambda b: by_batch[b].median)
        best[name] = (by_batch[batch], batch)
    return best


def _jax_sides(
    logits_fn: LogitsFn, images: jax.Array, seen: jax.Array, targets: jax.Array
) -> dict[str, Callable[[], Any]]:
    def bare(logits_fn: LogitsFn, image: jax.Array, mask: jax.Array, target: jax.Array) -> Any:
        return jax.grad(lambda z: objectives.log_prob(logits_fn(z), target))(image)

    def all_classes(chunk: int) -> Callable[..., Any]:
        return lambda logits_fn, image, mask, target: fill.first_order_all_classes(
            logits_fn, image, mask, chunk=chunk
        )

    def forward(logits_fn: LogitsFn, image: jax.Array, mask: jax.Array, target: jax.Array) -> Any:
        return logits_fn(image)

    def in_chunks(size: int) -> Callable[[], Any]:
        compiled = jax.jit(
            lambda logits_fn, images, seen: batching.chunked_vmap(
                functools.partial(fill.first_order_all_classes, logits_fn), chunk=size
            )(images, seen)
        )
        return lambda: jax.block_until_ready(compiled(logits_fn, images, seen))

    iterated = functools.partial(fill.iterated, key=jax.random.key(0), steps=FILL_STEPS)

    functions: dict[str, Callable[..., Any]] = {
        "forward pass": forward,
        "bare gradient": bare,
        "first order": fill.first_order,
        **{_all_classes_name(chunk): all_classes(chunk) for chunk in CLASS_CHUNKS},
        "newton": functools.partial(fill.second_order, steps=STEPS),
        "gauss_newton": functools.partial(fill.second_order, method="gauss_newton", steps=STEPS),
        "iterated": iterated,
    }

    def side(function: Callable[..., Any]) -> Callable[[], Any]:
        compiled = jax.jit(jax.vmap(function, in_axes=(None, 0, 0, 0)))
        return lambda: jax.block_until_ready(compiled(logits_fn, images, seen, targets))

    chunked = {_in_chunks_name(size): in_chunks(size) for size in IMAGE_CHUNKS}
    return {name: side(function) for name, function in functions.items()} | chunked


def _speed_rows(best: dict[str, tuple[timing.Timing, int]], torch_names: list[str]) -> list[Row]:
    def over(name: str, reference: str, times: int = 1) -> str:
        (a, batch), (b, reference_batch) = best[name], best[reference]
        ratio = timing.ratio(a, timing.Timing(times * b.seconds))
        return f"{ratio:.2f} (batches {batch} and {reference_batch})"

    gradient, batch = best["bare gradient"]
    bound = STEPS + 1
    rows = [
        Row(f"bare input gradient, batch {batch}", f"{gradient.median * 1e6:.0f} us an image"),
        Row(
            "throughput of masked first_order over the bare gradient's",
            over("bare gradient", "first order"),
            ">= 0.95",
        ),
        Row(
            f"newton, {STEPS} steps, over {bound} bare gradients",
            over("newton", "bare gradient", bound),
            "<= 1.5",
        ),
        Row(
            f"gauss_newton, {STEPS} steps, over {bound} bare gradients",
            over("gauss_newton", "bare gradient", bound),
        ),
        Row(
            f"iterated fill of {FILL_STEPS} steps over {FILL_STEPS} bare gradients",
            over("iterated", "bare gradient", FILL_STEPS),
            "<= 1.15",
        ),
    ]
    for name in torch_names:
        ours = "newton" if name.endswith("newton") else "first order"
        rows.append(Row(f"{name}: times as long as ours", over(name, ours)))
    return rows


def _all_classes_name(chunk: int) -> str:
    return f"all ten classes, {chunk} at once"


def _in_chunks_name(size: int) -> str:
    return f"all ten classes, {size} images at once"


def _training_rows(rounds: int) -> list[Row]:
    """Adversarial training against plain, and networks together against one after the other."""
    images = jax.random.uniform(jax.random.key(3), (1000, 28, 28, 1))
    labels = jnp.arange(1000) % 10
    keys = jax.random.split(jax.random.key(4), TOGETHER)

    def one_epoch(radius: float) -> Callable[[jax.Array], Any]:
        how = models.TrainingConfig(epochs=1, robust_radius=radius, robust_steps=ROBUST_STEPS)
        return lambda key: models.train(models.ClassifierConfig(), how, images, labels, key=key)

    def side(function: Callable[..., Any], keys: jax.Array) -> Callable[[], Any]:
        compiled = jax.jit(function)
        return lambda: jax.block_until_ready(compiled(keys))

    sides = {
        "plain": side(one_epoch(0.0), keys[0]),
        "robust": side(one_epoch(1.0), keys[0]),
        "together": side(jax.vmap(one_epoch(1.0)), keys),
    }
    found = timing.interleave(sides, rounds=rounds)
    alone = timing.Timing(TOGETHER * found["robust"].seconds)
    return [
        Row(
            f"robust training of {ROBUST_STEPS} steps over plain training",
            f"{timing.ratio(found['robust'], found['plain']):.2f}",
            f"<= {ROBUST_STEPS + 1.3:g}",
        ),
        Row(
            f"{TOGETHER} robust networks trained together over one after the other",
            f"{timing.ratio(found['together'], alone):.2f}",
        ),
    ]


def _classes_rows(timings: dict[int, dict[str, timing.Timing]]) -> list[Row]:
    """All classes against what they are made of, within one batch size.

    A backward pass cannot be timed alone: it needs what the forward pass left in memory. It is
    taken as the gradient less the forward pass.
    """
    rows = []
    for batch, found in timings.items():
        forward, gradient = found["forward pass"].seconds, found["bare gradient"].seconds
        passes = timing.Timing(forward + 10 * (gradient - forward))
        ways = [*map(_all_classes_name, CLASS_CHUNKS), *map(_in_chunks_name, IMAGE_CHUNKS)]
        best = min(ways, key=lambda name: found[name].median)
        ours = found[best]
        gradients = timing.ratio(ours, timing.Timing(10 * gradient))
        rows += [
            Row(
                f"all ten classes over one forward + ten backward passes, batch {batch}",
                f"{timing.ratio(ours, passes):.2f} ({best.removeprefix('all ten classes, ')})",
                "<= 1.15",
            ),
            Row(f"all ten classes over ten bare gradients, batch {batch}", f"{gradients:.2f}"),
        ]
    return rows


def _memory_rows(logits_fn: LogitsFn) -> list[Row]:
    """Temporary memory of the compiled program, which excludes the images themselves."""
    temporary = {}
    parts = masks.partition((28, 28), 4, 7, key=jax.random.key(0))
    program = jax.jit(functools.partial(fill.expected_update, chunk=64))
    for images in (256, 4096, 65536):
        shapes = (
            jax.ShapeDtypeStruct((images, 28, 28, 1), jnp.float32),
            jax.ShapeDtypeStruct((images,), jnp.int32),
        )
        analysis = program.lower(logits_fn, *shapes, parts).compile().memory_analysis()
        temporary[images] = analysis.temp_size_in_bytes / 2**20 if analysis else float("nan")
    value = ", ".join(f"{size:.1f} MiB for {n:,} images" for n, size in temporary.items())
    return [Row("expected_update, chunk 64: working memory", value, "flat")]


def _compile_row(logits_fn: LogitsFn) -> Row:
    traces = 0

    def counted(logits_fn: LogitsFn, image: jax.Array, mask: jax.Array, target: Any) -> Any:
        nonlocal traces
        traces += 1
        return fill.first_order(logits_fn, image, mask, target)

    program = jax.jit(counted)
    image = jnp.zeros((28, 28, 1))
    settings = [(ratio, patch) for ratio in (0.1, 0.25, 0.5, 0.75, 0.9) for patch in (1, 2, 4, 7)]
    for ratio, patch in settings:
        mask = masks.random_patches((28, 28), ratio, patch, key=jax.random.key(0))
        program(logits_fn, image, mask, 3)
    return Row(f"compiles for a grid of {len(settings)} ratios and patch sizes", f"{traces}", "1")
