"""Extremal masks: one network for all areas against dense masks, and what a step costs."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from benchmarks.timing import Row
from fitb_jax import batching, data, extremal, models, objectives
from fitb_jax.types import LogitsFn

_AREAS = (0.05, 0.1, 0.2, 0.4)
_FINER_GRIDS = (56, 112)
_ACCELERATOR_IMAGES = 256


def run(
    *,
    rounds: int = 3,
    dense_steps: int = extremal.DenseConfig().steps,
    steps: tuple[int, ...] = (25, 50, 100, 200),
    images: int = 5,
) -> list[Row]:
    """Seconds of a fit, over those of dense masks and of the bare classifier; quality by seconds.

    Args:
        rounds: timings of each side; the dense masks are fitted once for each.
        dense_steps: of the dense masks, for four areas.
        steps: of the networks on the curve of quality against seconds.
        images: photographs of that curve.

    Returns:
        The rows of the table. Programs are compiled before they are timed.
    """
    net = models.load("efficientnet_lite0")
    found = list(data.photographs("skimage", size=net.size)[:images])
    pixels = jnp.asarray(np.stack([one.image for one in found]))
    targets = jax.lax.map(lambda image: jnp.argmax(net.logits_fn(image)), pixels)
    if jax.default_backend() != "cpu":
        return _accelerator_rows(net.logits_fn, pixels, targets, rounds)
    rows = _speed_rows(net.logits_fn, pixels[0], targets[0], dense_steps, rounds)
    for count in steps:
        rows.append(_quality_row(net.logits_fn, pixels, targets, count))
    return rows


def _speed_rows(
    logits_fn: LogitsFn, image: jax.Array, target: jax.Array, dense_steps: int, rounds: int
) -> list[Row]:
    config = extremal.InrConfig()
    # Nothing stops it early: every step is paid for.
    timed = dataclasses.replace(config, tolerance=-1e9)
    plain = dataclasses.replace(extremal.PLAIN, tolerance=-1e9)
    count = config.areas_per_step

    def bare(logits_fn: LogitsFn, image: jax.Array, target: jax.Array) -> jax.Array:
        """What a step cannot do without: forward and backward passes of so many masked images."""
        blend = extremal.make_blend(image, "blur", blur=config.blur)

        def total(mask: jax.Array) -> jax.Array:
            return objectives.log_prob(logits_fn(blend(mask)), target)

        gradients = batching.chunked_vmap(jax.grad(total), chunk=config.chunk)

        def step(masks: jax.Array, _: None) -> tuple[jax.Array, None]:
            return masks + 1e-6 * gradients(masks), None

        masks = jnp.full((count, *image.shape[:2]), 0.5)
        # The prior's gradients are as many more.
        return jax.lax.scan(step, masks, length=config.steps + config.prior_gradients // count)[0]

    dense = functools.partial(
        extremal.dense_masks,
        areas=jnp.asarray(_AREAS),
        config=extremal.DenseConfig(steps=dense_steps),
    )
    sides = {
        "fit": _compiled(functools.partial(_fit, timed), logits_fn, image, target),
        "plain": _compiled(functools.partial(_fit, plain), logits_fn, image, target),
        "bare": _compiled(bare, logits_fn, image, target),
        "dense": _compiled(dense, logits_fn, image, target),
    }
    for grid in _FINER_GRIDS:
        finer = functools.partial(_fit, dataclasses.replace(timed, grid=grid))
        sides[f"grid {grid}"] = _compiled(finer, logits_fn, image, target)
    found = timing.interleave(sides, rounds=rounds)
    fit = found["fit"]
    ratio = timing.ratio(fit, found["bare"])
    finer_grids = {grid: timing.ratio(found[f"grid {grid}"], fit) for grid in _FINER_GRIDS}
    all_steps = extremal.DenseConfig().steps
    times = timing.ratio(found["dense"], fit) * all_steps / dense_steps
    measured = "" if dense_steps == all_steps else f" ({dense_steps} measured, in proportion)"
    return [
        Row(f"fit of all areas, {config.steps} steps", f"{fit.median:.1f} s", "<= 6 s"),
        Row(
            f"over the plain fit, no prior and {plain.steps} steps",
            f"{timing.ratio(fit, found['plain']):.2f}",
            "<= 0.6",
        ),
        Row("cost over the bare forward and backward passes", f"{ratio:.2f}", "<= 1.25"),
        *(
            Row(f"fit on a grid of {grid}, over that of {config.grid}", f"{slower:.2f}")
            for grid, slower in finer_grids.items()
        ),
        Row(
            f"dense masks of {len(_AREAS)} areas, {dense_steps} steps",
            f"{found['dense'].median:.0f} s",
        ),
        Row(
            f"dense masks of {all_steps} steps: times as long as the fit{measured}",
            f"{times:.1f}",
            ">= 8",
        ),
    ]


def _quality_row(logits_fn: LogitsFn, images: jax.Array, targets: jax.Array, steps: int) -> Row:
    """Mean p(target) of binary masks, by what the fit of a photograph takes."""
    default = extremal.InrConfig()
    # Of the same rate times steps: what is tuned for one count is too slow or too fast for another.
    rate = default.learning_rate * default.steps / steps
    fit = jax.jit(functools.partial(_fit, extremal.InrConfig(steps=steps, learning_rate=rate)))
    score = jax.jit(_binary_probabilities)
    inputs = list(zip(images, targets, strict=True))
    jax.block_until_ready(fit(logits_fn, *inputs[0]).state)
    took, p = [], []
    for each in inputs:
        start = time.perf_counter()
        inr = jax.block_until_ready(fit(logits_fn, *each))
        took.append(time.perf_counter() - start)
        p.append(np.asarray(score(logits_fn, *each, inr)))
    seconds = float(np.median(took))
    means = ", ".join(f"{mean:.2f}" for mean in np.mean(p, axis=0))
    areas = ", ".join(f"{area:g}" for area in _AREAS)
    what = f"p(class) of binary masks at {areas}: {len(images)} photographs, {steps} steps"
    return Row(what, f"{means}; {seconds:.1f} s a photograph")


def _fit(
    config: extremal.InrConfig,
    logits_fn: LogitsFn,
    image: jax.Array,
    target: jax.Array,
    seed: int | jax.Array = 0,
) -> extremal.Inr:
    return extremal.fit_inr(logits_fn, image, target, config, key=jax.random.key(seed))


def _binary_probabilities(
    logits_fn: LogitsFn, image: jax.Array, target: jax.Array, inr: extremal.Inr
) -> jax.Array:
    areas = jnp.asarray(_AREAS)
    masks = extremal.inr_masks(inr, areas, (image.shape[0], image.shape[1]))
    binary = jax.vmap(extremal.binarise)(masks, areas)
    return extremal.probabilities_through(logits_fn, image, target, binary)


def _compiled(fn: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    run = jax.jit(fn).lower(*arguments).compile()
    return lambda: jax.block_until_ready(run(*arguments))


def _accelerator_rows(
    logits_fn: LogitsFn, images: jax.Array, targets: jax.Array, rounds: int
) -> list[Row]:
    """Many fits at once: the same few images again and again, from a key each."""
    many = jnp.resize(images, (_ACCELERATOR_IMAGES, *images.shape[1:]))
    classes = jnp.resize(targets, (_ACCELERATOR_IMAGES,))
    seeds = jnp.arange(_ACCELERATOR_IMAGES)
    fit = jax.vmap(functools.partial(_fit, extremal.InrConfig()), in_axes=(None, 0, 0, 0))
    side = _compiled(lambda *inputs: fit(*inputs).state, logits_fn, many, classes, seeds)
    seconds = timing.interleave({"fit": side}, rounds=rounds)["fit"].median
    value = f"{_ACCELERATOR_IMAGES / seconds:.1f} images a second"
    return [Row(f"fits of {_ACCELERATOR_IMAGES} images at once", value)]
