"""What is said of one update of one photograph: the point of the grid of `photo_fidelity`."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.photo_rules import Rule
from fitb_jax import ablation, fill, masks
from fitb_jax.extremal import mean_colour
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Array, Float, Image, LogitsFn, Mask, Scalar

SMOOTH = 2.0
COARSE = 8.0


class Judged(NamedTuple):
    """What is said of one update of one photograph; all but the correlations need the judge.

    Attributes:
        correlation: of the update with the hidden values.
        coarse_correlation: of both blurred by `COARSE` pixels.
        fine_energy: share of the hidden update's energy that a blur of `SMOOTH` pixels removes.
        probability_whole: p(target) of the photograph.
        probability_masked: with its blanks in the mean colour.
        probability_filled: with the blanks moved along the update, for each size of step.
        probability_blurred: with the filled blanks blurred by `SMOOTH` pixels.
        rank_masked: place of the target among the classes, from 1.
        rank_filled: the same of the filled photograph, for each size.
    """

    correlation: Scalar
    coarse_correlation: Scalar
    fine_energy: Scalar
    probability_whole: Scalar
    probability_masked: Scalar
    probability_filled: Float[Array, "sizes"]
    probability_blurred: Float[Array, "sizes"]
    rank_masked: Scalar
    rank_filled: Float[Array, "sizes"]


FIELDS = {
    "correlation": ablation.Field(
        meaning="correlation of the update with the hidden values", nan_is_answer=True
    ),
    "coarse_correlation": ablation.Field(
        meaning=f"the same after a blur of {COARSE:g} pixels", nan_is_answer=True
    ),
    "fine_energy": ablation.Field(
        meaning=f"share of the update that a blur of {SMOOTH:g} pixels removes", nan_is_answer=True
    ),
    "probability_filled": ablation.Field(dims=("size",)),
    "probability_blurred": ablation.Field(dims=("size",)),
    "rank_filled": ablation.Field(dims=("size",)),
}


def point(
    *,
    judge: LogitsFn,
    sizes: jax.Array,
    setting: dict[str, jax.Array],
    rule: Rule,
    network: LogitsFn,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> Judged:
    """Update and fill one photograph, and judge the fill.

    Args:
        judge: the trained network.
        sizes: root mean square changes of the blanks.
        setting: `ratio` and `patch` of the mask.
        rule: of the update.
        network: whose update it is.
        image: `pixels` and `target`.
        key: of the mask and of what the rule draws.

    Returns:
        The measures.
    """
    pixels, target = image["pixels"], image["target"]
    background = mean_colour(pixels)
    mask_key, rule_key = jax.random.split(key)
    mask = masks.random_patches(pixels.shape[:2], setting["ratio"], setting["patch"], key=mask_key)
    update = rule(network, pixels, mask, target, rule_key)
    filled = jax.vmap(
        lambda size: fill.step(pixels, mask, update, size=size, background=background)
    )(sizes)
    blurred = jax.vmap(lambda one: masks.apply(pixels, mask, gaussian_blur(one, sigma=SMOOTH)))(
        filled
    )
    whole = jnp.stack([pixels, masks.apply(pixels, mask, background)])
    logits = jax.lax.map(judge, jnp.concatenate([whole, filled, blurred]))
    p = jax.nn.softmax(logits)[:, target]
    rank = 1.0 + (logits > logits[:, target][:, None]).sum(axis=1)
    count = len(sizes)
    hidden, truth = _hidden(update, mask), _hidden(pixels - background[None, None], mask)
    return Judged(
        fill.hidden_correlation(hidden, truth, mask),
        fill.hidden_correlation(_blur(hidden, COARSE), _blur(truth, COARSE), mask),
        1 - _energy(_blur(hidden, SMOOTH)) / _energy(hidden),
        p[0],
        p[1],
        p[2 : 2 + count],
        p[2 + count :],
        rank[1],
        rank[2 : 2 + count],
    )


def _hidden(values: Image, mask: Mask) -> Image:
    """Only the blanks, scaled to at most 1: small gradients have squares of 0."""
    hidden = masks.apply(values, masks.complement(mask))
    largest = jnp.abs(hidden).max()
    return hidden / jnp.where(largest > 0, largest, 1)


def _blur(image: Image, sigma: float) -> Image:
    return gaussian_blur(image, sigma=sigma)


def _energy(image: Image) -> Scalar:
    return (image**2).sum()
