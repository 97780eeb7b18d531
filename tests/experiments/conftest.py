"""One tiny run of every experiment, shared by the tests."""

from pathlib import Path

import pytest

from experiments.reproduce import Config, reproduce


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    reproduce(Config(results=folder, smoke=True, progress=False))
    return folder
