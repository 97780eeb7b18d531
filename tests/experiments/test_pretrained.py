"""The tiny runs again, with the real pretrained network."""

from pathlib import Path

import pytest

from fitb_jax import models
from tests.experiments import checks, stub


@pytest.fixture(scope="module")
def photo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imagenet")
    return stub.write_photographs(folder, models.load("efficientnet_lite0"))


@pytest.mark.slow
@pytest.mark.parametrize("name", checks.EVERY)
def test_a_run_with_the_real_network(name: str, tmp_path: Path, photo_dir: Path) -> None:
    checks.check_run(name, checks.smoke_run(tmp_path, photo_dir, [name]))
