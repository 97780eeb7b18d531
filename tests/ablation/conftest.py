"""The exemplar grid, run once in one piece."""

from pathlib import Path

import jax
import pytest
import xarray as xr

from tests.ablation import problem


@pytest.fixture(scope="session")
def whole_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # What lasts a session is made before its module says `OPTIMISED`.
    jax.config.update("jax_disable_most_optimizations", False)
    place = tmp_path_factory.mktemp("whole") / "store"
    problem.run(place, chunk=30, block=30)
    return place


@pytest.fixture(scope="session")
def whole(whole_store: Path) -> xr.Dataset:
    return xr.open_zarr(whole_store).load()
