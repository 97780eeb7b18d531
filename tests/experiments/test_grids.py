"""Where the results of a grid lie."""

import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.experiment import Options
from experiments.grids import GridRun, run_grid
from fitb_jax import ablation


def _run(results: Path, *names: str) -> list[float]:
    values = np.arange(len(names), dtype=np.float32)
    run = GridRun(
        "of_a_folder",
        lambda image, key: {"double": 2 * image},
        {"image": ablation.vmapped(jnp.asarray(values), labels=names)},
        {"key": jax.random.key(0), "chunk": 1, "block": 1},
    )
    found = run_grid(Options(results=results, progress=False), run)
    return found["double"].values.tolist()


def test_a_folder_with_one_more_image_has_a_store_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert _run(tmp_path, "a", "b") == [0, 2]
        assert _run(tmp_path, "a", "b") == [0, 2]
        assert not caplog.records
        assert _run(tmp_path, "a", "b", "c") == [0, 2, 4]
    assert "starts anew" in caplog.text
    assert len([*(tmp_path / "grids").iterdir()]) == 2
