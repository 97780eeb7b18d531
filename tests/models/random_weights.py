"""Weights of any layout, drawn so that layers neither explode nor vanish."""

from collections.abc import Mapping

import numpy as np


def random_weights(
    shapes: Mapping[str, tuple[int, ...]], *, seed: int = 0, dtype: type = np.float64
) -> dict[str, np.ndarray]:
    """Normal matrices of norm about 1 and biases; positive scales and variances about 1."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        is_scale = name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight"))
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 10
        draw = rng.uniform(0.5, 1.5, shape) if is_scale else rng.normal(size=shape)
        weights[name] = (draw if is_scale else draw / np.sqrt(fan_in)).astype(dtype)
    return weights
