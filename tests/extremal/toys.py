"""Classifiers that look at one known patch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax.types import Array

SIDE = 16
IMAGE = jnp.asarray(np.random.default_rng(0).uniform(0.4, 1, size=(SIDE, SIDE, 3)), jnp.float32)


def patch_mask(row: int, column: int, side: int = 6) -> Array:
    """A square of ones."""
    return jnp.zeros((SIDE, SIDE)).at[row : row + side, column : column + side].set(1)


PATCH = patch_mask(2, 8)
OTHER = patch_mask(9, 1)
SHARE = float(PATCH.mean())


def looks_at(*patches: Array, temperature: float = 12.0) -> Callable:
    """Two classes; the logit of class 1 is how much of the brightest patch is seen."""

    def logits_fn(image: Array) -> Array:
        seen = [(patch[:, :, None] * image).sum() / (patch.sum() * 3) for patch in patches]
        return temperature * jnp.stack([jnp.asarray(0.5, image.dtype), max_of(seen)])

    return logits_fn


def max_of(values: list[Array]) -> Array:
    """Smooth, so that every patch has a gradient."""
    return jax.nn.logsumexp(8 * jnp.stack(values)) / 8
