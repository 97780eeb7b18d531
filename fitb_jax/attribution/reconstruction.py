"""Inputs that maximise a class: gradient ascent on pixels or on their spectrum, from any start."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fitb_jax import checks
from fitb_jax.objectives import logit, prob
from fitb_jax.precision import at_least_float32
from fitb_jax.types import (
    Array,
    Float,
    Image,
    Key,
    LogitsFn,
    Number,
    Objective,
    Scalar,
    Target,
)

Parametrisation: TypeAlias = Literal["pixels", "fourier"]
"""What of an image is optimised: its pixels, or its Fourier coefficients."""

_MARGIN = 1e-3
"""How far from 0 and 1 an image is kept before the logistic function is inverted."""

_AMPLITUDE = 0.25
"""A unit of the scaled mean then changes the image by about a sixteenth."""


@dataclass(frozen=True)
class ReconstructionConfig:
    """How an input that maximises a class is searched.

    Attributes:
        parametrisation: "pixels" ascends on the image and clips it to [0, 1] after each step.
            "fourier" ascends on the spectrum, scaled by 1 / frequency, and a logistic function
            keeps the image in [0, 1]. Colours are not decorrelated.
        steps: number of steps of Adam.
        learning_rate: of Adam.
        total_variation: weight of the absolute differences of neighbouring values, down and across,
            added up and divided by the number of values.
        l2: weight of the mean squared distance from `centre`.
        centre: intensity to which `l2` pulls: mid-grey for photographs, 0 for digits.
        jitter: largest shift of the image before each step, in pixels; what leaves at one side
            comes in at the other.
    """

    parametrisation: Parametrisation = "fourier"
    steps: int = 256
    learning_rate: float = 0.05
    total_variation: float = 0.0
    l2: float = 0.0
    centre: float = 0.5
    jitter: int = 0


class Reconstruction(NamedTuple):
    """An input that maximises a class.

    Attributes:
        image: (h, w, c) in [0, 1].
        objective: the objective of the class at `image`, without the penalties.
        history: the objective before each step, at the shifted image, (steps,).
    """

    image: Image
    objective: Scalar
    history: Float[Array, "steps"]


class _Parametrisation(NamedTuple):
    start: Any
    image_of: Callable[[Any], Image]
    project: Callable[[Any], Any]


def reconstruct(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    config: ReconstructionConfig = ReconstructionConfig(),
    *,
    key: Key,
    objective: Objective = logit,
) -> Reconstruction:
    """Change an image by gradient ascent until it maximises a class, less penalties.

    Many classes at once are a `vmap` over `target`, or over `target` and `key`.

    Args:
        logits_fn: the classifier.
        image: where the search starts, (h, w, c) in [0, 1]: `noise_image`, or any image.
        target: class to maximise, in [0, k).
        config: how to search.
        key: random key of the shifts.
        objective: what is to grow: the logit, as is usual, or the log-probability, which also
            lowers the other classes.

    Returns:
        The image found, and the objective on the way to it.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or setting; see `fitb_jax.checks`.

    Source: Simonyan et al. 2014, "Deep inside convolutional networks", section 2 (ascent, L2);
    Mahendran & Vedaldi 2015, "Understanding deep image representations by inverting them" (total
    variation); Mordvintsev et al. 2015, "Inceptionism" (jitter); Olah et al. 2017, "Feature
    visualization", section "Preconditioning and parameterization" (spectrum).
    """
    checks.check_key(key)
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_manual_axes(image)
    _check_config(config)
    # Small steps are lost in half precision.
    image = at_least_float32(image)
    parametrisation = {"pixels": _pixels, "fourier": _spectrum}[config.parametrisation](image)
    optimiser = optax.adam(config.learning_rate)

    def loss(parameters: Any, shift: Array) -> tuple[Scalar, Scalar]:
        found = parametrisation.image_of(parameters)
        reached = objective(logits_fn(jnp.roll(found, shift, axis=(0, 1))), target)
        return _penalty(found, config) - reached, reached

    def step(state: tuple[Any, Any], step_key: Key) -> tuple[tuple[Any, Any], Scalar]:
        parameters, memory = state
        shift = jax.random.randint(step_key, (2,), -config.jitter, config.jitter + 1)
        gradient, reached = jax.grad(loss, has_aux=True)(parameters, shift)
        change, memory = optimiser.update(gradient, memory)
        return (parametrisation.project(optax.apply_updates(parameters, change)), memory), reached

    initial = (parametrisation.start, optimiser.init(parametrisation.start))
    keys = jax.random.split(key, config.steps)
    (parameters, _), history = jax.lax.scan(step, initial, keys)
    found = parametrisation.image_of(parameters)
    return Reconstruction(found, objective(logits_fn(found), target), history)


def reconstruct_classes(
    logits_fn: LogitsFn,
    start: Image,
    config: ReconstructionConfig,
    *,
    key: Key,
    objective: Objective = logit,
) -> tuple[Float[Array, "k h w c"], Float[Array, "k"]]:
    """An image that maximises each class, all of them searched at once.

    Args:
        logits_fn: the classifier.
        start: (h, w, c) in [0, 1].
        config: see `reconstruct`.
        key: random key of the shifts.
        objective: what is to grow.

    Returns:
        The images, (k, h, w, c), and the probability of its class for each, (k,).

    Raises:
        TypeError, ValueError: as in `reconstruct`.
    """
    checks.check_key(key)

    def one(target: Array, key: Array) -> tuple[Image, Scalar]:
        found = reconstruct(logits_fn, start, target, config, key=key, objective=objective)
        return found.image, prob(logits_fn(found.image), target)

    targets = jnp.arange(logits_fn(start).shape[0])
    return jax.vmap(one)(targets, jax.random.split(key, targets.size))


def noise_image(
    shape: tuple[int, ...], *, centre: Number = 0.5, deviation: Number = 0.01, key: Key
) -> Image:
    """A grey image with a little Gaussian noise, to start from.

    Args:
        shape: (height, width, channels).
        centre: mean intensity. An array argument, as the next.
        deviation: standard deviation of the noise, in units of intensity.
        key: random key.

    Returns:
        (height, width, channels), clipped to [0, 1].

    Raises:
        TypeError, ValueError: a wrong shape or range, or `key` is no random key.
    """
    checks.check_key(key)
    if len(shape) != 3:
        raise ValueError(f"shape must be (height, width, channels), got {shape}")
    checks.check_number("centre", centre, least=0, most=1)
    checks.check_number("deviation", deviation, least=0)
    return jnp.clip(centre + deviation * jax.random.normal(key, shape), 0, 1)


def _penalty(image: Image, config: ReconstructionConfig) -> Scalar:
    variation = sum(jnp.abs(jnp.diff(image, axis=axis)).sum() for axis in (0, 1)) / image.size
    distance = jnp.mean((image - config.centre) ** 2)
    return config.total_variation * variation + config.l2 * distance


def _pixels(image: Image) -> _Parametrisation:
    return _Parametrisation(image, lambda pixels: pixels, lambda pixels: jnp.clip(pixels, 0, 1))


def _spectrum(image: Image) -> _Parametrisation:
    """The spectrum of the image's logits, scaled so that all frequencies of photographs are alike.

    Amplitudes of photographs fall with the frequency, so that Adam's equal steps on the scaled
    spectrum are steps of that shape on the image.
    """
    height, width = image.shape[:2]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    amplitude = _AMPLITUDE / np.maximum(frequency, 1 / max(height, width))
    scale = jnp.asarray(amplitude, image.dtype)[:, :, None]
    inside = jnp.clip(image, _MARGIN, 1 - _MARGIN)
    values = jnp.log(inside) - jnp.log1p(-inside)
    spectrum = jnp.fft.rfft2(values, axes=(0, 1), norm="ortho") / scale

    def image_of(parts: tuple[Array, Array]) -> Image:
        scaled = jax.lax.complex(*parts) * scale
        return jax.nn.sigmoid(jnp.fft.irfft2(scaled, s=(height, width), axes=(0, 1), norm="ortho"))

    return _Parametrisation((spectrum.real, spectrum.imag), image_of, lambda parts: parts)


def _check_config(config: ReconstructionConfig) -> None:
    checks.check_choice("parametrisation", config.parametrisation, get_args(Parametrisation))
    checks.check_count("steps", config.steps)
    checks.check_count("jitter", config.jitter, least=0)
    checks.check_number("learning_rate", config.learning_rate, least=0, open_least=True)
    checks.check_number("total_variation", config.total_variation, least=0)
    checks.check_number("l2", config.l2, least=0)
    checks.check_number("centre", config.centre, least=0, most=1)
