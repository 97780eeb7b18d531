"""Names of earlier versions: an error that says what they are called now."""

from collections.abc import Callable, Mapping
from typing import NoReturn


def renamed(package: str, names: Mapping[str, str]) -> Callable[[str], NoReturn]:
    """A `__getattr__` for a module some of whose names have changed.

    Args:
        package: name of the module.
        names: from each old name to the one that replaces it, such as "evaluation.softness".

    Returns:
        The function; it raises an `AttributeError` for every name.
    """

    def missing(name: str) -> NoReturn:
        if name in names:
            raise AttributeError(f"{package}.{name} is called {names[name]} since version 0.2.0")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return missing
