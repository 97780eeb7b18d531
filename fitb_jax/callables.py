"""Classifiers as arguments of compiled programs."""

import jax
from jax.tree_util import Partial

from fitb_jax.types import LogitsFn


def as_argument(logits_fn: LogitsFn) -> LogitsFn:
    """Make a pytree of a classifier that is none, so that a compiled program takes it.

    Args:
        logits_fn: any callable; a `Partial` or a module that is a pytree stays as it is.

    Returns:
        The same classifier. Where it has parameters, they are its leaves.
    """
    return Partial(logits_fn) if jax.tree_util.all_leaves([logits_fn]) else logits_fn
