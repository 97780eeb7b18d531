"""Extremal perturbations: a free mask for every area (Fong et al. 2019).

They are the comparison for `fitb_jax.extremal.inr`. The numbers are those of the paper and of
TorchRay, its reference implementation. Objective, blur and areas are those of `fit_inr`, unless the
configuration is `TORCHRAY`.
"""

import functools
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.batching import chunked_vmap
from fitb_jax.extremal.area import area_penalty, check_area
from fitb_jax.extremal.background import (
    BLUR,
    BackgroundName,
    check_background,
    hides_something,
    make_blend,
)
from fitb_jax.extremal.reward import Variant, blank_and_whole, rewards
from fitb_jax.objectives import log_prob, logit
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    LogitsFn,
    Mask,
    Number,
    Objective,
    Scalar,
    Target,
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DenseConfig:
    """How free masks are fitted; a pytree like `InrConfig`, whose numbers may be arrays.

    Attributes:
        variant: "preserve" shows the mask, "delete" hides it, "dual" does both.
        objective: the reward, a function of logits and target.
        chunk: masks that the classifier sees at once, as in `InrConfig`.
        steps: number of steps of gradient ascent.
        spacing: of the grid of the free values, in pixels.
        radius: of the smooth maximum, in pixels.
        padded_area: take the area to be a share of the mask with its margin of `radius` around the
            image, as the reference implementation does. The areas on the image then come out too
            large. By default the area is a share of the image. In both cases what the margin shows
            counts: if it did not, masks would keep to the border of the image.
        flip: show every other step the image mirrored, as the reference implementation does.
        inverse_temperature: of the smooth maximum, in (0, 30].
        learning_rate: of gradient ascent with momentum.
        momentum: share of the last direction that is kept, in [0, 1].
        dampening: share of the gradient that is left out, after the first step, in [0, 1].
        penalty_weight: of `area_penalty` at the start.
        penalty_growth: factor by which `penalty_weight` grows at each step.
        blur: standard deviation of a blurred background, as a share of the image's longer side.
    """

    variant: Variant = field(default="preserve", metadata={"static": True})
    objective: Objective = field(default=log_prob, metadata={"static": True})
    chunk: int = field(default=2, metadata={"static": True})
    steps: int = field(default=800, metadata={"static": True})
    spacing: int = field(default=7, metadata={"static": True})
    radius: int = field(default=21, metadata={"static": True})
    padded_area: bool = field(default=False, metadata={"static": True})
    flip: bool = field(default=False, metadata={"static": True})
    inverse_temperature: Any = 20.0
    learning_rate: Any = 0.01
    momentum: Any = 0.9
    dampening: Any = 0.9
    penalty_weight: Any = 300.0
    penalty_growth: Any = 1.0035
    blur: Any = BLUR


TORCHRAY = DenseConfig(objective=logit, padded_area=True, flip=True)
"""The defaults of TorchRay's `extremal_perturbation`, with `background="pyramid"`: its reward is
the logit, its blur a pyramid of eight, the areas are those of padded masks, and every other step
sees the image mirrored. Masks that are compared with `fit_inr`'s have `log_prob`, one blur, the
areas of the image and no mirror, as those have."""


class Dense(NamedTuple):
    """Free masks and their fit.

    Attributes:
        masks: (a, h, w) in [0, 1].
        values: the free values on the grid, (a, rows, columns).
        reward: of each mask at each step, (steps, a).
        penalty: `area_penalty` of each mask at each step, without its weight, (steps, a).
        p_blank: p(target) of the background alone, in the terms of
            `objectives.score_of(config.objective)`. Where it is as high as `p_whole`, the
            background has the class by itself, and masks prove nothing.
        p_whole: the same for the whole image.
    """

    masks: Float[Array, "a h w"]
    values: Float[Array, "a rows columns"]
    reward: Float[Array, "steps a"]
    penalty: Float[Array, "steps a"]
    p_blank: Scalar
    p_whole: Scalar


def dense_masks(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    areas: Float[Array, "a"],
    config: DenseConfig | None = None,
    *,
    background: BackgroundName | Background = "blur",
) -> Float[Array, "a h w"]:
    """The masks of `fit_dense`; a penalty drives their areas to about those asked.

    See `fit_dense`.
    """
    return fit_dense(logits_fn, image, target, areas, config, background=background).masks


def fit_dense(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    areas: Float[Array, "a"],
    config: DenseConfig | None = None,
    *,
    background: BackgroundName | Background = "blur",
) -> Dense:
    """Fit a free mask to each area, all at once.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        areas: (a,) in (0, 1).
        config: how the masks are fitted; `DenseConfig()`, with the paper's numbers for 224 pixels,
            by default. `TORCHRAY` has all the defaults of the reference implementation.
        background: what blanks show: "blur", "pyramid", "mean", a number, one value per channel, or
            an image.

    Returns:
        The masks and the history of their fit. Where the image equals its background no mask makes
        a difference, and each is constant.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.

    Source: Fong et al. 2019, "Understanding deep networks via extremal perturbations and smooth
    masks", section 3; grid, smooth maximum, steps, rates and weights are those of TorchRay.

    Examples:
        >>> few = extremal.DenseConfig(steps=4)
        >>> dense = extremal.fit_dense(logits_fn, image, 1, jnp.array([0.1, 0.3]), few)
        >>> dense.masks.shape
        (2, 16, 16)
    """
    config = DenseConfig() if config is None else config
    _check_arguments(logits_fn, image, target, areas, config, background)
    blend = make_blend(image, background, blur=config.blur)
    reward_of = {
        flipped: rewards(logits_fn, target, blend, config.variant, config.objective, flip=flipped)
        for flipped in (False, True)
    }
    shape, margin = image.shape[:2], config.radius

    def energy(values: Array, area: Array, t: Array) -> tuple[Array, Any]:
        padded = smooth_maximum(
            values,
            shape,
            spacing=config.spacing,
            radius=config.radius,
            inverse_temperature=config.inverse_temperature,
            padded=True,
        )
        mask = padded[margin : margin + shape[0], margin : margin + shape[1]]
        share = area if config.padded_area else area * (mask.size / padded.size)
        penalty = area_penalty(padded, share)
        reward = reward_of[False](mask)
        if config.flip:
            reward = jax.lax.cond(t % 2 == 0, reward_of[True], reward_of[False], mask)
        weight = config.penalty_weight * config.penalty_growth ** t.astype(values.dtype)
        return reward - weight * penalty, (reward, penalty)

    def step(carry: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], Any]:
        values, direction = carry
        gradient_of = jax.grad(lambda values, area: energy(values, area, t), has_aux=True)
        gradient, record = chunked_vmap(gradient_of, chunk=config.chunk)(values, areas)
        kept = config.momentum * direction + (1 - config.dampening) * gradient
        direction = jnp.where(t == 0, gradient, kept)
        values = jnp.clip(values + config.learning_rate * direction, 0, 1)
        return (values, direction), record

    dtype = jnp.promote_types(image.dtype, jnp.float32)
    start = jnp.ones((areas.shape[0], *_grid_shape(shape, config.spacing)), dtype)
    (values, _), (reward, penalty) = jax.lax.scan(
        step, (start, jnp.zeros_like(start)), jnp.arange(config.steps)
    )
    masks = jax.vmap(
        lambda each: smooth_maximum(
            each,
            shape,
            spacing=config.spacing,
            radius=config.radius,
            inverse_temperature=config.inverse_temperature,
        )
    )(values)
    constant = jnp.broadcast_to(areas[:, None, None], masks.shape)
    masks = jnp.where(hides_something(blend, image), masks, constant.astype(masks.dtype))
    p_blank, p_whole = blank_and_whole(logits_fn, image, target, blend, config.objective)
    return Dense(masks, values, reward, penalty, p_blank, p_whole)


def smooth_maximum(
    values: Float[Array, "rows columns"],
    shape: tuple[int, ...],
    *,
    spacing: int = 7,
    radius: int = 21,
    inverse_temperature: Number = 20.0,
    padded: bool = False,
) -> Mask:
    """Upsample a grid so that a mask of zeros and ones is smooth but not spread out.

    Each pixel is a soft maximum, with softmax weights at `inverse_temperature`, over the values
    around it, each times `exp(-2 max(0, z - 1/2)^2)` with z the distance over `radius`. Values
    outside the grid are 0.

    Args:
        values: (rows, columns) in [0, 1], `spacing` pixels apart, the first at the first pixel.
        shape: (height, width) of the image.
        spacing: in pixels.
        radius: in pixels.
        inverse_temperature: of the softmax, in (0, 30].
        padded: whether to keep a margin of `radius` pixels before the image, and about as many
            after it.

    Returns:
        The mask, (height, width) or larger with `padded`, in [0, 1].

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Fong et al. 2019, section 3.2; kernel and window as in TorchRay.
    """
    _check_kernel(spacing, radius, inverse_temperature)
    checks.check_shape(shape)
    checks.check_floating("values", values, ("rows", "columns"))
    if values.shape != _grid_shape(shape, spacing):
        raise ValueError(
            f"values must be one for every {spacing} pixels of {tuple(shape)}, "
            f"{_grid_shape(shape, spacing)}, got {values.shape}"
        )
    # Exponents of 20 overflow half precision.
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    return _smooth_maximum(
        values,
        inverse_temperature,
        shape=tuple(shape),
        spacing=spacing,
        radius=radius,
        padded=padded,
    )


# Compiled once, even without a caller's jit.
@functools.partial(jax.jit, static_argnames=("shape", "spacing", "radius", "padded"))
def _smooth_maximum(
    values: Array,
    inverse_temperature: Number,
    *,
    shape: tuple[int, int],
    spacing: int,
    radius: int,
    padded: bool,
) -> Array:
    reach = 1 + -(-radius // spacing)
    # Windows stay inside of it, and the cells reach beyond both margins.
    padding = reach + -(-radius // spacing)
    window = 2 * reach + 1
    # Pixel p is in cell (p + radius) // spacing, and sees the values of a window around it; the
    # distances to them depend on its place in the cell only.
    cells = [count + 2 * (padding - reach) for count in values.shape]
    surrounded = jnp.pad(values, padding)
    places = jnp.arange(spacing)[None, :] - radius
    distance = (places - spacing * (jnp.arange(window)[:, None] - padding)).astype(values.dtype)

    @jax.checkpoint
    def terms(surrounded: Array, row: Array, column: Array) -> tuple[Array, Array]:
        # In rows of all cells: a processor's vectors are as long as the grid is wide.
        near = jax.lax.dynamic_slice(surrounded, (row, column), cells).reshape(1, -1)
        z = jnp.hypot(distance[row][:, None], distance[column][None, :]) / radius
        kernel = jnp.exp(-2 * jnp.maximum(z - 0.5, 0) ** 2).reshape(-1, 1)
        weighted = kernel * near
        share = jnp.exp(inverse_temperature * weighted)
        return share * weighted, share

    def add(sums: tuple[Array, Array], at: Array) -> tuple[tuple[Array, Array], None]:
        # Only the grid is kept for the backward pass; the terms are computed again.
        numerator, denominator = terms(surrounded, at // window, at % window)
        return (sums[0] + numerator, sums[1] + denominator), None

    nothing = jnp.zeros((spacing**2, cells[0] * cells[1]), values.dtype)
    (numerator, denominator), _ = jax.lax.scan(add, (nothing, nothing), jnp.arange(window**2))
    pixels = numerator / denominator
    # A mean of values in [0, 1], rounding aside; the gradient of `clip` is a half at 0 and at 1.
    pixels = pixels + jax.lax.stop_gradient(jnp.clip(pixels, 0, 1) - pixels)
    pixels = pixels.reshape(spacing, spacing, *cells)
    pixels = pixels.transpose(2, 0, 3, 1).reshape(cells[0] * spacing, cells[1] * spacing)
    if padded:
        return pixels[: 1 - spacing or None, : 1 - spacing or None]
    return pixels[radius : radius + shape[0], radius : radius + shape[1]]


def _grid_shape(shape: tuple[int, ...], spacing: int) -> tuple[int, int]:
    return -(-shape[0] // spacing), -(-shape[1] // spacing)


def _check_kernel(spacing: int, radius: int, inverse_temperature: Number) -> None:
    checks.check_count("spacing", spacing)
    checks.check_count("radius", radius)
    # Derivatives divide by the square of a sum of exponentials of it, in single precision.
    checks.check_number(
        "inverse_temperature", inverse_temperature, least=0, open_least=True, most=30
    )


def _check_arguments(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    areas: Array,
    config: DenseConfig,
    background: Any,
) -> None:
    checks.check_explained(logits_fn, image, target, config.objective)
    checks.check_manual_axes(image)
    checks.check_floating("areas", areas, ("a",))
    check_area(areas, name="areas")
    check_background(background, image.shape)
    checks.check_choice("variant", config.variant, get_args(Variant))
    for name in ("chunk", "steps"):
        checks.check_count(name, getattr(config, name))
    for name in ("learning_rate", "penalty_growth"):
        checks.check_number(name, getattr(config, name), least=0, open_least=True)
    _check_kernel(config.spacing, config.radius, config.inverse_temperature)
    for name in ("momentum", "dampening"):
        checks.check_number(name, getattr(config, name), least=0, most=1)
    for name in ("penalty_weight", "blur"):
        checks.check_number(name, getattr(config, name), least=0)
