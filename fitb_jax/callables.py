"""Classifiers and methods as arguments of compiled programs."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
from jax.tree_util import Partial

AnyFn = TypeVar("AnyFn", bound=Callable[..., Any])


def as_argument(function: AnyFn) -> AnyFn:
    """Make a pytree of a function that is none, so that a compiled program takes it.

    Args:
        function: any callable, such as a classifier; a `Partial` or a module that is a pytree stays
            as it is.

    Returns:
        The same function. Where it has parameters, they are its leaves.
    """
    is_leaf = jax.tree_util.all_leaves([function])
    return cast(AnyFn, Partial(function)) if is_leaf else function
