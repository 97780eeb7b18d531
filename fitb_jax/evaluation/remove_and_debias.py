"""ROAD: remove pixels so that their shape cannot be seen in the result (Rong et al. 2022).

A removed pixel becomes the weighted mean of its neighbours plus a little noise. Where the
neighbours are removed as well this is a linear system. It is solved on the device by conjugate
gradients without a matrix, so that it can be batched.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg

from fitb_jax import checks
from fitb_jax.batching import chunked_vmap
from fitb_jax.evaluation.ranking import ranks
from fitb_jax.objectives import is_predicted, prob
from fitb_jax.precision import at_least_float32
from fitb_jax.types import (
    Array,
    Float,
    Image,
    Key,
    LogitsFn,
    Mask,
    Number,
    Objective,
    Saliency,
    Scalar,
    Target,
)

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
NOISE = 0.01


class Imputed(NamedTuple):
    """An image with its removed pixels filled in.

    Attributes:
        image: (h, w, c).
        residual: norm of what is left of the linear system, relative to its right-hand side; well
            above the tolerance where the steps did not suffice.
    """

    image: Image
    residual: Scalar


class Road(NamedTuple):
    """What the classifier says as more and more pixels are removed, in both orders.

    Attributes:
        fractions: share of the pixels that are removed, (f,).
        most_first: p(target) with the most important pixels removed (MoRF), (f,); low is good.
        least_first: p(target) with the least important ones removed (LeRF), (f,); high is good.
        most_first_corrects: 1 where the target is predicted, else 0, (f,).
        least_first_corrects: the same for the other order, (f,).
        score: mean over fractions of `(least_first - most_first) / 2`, in [-1/2, 1/2]; 0 is chance.
        residual: the largest of the imputations; see `Imputed`.
    """

    fractions: Float[Array, "f"]
    most_first: Float[Array, "f"]
    least_first: Float[Array, "f"]
    most_first_corrects: Float[Array, "f"]
    least_first_corrects: Float[Array, "f"]
    score: Scalar
    residual: Scalar


def road(
    logits_fn: LogitsFn,
    image: Image,
    saliency: Saliency,
    target: Target,
    *,
    key: Key,
    fractions: Float[Array, "f"] | None = None,
    noise: Number = NOISE,
    objective: Objective = prob,
    chunk: int = 8,
    tolerance: float = 1e-5,
    steps: int = 2000,
) -> Road:
    """Remove the most, and the least, important pixels: what is left of the prediction?

    The paper reports accuracies over a data set, that is means of `most_first_corrects` and
    `least_first_corrects`.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        saliency: (h, w); only the order of its pixels matters.
        target: the class, in [0, k).
        key: random order of pixels of equal saliency, and the noise.
        fractions: shares of the pixels to remove, (f,), ascending within [0, 1); `round(f h w)`
            pixels. `FRACTIONS` by default. At least one pixel stays.
        noise: standard deviation of the noise on removed pixels, in units of the image.
        objective: in whose terms it is judged: `prob`, or another one of `objectives`.
        chunk: images evaluated at once; it sets the memory. The result does not depend on it.
        tolerance: of the linear systems, relative; see `impute`.
        steps: largest number of conjugate gradient steps.

    Returns:
        Both curves, and half of their mean difference.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Rong et al. 2022, "A consistent and efficient evaluation strategy for attribution
    methods"; the combined score as Gildenblat's pytorch-grad-cam has it.
    """
    checks.check_key(key)
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_saliency(saliency, image.shape[:2])
    checks.check_count("chunk", chunk)
    _check_imputation(noise, tolerance, steps)
    fractions = jnp.asarray(FRACTIONS) if fractions is None else fractions
    checks.check_areas(fractions, name="fractions")
    size = saliency.size
    if (values := checks.known(fractions)) is not None and round(float(values[-1]) * size) >= size:
        raise ValueError(f"fractions must leave at least one pixel, got {values[-1]:g}")
    order_key, noise_key = jax.random.split(key)
    places = ranks(saliency, key=order_key)
    counts = jnp.round(fractions * size).astype(places.dtype)
    keys = jax.random.split(noise_key, 2 * counts.size)

    def look(places: Array, count: Array, key: Key) -> tuple[Array, Array, Array]:
        mask = (places >= count).astype(image.dtype)
        imputed = impute(image, mask, key=key, noise=noise, tolerance=tolerance, steps=steps)
        logits = logits_fn(imputed.image)
        correct = is_predicted(logits, target, objective=objective)
        return objective(logits, target), correct, imputed.residual

    def look_at(item: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        is_reversed, count, key = item
        return look(jnp.where(is_reversed, size - 1 - places, places), count, key)

    items = (jnp.repeat(jnp.asarray([False, True]), counts.size), jnp.tile(counts, 2), keys)
    probabilities, corrects, residuals = chunked_vmap(look_at, chunk=chunk)(items)
    is_map = jnp.isfinite(saliency).all()
    most, least = jnp.split(jnp.where(is_map, probabilities, jnp.nan), 2)
    most_correct, least_correct = jnp.split(jnp.where(is_map, corrects, jnp.nan), 2)
    score = (least - most).mean() / 2
    return Road(fractions, most, least, most_correct, least_correct, score, residuals.max())


def impute(
    image: Image,
    mask: Mask,
    *,
    key: Key,
    noise: Number = NOISE,
    tolerance: float = 1e-5,
    steps: int = 2000,
) -> Imputed:
    """Fill removed pixels in with the weighted mean of their neighbours, plus noise.

    A neighbour that shares an edge weighs 1/6, one that shares a corner 1/12; where the image ends,
    those that are there are rescaled to 1.

    Args:
        image: (h, w, c).
        mask: (h, w), 1 = kept, 0 = removed; below 1/2 counts as removed.
        key: of the noise.
        noise: standard deviation of the normal noise on removed pixels, in units of the image.
        tolerance: norm of the residual at which the solver stops, relative to the right-hand side.
            The default leaves errors of about 1e-4 in the image, a hundredth of the noise.
        steps: largest number of conjugate gradient steps.

    Returns:
        The image and the residual; nan where no pixel is kept, which determines nothing.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Rong et al. 2022 (noisy linear imputation).
    """
    checks.check_key(key)
    checks.check_image(image)
    checks.check_mask(mask, image.shape[:2])
    _check_imputation(noise, tolerance, steps)
    dtype = image.dtype
    # Half precision neither sums the pixels of an image nor solves a system.
    image = at_least_float32(image)
    is_kept = (jnp.asarray(mask) >= 0.5)[:, :, None]
    total_weight = _sum_of_neighbours(jnp.ones_like(image[:, :, :1]))

    def residual_of(values: Array) -> Array:
        """Zero on kept pixels, so that they stay what they are: the system is that of the rest."""
        removed = jnp.where(is_kept, 0, values)
        return jnp.where(is_kept, 0, total_weight * removed - _sum_of_neighbours(removed))

    kept = jnp.where(is_kept, image, 0)
    # Solved for the distance to the mean of what is kept, a good place to start from.
    mean = kept.sum((0, 1), keepdims=True) / is_kept.sum()
    around = jnp.where(is_kept, image - mean, 0)
    right_hand_side = jnp.where(is_kept, 0, _sum_of_neighbours(around))
    distance, _ = cg(residual_of, right_hand_side, tol=tolerance, maxiter=steps)
    left = jnp.linalg.norm((right_hand_side - residual_of(distance)).ravel())
    scale = jnp.linalg.norm(right_hand_side.ravel())
    residual = jnp.where(is_kept.any(), left / jnp.where(scale == 0, 1, scale), jnp.nan)
    grain = jnp.asarray(noise, image.dtype) * jax.random.normal(key, image.shape, image.dtype)
    return Imputed(jnp.where(is_kept, image, mean + distance + grain).astype(dtype), residual)


def _sum_of_neighbours(values: Array) -> Array:
    """Weighted sum over the eight neighbours; outside of the image there is nothing.

    The weights are the product of (1, 2, 1) with itself over 12, less its centre of 4 / 12.
    """
    padded = jnp.pad(values, ((1, 1), (1, 1), (0, 0)))
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 12 - values / 3


def _check_imputation(noise: Any, tolerance: Any, steps: Any) -> None:
    checks.check_number("noise", noise, least=0)
    checks.check_number("tolerance", tolerance, least=0, open_least=True)
    checks.check_count("steps", steps)
