"""What is said of one map of one photograph: the point of the grid of `localisation`."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.methods import (
    BLURRED,
    OURS,
    RANDOM_CLASS,
    UNTRAINED,
    blurred,
    controls,
    of_random_class,
    photo_methods,
)
from fitb_jax import ablation, evaluation, extremal, models
from fitb_jax.saliency import as_saliency
from fitb_jax.types import Array, Float, LogitsFn, SaliencyFn, Scalar, Target


class Row(NamedTuple):
    """A line of the table."""

    saliency_fn: SaliencyFn
    is_untrained: bool = False


class Localised(NamedTuple):
    """What is said of one map of one photograph; nan where the object's place is not known.

    Attributes:
        pointing: whether the maximum hits the object.
        mass: share of the map on the object.
        rank: share of the most important pixels, as many as the object has, that are on it.
        iou: area under the curve of the intersection over union against area.
        precision: share on the object of the most important region of each area.
        probability: p(target) of that region on a blur.
    """

    pointing: Scalar
    mass: Scalar
    rank: Scalar
    iou: Scalar
    precision: Float[Array, "a"]
    probability: Float[Array, "a"]


FIELDS = {
    "pointing": ablation.Field(meaning="the maximum hits the object", nan_is_answer=True),
    "mass": ablation.Field(meaning="share of the map on the object", nan_is_answer=True),
    "rank": ablation.Field(meaning="share of the top pixels on the object", nan_is_answer=True),
    "iou": ablation.Field(meaning="area under IoU against area", nan_is_answer=True),
    "precision": ablation.Field(dims=("area",), nan_is_answer=True),
    "probability": ablation.Field(dims=("area",), meaning="p(target) of the region on a blur"),
}

IOU_AREAS = np.linspace(0.05, 0.95, 19)


def rows(pretrained: models.Pretrained) -> dict[str, Row]:
    """Every line of the table: methods, their maps of other networks and classes, and controls.

    Args:
        pretrained: the network.

    Returns:
        By name; cheap lines first, so that a run that is stopped has most of them.
    """
    methods = photo_methods(pretrained)
    judged = [name for name in ("gradient", "Grad-CAM", "occlusion", OURS[2]) if name in methods]
    found = {name: Row(method) for name, method in {**controls(), **_masks()}.items()}
    found[BLURRED] = Row(blurred(methods["gradient"]))
    found |= {name: Row(method) for name, method in methods.items()}
    found |= {f"{name}{UNTRAINED}": Row(methods[name], True) for name in judged}
    return found | {f"{name}{RANDOM_CLASS}": Row(of_random_class(methods[name])) for name in judged}


def _masks() -> dict[str, SaliencyFn]:
    def disc(logits_fn: LogitsFn, image: Array, target: Target) -> Array:
        return evaluation.control_maps.centred_disc((image.shape[0], image.shape[1]), 0.25)

    def smooth(logits_fn: LogitsFn, image: Array, target: Target, *, key: Array) -> Array:
        return evaluation.control_maps.random_smooth((image.shape[0], image.shape[1]), key=key)

    return {"centred disc": as_saliency(disc), "random smooth map": as_saliency(smooth)}


def point(
    *,
    trained: LogitsFn,
    untrained: LogitsFn,
    areas: jax.Array,
    tolerance: jax.Array,
    method: Row,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> Localised:
    """Make one map of one photograph, and score it with the trained network.

    Args:
        trained: the classifier.
        untrained: the control.
        areas: of the regions.
        tolerance: of the pointing game.
        method: which map.
        image: `pixels`, `target`, `truth` and `ignored`.
        key: of the method and of ties.

    Returns:
        The scores.
    """
    pixels, target, truth = image["pixels"], image["target"], image["truth"]
    map_key, tie_key = jax.random.split(key)
    explained = untrained if method.is_untrained else trained
    saliency = method.saliency_fn(explained, pixels, target, key=map_key)
    regions = jax.vmap(lambda area: extremal.binarise(saliency, area, key=tie_key))(areas)
    decided = evaluation.localisation.leave_out(saliency, image["ignored"])
    return Localised(
        pointing=evaluation.pointing_game(decided, truth, tolerance=tolerance),
        mass=evaluation.relevance_mass(decided, truth),
        rank=evaluation.relevance_rank(decided, truth),
        iou=evaluation.iou_curve(decided, truth, jnp.asarray(IOU_AREAS)).area_under_curve,
        precision=jax.vmap(
            lambda area: evaluation.precision(extremal.binarise(decided, area, key=tie_key), truth)
        )(areas),
        probability=extremal.probabilities_through(trained, pixels, target, regions),
    )
