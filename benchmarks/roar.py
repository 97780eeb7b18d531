"""ROAR: networks trained again per minute, in one compiled call against one after another."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from benchmarks.timing import Row
from fitb_jax import batching, data, evaluation, models
from fitb_jax.evaluation import ExplainedImages
from fitb_jax.types import Array, Key, LogitsFn, Scalar


def run(
    *,
    rounds: int = 3,
    seeds: int = 3,
    epochs: int = 8,
    architectures: tuple[models.Architecture, ...] = ("mlp", "cnn"),
) -> list[Row]:
    """Networks of the embedded digits, trained without what a random map calls important.

    Args:
        rounds: timings of each side.
        seeds: networks for each of the fractions of the paper.
        epochs: of each training.
        architectures: of the networks.

    Returns:
        The rows of the table.
    """
    train, test = (_mapped(split) for split in ("train", "test"))
    fractions = jnp.repeat(jnp.asarray(evaluation.retraining.ROAR_FRACTIONS, jnp.float32), seeds)
    keys = jax.random.split(jax.random.key(1), len(fractions))
    rows = []
    for architecture in architectures:
        config = models.ClassifierConfig(architecture=architecture)
        sides = _sides(config, models.TrainingConfig(epochs=epochs), fractions, keys, train, test)
        found = {name: side() for name, side in sides.items()}
        timings = timing.interleave(sides, rounds=rounds)
        alone = "one after another"
        for name, each in timings.items():
            rate = 60 * len(fractions) / each.median
            difference = float(np.abs(found[name] - found[alone]).max())
            said = f"{rate:.1f}, accuracies differ by at most {difference:.3f}"
            rows.append(Row(f"{architecture}: networks a minute, {name}", said))
            if name != alone:
                speed = timing.ratio(timings[alone], each)
                rows.append(Row(f"{architecture}: {name}, times as fast", f"{speed:.2f}"))
    return rows


def _mapped(split: str) -> ExplainedImages:
    digits = data.load("mnist_5k", split=split)
    images = jnp.asarray(digits.images)
    saliency = jax.random.uniform(jax.random.key(0), images.shape[:3])
    return ExplainedImages(images, jnp.asarray(digits.labels), saliency)


def _sides(
    config: models.ClassifierConfig,
    training: models.TrainingConfig,
    fractions: Array,
    keys: Key,
    train: ExplainedImages,
    test: ExplainedImages,
) -> dict[str, Callable[[], np.ndarray]]:
    def train_fn(images: Any, labels: Any, *, key: Any) -> LogitsFn:
        return models.train(config, training, images, labels, key=key).logits_fn

    def accuracy(
        train: ExplainedImages, test: ExplainedImages, fraction: Scalar, key: Key
    ) -> Scalar:
        return evaluation.retrained_accuracy(train_fn, train, test, fraction, key=key)

    def chunked(chunk: int) -> Callable[[], np.ndarray]:
        def every(
            train: ExplainedImages, test: ExplainedImages, fractions: Array, keys: Key
        ) -> Array:
            def one(fraction: Scalar, key: Key) -> Scalar:
                return accuracy(train, test, fraction, key)

            return batching.chunked_vmap(one, chunk=chunk)(fractions, keys)

        compiled = jax.jit(every)
        return lambda: np.asarray(compiled(train, test, fractions, keys))

    single = jax.jit(accuracy)

    def loop() -> np.ndarray:
        return np.array(
            [single(train, test, each, key) for each, key in zip(fractions, keys, strict=True)]
        )

    together = len(fractions)
    return {
        "one after another": loop,
        "one call, a chunk of 1": chunked(1),
        f"one call, {together} vmapped": chunked(together),
    }
