"""Packages that only some functions need: an error that says what to install."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needed(by: str, *, extra: str) -> Iterator[None]:
    """Around the import of what comes with an extra of this package.

    Args:
        by: the function that needs it, as a caller writes it, such as "data.load".
        extra: of `fitb_jax` in pyproject.toml that has it.

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
