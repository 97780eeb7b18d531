"""Run-time type checks, no implicit rank promotion, and what tests of several modules share."""

import gc
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxtyping import config as jaxtyping_config
from jaxtyping import install_import_hook

_HOOK = install_import_hook("fitb_jax", "beartype.beartype")

# Many tests compile the same program, in other tests, processes and runs: each is compiled once.
_COMPILED = Path(__file__).parents[1] / ".pytest_cache" / "compiled"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.03")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")

# With `programs_are_not_optimised` a program compiles in a fifth of the time.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

# The hook comes before anything that imports the package, the variables before JAX.
import jax  # noqa: E402 - after the hook
import pytest  # noqa: E402 - after the hook
from jax._src.interpreters import mlir  # noqa: E402 - see `_share_contexts`

REAL_DATA = Path(os.environ.get("FITB_JAX_DATA", "no folder: FITB_JAX_DATA is not set"))
"""Where tests with real data find it; all others run as if there were none."""

jax.config.update("jax_numpy_rank_promotion", "raise")

_CONTEXTS = threading.local()
"""Of MLIR. JAX makes a new one for each program, which takes a sixth of a small one's time."""


def _share_contexts() -> None:
    make = mlir.make_ir_context

    def shared() -> Any:
        if not hasattr(_CONTEXTS, "one"):
            _CONTEXTS.one = make()
        return _CONTEXTS.one

    mlir.make_ir_context = shared


# A name within JAX, which a later version may not have.
if hasattr(mlir, "make_ir_context"):
    _share_contexts()

# What is traced is millions of objects, and looking through them took a tenth of the time.
gc.set_threshold(200_000, 20, 20)


WORKFLOWS = ("experiments", "test_documentation.py", "test_notebooks.py", "test_board.py")
"""Files and folders with few tests of minutes."""


def pytest_configure(config: pytest.Config) -> None:
    """Files are given to processes in the order below, and not by their number of tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, so that no process waits for another at the end."""
    items.sort(key=lambda item: not any(name in item.path.parts for name in WORKFLOWS))


@pytest.fixture(autouse=True, scope="session")
def only_named_data() -> Iterator[None]:
    """What a test finds does not depend on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FITB_JAX_DATA", raising=False)
        yield


@pytest.fixture(autouse=True, scope="module")
def programs_are_not_optimised(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test runs its programs once or twice: optimising them takes longer than it gains.

    Modules that compute much, or compare the bits of differently cut programs, say `OPTIMISED`.
    """
    is_fast = not getattr(request.module, "OPTIMISED", False)
    jax.config.update("jax_disable_most_optimizations", is_fast)
    yield
    # Every compiled program maps memory, and Linux ends a process with more than 65,530 maps.
    jax.clear_caches()
    # Types and constants of all programs stay with their context.
    vars(_CONTEXTS).clear()


@pytest.fixture(autouse=True)
def logging_stays_as_it_was() -> Iterator[None]:
    """The command line sets logging up for its process, which is that of later tests too."""
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


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
