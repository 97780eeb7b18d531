"""Fill-in updates: the direction in which a classifier would change hidden pixels.

`z = mask * image + (1 - mask) * background` is what the classifier sees, and J(z) the objective of
the target class. The first-order update is the gradient of J. The second-order ones also use its
Hessian H on the hidden pixels, only ever through products with vectors.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp

from fitb_jax import checks, derivatives, masks
from fitb_jax.objectives import log_prob
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    Logits,
    LogitsFn,
    Mask,
    Number,
    Objective,
    Scalar,
    Target,
    UpdateFn,
)

Method: TypeAlias = Literal["newton", "curvature", "principal", "gauss_newton"]
"""Second-order directions; see `second_order`."""

Order: TypeAlias = Literal["first", "second"]
"""Which derivative an update is made of: the gradient, or the damped Newton step."""


class SecondOrder(NamedTuple):
    """A second-order update and how far its computation can be trusted.

    Attributes:
        update: (h, w, c), zero on visible pixels.
        gradient: the first-order update on the hidden pixels, (h, w, c).
        curvature: leading curvature (eigenvalue of largest magnitude) of the hidden block.
        curvature_error: the nearest true eigenvalue is at most this far from `curvature`.
        residual: of the damped linear system, relative to its right-hand side; 0 for the methods
            that solve none.
    """

    update: Image
    gradient: Image
    curvature: Scalar
    curvature_error: Scalar
    residual: Scalar


def first_order(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    *,
    objective: Objective = log_prob,
    background: Background = 0.0,
) -> Image:
    """Gradient of the target's objective at the masked image.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        target: class to fill in for, in [0, k).
        objective: what is to grow.
        background: what the blanks show: a number, one value per channel, or an image.

    Returns:
        The update of every pixel, (h, w, c), in units of the objective per unit of intensity; its
        hidden part is `masks.apply(update, masks.complement(mask))`.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Deelaka et al. 2024, arXiv 2411.10273, section 3.

    Examples:
        >>> fill.first_order(logits_fn, image, mask, 1).shape
        (16, 16, 3)
        >>> of_classes = jax.vmap(fill.first_order, in_axes=(None, None, None, 0))
        >>> of_classes(logits_fn, image, mask, jnp.arange(4)).shape
        (4, 16, 16, 3)
    """
    _check_arguments(logits_fn, image, mask, target, background, objective)
    masked = masks.apply(image, mask, background)
    return jax.grad(lambda z: objective(logits_fn(z), target))(masked)


def first_order_all_classes(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    *,
    objective: Objective = log_prob,
    background: Background = 0.0,
    chunk: int = 1,
) -> Float[Array, "k h w c"]:
    """`first_order` for every class, from one forward pass and k backward passes.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        objective: what is to grow.
        background: what the blanks show: a number, one value per channel, or an image.
        chunk: classes in one backward pass; the result does not depend on it. For one image on a
            GPU, k is fastest. For a batch of images 1 is, since its working set stays in cache.
            `batching.chunked_vmap` by about 32 images keeps that of a large batch there.

    Returns:
        One update per class, (k, h, w, c).

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.
    """
    checks.check_count("chunk", chunk)
    _check_arguments(logits_fn, image, mask, 0, background, objective)
    logits, pull_back = jax.vjp(logits_fn, masks.apply(image, mask, background))
    classes = jnp.arange(logits.shape[0])
    cotangents = jax.vmap(jax.grad(objective), in_axes=(None, 0))(logits, classes)
    return jax.lax.map(lambda cotangent: pull_back(cotangent)[0], cotangents, batch_size=chunk)


def second_order(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    *,
    method: Method = "newton",
    damping: Number = 1.5,
    steps: int = 8,
    objective: Objective = log_prob,
    background: Background = 0.0,
) -> Image:
    """Update of the hidden pixels from the gradient and the Hessian of the objective.

    With g the first-order update on the hidden pixels, H the hidden block of the Hessian and mu its
    leading curvature (the eigenvalue of largest magnitude), `method` chooses:

    - `newton`: `(damping |mu| I - H)^-1 g`, the damped Newton step uphill.
    - `gauss_newton`: the same with `J^T H_objective J` for H, J the Jacobian of the logits: never
      indefinite for a concave objective such as the log-probability.
    - `curvature`: `H g / ||g||`, how the gradient changes along the first-order fill.
    - `principal`: the eigenvector of mu, of norm 1, signed to agree with g.

    Args:
        logits_fn: the classifier; a piecewise linear one (ReLU) has only the curvature that the
            objective adds.
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        target: class to fill in for, in [0, k).
        method: one of the four names above.
        damping: above 1, so that the system is positive definite. An array argument.
        steps: Lanczos steps, one Hessian-vector product each; `curvature` needs only one.
        objective: what is to grow.
        background: what the blanks show: a number, one value per channel, or an image.

    Returns:
        The update, (h, w, c), zero on visible pixels.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or method; see `fitb_jax.checks`.

    Source: Deelaka et al. 2024, arXiv 2411.10273, section 3, which leaves the direction open.

    Examples:
        >>> update = fill.second_order(logits_fn, image, mask, 1)
        >>> float(jnp.abs(update * mask[:, :, None]).max())  # only what is hidden
        0.0
    """
    return second_order_with_diagnostics(
        logits_fn,
        image,
        mask,
        target,
        method=method,
        damping=damping,
        steps=steps,
        objective=objective,
        background=background,
    ).update


def second_order_with_diagnostics(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    *,
    method: Method = "newton",
    damping: Number = 1.5,
    steps: int = 8,
    objective: Objective = log_prob,
    background: Background = 0.0,
) -> SecondOrder:
    """`second_order` with its residual and the error bound of its leading curvature.

    See `second_order`.
    """
    checks.check_choice("method", method, get_args(Method))
    checks.check_number("damping", damping, least=1, open_least=True)
    checks.check_count("steps", steps)
    _check_arguments(logits_fn, image, mask, target, background, objective)
    masked = masks.apply(image, mask, background)
    hidden = masks.complement(mask)[:, :, None].astype(image.dtype)

    def objective_of_logits(logits: Logits) -> Scalar:
        return objective(logits, target)

    if method == "gauss_newton":
        gradient, product = derivatives.gradient_and_gauss_newton(
            logits_fn, objective_of_logits, masked
        )
    else:
        gradient, product = derivatives.gradient_and_hvp(
            lambda z: objective_of_logits(logits_fn(z)), masked
        )
    gradient = hidden * gradient

    def hidden_product(vector: Array) -> Array:
        # On both sides: symmetric also for a mask between 0 and 1.
        return hidden * product(hidden * vector)

    decomposition = derivatives.lanczos(hidden_product, gradient, steps=steps)
    leading = derivatives.leading_curvature(decomposition)
    residual = jnp.zeros_like(leading.value)
    if method == "principal":
        update = leading.vector
    elif method == "curvature":
        update = hidden_product(derivatives.unit_vector(gradient))
    else:
        update, _, residual = derivatives.damped_newton_step(decomposition, damping)
    return SecondOrder(update, gradient, leading.value, leading.error, residual)


def resolve_order(order: Order | UpdateFn) -> UpdateFn:
    """The update function of an order's name; a function is returned as it is.

    Args:
        order: "first", "second" (the damped Newton step), or any function
            `(logits_fn, image, mask, target) -> update`.

    Returns:
        The update function.

    Raises:
        ValueError: another name.
    """
    if callable(order):
        return order
    named: dict[str, Callable[..., Image]] = {"first": first_order, "second": second_order}
    checks.check_choice("order", order, named)
    return named[order]


def _check_arguments(
    logits_fn: LogitsFn,
    image: Image,
    mask: Mask,
    target: Target,
    background: Background,
    objective: Objective,
) -> None:
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_mask(mask, image.shape[:2])
    checks.check_background(background, image.shape)
