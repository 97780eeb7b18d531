"""Along which line each explanation relies on its model of J, and the points of that grid."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from experiments.common import methods as listed
from fitb_jax import ablation, evaluation, fill, masks, models, objectives
from fitb_jax.attribution.noisy_gradients import NOISE
from fitb_jax.types import Array, Image, Key, LogitsFn, Objective, SaliencyFn, Target

OBJECTIVES: dict[str, Objective] = {"log p": objectives.log_prob, "logit": objectives.logit}
Line: TypeAlias = tuple[Image, Image]
"""Where the model touches J, and the whole perturbation."""

Perturbation: TypeAlias = Callable[..., Line]
"""`(logits_fn, image, target, colour, *, key) -> (start, direction)`."""

FIELDS = {
    "first_error": ablation.Field(
        ("objective", "step"), meaning="of the first-order model", nan_is_answer=True
    ),
    "second_error": ablation.Field(
        ("objective", "step"), meaning="of the second-order model", nan_is_answer=True
    ),
    "change": ablation.Field(("objective", "step"), units="nats", meaning="of the objective"),
    "radius": ablation.Field(
        ("objective", "order"), meaning="share of the perturbation within the tolerance"
    ),
    "length": ablation.Field(units="intensity", meaning="of the perturbation, Euclidean"),
}


def point(
    *,
    perturbation: Perturbation,
    image: dict[str, jax.Array],
    network: LogitsFn,
    colour: jax.Array,
    steps: jax.Array,
    tolerance: jax.Array,
    key: Key,
) -> dict[str, Array]:
    """How well two models of each objective hold along one perturbation of one image.

    Args:
        perturbation: which.
        image: `pixels` and `label`.
        network: the classifier.
        colour: what removed pixels become.
        steps: shares of the perturbation.
        tolerance: largest error within the radius.
        key: random key.

    Returns:
        The fields.
    """
    label = image["label"]
    start, direction = perturbation(network, image["pixels"], label, colour, key=key)
    found = [
        evaluation.local_models(network, start, label, direction, steps, objective=objective)
        for objective in OBJECTIVES.values()
    ]
    radius = functools.partial(evaluation.local_radius, steps, tolerance=tolerance)
    return {
        "first_error": jnp.stack([one.first_error for one in found]),
        "second_error": jnp.stack([one.second_error for one in found]),
        "change": jnp.stack([one.change for one in found]),
        "radius": jnp.stack(
            [jnp.stack([radius(one.first_error), radius(one.second_error)]) for one in found]
        ),
        "length": jnp.sqrt((direction**2).sum()),
    }


@dataclasses.dataclass(frozen=True)
class Update:
    """The fill that an update proposes, from the masked image; equal to another of the same.

    Attributes:
        order: of the update; "random" and "true" are controls that ask no network.
        is_scaled: whether the strongest pixel moves by 1; the update's own length otherwise.
        ratio: share of the patches that are blank.
        patch: side in pixels.
    """

    order: str
    is_scaled: bool = True
    ratio: float = 0.5
    patch: int = 4

    def __call__(
        self, logits_fn: LogitsFn, image: Image, target: Target, colour: Array, *, key: Key
    ) -> Line:
        """The masked image, and the update of its hidden pixels."""
        del colour
        mask_key, draw_key = jax.random.split(key)
        mask = masks.random_patches(image.shape[:2], self.ratio, self.patch, key=mask_key)
        mask = mask.astype(image.dtype)
        start = masks.apply(image, mask)
        if self.order == "random":
            update = jax.random.normal(draw_key, image.shape, image.dtype)
        elif self.order == "true":
            update = image - start
        elif self.order == "first":
            update = fill.first_order(logits_fn, image, mask, target)
        else:
            update = fill.second_order(logits_fn, image, mask, target)
        hidden = masks.apply(update, masks.complement(mask))
        largest = jnp.abs(hidden).max()
        scale = jnp.where(largest > 0, largest, 1) if self.is_scaled else 1.0
        return start, hidden / scale


@dataclasses.dataclass(frozen=True)
class Removal:
    """The most important pixels become the mean colour; equal to another of the same.

    Attributes:
        method: whose map says which.
        share: of the pixels.
    """

    method: SaliencyFn
    share: float = 0.2

    def __call__(
        self, logits_fn: LogitsFn, image: Image, target: Target, colour: Array, *, key: Key
    ) -> Line:
        """The image, and what takes its pixels away."""
        saliency = self.method(logits_fn, image, target, key=key)
        weights = evaluation.ranking.top_weights(saliency, self.share)[:, :, None]
        return image, weights * (jnp.broadcast_to(colour, image.shape) - image)


def to_black(logits_fn: LogitsFn, image: Image, target: Target, colour: Array, *, key: Key) -> Line:
    """The path of integrated gradients.

    Args:
        logits_fn: not used.
        image: (h, w, c).
        target: not used.
        colour: not used.
        key: not used.

    Returns:
        The image, and what makes it black.
    """
    del logits_fn, target, colour, key
    return image, -image


def noise(logits_fn: LogitsFn, image: Image, target: Target, colour: Array, *, key: Key) -> Line:
    """One draw of SmoothGrad's noise.

    Args:
        logits_fn: not used.
        image: (h, w, c).
        target: not used.
        colour: not used.
        key: of the noise.

    Returns:
        The image and the noise.
    """
    del logits_fn, target, colour
    scale = NOISE * (image.max() - image.min())
    return image, scale * jax.random.normal(key, image.shape, image.dtype)


def perturbations(architecture: models.Architecture, share: float) -> dict[str, Perturbation]:
    """The perturbation of every method and of controls.

    Args:
        architecture: of the network explained.
        share: of the pixels that removals take away.

    Returns:
        By name.
    """
    controls = listed.controls()
    removed = {
        **listed.small_methods(architecture),
        **{name: controls[name] for name in ("random map", "Sobel edges")},
    }
    return {
        "first-order update": Update("first"),
        "Newton update": Update("second"),
        "Newton step": Update("second", is_scaled=False),
        "true fill": Update("true"),
        "random update": Update("random"),
        "to black": to_black,
        "SmoothGrad's noise": noise,
        **{f"removal: {name}": Removal(method, share) for name, method in removed.items()},
    }
