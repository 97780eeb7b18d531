"""What is said of the masks of one setting, or of a control: points of `extremal_settings`."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from experiments.common.masks import MaskRow
from experiments.common.timing import median_seconds
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
        steps: made; nan for what is not a setting.
        converged: whether it stopped growing; the same.
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
    "steps": ablation.Field(meaning="steps made", nan_is_answer=True),
    "converged": ablation.Field(meaning="whether it stopped growing", nan_is_answer=True),
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
    pixels = image["pixels"]
    inr = extremal.fit_inr(logits_fn, pixels, image["target"], setting, key=key)
    sweep = _sweep(setting)
    shape = pixels.shape[0], pixels.shape[1]
    masks, swept = (extremal.inr_masks(inr, each, shape) for each in (areas, sweep))
    return _scores(
        logits_fn,
        image,
        (masks, areas),
        (swept, sweep),
        tolerance,
        steps=inr.steps.astype(jnp.float32),
        converged=inr.converged.astype(jnp.float32),
    )


def control_point(
    *,
    trained: LogitsFn,
    untrained: LogitsFn,
    areas: jax.Array,
    tolerance: jax.Array,
    method: MaskRow,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> SettingScores:
    """Score masks that are no setting's in the same way.

    Args:
        trained: the classifier, which judges all masks.
        untrained: the control.
        areas: of the binary masks.
        tolerance: of the pointing game.
        method: whose masks.
        image: as in `point`.
        key: of the method.

    Returns:
        The scores.
    """
    sweep = _sweep(extremal.InrConfig())
    image = method.asked(trained, image, key=key)
    both = method.masks(trained, untrained, image, jnp.concatenate([areas, sweep]), key=key)
    masks, swept = both[: areas.shape[0]], both[areas.shape[0] :]
    nothing = jnp.float32(jnp.nan)
    return _scores(
        trained,
        image,
        (masks, areas),
        (swept, sweep),
        tolerance,
        steps=nothing,
        converged=nothing,
    )


def _sweep(setting: extremal.InrConfig) -> Array:
    places = (jnp.arange(SWEEP) + 0.5) / SWEEP
    low, high = setting.smallest_area, setting.largest_area
    return low + (high - low) * places


def _scores(
    logits_fn: LogitsFn,
    image: dict[str, jax.Array],
    masks_of_areas: tuple[Array, Array],
    masks_of_sweep: tuple[Array, Array],
    tolerance: jax.Array,
    *,
    steps: Array,
    converged: Array,
) -> SettingScores:
    binary = jax.vmap(extremal.binarise)(*masks_of_areas)
    swept, _ = masks_of_sweep
    saliency = evaluation.localisation.leave_out(swept.mean(0), image["ignored"])
    return SettingScores(
        binary=extremal.probabilities_through(logits_fn, image["pixels"], image["target"], binary),
        continuity=evaluation.continuity(*masks_of_sweep).mean(),
        pointing=evaluation.pointing_game(saliency, image["truth"], tolerance=tolerance),
        steps=steps,
        converged=converged,
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
        took = median_seconds(functools.partial(fit, *inputs, numbers, key))
        found[name] = 1000 * took / TIMED
    return found
