"""Objectives: what an explanation asks the classifier to increase.

Each maps the logits of one image and the index of the class of interest to a scalar.
"""

import jax
import jax.numpy as jnp

from fitb_jax.types import Logits, Scalar, Target


def log_prob(logits: Logits, target: Target) -> Scalar:
    """Log-probability of the target, `log softmax(logits)[target]`.

    Args:
        logits: one value per class.
        target: class index in [0, k).

    Returns:
        A scalar in (-inf, 0].
    """
    return jax.nn.log_softmax(logits)[target]


def prob(logits: Logits, target: Target) -> Scalar:
    """Probability of the target, `softmax(logits)[target]`.

    Args:
        logits: one value per class.
        target: class index in [0, k).

    Returns:
        A scalar in [0, 1].
    """
    return jax.nn.softmax(logits)[target]


def logit(logits: Logits, target: Target) -> Scalar:
    """The target's own logit, `logits[target]`.

    Args:
        logits: one value per class.
        target: class index in [0, k).

    Returns:
        A scalar.
    """
    return logits[target]


def margin(logits: Logits, target: Target) -> Scalar:
    """How far the target's logit is above the largest other one.

    Args:
        logits: one value per class, at least two of them.
        target: class index in [0, k).

    Returns:
        A scalar, positive exactly when the target is predicted (ties aside).

    Raises:
        ValueError: fewer than two classes.
    """
    if logits.shape[0] < 2:
        raise ValueError(f"logits must be of at least 2 classes, got {logits.shape[0]}")
    is_target = jnp.arange(logits.shape[0]) == target
    return logits[target] - jnp.max(jnp.where(is_target, -jnp.inf, logits))
