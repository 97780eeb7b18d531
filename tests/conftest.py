"""Run-time type checks, no implicit rank promotion, and what tests of several modules share."""

from collections.abc import Iterator
from pathlib import Path

from jaxtyping import config as jaxtyping_config
from jaxtyping import install_import_hook

_HOOK = install_import_hook("fitb_jax", "beartype.beartype")

# The hook comes before anything that imports the package.
import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share an expensive fixture stay in one process of pytest-xdist."""
    for item in items:
        is_of_experiments = Path(item.path).parent.name == "experiments"
        group = "experiments" if is_of_experiments else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision, for comparison with exact answers."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No run-time type checks, so that the package's own errors are what is tested."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)
