"""How well a fill-in predicts what was hidden, and what it does to the prediction."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fitb_jax import checks, masks
from fitb_jax.fill.filling import fill
from fitb_jax.objectives import is_predicted, prob
from fitb_jax.precision import at_least_float32
from fitb_jax.types import (
    Background,
    FillFn,
    Float,
    Image,
    LogitsFn,
    Mask,
    Objective,
    Scalar,
    Target,
)


class Fidelity(NamedTuple):
    """Measures of one fill-in of one image; tables report their means over images.

    Attributes:
        correlation: Pearson correlation of the update with the true hidden values, in [-1, 1]; nan
            where either is constant, that is where there is nothing to predict.
        probability_whole: p(target) of the whole image, or the objective that was asked for.
        probability_masked: p(target) of the masked image.
        probability_filled: p(target) of the filled image.
        correct_whole: whether the whole image is predicted, see `objectives.is_predicted`.
        correct_masked: the same for the masked image.
        correct_filled: the same for the filled image.
    """

    correlation: Scalar
    probability_whole: Scalar
    probability_masked: Scalar
    probability_filled: Scalar
    correct_whole: Scalar
    correct_masked: Scalar
    correct_filled: Scalar


def fidelity(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    update: Image,
    *,
    fill_fn: FillFn = fill,
    background: Background = 0.0,
    objective: Objective = prob,
) -> Fidelity:
    """Judge an update by the hidden pixels and by a classifier.

    Args:
        logits_fn: the judge; it need not be the network the update comes from.
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        target: the class, in [0, k).
        update: (h, w, c), from any method.
        fill_fn: `(image, mask, update) -> filled image`.
        background: what the masked image shows in its blanks.
        objective: in whose terms it is judged: `prob`, or another one of `objectives`.

    Returns:
        The measures.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_mask(mask, image.shape[:2])
    checks.check_floating("update", update, ("h", "w", "c"))
    checks.check_same_shape("update", update, "image", image)
    seen = (image, masks.apply(image, mask, background), fill_fn(image, mask, update))
    logits = jax.vmap(logits_fn)(jnp.stack(seen))
    probabilities = jax.vmap(lambda one: objective(one, target))(logits)
    corrects = jax.vmap(lambda one: is_predicted(one, target, objective=objective))(logits)
    return Fidelity(hidden_correlation(update, image, mask), *probabilities, *corrects)


def hidden_correlation(a: Image, b: Float[Array, "h w c"], mask: Mask) -> Scalar:
    """Pearson correlation of two images over the hidden pixels.

    Args:
        a: (h, w, c).
        b: (h, w, c).
        mask: (h, w); values weigh `1 - mask`.

    Returns:
        The correlation, in [-1, 1]; nan where either is constant on the hidden pixels or nothing
        is hidden.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_floating("a", a, ("h", "w", "c"))
    checks.check_floating("b", b, ("h", "w", "c"))
    checks.check_same_shape("b", b, "a", a)
    checks.check_mask(mask, a.shape[:2])
    # float16 ends at 65,504, and a photograph has more hidden values.
    a, b, mask = (at_least_float32(jnp.asarray(each)) for each in (a, b, mask))
    weights = jnp.broadcast_to(masks.complement(mask)[:, :, None].astype(a.dtype), a.shape)
    correlation = (weights * _standardised(a, weights) * _standardised(b, weights)).sum()
    return jnp.clip(correlation, -1, 1)


def _standardised(values: Image, weights: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """Weighted mean 0 and sum of squares 1; nan where the values that weigh are all one."""
    is_hidden = weights > 0
    least = jnp.min(jnp.where(is_hidden, values, jnp.inf))
    most = jnp.max(jnp.where(is_hidden, values, -jnp.inf))
    # Compared as they are: the variance of a constant is not quite 0 in floating point.
    scaled = jnp.where(is_hidden, values - least, 0) / jnp.where(
        most > least, most - least, jnp.nan
    )
    centred = scaled - (weights * scaled).sum() / weights.sum()
    return centred / jnp.sqrt((weights * centred**2).sum())
