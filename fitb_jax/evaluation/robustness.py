"""Does an attribution predict what perturbations do, and does it hold still under small ones?

Infidelity and max-sensitivity of Yeh et al. 2019, "On the (in)fidelity and sensitivity of
explanations".
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.batching import chunked_vmap
from fitb_jax.objectives import logit
from fitb_jax.precision import at_least_float32, seen_as_wide
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    Key,
    LogitsFn,
    Number,
    Objective,
    Saliency,
    Scalar,
    Target,
)

ExplainFn: TypeAlias = Callable[[Image], Array]
"""An explanation of one image, of any shape, whose stability is asked for."""


@runtime_checkable
class PerturbFn(Protocol):
    """A random perturbation I of an image; what the classifier sees is `image - I`."""

    def __call__(self, image: Image, *, key: Key) -> Image:
        """Draw one perturbation, (h, w, c)."""
        ...


class Infidelity(NamedTuple):
    """How badly an attribution predicts the effect of perturbations.

    Attributes:
        infidelity: mean squared error of the prediction, with the attribution as it is.
        scaled: the same with the attribution times its best factor. Compare methods by this one,
            since their maps have different units.
        scale: the best factor; nan for an attribution that predicts no effect at all.
        variation: mean square of the effects themselves: what an attribution of zeros scores.
    """

    infidelity: Scalar
    scaled: Scalar
    scale: Scalar
    variation: Scalar


class Sensitivity(NamedTuple):
    """How far an explanation moves when the image hardly does.

    Attributes:
        largest: the largest distance seen, by the Frobenius norm, in the map's units.
        relative: `largest` over the norm of the explanation of the image itself; nan where that
            is 0.
    """

    largest: Scalar
    relative: Scalar


def infidelity(
    logits_fn: LogitsFn,
    image: Image,
    attribution: Float[Array, "h w c"] | Saliency,
    target: Target,
    *,
    key: Key,
    perturb_fn: PerturbFn | None = None,
    samples: int = 256,
    objective: Objective = logit,
    chunk: int = 32,
) -> Infidelity:
    """Mean squared error of `<attribution, I>` as a prediction of `f(image) - f(image - I)`.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        attribution: (h, w, c), what each value adds to the objective per unit of change; or a map
            (h, w), in which every channel of a pixel has the pixel's value.
        target: the class, in [0, k).
        key: of the perturbations.
        perturb_fn: draws I; `gaussian_noise` by default. `remove_square` is the paper's other one.
        samples: perturbations drawn.
        objective: the f of the formula.
        chunk: perturbations evaluated at once; it sets the memory. The result does not depend
            on it.

    Returns:
        The errors; 0 is best. That of the gradient of a linear objective is 0.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Yeh et al. 2019, definition 2.1; the scaling as in their experiments.
    """
    checks.check_key(key)
    checks.check_explained(logits_fn, image, target, objective)
    _check_attribution(attribution, image.shape)
    checks.check_count("samples", samples)
    checks.check_count("chunk", chunk)
    perturb = gaussian_noise if perturb_fn is None else perturb_fn
    per_value = attribution if attribution.ndim == 3 else attribution[:, :, None]
    per_value = jnp.broadcast_to(per_value, image.shape)
    logits_fn = seen_as_wide(logits_fn, image)
    per_value, image = at_least_float32(per_value), at_least_float32(image)
    whole = objective(logits_fn(image), target)

    def look(key: Key) -> tuple[Array, Array]:
        perturbation = perturb(image, key=key)
        effect = whole - objective(logits_fn(image - perturbation), target)
        return (per_value * perturbation).sum(), effect

    predicted, effects = chunked_vmap(look, chunk=chunk)(jax.random.split(key, samples))
    # In units of the largest: the squares of small maps are below what a float can hold.
    unit = _largest(predicted)
    relative = predicted / unit
    power = (relative**2).mean()
    scale = (relative * effects).mean() / jnp.where(power == 0, jnp.nan, power)
    fitted = jnp.where(power == 0, 0, scale) * relative
    return Infidelity(
        infidelity=((predicted - effects) ** 2).mean(),
        scaled=((fitted - effects) ** 2).mean(),
        scale=scale / unit,
        variation=(effects**2).mean(),
    )


def max_sensitivity(
    explain_fn: ExplainFn,
    image: Image,
    *,
    key: Key,
    radius: Number = 0.02,
    samples: int = 10,
    chunk: int = 1,
) -> Sensitivity:
    """Largest change of an explanation over images within a small box around the image.

    Args:
        explain_fn: image (h, w, c) -> explanation, any array.
        image: (h, w, c) in [0, 1].
        key: of the images drawn, uniformly from the box.
        radius: half the side of the box, in units of the image, above 0. An array argument.
        samples: images drawn; the estimate is a lower bound that rises with them.
        chunk: images explained at once; it sets the memory. The result does not depend on it.

    Returns:
        The largest distance, as it is and relative to the explanation; 0 is best.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Yeh et al. 2019, with the largest value of the perturbation as its norm.
    """
    checks.check_key(key)
    checks.check_image(image)
    if not callable(explain_fn):
        raise TypeError(f"explain_fn must be callable, got {type(explain_fn).__name__}")
    checks.check_number("radius", radius, least=0, open_least=True)
    checks.check_count("samples", samples)
    checks.check_count("chunk", chunk)
    explain_fn = seen_as_wide(explain_fn, image)
    image = at_least_float32(image)
    own = explain_fn(image)
    unit = _largest(own)

    def distance(key: Key) -> Array:
        shift = radius * jax.random.uniform(key, image.shape, image.dtype, -1, 1)
        return jnp.linalg.norm(((explain_fn(image + shift) - own) / unit).ravel())

    largest = chunked_vmap(distance, chunk=chunk)(jax.random.split(key, samples)).max()
    norm = jnp.linalg.norm((own / unit).ravel())
    return Sensitivity(largest * unit, largest / jnp.where(norm == 0, jnp.nan, norm))


def _largest(values: Array) -> Array:
    """The largest magnitude; 1 where all are 0."""
    largest = jnp.abs(values).max()
    return jnp.where(largest == 0, 1, largest)


def gaussian_noise(image: Image, *, key: Key, deviation: Number = 0.2) -> Image:
    """Independent normal noise on every value.

    Args:
        image: (h, w, c), for its shape and dtype.
        key: random key.
        deviation: standard deviation, in units of the image.

    Returns:
        The noise, (h, w, c).

    Raises:
        TypeError, ValueError: a negative deviation, or `key` is no random key.

    Source: Yeh et al. 2019.
    """
    checks.check_key(key)
    checks.check_number("deviation", deviation, least=0)
    return jnp.asarray(deviation, image.dtype) * jax.random.normal(key, image.shape, image.dtype)


def remove_square(
    image: Image, *, key: Key, side: int | None = None, background: Background = 0.0
) -> Image:
    """Replace a square at a random place by the background.

    Args:
        image: (h, w, c).
        key: random key.
        side: of the square in pixels; by default a quarter of the image's shorter side.
        background: what takes its place: a number, one value per channel, or an image.

    Returns:
        `image - image with the square replaced`, (h, w, c): zero outside of the square.

    Raises:
        TypeError, ValueError: a square larger than the image, a background that does not fit, or
            `key` is no random key.

    Source: Yeh et al. 2019 (square removal).
    """
    checks.check_key(key)
    height, width = image.shape[:2]
    side = max(min(height, width) // 4, 1) if side is None else side
    checks.check_count("side", side)
    if side > min(height, width):
        raise ValueError(
            f"side must be at most the image's shorter side {min(height, width)}, got {side}"
        )
    checks.check_background(background, image.shape)
    rows, columns = jnp.arange(height)[:, None], jnp.arange(width)[None, :]
    row_key, column_key = jax.random.split(key)
    top = jax.random.randint(row_key, (), 0, height - side + 1)
    left = jax.random.randint(column_key, (), 0, width - side + 1)
    in_rows = (rows >= top) & (rows < top + side)
    in_columns = (columns >= left) & (columns < left + side)
    shown = jnp.broadcast_to(jnp.asarray(background, image.dtype), image.shape)
    return jnp.where((in_rows & in_columns)[:, :, None], image - shown, jnp.zeros_like(image))


def _check_attribution(attribution: Any, shape: tuple[int, ...]) -> None:
    axes = ("h", "w") if getattr(attribution, "ndim", 3) == 2 else ("h", "w", "c")
    checks.check_floating("attribution", attribution, axes)
    if attribution.shape != shape[: len(axes)]:
        raise ValueError(
            f"attribution must have the image's shape {shape} or {shape[:2]}, "
            f"got {attribution.shape}"
        )
