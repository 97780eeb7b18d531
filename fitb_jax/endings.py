"""What a function computes last, from its trace: a softmax gives probabilities, not logits."""

from typing import Any

from jax.extend.core import Jaxpr, JaxprEqn, Var

_PASSES_ON = (
    "squeeze",
    "reshape",
    "slice",
    "dynamic_slice",
    "convert_element_type",
    "broadcast_in_dim",
    "copy",
    "gather",
)


def final_activation(jaxpr: Jaxpr, place: int = 0) -> str | None:
    """The activation that a function computes last, if it is a softmax or a sigmoid.

    Args:
        jaxpr: trace of the function.
        place: index of the output that is asked about.

    Returns:
        "softmax", "sigmoid", or None for anything else.
    """
    produced: dict[Var, JaxprEqn] = {out: each for each in jaxpr.eqns for out in each.outvars}

    def origin(variable: Any) -> tuple[JaxprEqn, int] | None:
        """The equation that computes a value, seen through what only moves it."""
        while isinstance(variable, Var) and variable in produced:
            found = produced[variable]
            if found.primitive.name not in _PASSES_ON:
                return found, found.outvars.index(variable)
            variable = found.invars[0]
        return None

    if (last := origin(jaxpr.outvars[place])) is None:
        return None
    equation, inner_place = last
    inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
    if inner is not None:
        nested = getattr(inner, "jaxpr", inner)
        if len(nested.outvars) != len(equation.outvars):
            return None
        return final_activation(nested, inner_place)
    if equation.primitive.name == "logistic":
        return "sigmoid"
    sources = [origin(each) for each in equation.invars]
    names = [each and each[0].primitive.name for each in sources]
    if equation.primitive.name == "div" and names == ["exp", "reduce_sum"]:
        return "softmax"
    return None
