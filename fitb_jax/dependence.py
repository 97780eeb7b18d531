"""Which arguments of a function its result depends on, from its trace alone: nothing is computed.

A derivative is zero for a layer that is cut off and for one whose units happen to be inactive. The
trace tells them apart. Slices are followed: a token that is cut off is no argument of what follows.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Var

Region: TypeAlias = tuple[tuple[int, int], ...]
"""The part of an array that is needed: from where to where along each axis."""

_ELEMENTWISE = {
    "add", "sub", "mul", "div", "rem", "max", "min", "pow", "integer_pow", "exp", "exp2", "expm1",
    "log", "log1p", "sqrt", "rsqrt", "cbrt", "square", "neg", "abs", "sign", "floor", "ceil",
    "tanh", "logistic", "erf", "erfc", "sin", "cos", "tan", "select_n", "convert_element_type",
    "clamp", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "is_finite", "copy",
    "add_any", "reduce_precision",
}  # fmt: skip
_REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin"}


def needed(function: Callable[..., Any], *arguments: Any) -> Any:
    """Whether the result of a function depends on any element of each of its arguments.

    Args:
        function: from pytrees of arrays to a pytree of arrays.
        *arguments: pytrees of arrays, or of `jax.ShapeDtypeStruct`.

    Returns:
        A tuple with a pytree of booleans for each argument, of its structure. True also where it
        cannot be told, as with loops.
    """
    closed = jax.make_jaxpr(function)(*arguments)
    regions = _needed(closed.jaxpr, [_whole(variable) for variable in closed.jaxpr.outvars])
    flags = [region is not None for region in regions]
    return jax.tree.unflatten(jax.tree.structure(arguments), flags)


def _whole(variable: Any) -> Region:
    return tuple((0, size) for size in variable.aval.shape)


def _needed(jaxpr: Jaxpr, of_results: Sequence[Region | None]) -> list[Region | None]:
    """What is needed of each argument, from what is needed of each result; None is nothing."""
    regions: dict[Var, Region] = {}

    def add(variable: Any, region: Region | None) -> None:
        if region is None or not isinstance(variable, Var) or any(a >= b for a, b in region):
            return
        known = regions.get(variable, region)
        regions[variable] = tuple(
            (min(a, c), max(b, d)) for (a, b), (c, d) in zip(known, region, strict=True)
        )

    for variable, region in zip(jaxpr.outvars, of_results, strict=True):
        add(variable, region)
    for equation in reversed(jaxpr.eqns):
        results = [regions.get(variable) for variable in equation.outvars]
        if any(region is not None for region in results):
            for variable, region in zip(equation.invars, _pulled(equation, results), strict=True):
                add(variable, region)
    return [regions.get(variable) for variable in jaxpr.invars]


def _pulled(equation: JaxprEqn, results: Sequence[Region | None]) -> Sequence[Region | None]:
    """What an equation needs of its arguments."""
    region, parameters = results[0], equation.params
    whole = [_whole(variable) for variable in equation.invars]
    shapes = [tuple(size for _, size in its) for its in whole]
    inner = _called(equation)
    if inner is not None:
        return _needed(inner, results)
    if region is None:
        return whole
    name = equation.primitive.name
    if name in _ELEMENTWISE:
        # Axes of one element are as good as longer ones; a scalar has none.
        return [
            tuple(ends if size > 1 else (0, size) for ends, size in zip(region, its, strict=False))
            for its in shapes
        ]
    if name in _REDUCTIONS:
        kept = iter(region)
        axes = parameters["axes"]
        return [
            tuple((0, size) if axis in axes else next(kept) for axis, size in enumerate(shapes[0]))
        ]
    match name:
        case "slice":
            strides = parameters["strides"] or (1,) * len(region)
            starts = parameters["start_indices"]
            return [
                tuple(
                    (start + low * stride, start + (high - 1) * stride + 1)
                    for start, stride, (low, high) in zip(starts, strides, region, strict=True)
                )
            ]
        case "concatenate":
            return [*_parts(region, shapes, parameters["dimension"])]
        case "transpose":
            places = parameters["permutation"]
            return [tuple(region[places.index(axis)] for axis in range(len(places)))]
        case "squeeze":
            kept = iter(region)
            gone = parameters["dimensions"]
            return [tuple((0, 1) if axis in gone else next(kept) for axis in range(len(shapes[0])))]
        case "broadcast_in_dim":
            places = parameters["broadcast_dimensions"]
            own = tuple(
                region[place] if size > 1 else (0, size)
                for place, size in zip(places, shapes[0], strict=True)
            )
            return [own, *whole[1:]]
    return whole


def _parts(
    region: Region, shapes: list[tuple[int, ...]], axis: int
) -> Iterator[tuple[tuple[int, int], ...]]:
    """Of each of several arrays in a row along an axis."""
    start = 0
    for shape in shapes:
        low, high = (min(max(end - start, 0), shape[axis]) for end in region[axis])
        yield (*region[:axis], (low, high), *region[axis + 1 :])
        start += shape[axis]


def _called(equation: JaxprEqn) -> Jaxpr | None:
    """What an equation calls once with its own arguments, such as a jitted function."""
    if equation.primitive.name in ("scan", "while", "cond"):
        return None
    for value in equation.params.values():
        inner = value.jaxpr if isinstance(value, ClosedJaxpr) else value
        if isinstance(inner, Jaxpr) and len(inner.invars) == len(equation.invars):
            return inner if len(inner.outvars) == len(equation.outvars) else None
    return None
