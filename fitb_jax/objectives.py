"""Objectives: what an explanation asks the classifier to increase, and in which terms it is judged.

Each maps the outputs for one image and the index of the class of interest to a scalar. The scalar
is nan where the index is out of range, since under `jit` and `vmap` JAX would take another class.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from fitb_jax.precision import at_least_float32
from fitb_jax.types import Array, Bool, Logits, Objective, Scalar, Target


def log_prob(logits: Logits, target: Target) -> Scalar:
    """Log-probability of the target among exclusive classes, `log softmax(logits)[target]`.

    Args:
        logits: one value per class, at least two of them.
        target: class index in [0, k).

    Returns:
        A scalar in (-inf, 0], float32 at least.

    Raises:
        ValueError: fewer than two classes.
    """
    return _of_target(jax.nn.log_softmax(_exclusive(logits)), target)


def prob(logits: Logits, target: Target) -> Scalar:
    """Probability of the target among exclusive classes, `softmax(logits)[target]`.

    Args:
        logits: one value per class, at least two of them.
        target: class index in [0, k).

    Returns:
        A scalar in [0, 1], float32 at least.

    Raises:
        ValueError: fewer than two classes.
    """
    return _of_target(jax.nn.softmax(_exclusive(logits)), target)


def logit(logits: Logits, target: Target) -> Scalar:
    """The target's own logit, `logits[target]`.

    Args:
        logits: one value per class.
        target: class index in [0, k).

    Returns:
        A scalar, float32 at least.
    """
    return _of_target(at_least_float32(logits), target)


def margin(logits: Logits, target: Target) -> Scalar:
    """How far the target's logit is above the largest other one.

    Args:
        logits: one value per class, at least two of them.
        target: class index in [0, k).

    Returns:
        A scalar, float32 at least, positive exactly when the target is predicted (ties aside).

    Raises:
        ValueError: fewer than two classes.
    """
    wide = _exclusive(logits)
    is_target = jnp.arange(wide.shape[0]) == target
    return _of_target(wide, target) - jnp.max(jnp.where(is_target, -jnp.inf, wide))


def sigmoid_log_prob(logits: Logits, target: Target) -> Scalar:
    """Log-probability of one of several labels that may hold at once, by a sigmoid.

    Args:
        logits: one value per label; a single one is that of a binary classifier.
        target: label index in [0, k).

    Returns:
        A scalar in (-inf, 0], float32 at least.
    """
    return _of_target(jax.nn.log_sigmoid(at_least_float32(logits)), target)


def sigmoid_prob(logits: Logits, target: Target) -> Scalar:
    """Probability of one of several labels that may hold at once, by a sigmoid.

    Args:
        logits: one value per label; a single one is that of a binary classifier.
        target: label index in [0, k).

    Returns:
        A scalar in [0, 1], float32 at least.
    """
    return _of_target(jax.nn.sigmoid(at_least_float32(logits)), target)


def output(logits: Logits, target: Target) -> Scalar:
    """One output of a regression, in its own units: no class is predicted by it.

    Args:
        logits: one value per quantity.
        target: index of the quantity in [0, k).

    Returns:
        A scalar, float32 at least.
    """
    return _of_target(at_least_float32(logits), target)


def is_predicted(logits: Logits, target: Target, *, objective: Objective = prob) -> Scalar:
    """Whether the target is predicted, in the terms of an objective.

    Args:
        logits: one value per class.
        target: class index in [0, k).
        objective: with `sigmoid_prob` or `sigmoid_log_prob`, a label is predicted where its logit
            is above 0. With any other one, the class of the largest logit is predicted.

    Returns:
        1 or 0, float32; nan where a logit is nan, the target is out of range, or the objective is
        `output`, by which no class is predicted.

    Raises:
        ValueError: `logits` has one value, and the objective is not of a sigmoid, nor `output`.
    """
    if objective is output:
        return jnp.full((), jnp.nan, jnp.float32)
    if objective in _SIGMOID:
        found = logits[target] > 0
    else:
        found = jnp.argmax(_exclusive(logits)) == target
    # `argmax` takes nan for the largest.
    is_known = is_class(target, logits.shape[0]) & ~jnp.isnan(logits).any()
    return jnp.where(is_known, found.astype(jnp.float32), jnp.nan)


def score_of(objective: Objective) -> Objective:
    """The objective by which a result is reported.

    Args:
        objective: the one that the explanation increased.

    Returns:
        The probability where its logarithm was increased, else the objective itself.
    """
    reported = {log_prob: prob, sigmoid_log_prob: sigmoid_prob}
    return next((score for grown, score in reported.items() if objective is grown), objective)


def blank_has_class(p_blank: Any, p_whole: Any, *, chance: float = 0.0) -> Any:
    """Whether the background alone has the class: masks on such an image prove nothing.

    It has the class where its probability is above chance by more than half as much as that of the
    whole image.

    Args:
        p_blank: probability of the class for the background alone, an array of any shape.
        p_whole: probability of the class for the whole image, of the same shape.
        chance: probability by guessing, see `chance_of`; 0 where classes are many.

    Returns:
        Booleans, of the same shape.
    """
    above = p_blank - chance
    # Equal logits have the probability of chance but for rounding.
    return (above > 1e-6) & (above > (p_whole - chance) / 2)


def chance_of(objective: Objective, classes: int) -> float:
    """The probability of a class by guessing.

    Args:
        objective: in whose terms the class is judged, such as `prob`.
        classes: k, the number of classes.

    Returns:
        1/k for `prob`, of exclusive classes; 0 for all others, since a label need not be likely.
    """
    return 1 / classes if objective is prob else 0.0


def check_predicts(objective: Objective) -> None:
    """Refuse an objective by which no class is predicted.

    Args:
        objective: the objective to check.

    Raises:
        ValueError: it is `output`.
    """
    if objective is output:
        raise ValueError(
            "objective must be one by which a class is predicted, got output: a regression has no "
            "class to be kept; judge it by scores, such as insertion and deletion"
        )


def check_probability(objective: Objective) -> None:
    """Refuse an objective of this module that is no probability.

    Args:
        objective: the objective to check; one of your own has to be a probability, too.

    Raises:
        ValueError: it is one of ours, and neither `prob` nor `sigmoid_prob`.
    """
    if objective in OBJECTIVES.values() and objective not in (prob, sigmoid_prob):
        raise ValueError(
            "objective must be a probability, prob or sigmoid_prob, got "
            f"{getattr(objective, '__name__', objective)}: scores and bounds are of probabilities"
        )


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        objective.__name__: objective
        for objective in (
            log_prob,
            prob,
            logit,
            margin,
            sigmoid_log_prob,
            sigmoid_prob,
            output,
        )
    }
)
"""Every objective by its name."""

_SIGMOID = (sigmoid_log_prob, sigmoid_prob)


def _of_target(values: Array, target: Target) -> Array:
    """Its value, with a gradient of nan too where there is no such class."""
    return values[target] * jnp.where(is_class(target, values.shape[0]), 1, jnp.nan)


def is_class(target: Target, classes: int) -> Bool[Array, ""]:
    """Whether there is such a class, which `jit` and `vmap` hide from the checks.

    Args:
        target: class index, asked for.
        classes: how many there are, k.

    Returns:
        Whether the index lies in [0, k).
    """
    return (jnp.asarray(target) >= 0) & (jnp.asarray(target) < classes)


def _exclusive(logits: Logits) -> Logits:
    if logits.shape[0] < 2:
        raise ValueError(
            f"logits must be of at least 2 classes, got {logits.shape[0]}: for one logit use "
            'heads.with_head(logits_fn, "binary"), or objectives.sigmoid_prob where an objective '
            "can be given"
        )
    return at_least_float32(logits)
