"""What the outputs of a classifier mean: classes, one logit, labels, quantities or probabilities.

Methods and scores take logits. `with_head` makes them of other outputs, and `HEADS` says which
objectives go with each.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from fitb_jax import checks, objectives
from fitb_jax.callables import as_argument
from fitb_jax.precision import at_least_float32
from fitb_jax.types import Array, Float, Image, Logits, LogitsFn, Objective


class Head(NamedTuple):
    """How the outputs of a classifier are read.

    Attributes:
        to_logits: from the outputs for one image, (k,), to logits.
        objective: what an explanation makes grow: a log-probability, or the output itself.
        score: what an evaluation reports: a probability, or the output itself.
        meaning: what the outputs are, in words.
    """

    to_logits: Callable[[Logits], Logits]
    objective: Objective
    score: Objective
    meaning: str


def with_head(logits_fn: LogitsFn, head: str) -> LogitsFn:
    """Turn a classifier whose outputs have another meaning into one that returns logits.

    Args:
        logits_fn: from one image to its outputs (k,).
        head: a name of `HEADS`:

            - "softmax": logits of exclusive classes, as they are;
            - "probabilities": softmax has been taken; their logarithms are returned;
            - "binary": one logit z; the logits of two classes, (-z/2, z/2), are returned;
            - "binary_probability": one probability, after a sigmoid; two logits are returned;
            - "multi_label": one logit a label, as they are; take the objectives of sigmoids;
            - "multi_label_probabilities": a sigmoid has been taken; their logits are returned;
            - "regression": quantities, as they are; take the objective `output`.

    Returns:
        A function with the same parameters, from one image to logits.

    Raises:
        TypeError: `logits_fn` is not callable.
        ValueError: an unknown head; when called, outputs that do not fit it.

    Examples:
        >>> yes_or_no = heads.with_head(lambda image: logits_fn(image)[:1], "binary")
        >>> p = jax.nn.softmax(yes_or_no(image))[1]
        >>> bool(jnp.isclose(p, jax.nn.sigmoid(logits_fn(image)[0])))
        True
    """
    checks.check_choice("head", head, HEADS)
    checks.check_callable("logits_fn", logits_fn)
    return Partial(_Headed(head), as_argument(logits_fn))


class _Headed(NamedTuple):
    """A callable that is equal when its head is, for `jax.jit` to recognise."""

    head: str

    def __call__(self, logits_fn: LogitsFn, image: Image) -> Logits:
        outputs = checks.check_outputs(logits_fn(image))
        return HEADS[self.head].to_logits(outputs)

    def refuse_objective(self, objective: Objective) -> None:
        """Raise ValueError for an objective of exclusive classes where outputs are none."""
        head = HEADS[self.head]
        of_classes = (objectives.prob, objectives.log_prob)
        if objective in of_classes and head.score not in of_classes:
            fits = head.score if objective is objectives.prob else head.objective
            name = getattr(objective, "__name__", "")
            raise ValueError(
                f"objective must fit the head {self.head!r} ({head.meaning}), got {name}, of "
                f"exclusive classes: give objectives.{getattr(fits, '__name__', '')}, which masks "
                "take in their config"
            )


def _same(values: Logits) -> Logits:
    return values


def _at_least_two(values: Logits) -> Logits:
    if values.shape[0] < 2:
        raise ValueError(
            f'head must be "binary" or "binary_probability" for one output, got {values.shape[0]} '
            "output"
        )
    return values


def _log(values: Logits) -> Logits:
    return _log_of(_at_least_two(values))


def _binary(values: Float[Array, "n"]) -> Logits:
    if values.shape != (1,):
        raise ValueError(
            f"head must fit the outputs: one logit is binary, got {values.shape[0]}; take softmax "
            "for exclusive classes, multi_label for labels"
        )
    # Of (0, z) the sigmoid is the same, and the logit of "no" a constant without a map.
    return jnp.concatenate([-values, values]) / 2


def _logit_of(values: Logits) -> Logits:
    wide = at_least_float32(values)
    return _log_of(wide) - _log_of(1 - wide)


def _log_of(values: Any) -> Logits:
    wide = at_least_float32(values)
    return jnp.log(jnp.maximum(wide, jnp.finfo(wide.dtype).tiny))


def _binary_of_probability(values: Float[Array, "n"]) -> Logits:
    return _binary(_logit_of(values))


HEADS: Mapping[str, Head] = MappingProxyType(
    {
        "softmax": Head(
            _at_least_two, objectives.log_prob, objectives.prob, "logits of exclusive classes"
        ),
        "probabilities": Head(
            _log, objectives.log_prob, objectives.prob, "probabilities of exclusive classes"
        ),
        "binary": Head(_binary, objectives.log_prob, objectives.prob, "one logit"),
        "binary_probability": Head(
            _binary_of_probability, objectives.log_prob, objectives.prob, "one probability"
        ),
        "multi_label": Head(
            _same, objectives.sigmoid_log_prob, objectives.sigmoid_prob, "a logit for each label"
        ),
        "multi_label_probabilities": Head(
            _logit_of,
            objectives.sigmoid_log_prob,
            objectives.sigmoid_prob,
            "a probability for each label",
        ),
        "regression": Head(_same, objectives.output, objectives.output, "quantities"),
    }
)
"""Every head by its name."""
