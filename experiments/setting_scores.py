"""What is said of one fit of a coordinate network: the point of the grid of `extremal_settings`."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.mask_scores import probabilities
from fitb_jax import ablation, evaluation, extremal
from fitb_jax.types import Array, Float, LogitsFn, Scalar

SWEEP = 16
"""Areas of the continuity and of the map, evenly spaced over the range that was fitted."""

_HOUR = 3600.0


class SettingScores(NamedTuple):
    """Of one fit to one photograph.

    Attributes:
        binary: p(target) of the binary mask of each area on a blur.
        continuity: change of the mask over change of the area, mean over the sweep.
        pointing: whether the maximum of the mean mask hits the object; nan where it is not known.
        milliseconds: of the fit, which is compiled.
        steps: made.
        converged: whether it stopped growing.
    """

    binary: Float[Array, "a"]
    continuity: Scalar
    pointing: Scalar
    milliseconds: Scalar
    steps: Scalar
    converged: Scalar


FIELDS = {
    "binary": ablation.Field(dims=("area",), meaning="p(target) through the binary mask"),
    "continuity": ablation.Field(meaning="change of the mask over change of the area"),
    "pointing": ablation.Field(meaning="the maximum hits the object", nan_is_answer=True),
    "milliseconds": ablation.Field(meaning="of the fit", units="ms"),
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
        image: `pixels`, `target` and `truth`.
        key: of the fit.

    Returns:
        The scores.
    """
    target = image["target"]
    start = _clock(image["pixels"])
    # The fit needs the first time and the second needs the fit, so that they stay in this order.
    pixels = image["pixels"] + 0 * start
    inr = extremal.fit_inr(logits_fn, pixels, target, setting, key=key)
    end = _clock(inr.history.objective)
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
        pointing=evaluation.pointing_game(swept.mean(0), image["truth"], tolerance=tolerance),
        milliseconds=1000 * ((end - start) % _HOUR),
        steps=inr.steps.astype(jnp.float32),
        converged=inr.converged.astype(jnp.float32),
    )


def _clock(after: Array) -> Scalar:
    """Seconds of a clock that starts again every hour, read when `after` is there."""

    def read(_: Any) -> np.ndarray:
        return np.array(time.perf_counter() % _HOUR, np.float32)

    shape = jax.ShapeDtypeStruct((), jnp.float32)
    return jax.pure_callback(read, shape, after.ravel()[0], vmap_method="sequential")
