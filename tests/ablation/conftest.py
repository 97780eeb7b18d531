"""The exemplar grid, run once in one piece."""

from pathlib import Path

import pytest
import xarray as xr

from tests.ablation import problem


@pytest.fixture(scope="session")
def whole_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole") / "store"
    problem.run(place, chunk=30, block=30)
    return place


@pytest.fixture(scope="session")
def whole(whole_store: Path) -> xr.Dataset:
    return xr.open_zarr(whole_store).load()
