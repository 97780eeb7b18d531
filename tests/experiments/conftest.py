"""The stub network, photographs that it recognises, and the tiny runs of a chapter."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.core import running
from fitb_jax import models
from tests.experiments import checks, stub


@pytest.fixture(scope="module")
def few_digits() -> Iterator[None]:
    """Digits are few, and figures small."""
    with pytest.MonkeyPatch.context() as patch:
        stub.keep_few_digits(patch)
        patch.setattr(running, "DOTS_PER_INCH", 60)
        yield


@pytest.fixture(scope="module")
def stubbed() -> Iterator[None]:
    """Every pretrained network is the stub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", stub.load)
        patch.setattr(models, "untrained", stub.untrained)
        yield


@pytest.fixture(scope="session")
def photo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled photographs in the layout of ImageNet's validation set."""
    return stub.write_photographs(tmp_path_factory.mktemp("imagenet"), stub.network(0))


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest,
    few_digits: None,
    stubbed: None,
    photo_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Tiny runs of the experiments that a module of tests names as `NAMES`."""
    return checks.smoke_run(tmp_path_factory.mktemp("results"), photo_dir, request.module.NAMES)
