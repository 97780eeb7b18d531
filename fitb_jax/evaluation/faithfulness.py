"""Does the classifier need what a saliency map calls important? Insertion and deletion.

Pixels are shown or hidden in the map's order, and the target's probability is followed. Equal
pixels are put in random order by the key: a map that is constant over a region says nothing about
the order inside of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from fitb_jax import checks, masks
from fitb_jax.batching import chunked_vmap
from fitb_jax.evaluation.ranking import ranks
from fitb_jax.objectives import is_predicted, prob
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    Key,
    LogitsFn,
    Objective,
    Saliency,
    Scalar,
    Target,
)

RISE_KERNEL = 11
RISE_SIGMA = 5.0


class Curve(NamedTuple):
    """What the classifier says as more and more pixels are changed.

    Attributes:
        fractions: share of the pixels that are changed, (s + 1,), from 0 to 1.
        probabilities: p(target) at each, or the other objective that was asked for, (s + 1,).
        corrects: 1 where the target is predicted, else 0, (s + 1,); see `objectives.is_predicted`.
        area_under_curve: of `probabilities` over `fractions`, by the trapezoid rule; in [0, 1] for
            probabilities.
    """

    fractions: Float[Array, "s"]
    probabilities: Float[Array, "s"]
    corrects: Float[Array, "s"]
    area_under_curve: Scalar


def insertion(
    logits_fn: LogitsFn,
    image: Image,
    saliency: Saliency,
    target: Target,
    *,
    key: Key,
    background: Background | None = None,
    step: int | None = None,
    objective: Objective = prob,
    chunk: int = 32,
) -> Curve:
    """Show the most important pixels first: how soon is the class recognised?

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        saliency: (h, w); only the order of its pixels matters.
        target: the class, in [0, k). RISE explains the class predicted for the whole image.
        key: random order of pixels of equal saliency.
        background: what is shown at first: a number, one value per channel, or an image. None is
            `rise_blur(image)`; for a model that subtracts a mean colour RISE's is
            `rise_blur(image, outside=colour)`.
        step: pixels shown at a time; the last step may be smaller. None is the width of the image,
            one row's worth, which at 224 x 224 is RISE's 224.
        objective: in whose terms it is judged: `prob`, or another one of `objectives`.
        chunk: images evaluated at once; it sets the memory. The result does not depend on it.

    Returns:
        The curve, of `ceil(h w / step) + 1` points; a larger area under it is better.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Petsiuk, Das & Saenko 2018, "RISE"; with their constants: 224 pixels a step
    at 224 x 224, blur with a kernel of 11 x 11 and sigma 5.
    """
    checks.check_key(key)
    _check_arguments(logits_fn, image, saliency, target, step, chunk, objective)
    start = rise_blur(image) if background is None else background
    checks.check_background(start, image.shape)
    places = ranks(saliency, key=key)

    def image_at(shown: Array) -> Image:
        return masks.apply(image, (places < shown).astype(image.dtype), start)

    return _curve(logits_fn, image_at, target, saliency, objective, step, chunk)


def deletion(
    logits_fn: LogitsFn,
    image: Image,
    saliency: Saliency,
    target: Target,
    *,
    key: Key,
    background: Background = 0.0,
    step: int | None = None,
    objective: Objective = prob,
    chunk: int = 32,
) -> Curve:
    """Hide the most important pixels first: how soon is the class lost?

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        saliency: (h, w); only the order of its pixels matters.
        target: the class, in [0, k). RISE explains the class predicted for the whole image.
        key: random order of pixels of equal saliency.
        background: what hidden pixels show: a number, one value per channel, or an image. RISE's is
            zero after normalisation, that is the mean colour that the model subtracts, one value
            per channel.
        step: pixels hidden at a time; the last step may be smaller. None is the width of the image,
            one row's worth, which at 224 x 224 is RISE's 224.
        objective: in whose terms it is judged: `prob`, or another one of `objectives`.
        chunk: images evaluated at once; it sets the memory. The result does not depend on it.

    Returns:
        The curve, of `ceil(h w / step) + 1` points; a smaller area under it is better.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Petsiuk, Das & Saenko 2018, "RISE".

    Examples:
        >>> some_map = attribution.input_x_gradient(logits_fn, image, 1)
        >>> curve = evaluation.deletion(logits_fn, image, some_map, 1, key=key)
        >>> bool(0 <= curve.area_under_curve <= 1)
        True
    """
    checks.check_key(key)
    _check_arguments(logits_fn, image, saliency, target, step, chunk, objective)
    checks.check_background(background, image.shape)
    places = ranks(saliency, key=key)

    def image_at(hidden: Array) -> Image:
        return masks.apply(image, (places >= hidden).astype(image.dtype), background)

    return _curve(logits_fn, image_at, target, saliency, objective, step, chunk)


def rise_blur(
    image: Image,
    *,
    kernel: int = RISE_KERNEL,
    sigma: float = RISE_SIGMA,
    outside: Background = 0.0,
) -> Image:
    """Blur an image as RISE's insertion does.

    Its kernel is a blurred point in a square of 11 x 11, with what would leave the square mirrored
    back into it; the weights are those of SciPy, computed on the host.

    Args:
        image: (h, w, c).
        kernel: side of the kernel in pixels, odd.
        sigma: standard deviation in pixels, above 0.
        outside: what lies around the image: a number, one value per channel, or an image. The
            difference of the image to it is blurred. RISE's is zero after normalisation, that is
            the mean colour that the model subtracts.

    Returns:
        The blurred image, (h, w, c).

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or an even kernel.

    Source: Petsiuk, Das & Saenko 2018, "RISE".
    """
    checks.check_image(image)
    checks.check_count("kernel", kernel)
    checks.check_number("sigma", sigma, least=0, open_least=True)
    if kernel % 2 == 0:
        raise ValueError(f"kernel must be odd, got {kernel}")
    checks.check_background(outside, image.shape, name="outside")
    point = np.zeros(kernel)
    point[kernel // 2] = 1
    weights = jnp.asarray(ndimage.gaussian_filter1d(point, sigma), image.dtype)
    around = jnp.broadcast_to(jnp.asarray(outside, image.dtype), image.shape)
    return around + _convolve_rows_and_columns(image - around, weights)


def _convolve_rows_and_columns(image: Array, weights: Array) -> Array:
    """Convolve each channel with a symmetric kernel in both directions; zero outside."""
    reach = weights.size // 2
    for axis in (0, 1):
        widths = [(reach, reach) if at == axis else (0, 0) for at in range(3)]
        padded = jnp.pad(image, widths)
        size = image.shape[axis]
        image = sum(  # type: ignore[assignment]  # starts at the integer 0
            weights[at] * jax.lax.slice_in_dim(padded, at, at + size, axis=axis)
            for at in range(weights.size)
        )
    return image


def _curve(
    logits_fn: LogitsFn,
    image_at: Callable[[Array], Image],
    target: Target,
    saliency: Saliency,
    objective: Objective,
    step: int | None,
    chunk: int,
) -> Curve:
    size = saliency.size
    step = saliency.shape[1] if step is None else step
    changed = jnp.asarray([*range(0, size, step), size])

    def look(count: Array) -> tuple[Array, Array]:
        logits = logits_fn(image_at(count))
        return objective(logits, target), is_predicted(logits, target, objective=objective)

    probabilities, corrects = chunked_vmap(look, chunk=chunk)(changed)
    # A NaN has a place in any order: what it leads to is no score.
    is_map = jnp.isfinite(saliency).all()
    probabilities = jnp.where(is_map, probabilities, jnp.nan)
    corrects = jnp.where(is_map, corrects, jnp.nan)
    fractions = (changed / size).astype(probabilities.dtype)
    area = jnp.trapezoid(probabilities, fractions)
    return Curve(fractions, probabilities, corrects, area)


def _check_arguments(
    logits_fn: LogitsFn,
    image: Any,
    saliency: Any,
    target: Target,
    step: int | None,
    chunk: int,
    objective: Objective,
) -> None:
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_saliency(saliency, image.shape[:2])
    checks.check_count("chunk", chunk)
    if step is not None:
        checks.check_count("step", step)
