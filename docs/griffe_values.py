"""What Griffe does besides: signatures of the reference show the values of constants."""

import ast
import re
from typing import Any

import griffe

_CALCULATION = re.compile(r"[\d\s.()+*/-]+")


class ConstantsAsValues(griffe.Extension):
    """Replace a default that names a constant, such as `draws=DRAWS`, by what the constant is."""

    def on_package(
        self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any
    ) -> None:
        """Visit every signature of a package; called by Griffe.

        Args:
            pkg: the package, loaded as a whole.
            loader: what loaded it.
        """
        del loader
        _visit(pkg)


def _visit(parent: griffe.Module | griffe.Class) -> None:
    for member in parent.members.values():
        if member.is_alias:
            continue
        if isinstance(member, griffe.Function):
            for parameter in member.parameters:
                parameter.default = _value(parameter.default, member)
        elif isinstance(member, griffe.Attribute) and isinstance(parent, griffe.Class):
            member.value = _value(member.value, member)
        elif isinstance(member, griffe.Module | griffe.Class):
            _visit(member)


def _value(default: Any, owner: griffe.Object) -> Any:
    """The literal or the calculation that a name stands for, or else the name."""
    if not isinstance(default, griffe.ExprName):
        return default
    try:
        constant = owner.modules_collection[default.canonical_path]
    except KeyError:
        return default
    if constant.is_alias:
        constant = constant.final_target
    if not isinstance(constant, griffe.Attribute):
        return default
    value = str(constant.value)
    return value if _is_literal(value) or _CALCULATION.fullmatch(value) else default


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True
