"""Ways to find the masks of several areas of a photograph, through one signature."""

import dataclasses
import functools
from typing import NamedTuple

import jax

from experiments.common.methods import RANDOM_CLASS, UNTRAINED
from fitb_jax import ablation, evaluation, extremal
from fitb_jax.extremal import mask_methods as ways
from fitb_jax.extremal.mask_methods import MaskMethod
from fitb_jax.types import Array, Float, Key, LogitsFn

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

INR, PENALTY, DENSE = "INR, exact area", "INR, penalty", "dense"


class MaskRow(NamedTuple):
    """A line of a table of masks."""

    method: MaskMethod
    is_untrained: bool = False
    is_of_random_class: bool = False

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
    ) -> Float[Array, "a h w"]:
        """Those of one photograph."""
        explained = untrained if self.is_untrained else trained
        return self.method(explained, image["pixels"], image["target"], areas, key=key)


def controls(config: extremal.InrConfig) -> dict[str, MaskRow]:
    """Masks that do not ask the classifier, or not for the class of the photograph."""
    fitted = functools.partial(ways.fitted_masks, config)
    return {
        "centred disc": MaskRow(ways.centred_discs),
        "random smooth masks": MaskRow(ways.random_smooth_masks),
        f"{INR}{UNTRAINED}": MaskRow(fitted, is_untrained=True),
        f"{INR}{RANDOM_CLASS}": MaskRow(fitted, is_of_random_class=True),
    }


def mask_methods(steps: int, dense_steps: int, penalty_steps: int = 0) -> dict[str, MaskMethod]:
    """The methods of chapter 2."""
    config = extremal.InrConfig(steps=steps)
    penalty_steps = penalty_steps or steps
    rate = config.learning_rate * steps / penalty_steps
    penalty = dataclasses.replace(
        config, area_form="penalty", steps=penalty_steps, learning_rate=rate
    )
    dense = extremal.DenseConfig(steps=dense_steps)
    return {
        INR: functools.partial(ways.fitted_masks, config),
        PENALTY: functools.partial(ways.fitted_masks, penalty),
        DENSE: functools.partial(ways.free_masks, dense),
    }
