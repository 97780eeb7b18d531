"""Fill-in updates: against the bare gradient of the same network, and against PyTorch."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks import timing
from fitb_jax import fill, masks, models, objectives
from fitb_jax.models.classifiers import CNN
from fitb_jax.types import LogitsFn

STEPS = 8


class Row(NamedTuple):
    """One line of the printed table."""

    what: str
    value: str
    required: str = ""


def run(*, rounds: int, batch: int) -> list[Row]:
    """Time everything and return the table.

    Args:
        rounds: timings of each side.
        batch: images per call.

    Returns:
        The rows of the table.
    """
    module = CNN(models.ClassifierConfig(), rngs=nnx.Rngs(0))
    logits_fn = models.as_logits_fn(module)
    images = jax.random.uniform(jax.random.key(1), (batch, 28, 28, 1))
    targets = jnp.arange(batch) % 10
    seen = jax.vmap(lambda key: masks.random_patches((28, 28), 0.5, 4, key=key))(
        jax.random.split(jax.random.key(2), batch)
    )
    data = (images, seen, targets)
    sides = _jax_sides(logits_fn, *data)
    rows, torch_sides = [], {}
    try:
        from benchmarks import fill_torch
    except ImportError:
        rows.append(Row("PyTorch", "not installed (requirements-bench.txt)"))
    else:
        torch_sides = fill_torch.sides(module, *map(np.asarray, data), steps=STEPS)
        for name in ("first order", "newton"):
            ours, theirs = np.asarray(sides[name]()), torch_sides[f"torch.func {name}"]()
            error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
            rows.append(Row(f"{name}: relative difference to PyTorch's result", f"{error:.1e}"))
    timings = timing.interleave({**sides, **torch_sides}, rounds=rounds)
    return [
        *rows,
        *_speed_rows(timings, batch),
        *_torch_rows(timings, list(torch_sides)),
        *_memory_rows(logits_fn),
        _compile_row(logits_fn),
    ]


def _jax_sides(
    logits_fn: LogitsFn, images: jax.Array, seen: jax.Array, targets: jax.Array
) -> dict[str, Callable[[], Any]]:
    def bare(logits_fn: LogitsFn, image: jax.Array, mask: jax.Array, target: jax.Array) -> Any:
        return jax.grad(lambda z: objectives.log_prob(logits_fn(z), target))(image)

    def all_classes(
        logits_fn: LogitsFn, image: jax.Array, mask: jax.Array, target: jax.Array
    ) -> Any:
        return fill.first_order_all_classes(logits_fn, image, mask)

    functions: dict[str, Callable[..., Any]] = {
        "bare gradient": bare,
        "first order": fill.first_order,
        "all ten classes": all_classes,
        "newton": functools.partial(fill.second_order, steps=STEPS),
        "gauss_newton": functools.partial(fill.second_order, method="gauss_newton", steps=STEPS),
    }

    def side(function: Callable[..., Any]) -> Callable[[], Any]:
        compiled = jax.jit(jax.vmap(function, in_axes=(None, 0, 0, 0)))
        return lambda: jax.block_until_ready(compiled(logits_fn, images, seen, targets))

    forward = jax.jit(jax.vmap(jax.vjp, in_axes=(None, 0)))
    logits, pull_back = forward(logits_fn, images)
    backward = jax.jit(jax.vmap(lambda pull_back, cotangent: pull_back(cotangent)))
    passes = {
        "forward pass": lambda: jax.block_until_ready(forward(logits_fn, images)),
        "backward pass": lambda: jax.block_until_ready(backward(pull_back, logits)),
    }
    return {**passes, **{name: side(function) for name, function in functions.items()}}


def _speed_rows(timings: dict[str, timing.Timing], batch: int) -> list[Row]:
    gradient = timings["bare gradient"]
    ten_backward = timing.Timing(
        timings["forward pass"].seconds + 10 * timings["backward pass"].seconds
    )
    bound = timing.Timing((STEPS + 1) * gradient.seconds)
    masked = timing.ratio(gradient, timings["first order"])
    classes = timing.ratio(timings["all ten classes"], ten_backward)
    newton = timing.ratio(timings["newton"], bound)
    gauss_newton = timing.ratio(timings["gauss_newton"], bound)
    return [
        Row("bare input gradient, microseconds an image", f"{gradient.median / batch * 1e6:.0f}"),
        Row("masked first_order: throughput over the bare gradient's", f"{masked:.2f}", ">= 0.95"),
        Row("all ten classes over one forward + ten backward passes", f"{classes:.2f}", "<= 1.15"),
        Row(f"newton, {STEPS} steps, over {STEPS + 1} bare gradients", f"{newton:.2f}", "<= 1.5"),
        Row(f"gauss_newton, {STEPS} steps, over {STEPS + 1} bare gradients", f"{gauss_newton:.2f}"),
    ]


def _torch_rows(timings: dict[str, timing.Timing], names: list[str]) -> list[Row]:
    rows = []
    for name in names:
        ours = "newton" if name.endswith("newton") else "first order"
        times = timing.ratio(timings[name], timings[ours])
        rows.append(Row(f"{name}: times as long as ours", f"{times:.2f}"))
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
