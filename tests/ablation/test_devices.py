import itertools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

from fitb_jax import ablation
from fitb_jax.ablation import axes, running
from tests.ablation import problem

OPTIMISED = True

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.ablation.problem"]


def _environment(devices: int) -> dict[str, str]:
    return {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _join(store: Path, processes: int, devices: int, *more: str) -> list[subprocess.Popen[str]]:
    address = f"127.0.0.1:{_free_port()}"
    return [
        subprocess.Popen(
            [*COMMAND, str(store), "--join", address, str(processes), str(index), *more],
            cwd=ROOT,
            env=_environment(devices),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for index in range(processes)
    ]


def test_eight_devices_give_the_same_bits(tmp_path: Path, whole: xr.Dataset) -> None:
    subprocess.run(
        [*COMMAND, tmp_path / "s", "--chunk", "64"], cwd=ROOT, env=_environment(8), check=True
    )
    problem.assert_same(xr.open_zarr(tmp_path / "s"), whole)


@pytest.mark.parametrize(
    ("processes", "devices"), [(2, 2), pytest.param(3, 1, marks=pytest.mark.slow)]
)
@pytest.mark.timeout(300)
def test_joined_processes_let_a_store_grow_with_the_same_bits(
    processes: int, devices: int, tmp_path: Path, whole: xr.Dataset
) -> None:
    # The store has three of five images, and a chunk that ends with the fourth.
    problem.run(tmp_path / "s", grid=problem.grid(images=3), block=4)
    joined = _join(tmp_path / "s", processes, devices)
    said = [process.communicate(timeout=240)[0] for process in joined]
    assert [process.returncode for process in joined] == [0] * processes, "\n".join(said)
    assert all("complete" in text for text in said)
    problem.assert_same(xr.open_zarr(tmp_path / "s"), whole)


def test_blocks_of_one_chunk_have_one_writer() -> None:
    grid = axes.as_grid({"x": np.arange(9.0), "y": np.arange(4.0)})
    blocks = [*axes.Layout(grid, (4, 2), {"x": [1, 3, 6], "y": [3]}).blocks()]
    shares = [running._deal(blocks, index, 3) for index in range(3)]
    assert sorted(itertools.chain(*shares)) == sorted(blocks)
    chunks = [{block.chunk for block in share} for share in shares]
    assert [len(own) for own in chunks] == [2, 2, 2]
    assert len(set.union(*chunks)) == 6


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_host_that_dies_loses_no_finished_block(tmp_path: Path, whole: xr.Dataset) -> None:
    store = tmp_path / "s"
    first, second = _join(store, 2, 1, "--nap", "0.5")
    while not (store / "status" / "c").exists():
        assert {first.poll(), second.poll()} == {None}
    second.send_signal(signal.SIGKILL)
    second.communicate()
    first.terminate()
    first.communicate(timeout=240)
    kept = xr.open_zarr(store).load()
    assert kept.attrs["completeness"] == "incomplete"
    done = kept["status"].values > 0
    assert done.any()
    np.testing.assert_array_equal(kept["picture"].values[done], whole["picture"].values[done])
    problem.assert_same(problem.run(store), whole)


def test_a_mesh_may_be_given() -> None:
    mesh = ablation.point_mesh(jax.devices()[:1])
    found = ablation.run(
        lambda *, x: {"value": 2 * x}, {"x": np.arange(5.0)}, mesh=mesh, progress=False
    )
    np.testing.assert_array_equal(found["value"], 2 * np.arange(5.0))


def test_half_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="given together or not at all, got host:1, None, 0"):
        ablation.join_hosts("host:1", index=0)
    with pytest.raises(ValueError, match=r"index must lie in \[0, 2\), got 2"):
        ablation.join_hosts("host:1", 2, 2)
