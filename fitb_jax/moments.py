"""Count, mean and squared deviations of sets of numbers, merged without their numbers.

Everything here takes arrays of NumPy and of JAX alike.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

AnyArray: TypeAlias = Any
"""An array of NumPy or JAX; a union of the two would be neither to a type checker."""


class Moments(NamedTuple):
    """Moments of a set of numbers, element by element.

    Attributes:
        count: how many numbers.
        mean: of them.
        squares: sum of squared deviations from the mean.
    """

    count: AnyArray
    mean: AnyArray
    squares: AnyArray


def merge(a: Moments, b: Moments) -> Moments:
    """Moments of two disjoint sets together; the order does not matter.

    Args:
        a: moments of one set, which may be empty.
        b: moments of the other, of at least one number.

    Returns:
        The moments of their union.

    Source: Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
    sample variances".
    """
    count = a.count + b.count
    share = b.count / count
    gap = b.mean - a.mean
    squares = a.squares + b.squares + a.count * share * gap**2
    return Moments(count, a.mean + share * gap, squares)


def merge_products(
    a: AnyArray,
    b: AnyArray,
    counts: tuple[AnyArray, AnyArray],
    gap: AnyArray,
    other_gap: AnyArray,
) -> AnyArray:
    """Sum of products of the deviations of two quantities, for two disjoint sets together.

    Args:
        a: this sum over the first set, which may be empty.
        b: this sum over the second set, of at least one pair of numbers.
        counts: how many pairs of numbers are in each set.
        gap: mean of the first quantity in the second set, less its mean in the first set.
        other_gap: the same for the second quantity.

    Returns:
        The sum over the union of the sets, with deviations from its own means; see `merge`.
    """
    between = counts[0] * (counts[1] / (counts[0] + counts[1]))
    return a + b + between * gap * other_gap


def pool(found: Moments, axes: Sequence[int]) -> Moments:
    """Moments of the union of many disjoint sets that lie along some axes of the arrays.

    Args:
        found: moments of the sets, any of which may be empty.
        axes: the axes along which the sets lie; they are removed.

    Returns:
        The moments of their union, whatever their order; see `merge`.
    """
    axes = tuple(axes)
    count = found.count.sum(axis=axes, keepdims=True)
    is_empty = count == 0
    mean = (found.count * found.mean).sum(axis=axes, keepdims=True) / (count + is_empty)
    deviations = found.squares + found.count * (found.mean - mean) ** 2
    squares = deviations.sum(axis=axes, keepdims=True)
    return Moments(count.squeeze(axes), mean.squeeze(axes), squares.squeeze(axes))
