"""Classifiers whose derivatives are known, and exact dense counterparts of the fast code."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SHAPE = (6, 6, 1)
CLASSES = 3


def quadratic_logits(
    seed: int = 0, *, concave: bool = True
) -> tuple[Callable, np.ndarray, np.ndarray]:
    """Logits `x'Ax/2 + b'x` per class, with A (k, n, n) and b (k, n)."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(SHAPE))
    root = rng.normal(size=(CLASSES, size, size)) / np.sqrt(size)
    matrix = -root @ root.transpose(0, 2, 1) if concave else root + root.transpose(0, 2, 1)
    linear = rng.normal(size=(CLASSES, size))

    def logits_fn(image: jax.Array) -> jax.Array:
        x = image.ravel()
        quadratic = jnp.einsum("kij,i,j->k", jnp.asarray(matrix, x.dtype), x, x)
        return quadratic / 2 + jnp.asarray(linear, x.dtype) @ x

    return logits_fn, matrix, linear


def smooth_logits(
    seed: int = 0, shape: tuple[int, ...] = SHAPE, classes: int = CLASSES
) -> Callable:
    """A small random softplus network in the precision of its input."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    first = rng.normal(size=(size, 16)) / np.sqrt(size) * 3
    second = rng.normal(size=(16, classes))

    def logits_fn(image: jax.Array) -> jax.Array:
        hidden = jax.nn.softplus(image.ravel() @ jnp.asarray(first, image.dtype))
        return hidden @ jnp.asarray(second, image.dtype)

    return logits_fn


def constant_logits(image: jax.Array) -> jax.Array:
    """A network that does not look."""
    return jnp.arange(3.0)


def relu_logits(seed: int = 0) -> Callable:
    """A small random piecewise linear network."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(SHAPE))
    first, second = rng.normal(size=(size, 16)), rng.normal(size=(16, CLASSES))

    def logits_fn(image: jax.Array) -> jax.Array:
        hidden = jax.nn.relu(image.ravel() @ jnp.asarray(first, image.dtype))
        return hidden @ jnp.asarray(second, image.dtype)

    return logits_fn


def image_and_mask(
    seed: int = 0, shape: tuple[int, ...] = SHAPE, dtype: Any = None
) -> tuple[jax.Array, jax.Array]:
    """A random image in [0, 1] and a mask with about half of the pixels blank."""
    rng = np.random.default_rng(seed)
    image = jnp.asarray(rng.uniform(size=shape), dtype)
    return image, jnp.asarray(rng.uniform(size=shape[:2]) < 0.5, image.dtype)


def images_and_targets(count: int, seed: int = 0) -> tuple[jax.Array, jax.Array]:
    """Random images in [0, 1] and class indices."""
    rng = np.random.default_rng(seed)
    images = jnp.asarray(rng.uniform(size=(count, *SHAPE)), jnp.float32)
    return images, jnp.asarray(rng.integers(0, CLASSES, size=count), jnp.int32)


def dense_hidden_block(scalar_fn: Callable, point: jax.Array, mask: jax.Array) -> tuple:
    """Gradient and Hessian of the hidden pixels, and which those are, as numpy arrays."""
    size = point.size
    hidden = np.broadcast_to(np.asarray(mask)[..., None] == 0, point.shape).ravel()
    gradient = np.asarray(jax.grad(scalar_fn)(point)).ravel()[hidden]
    hessian = np.asarray(jax.hessian(scalar_fn)(point)).reshape(size, size)
    return gradient, hessian[np.ix_(hidden, hidden)], hidden


def dense_gauss_newton(
    logits_fn: Callable, objective_of_logits: Callable, point: jax.Array, hidden: np.ndarray
) -> np.ndarray:
    """`J' H_objective J` on the hidden pixels."""
    logits = logits_fn(point)
    jacobian = np.asarray(jax.jacobian(logits_fn)(point)).reshape(logits.size, -1)[:, hidden]
    return jacobian.T @ np.asarray(jax.hessian(objective_of_logits)(logits)) @ jacobian


def leading(matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """The eigenpair of largest magnitude."""
    values, vectors = np.linalg.eigh(matrix)
    at = np.abs(values).argmax()
    return float(values[at]), vectors[:, at]
