"""Ways to find the masks of several areas of a photograph, through one signature."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax

from experiments.common.methods import RANDOM_CLASS, UNTRAINED, chosen, photo_methods
from fitb_jax import ablation, attribution, evaluation, extremal, models
from fitb_jax.extremal import mask_methods as ways
from fitb_jax.extremal.mask_methods import MaskMethod
from fitb_jax.extremal.prior import noisy_gradients
from fitb_jax.saliency import as_saliency, igos_saliency
from fitb_jax.types import Array, Float, Key, LogitsFn, SaliencyFn

SCORE_FIELDS = {
    "soft": ablation.Field(dims=("area",), meaning="p(target) through the mask"),
    "binary": ablation.Field(dims=("area",), meaning="p(target) through the binary mask"),
    "calibration": ablation.Field(dims=("area",), meaning="|mean(mask) - area|"),
    "nestedness": ablation.Field(meaning="shown by a mask and hidden by the next larger one"),
    "continuity": ablation.Field(meaning="change of the mask over change of the area"),
    "softness": ablation.Field(meaning="mean(4 m (1 - m))"),
    "total_variation": ablation.Field(meaning="steps between neighbouring pixels"),
    "components": ablation.Field(dims=("area",), meaning="connected regions of the binary mask"),
}
"""Of `extremal.MaskScores`."""

INR, PENALTY, DENSE = "INR", "INR, plain, penalty", "free masks"


class MaskRow(NamedTuple):
    """A line of a table of masks.

    Attributes:
        method: how they are found.
        is_untrained: by asking a network of random weights.
        is_of_random_class: of any class but the photograph's.
        sees_backgrounds: whether the method takes `backgrounds`.
        is_random: whether it is asked again with another key.
        is_repeated: whether it is asked again for the photograph moved.
        is_swept: whether its saliency map is the mean over many more areas than are judged, and
            not over the judged ones.
    """

    method: MaskMethod
    is_untrained: bool = False
    is_of_random_class: bool = False
    sees_backgrounds: bool = False
    is_random: bool = True
    is_repeated: bool = True
    is_swept: bool = True

    def asked(
        self, trained: LogitsFn, image: dict[str, jax.Array], *, key: Key
    ) -> dict[str, jax.Array]:
        """The photograph with the class whose masks are found, and by which they are judged."""
        if not self.is_of_random_class:
            return image
        classes = jax.eval_shape(trained, image["pixels"]).shape[0]
        # Another key than the fit's, which is that of the row with the photograph's own class.
        other_key = jax.random.fold_in(key, 1)
        other = evaluation.random_other_class(image["target"], classes, key=other_key)
        return {**image, "target": other}

    def masks(
        self,
        trained: LogitsFn,
        untrained: LogitsFn,
        image: dict[str, jax.Array],
        areas: Float[Array, "a"],
        *,
        key: Key,
        backgrounds: Float[Array, "b h w c"] | None = None,
    ) -> Float[Array, "a h w"]:
        """Those of one photograph."""
        explained = untrained if self.is_untrained else trained
        seen = {"backgrounds": backgrounds} if self.sees_backgrounds else {}
        return self.method(explained, image["pixels"], image["target"], areas, key=key, **seen)


PLAIN = "INR, plain"
"""Of `extremal.PLAIN`."""

PRIOR_ALONE = "its prior alone"

MANY, IGOS = "RISE, 4000 masks", "iGOS++"

SLOW = (DENSE, MANY, IGOS)
"""Rows that take minutes a photograph: asked for by name."""

OF_MAPS = ("gradient", "Grad-CAM", "occlusion", "SmoothGrad squared", "RISE")
"""Methods of maps whose largest values are judged as masks."""

NOT_RANDOM = ("gradient", "Grad-CAM", "occlusion")


def controls(config: extremal.InrConfig) -> dict[str, MaskRow]:
    """Masks that do not ask the classifier, or not for the class of the photograph."""
    fitted = functools.partial(ways.fitted_masks, config)
    once = {"is_random": False, "is_repeated": False}
    return {
        "centred disc": MaskRow(ways.centred_discs, **once),
        "random smooth masks": MaskRow(ways.random_smooth_masks, **once),
        f"{INR}{UNTRAINED}": MaskRow(fitted, is_untrained=True, **once),
        f"{INR}{RANDOM_CLASS}": MaskRow(fitted, is_of_random_class=True, **once),
    }


def priors(config: extremal.InrConfig, grad_cam: SaliencyFn | None) -> dict[str, MaskRow]:
    """The same fit from other priors: what is owed to the prior, and what to the fit."""

    def of_random_class(logits_fn: LogitsFn, image: Array, target: Array, *, key: Key) -> Array:
        classes = jax.eval_shape(logits_fn, image).shape[0]
        other_key = jax.random.fold_in(key, 1)
        other = evaluation.random_other_class(target, classes, key=other_key)
        return own_prior(logits_fn, image, other, key=key)

    def own_prior(logits_fn: LogitsFn, image: Array, target: Array, *, key: Key) -> Array:
        gradients = max(config.prior_gradients, 1)
        return noisy_gradients(logits_fn, image, target, key=key, gradients=gradients)

    def smooth(logits_fn: LogitsFn, image: Array, target: Array, *, key: Key) -> Array:
        del logits_fn, target
        return evaluation.control_maps.random_smooth((image.shape[0], image.shape[1]), key=key)

    found = {
        PRIOR_ALONE: MaskRow(functools.partial(ways.map_masks, as_saliency(own_prior))),
        f"{INR}, random prior": _with_prior(config, as_saliency(smooth)),
        f"{INR}, prior of a random class": _with_prior(config, as_saliency(of_random_class)),
    }
    if grad_cam is not None:
        found[f"{INR}, prior Grad-CAM"] = _with_prior(config, grad_cam)
    return found


def _with_prior(config: extremal.InrConfig, prior_fn: SaliencyFn) -> MaskRow:
    method = functools.partial(ways.fitted_masks, config, prior_fn=prior_fn)
    return MaskRow(method, is_random=False, is_repeated=False)


def mask_methods(steps: int = 0, dense_steps: int = 0) -> dict[str, MaskMethod]:
    """The methods of chapter 2; of 0 steps each has its own number."""
    fitted = {
        INR: extremal.InrConfig(),
        PLAIN: extremal.PLAIN,
        PENALTY: dataclasses.replace(extremal.PLAIN, area_form="penalty"),
    }
    dense = extremal.DenseConfig()
    if dense_steps:
        dense = dataclasses.replace(dense, steps=dense_steps)
    return {
        **{
            name: functools.partial(ways.fitted_masks, with_steps(config, steps))
            for name, config in fitted.items()
        },
        DENSE: functools.partial(ways.free_masks, dense),
    }


def with_steps(config: extremal.InrConfig, steps: int) -> extremal.InrConfig:
    """A configuration with other steps, and a rate such that the way is as long; 0 changes none."""
    if not steps:
        return config
    rate = config.learning_rate * config.steps / steps
    return dataclasses.replace(config, steps=steps, learning_rate=min(rate, LARGEST_RATE))


LARGEST_RATE = 0.02

FEWER_STEPS = (12, 30)
"""Of shorter fits, for the curve of quality against seconds."""


def picked(every: dict[str, MaskRow], names: Sequence[str]) -> dict[str, MaskRow]:
    """The rows that are asked for, in their own order; none means all but the slow ones."""
    return chosen(every, names or [name for name in every if name not in SLOW])


def rows(
    pretrained: models.Pretrained, *, steps: int = 0, dense_steps: int = 0
) -> dict[str, MaskRow]:
    """Every line of a table of masks; cheap lines come first."""
    maps = photo_methods(pretrained)
    shown = {
        name: MaskRow(
            functools.partial(ways.map_masks, maps[name]),
            is_random=name not in NOT_RANDOM,
            is_repeated=name != "RISE",
        )
        for name in OF_MAPS
        if name in maps
    }
    config = with_steps(extremal.InrConfig(), steps)
    blind, methods = controls(config), mask_methods(steps, dense_steps)
    many = as_saliency(attribution.rise, draws=4000, normalise="covariance", chunk=2)
    return {
        **blind,
        **shown,
        **priors(config, maps.get("Grad-CAM")),
        **{
            name: MaskRow(method, is_repeated=name == INR)
            for name, method in methods.items()
            if name != DENSE
        },
        **{
            f"{INR}, {few} steps": MaskRow(
                functools.partial(ways.fitted_masks, with_steps(config, min(few, config.steps)))
            )
            for few in FEWER_STEPS
        },
        MANY: MaskRow(functools.partial(ways.map_masks, many), is_repeated=False),
        IGOS: MaskRow(
            functools.partial(ways.map_masks, as_saliency(igos_saliency)), is_repeated=False
        ),
        # Each area is a fit of its own.
        DENSE: MaskRow(methods[DENSE], is_random=False, is_repeated=False, is_swept=False),
    }
