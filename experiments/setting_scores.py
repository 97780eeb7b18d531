"""What is said of one fit of a coordinate network: the point of the grid of `extremal_settings`."""

import dataclasses
import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from experiments.mask_scores import probabilities
from fitb_jax import ablation, evaluation, extremal
from fitb_jax.types import Array, Float, Image, LogitsFn, Scalar

SWEEP = 16
"""Areas of the continuity and of the map, evenly spaced over the range that was fitted."""


TIMED = 10
"""Steps of a fit that is timed."""


class SettingScores(NamedTuple):
    """Of one fit to one photograph.

    Attributes:
        binary: p(target) of the binary mask of each area on a blur.
        continuity: change of the mask over change of the area, mean over the sweep.
        pointing: whether the maximum of the mean mask hits the object; nan where it is not known.
        steps: made.
        converged: whether it stopped growing.
    """

    binary: Float[Array, "a"]
    continuity: Scalar
    pointing: Scalar
    steps: Scalar
    converged: Scalar


FIELDS = {
    "binary": ablation.Field(dims=("area",), meaning="p(target) through the binary mask"),
    "continuity": ablation.Field(meaning="change of the mask over change of the area"),
    "pointing": ablation.Field(meaning="the maximum hits the object", nan_is_answer=True),
    "steps": ablation.Field(meaning="steps made"),
    "converged": ablation.Field(meaning="whether it stopped growing"),
}


def point(
    *,
    logits_fn: LogitsFn,
    areas: jax.Array,
    tolerance: jax.Array,
    setting: extremal.InrConfig,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> SettingScores:
    """Fit one photograph with one setting, and score its masks.

    Args:
        logits_fn: the classifier.
        areas: of the binary masks.
        tolerance: of the pointing game.
        setting: how the network is fitted.
        image: `pixels`, `target`, `truth` and `ignored`.
        key: of the fit.

    Returns:
        The scores.
    """
    pixels, target = image["pixels"], image["target"]
    inr = extremal.fit_inr(logits_fn, pixels, target, setting, key=key)
    shape = pixels.shape[0], pixels.shape[1]
    masks = extremal.inr_masks(inr, areas, shape)
    binary = jax.vmap(extremal.binarise)(masks, areas)
    places = (jnp.arange(SWEEP) + 0.5) / SWEEP
    low, high = setting.smallest_area, setting.largest_area
    sweep = low + (high - low) * places
    swept = extremal.inr_masks(inr, sweep, shape)
    return SettingScores(
        binary=probabilities(logits_fn, pixels, target, binary),
        continuity=evaluation.continuity(swept, sweep).mean(),
        pointing=evaluation.pointing_game(
            evaluation.leave_out(swept.mean(0), image["ignored"]),
            image["truth"],
            tolerance=tolerance,
        ),
        steps=inr.steps.astype(jnp.float32),
        converged=inr.converged.astype(jnp.float32),
    )


def step_milliseconds(
    logits_fn: LogitsFn, image: ArrayLike, target: int, settings: Mapping[str, extremal.InrConfig]
) -> dict[str, float]:
    """Time a step of each setting, compiled before.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class.
        settings: by name; those that differ in numbers or steps alone are one program.

    Returns:
        Milliseconds by name, of a fit of `TIMED` steps.
    """

    @jax.jit
    def fit(
        logits_fn: LogitsFn, image: Image, target: Array, setting: extremal.InrConfig, key: Array
    ) -> Array:
        return extremal.fit_inr(logits_fn, image, target, setting, key=key).history.objective

    inputs = (logits_fn, jnp.asarray(image), jnp.asarray(target))
    key = jax.random.key(0)
    found = {}
    for name, setting in settings.items():
        # Nothing stops it early: every step is paid for.
        short = dataclasses.replace(setting, steps=TIMED, tolerance=-1e9)
        numbers = jax.tree.map(jnp.float32, short)
        jax.block_until_ready(fit(*inputs, numbers, key))
        start = time.perf_counter()
        jax.block_until_ready(fit(*inputs, numbers, key))
        found[name] = 1000 * (time.perf_counter() - start) / TIMED
    return found
