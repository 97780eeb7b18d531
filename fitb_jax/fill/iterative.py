"""Fills in many small steps: gradient ascent on the blanks, as an image or as its spectrum.

One step along a gradient adds noise to a photograph, which raises the class for this network only.
Here the steps are many, from a smooth start, and each gradient is taken under a random shift and
noise. What they add must hold under these: shapes and textures that other networks see as well.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import checks, derivatives, masks
from fitb_jax.fill.inpainting import inpaint, visible_mean
from fitb_jax.objectives import log_prob
from fitb_jax.precision import at_least_float32, seen_as_wide
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    Key,
    LogitsFn,
    Mask,
    Number,
    Objective,
    Scalar,
    Target,
)

Parametrisation: TypeAlias = Literal["fourier", "pixels"]
"""What the steps are taken on: Fourier coefficients over their frequency, or the values."""

StartName: TypeAlias = Literal["inpainted", "mean"]
"""Where the steps start: `inpaint`, or the mean colour of what is visible."""

SHIFT = 1 / 28
"""Largest shift, as a share of the image's longer side: 8 pixels of 224."""

_FIRST_DECAY, _SECOND_DECAY = 0.9, 0.9
_MARGIN = 1e-3
"""How far from 0 and 1 the start is kept before the logistic function is inverted."""

_PRODUCTS, _DAMPING = 8, 1.5
"""Of a Newton direction: Hessian-vector products, and multiples of the leading curvature."""

_AMPLITUDE = 0.25
"""A unit of the scaled mean then changes the image by about a sixteenth."""


class Iterated(NamedTuple):
    """A fill and the objective on the way to it.

    Attributes:
        image: (h, w, c), the filled image after the last step; visible pixels are unchanged.
        objective: the target's objective at `image`.
        best: (h, w, c), of two images the one with the larger objective: `image`, and the image
            before the step at which `history` is largest.
        best_objective: the target's objective at `best`.
        history: (steps,), the objective before each step, under the shift and noise of that step.
    """

    image: Image
    objective: Scalar
    best: Image
    best_objective: Scalar
    history: Float[Array, "steps"]


class _Parameters(NamedTuple):
    """What the steps are taken on, and how many of its values the objective depends on."""

    start: Array
    image_of: Callable[[Array], Image]
    project: Callable[[Array], Array]
    count: Scalar  # type: ignore[assignment]  # hides tuple.count, which none needs


class _State(NamedTuple):
    values: Array
    mean: Array
    square: Array
    best: Array
    most: Scalar


def iterated(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    *,
    key: Key,
    steps: int = 64,
    learning_rate: Number = 0.005,
    start: StartName | Background = "inpainted",
    parametrisation: Parametrisation = "pixels",
    shift: int | None = None,
    noise: Number = 0.05,
    total_variation: Number = 0.0,
    newton_every: int = 0,
    objective: Objective = log_prob,
) -> Image:
    """Fill the blanks in many small steps, so that the target's objective grows.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        target: class to fill in for, in [0, k).
        key: random key of the shifts and the noise.
        steps: number of steps, at least 1, with one gradient each.
        learning_rate: of Adam, above 0. On "pixels" it is the root mean square change of the first
            step. Large rates end in noise that raises the class for this network only. An array
            argument, as `noise` and `total_variation` are.
        start: what the blanks show first: "inpainted" (see `inpaint`), "mean" (the mean colour of
            the visible pixels), or a number, one value per channel, or an image.
        parametrisation: what the steps change. "pixels": the values, clipped to [0, 1]. "fourier":
            the spectrum of the image's logits, scaled by 1 / frequency; its fills are smoother, and
            raise the class less for other networks.
        shift: largest random shift in pixels of the filled image before each gradient; what leaves
            at one side comes in at the other. None takes `SHIFT` of the longer side.
        noise: standard deviation of the noise on the filled image before each gradient, in units of
            intensity.
        total_variation: weight of the mean absolute difference of neighbouring values, which is
            subtracted from the objective.
        newton_every: n; at every n-th step the damped Newton direction, of the gradient's length,
            replaces the gradient. It takes 8 Hessian-vector products. 0 takes gradients only.
        objective: what is to grow.

    Returns:
        The filled image after the last step, (h, w, c); its visible pixels are exactly those of
        `image`.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or choice; see `fitb_jax.checks`.

    Source: Olah et al. 2017, "Feature visualization" (spectrum, shifts); Kingma & Ba 2015, "Adam",
    arXiv 1412.6980, here with second moments that start at the mean square of the first gradient.

    Examples:
        >>> filled = fill.iterated(logits_fn, image, mask, 1, key=key, steps=8)
        >>> bool(((filled == image) | (mask[:, :, None] == 0)).all())  # visible pixels stay
        True
    """
    return iterated_with_diagnostics(
        logits_fn,
        image,
        mask,
        target,
        key=key,
        steps=steps,
        learning_rate=learning_rate,
        start=start,
        parametrisation=parametrisation,
        shift=shift,
        noise=noise,
        total_variation=total_variation,
        newton_every=newton_every,
        objective=objective,
    ).image


def iterated_with_diagnostics(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    *,
    key: Key,
    steps: int = 64,
    learning_rate: Number = 0.005,
    start: StartName | Background = "inpainted",
    parametrisation: Parametrisation = "pixels",
    shift: int | None = None,
    noise: Number = 0.05,
    total_variation: Number = 0.0,
    newton_every: int = 0,
    objective: Objective = log_prob,
) -> Iterated:
    """`iterated` with the objective before each step, and the best image.

    See `iterated`.
    """
    checks.check_key(key)
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_manual_axes(image)
    checks.check_mask(mask, image.shape[:2])
    checks.check_count("steps", steps)
    checks.check_count("newton_every", newton_every, least=0)
    checks.check_choice("parametrisation", parametrisation, get_args(Parametrisation))
    checks.check_number("learning_rate", learning_rate, least=0, open_least=True)
    checks.check_number("noise", noise, least=0)
    checks.check_number("total_variation", total_variation, least=0)
    if shift is None:
        shift = round(SHIFT * max(image.shape[:2]))
    checks.check_count("shift", shift, least=0)
    # Small steps are lost in half precision.
    logits_fn = seen_as_wide(logits_fn, image)
    wide = at_least_float32(image)
    mask = jnp.asarray(mask, wide.dtype)
    learning_rate, noise = (jnp.asarray(each, wide.dtype) for each in (learning_rate, noise))
    parameters = {"fourier": _spectrum, "pixels": _pixels}[parametrisation](
        _begun(wide, mask, start), mask
    )

    def filled(values: Array) -> Image:
        return masks.apply(wide, mask, parameters.image_of(values))

    def loss(values: Array, step_key: Key) -> tuple[Scalar, Scalar]:
        whole = filled(values)
        reached = objective(logits_fn(_perturbed(whole, shift, noise, key=step_key)), target)
        return jnp.asarray(total_variation * _variation(whole) - reached), reached

    def plain(values: Array, step_key: Key) -> tuple[Array, Scalar]:
        return jax.grad(loss, has_aux=True)(values, step_key)

    def newton(values: Array, step_key: Key) -> tuple[Array, Scalar]:
        gradient, product, reached = jax.linearize(
            lambda values: plain(values, step_key), values, has_aux=True
        )
        found = derivatives.lanczos(lambda v: -product(v), gradient, steps=_PRODUCTS)
        direction = derivatives.damped_newton_step(found, _DAMPING).step
        return found.start_norm * derivatives.unit_vector(direction), reached

    def step(state: _State, inputs: tuple[Array, Key]) -> tuple[_State, Scalar]:
        index, step_key = inputs
        if newton_every:
            is_newton = (index + 1) % newton_every == 0
            gradient, reached = jax.lax.cond(is_newton, newton, plain, state.values, step_key)
        else:
            gradient, reached = plain(state.values, step_key)
        first = jnp.broadcast_to((gradient**2).sum() / parameters.count, gradient.shape)
        square = jnp.where(
            index == 0, first, _SECOND_DECAY * state.square + (1 - _SECOND_DECAY) * gradient**2
        )
        mean = _FIRST_DECAY * state.mean + (1 - _FIRST_DECAY) * gradient
        unbiased = (1 - _FIRST_DECAY ** (index + 1)).astype(mean.dtype)
        change = mean / unbiased
        size = jnp.sqrt(jnp.where(square > 0, square, 1))
        values = parameters.project(state.values - learning_rate * change / size)
        is_best = reached > state.most
        best = jnp.where(is_best, state.values, state.best)
        most = jnp.where(is_best, reached, state.most)
        return _State(values, mean, square, best, most), reached

    merit = jax.eval_shape(lambda image: objective(logits_fn(image), target), wide)
    begun = _State(
        parameters.start,
        jnp.zeros_like(parameters.start),
        jnp.zeros_like(parameters.start),
        parameters.start,
        jnp.full((), -jnp.inf, merit.dtype),
    )
    inputs = (jnp.arange(steps), jax.random.split(key, steps))
    end, history = jax.lax.scan(step, begun, inputs)
    found, best = filled(end.values), filled(end.best)
    reached, most = (objective(logits_fn(one), target) for one in (found, best))
    is_better = most > reached
    return Iterated(
        image=found.astype(image.dtype),
        objective=reached,
        best=jnp.where(is_better, best, found).astype(image.dtype),
        best_objective=jnp.where(is_better, most, reached),
        history=history,
    )


def _begun(image: Image, mask: Mask, start: StartName | Background) -> Image:
    """The image before the first step."""
    if not isinstance(start, str):
        checks.check_background(start, image.shape, name="start")
        return masks.apply(image, mask, start)
    checks.check_choice("start", start, get_args(StartName))
    if start == "inpainted":
        return inpaint(image, mask)
    return masks.apply(image, mask, visible_mean(image, mask))


def _perturbed(image: Image, shift: int, noise: Number, *, key: Key) -> Image:
    """Moved by up to `shift` pixels, and with noise of this deviation."""
    shift_key, noise_key = jax.random.split(key)
    offsets = jax.random.randint(shift_key, (2,), -shift, shift + 1)
    drawn = jax.random.normal(noise_key, image.shape, image.dtype)
    return jnp.roll(image, offsets, axis=(0, 1)) + noise * drawn


def _variation(image: Image) -> Scalar:
    total = sum(jnp.abs(jnp.diff(image, axis=axis)).sum() for axis in (0, 1))
    return jnp.asarray(total / image.size)


def _pixels(image: Image, mask: Mask) -> _Parameters:
    hidden = masks.complement(mask).sum() * image.shape[2]
    return _Parameters(
        image, lambda pixels: pixels, lambda pixels: jnp.clip(pixels, 0, 1), jnp.maximum(hidden, 1)
    )


def _spectrum(image: Image, mask: Mask) -> _Parameters:
    """Real and imaginary parts of the spectrum of the image's logits, over their amplitudes.

    Amplitudes of photographs fall with the frequency, so that equal steps on the scaled spectrum
    are steps of that shape on the image.
    """
    del mask
    height, width = image.shape[:2]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    amplitude = _AMPLITUDE / np.maximum(frequency, 1 / max(height, width))
    scale = jnp.asarray(amplitude, image.dtype)[:, :, None]
    inside = jnp.clip(image, _MARGIN, 1 - _MARGIN)
    logits = jnp.log(inside) - jnp.log1p(-inside)
    spectrum = jnp.fft.rfft2(logits, axes=(0, 1), norm="ortho") / scale

    def image_of(parts: Array) -> Image:
        scaled = jax.lax.complex(parts[0], parts[1]) * scale
        return jax.nn.sigmoid(jnp.fft.irfft2(scaled, s=(height, width), axes=(0, 1), norm="ortho"))

    start = jnp.stack([spectrum.real, spectrum.imag])
    return _Parameters(start, image_of, lambda parts: parts, jnp.asarray(float(start.size)))
