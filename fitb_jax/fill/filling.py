"""Turn an update into an image: threshold it, and paint it into the blanks, all or in parts."""

from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import checks, masks
from fitb_jax.fill.updates import Order, resolve_order
from fitb_jax.types import (
    Array,
    Background,
    FillFn,
    Float,
    Image,
    LogitsFn,
    Mask,
    Number,
    Target,
    UpdateFn,
)

Mode: TypeAlias = Literal["sequential", "parallel"]
"""Whether the parts of `progressive` see those filled before ("sequential") or not."""

Intensity: TypeAlias = float | Literal["scaled"] | Float[Array, ""] | Image

DEFAULT_QUANTILE = 0.81
"""Fill the top 19 %: the share of the pixels of an MNIST digit that have any ink."""

DEFAULT_STEP = 0.05
"""Root mean square change of a photograph's blanks: visible, and seldom clipped."""


def threshold(
    update: Image,
    mask: Mask,
    *,
    quantile: Number | None = None,
    minimum: Number | None = None,
    ink: Number | None = None,
    intensity: Intensity = 1.0,
) -> Image:
    """Keep the strongest positive hidden values of an update and set them to an intensity.

    Exactly one rule says how many are kept (a value is one pixel of one channel):

    - `quantile`: of the n hidden values the strongest `round((1 - quantile) n)`.
    - `minimum`: those of at least this value.
    - `ink`: the strongest until the intensities painted add up to this, as nearly as they can.

    Values that are not positive are never kept. Ties go to the earlier pixel in reading order.

    Args:
        update: (h, w, c).
        mask: (h, w), 1 = visible, 0 = blank; values are hidden where it is below 1/2.
        quantile: in [0, 1].
        minimum: in units of the update, at least 0.
        ink: sum of the intensities to paint, at least 0.
        intensity: what the kept values become: a number, "scaled" (the update divided by its
            largest hidden value, in (0, 1]), or an image (h, w, c) such as a class mean.

    Returns:
        (h, w, c), `T(update)`: the intensities of what was kept, 0 elsewhere.

    Raises:
        TypeError, ValueError: not exactly one rule, or a wrong shape or range.

    Source: Deelaka et al. 2024, arXiv 2411.10273, section 3.
    """
    checks.check_floating("update", update, ("h", "w", "c"))
    checks.check_mask(mask, update.shape[:2])
    rules = {"quantile": quantile, "minimum": minimum, "ink": ink}
    given = {name: value for name, value in rules.items() if value is not None}
    if len(given) != 1:
        raise ValueError(f"exactly one of quantile, minimum and ink must be given, got {given}")
    ((rule, level),) = given.items()
    checks.check_number(rule, level, least=0, most=1 if rule == "quantile" else jnp.inf)
    _check_intensity(intensity, update.shape)

    is_hidden = jnp.broadcast_to(mask[:, :, None] < 0.5, update.shape)
    candidates = jnp.where(is_hidden, update, -jnp.inf)
    painted = _intensities(update, candidates, intensity)
    if rule == "minimum":
        is_kept = candidates >= level
    else:
        order = jnp.argsort(candidates, axis=None, descending=True)
        if rule == "quantile":
            before, limit = jnp.arange(order.size), jnp.round((1 - level) * is_hidden.sum())
        else:
            in_order = painted.ravel()[order]
            before, limit = jnp.cumsum(in_order) - in_order / 2, jnp.asarray(level)
        is_kept = jnp.zeros(order.size, bool).at[order].set(before < limit).reshape(update.shape)
    kept = jnp.where(is_kept & (candidates > 0), painted, 0)
    # Of a class that is not there the update is nan, which is no reason to paint nothing.
    return jnp.where(jnp.isnan(jnp.where(is_hidden, update, 0)).any(), jnp.nan, kept)


def fill(
    image: Image,
    mask: Mask,
    update: Image,
    *,
    quantile: Number | None = None,
    minimum: Number | None = None,
    ink: Number | None = None,
    intensity: Intensity = 1.0,
) -> Image:
    """Paint the thresholded update into the blanks: `mask * image + (1 - mask) * T(update)`.

    Args:
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        update: (h, w, c), from any method.
        quantile: in [0, 1]; the strongest `1 - quantile` of the hidden values are kept, see
            `threshold`. `DEFAULT_QUANTILE` where no rule is given.
        minimum: least value that is kept, at least 0, see `threshold`.
        ink: sum of the intensities to paint, at least 0, see `threshold`.
        intensity: what the kept values become, see `threshold`.

    Returns:
        The filled image, (h, w, c).

    Raises:
        TypeError, ValueError: more than one rule, or a wrong shape or range.

    Source: Deelaka et al. 2024, arXiv 2411.10273, section 3.

    Examples:
        >>> update = fill.first_order(logits_fn, image, mask, 1)
        >>> filled = fill.fill(image, mask, update)
        >>> bool(((filled == image) | (mask[:, :, None] == 0)).all())  # visible pixels stay
        True
    """
    checks.check_image(image)
    checks.check_floating("update", update, ("h", "w", "c"))
    checks.check_same_shape("update", update, "image", image)
    if quantile is None and minimum is None and ink is None:
        quantile = DEFAULT_QUANTILE
    painted = threshold(
        update, mask, quantile=quantile, minimum=minimum, ink=ink, intensity=intensity
    )
    return masks.apply(image, mask, painted)


def step(
    image: Image,
    mask: Mask,
    update: Image,
    *,
    size: Number = DEFAULT_STEP,
    background: Background = 0.0,
) -> Image:
    """Move the blanks along the update: `mask * image + (1 - mask) * (background + s * update)`.

    The factor s makes the change as large as `size` says, and the result is clipped to [0, 1]. This
    suits photographs, whose blanks show a colour that the update changes up or down. `fill` paints
    ink on black instead.

    Args:
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        update: (h, w, c), from any method.
        size: root mean square change of the hidden values before clipping, in units of intensity.
        background: what the blanks show at first: a number, one value per channel, or an image.

    Returns:
        The filled image, (h, w, c).

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_image(image)
    checks.check_mask(mask, image.shape[:2])
    checks.check_floating("update", update, ("h", "w", "c"))
    checks.check_same_shape("update", update, "image", image)
    checks.check_number("size", size, least=0)
    checks.check_background(background, image.shape)
    weight = masks.complement(mask)[:, :, None]
    hidden = jnp.where(weight > 0, update, 0)
    largest = jnp.max(jnp.abs(hidden))
    # Scaled first: squares of small gradients underflow.
    hidden = hidden / jnp.where(largest > 0, largest, 1)
    count = weight.sum() * image.shape[2]
    mean_square = (weight * hidden**2).sum() / jnp.where(count > 0, count, 1)
    shown = jnp.broadcast_to(jnp.asarray(background, image.dtype), image.shape)
    moved = shown + size * hidden / jnp.sqrt(jnp.where(mean_square > 0, mean_square, 1))
    return masks.apply(image, mask, jnp.clip(moved, 0, 1))


def progressive(
    logits_fn: LogitsFn,
    image: Image,
    masks: Float[Array, "parts h w"],
    target: Target,
    *,
    mode: Mode = "sequential",
    order: Order | UpdateFn = "first",
    fill_fn: FillFn = fill,
) -> Float[Array, "parts h w c"]:
    """Replace an image part after part by what the classifier would fill in.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        masks: (parts, h, w), such as from `masks.partition`; part i is blank in mask i.
        target: class to fill in for, in [0, k).
        mode: "parallel" fills each part from the original rest of the image. In "sequential" the
            next parts see those that are filled already.
        order: "first", "second", or any function `(logits_fn, image, mask, target) -> update`.
        fill_fn: `(image, mask, update) -> filled image`.

    Returns:
        The image after each part, (parts, h, w, c). After the masks of a partition, the last image
        has no original pixel.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range, mode or order.

    Source: Deelaka et al. 2024, arXiv 2411.10273, progressive masking.

    Examples:
        >>> parts = masks.partition((16, 16), 4, 4, key=key)
        >>> fill.progressive(logits_fn, image, parts, 1).shape  # the image after each part
        (4, 16, 16, 3)
    """
    checks.check_choice("mode", mode, get_args(Mode))
    checks.check_explained(logits_fn, image, target)
    checks.check_mask(masks, image.shape[:2], name="masks", axes=("parts", "h", "w"))
    update_fn = resolve_order(order)

    def fill_part(canvas: Image, mask: Mask) -> tuple[Image, Image]:
        seen = canvas if mode == "sequential" else image
        filled = fill_fn(seen, mask, update_fn(logits_fn, seen, mask, target))
        visible = mask[:, :, None].astype(image.dtype)
        canvas = visible * canvas + (1 - visible) * filled
        return canvas, canvas

    return jax.lax.scan(fill_part, image, masks)[1]


def _intensities(update: Image, candidates: Image, intensity: Intensity) -> Image:
    if isinstance(intensity, str):
        largest = jnp.max(candidates)
        return jnp.where(candidates > 0, update / jnp.where(largest > 0, largest, 1), 0)
    return jnp.broadcast_to(jnp.asarray(intensity, update.dtype), update.shape)


def _check_intensity(intensity: Intensity, shape: tuple[int, ...]) -> None:
    if isinstance(intensity, str):
        checks.check_choice("intensity", intensity, ("scaled",))
        return
    if jnp.shape(intensity) not in {(), shape}:
        raise ValueError(
            f"intensity must be a number, 'scaled' or an image {shape}, "
            f"got shape {jnp.shape(intensity)}"
        )
    values = checks.known(intensity)
    if values is not None and not ((values >= 0) & np.isfinite(values)).all():
        raise ValueError("intensity must be at least 0 everywhere and finite")
