"""Packages that only some functions need: an error that says what to install."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needed(by: str, *, extra: str) -> Iterator[None]:
    """Say which extra to install where an import inside this context fails.

    Args:
        by: the function that needs the package, as a caller writes it, such as "data.load".
        extra: name of the extra of `fitb_jax` that has the package, as in pyproject.toml.

    Yields:
        Nothing.

    Raises:
        ImportError: a package is not installed; names the function, the package and the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise ImportError(
            f"{by} needs the package {package}, which is not installed: "
            f"pip install 'fitb_jax[{extra}]'",
            name=package,
        ) from error
