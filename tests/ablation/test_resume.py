import functools
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
import zarr

from fitb_jax import ablation
from fitb_jax.ablation import running
from fitb_jax.ablation import store as disk
from tests.ablation import problem

OPTIMISED = True

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.ablation.problem"]


def _open(store: Path) -> xr.Dataset:
    return xr.open_zarr(store).load()


def _is_done(store: Path) -> np.ndarray:
    return _open(store)["status"].values > 0


@pytest.mark.parametrize(
    ("kills", "images"),
    [
        (2, 0),
        pytest.param(20, 0, marks=pytest.mark.slow),
        pytest.param(9, 3, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(600)
def test_a_run_killed_at_random_moments_ends_with_the_same_store(
    kills: int, images: int, tmp_path: Path, whole: xr.Dataset
) -> None:
    store = tmp_path / "store"
    moments = random.Random(kills)
    if images:
        problem.run(store, grid=problem.grid(images=images), block=4)
    # Blocks of a tenth of a second, so that most kills fall between the first and the last.
    for _ in range(kills):
        with subprocess.Popen(
            [*COMMAND, store, "--nap", "0.1"], cwd=ROOT, stdout=subprocess.PIPE
        ) as process:
            started = time.monotonic()
            while not (store / "status" / "c").exists() and time.monotonic() < started + 60:
                time.sleep(0.05)
            time.sleep(moments.uniform(0, 10 if images else 2 if kills > 3 else 1))
            is_done = process.poll() is not None
            process.send_signal(signal.SIGKILL)
        if not store.exists():  # between the renames that let it grow
            continue
        kept = _open(store)
        assert kept.attrs["completeness"] == "complete" if is_done else True
        if kept.attrs["completeness"] == "incomplete":
            part = whole.isel(image=slice(kept.sizes["image"]))
            done = kept["status"].values > 0
            np.testing.assert_array_equal(
                kept["picture"].values[done], part["picture"].values[done]
            )
            # Means are pooled when every block is done, and only then said to be complete.
            means = kept["update_mean"].values
            assert done.all() or np.isnan(means).all()
            is_pooled = ~np.isnan(means)
            wanted = part["update_mean"].values[is_pooled]
            np.testing.assert_allclose(means[is_pooled], wanted, rtol=1e-5, atol=1e-6)
    problem.assert_same(problem.run(store, chunk=8).load(), whole)
    assert ablation.verify(store) == []
    assert not list(store.rglob("*.partial"))


def test_two_processes_do_not_write_to_one_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_PATIENCE", 0)
    with disk.only_writer(tmp_path / "s"):
        with pytest.raises(disk.StoreError, match=r"another process is writing to .*s\. Wait"):
            problem.run(tmp_path / "s")
        problem.run(tmp_path / "another")
    with (
        disk.only_writer(tmp_path / "another"),
        pytest.raises(disk.StoreError, match="another process"),
    ):
        ablation.forget_failures(tmp_path / "another")
    assert not (tmp_path / "s").exists()


FIRST = problem.grid(orders=("first",))


def _count_writes(monkeypatch: pytest.MonkeyPatch, *, fails_at: int = -1) -> Iterator[int]:
    """Counts what zarr writes; one of the writes finds the disk full."""
    put, count = zarr.storage._local._put, itertools.count()

    def counted(*arguments: Any, **options: Any) -> Any:
        if next(count) == fails_at:
            raise OSError(28, "No space left on device")
        return put(*arguments, **options)

    monkeypatch.setattr(zarr.storage._local, "_put", counted)
    return count


@pytest.fixture(scope="module")
def writes(tmp_path_factory: pytest.TempPathFactory) -> int:
    with pytest.MonkeyPatch.context() as patched:
        count = _count_writes(patched)
        problem.run(tmp_path_factory.mktemp("writes") / "s", grid=FIRST)
    return next(count)


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.8, 0.95, 1])
def test_a_write_that_fails_loses_no_finished_block(
    share: float,
    writes: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: xr.Dataset,
) -> None:
    store = tmp_path / "store"
    with monkeypatch.context() as patched:
        _count_writes(patched, fails_at=round(share * (writes - 1)))
        with pytest.raises(OSError, match="No space left on device"):
            problem.run(store, grid=FIRST)
    if store.exists():
        assert _open(store).attrs["completeness"] == "incomplete"
        assert 0 <= _is_done(store).sum() <= 90
    problem.run(store, grid=FIRST)
    problem.assert_same(_open(store), whole.sel(order=["first"]))


def test_an_exception_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: xr.Dataset
) -> None:
    from fitb_jax.ablation.program import Evaluator

    results, calls = Evaluator.results, 0

    def interrupted(self: Evaluator, block: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return results(self, block, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Evaluator, "results", interrupted)
        with pytest.raises(KeyboardInterrupt):
            problem.run(tmp_path / "s")
    assert _is_done(tmp_path / "s").sum() == 5 * 10
    problem.assert_same(problem.run(tmp_path / "s").load(), whole)


@pytest.fixture
def tmpfs() -> Iterator[Path]:
    """A file system of 200 kB, which is soon full."""
    place = Path("/tmp") / f"fitb_jax_tmpfs_{os.getpid()}"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        place.rmdir()
        # Elsewhere the tests with a limit on the size of files cover what can be covered.
        pytest.skip("a small tmpfs can only be mounted as root")
    yield place
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()


def test_a_full_disk_is_an_error_and_room_is_all_it_takes(tmpfs: Path, whole: xr.Dataset) -> None:
    with pytest.raises(OSError, match="No space left"):
        problem.run(tmpfs / "store")
    assert _open(tmpfs / "store").attrs["completeness"] == "incomplete"
    assert 0 < _is_done(tmpfs / "store").sum() < 180
    subprocess.run(["mount", "-o", "remount,size=50m", str(tmpfs)], check=True)
    problem.assert_same(problem.run(tmpfs / "store").load(), whole)


def test_a_read_only_folder_is_an_error_and_loses_nothing(tmpfs: Path, whole: xr.Dataset) -> None:
    with pytest.raises(OSError, match="No space left"):
        problem.run(tmpfs / "store")
    done = _is_done(tmpfs / "store").sum()
    subprocess.run(["mount", "-o", "remount,ro,size=50m", str(tmpfs)], check=True)
    for place in ("store", "other"):
        with pytest.raises(OSError, match="Read-only file system"):
            problem.run(tmpfs / place)
    assert _is_done(tmpfs / "store").sum() == done
    subprocess.run(["mount", "-o", "remount,rw", str(tmpfs)], check=True)
    problem.assert_same(problem.run(tmpfs / "store").load(), whole)


def test_a_file_that_may_not_grow_is_an_error(tmp_path: Path, whole: xr.Dataset) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(running, "_compute", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            problem.run(tmp_path / "s")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
        with pytest.raises(OSError, match="File too large"):
            problem.run(tmp_path / "s")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    problem.assert_same(problem.run(tmp_path / "s").load(), whole)


@pytest.mark.parametrize("place", ["/proc/store", "/dev/null/store"])
def test_a_place_that_cannot_be_written_is_named(place: str) -> None:
    with pytest.raises(OSError, match=place.split("/")[1]):
        problem.run(Path(place))


def test_a_finished_grid_is_not_computed_again(
    whole_store: Path, monkeypatch: pytest.MonkeyPatch, whole: xr.Dataset
) -> None:
    from fitb_jax.ablation import program

    monkeypatch.setattr(program, "compile_chunk", lambda *_: pytest.fail("compiled again"))
    problem.assert_same(problem.run(whole_store), whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"epochs": 5}}, "config.epochs: the store has nothing, this run has 5"),
        ({"grid": problem.grid(ratios=(0.25, 0.5))}, r"axes.ratio.labels: the store has \[0.25, 0"),
        ({"grid": problem.grid(orders=("second",))}, "axes.order.labels"),
        ({"fields": {}}, r"fields.update.over: the store has \['image', 'seed'\]"),
        ({"key_axes": ("image",)}, "key_axes: the store has .*'ratio'"),
    ],
    ids=["config", "labels", "static", "fields", "key_axes"],
)
def test_a_store_of_another_run_is_refused_with_the_difference(
    change: dict[str, Any], message: str, whole_store: Path
) -> None:
    with pytest.raises(ablation.StoreError, match=message):
        problem.run(whole_store, **change)


def test_changed_code_is_refused(whole_store: Path) -> None:
    @functools.wraps(problem.point)
    def other(**arguments: Any) -> problem.Found:
        found = problem.point(**arguments)
        return found._replace(probability=found.probability + 1)

    with pytest.raises(
        ablation.StoreError, match=r"program.order=first: the store has [0-9a-f]{16}"
    ) as refused:
        problem.run(whole_store, point_fn=other)
    assert "the code of the point function" in str(refused.value)


def test_another_format_and_what_is_no_store_are_refused(tmp_path: Path, whole_store: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(whole_store, store)
    root = zarr.open_group(store, mode="r+")
    meta = json.loads(root.attrs["fitb_jax_ablation"])
    for attribute in (json.dumps({**meta, "format": 99}), {"format": 99}):
        root.attrs["fitb_jax_ablation"] = attribute
        with pytest.raises(
            ablation.StoreError, match="has format 99, this version of fitb_jax reads 2"
        ):
            problem.run(store)
    (tmp_path / "other" / "something").mkdir(parents=True)
    (tmp_path / "file").write_text("hello")
    for name in ("other", "file"):
        with pytest.raises(ablation.StoreError, match=f"{name} is not the store of a grid"):
            problem.run(tmp_path / name)
    assert (tmp_path / "file").read_text() == "hello"


@pytest.mark.parametrize(
    "part",
    ["picture/c/0/0/0/0/0/0/0", "update_mean/c/1/0/0/0/0/0", "status/c/2/1/0/0/0",
     "work/update/mean/c/0/1/0/0/0/0/0/0", "ratio/c/0"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["bits", "length"])
def test_damaged_files_are_found(part: str, damage: str, tmp_path: Path, whole_store: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(whole_store, store)
    assert ablation.verify(store) == []
    content = bytearray((store / part).read_bytes())
    content[len(content) // 2] ^= 1
    (store / part).write_bytes(content if damage == "bits" else content[:-5])
    if not part.startswith("work"):
        with pytest.raises(ValueError, match=r"checksum|buffer|size|reshape|Checksum|shape"):
            _open(store)
    assert ablation.verify(store) == [part]


def test_what_is_lost_is_found_and_computed_again(tmp_path: Path) -> None:
    # Chunks that hold nothing but nan or 0 are files as well.
    place = tmp_path / "s"
    fields = {
        "v": ablation.Field(nan_is_answer=True),
        "w": ablation.Field(reduction=ablation.Reduction(("y",))),
    }
    grid = {
        "x": ablation.vmapped(np.zeros(1), labels=["nothing"]),
        "y": np.arange(4.0),
    }

    def point(*, x: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
        return {"v": jnp.where(y < 2, jnp.nan, y), "w": x * y}

    def run() -> xr.Dataset:
        return ablation.run(
            point, grid, store=place, fields=fields, chunk=2, block=2, progress=False
        )

    whole = run().load()
    assert ablation.verify(place) == []
    files = [file.relative_to(place) for file in place.rglob("*") if file.is_file()]
    parts = sorted(str(file) for file in files if "c" in file.parts and "reason" not in file.parts)
    tops = {"status", "v", "w_mean", "w_standard_error", "work", "x", "y"}
    assert {part.split("/")[0] for part in parts} == tops
    for part in parts:
        content = (place / part).read_bytes()
        (place / part).unlink()
        (place / ".DS_Store").touch()
        (place / part).with_name(".DS_Store").touch()
        if not part.startswith("status"):
            assert ablation.verify(place) == [part]
        xr.testing.assert_identical(run().load(), whole)
        assert (place / part).read_bytes() == content


def test_a_scalar_statistic_is_checked_as_well(tmp_path: Path) -> None:
    place = tmp_path / "s"
    fields = {"v": ablation.Field(reduction=ablation.Reduction(("x",)))}
    x = {"x": np.arange(3.0)}
    ablation.run(lambda *, x: {"v": x}, x, store=place, fields=fields, progress=False)
    content = bytearray((place / "v_mean" / "c").read_bytes())
    content[0] ^= 1
    (place / "v_mean" / "c").write_bytes(content)
    assert ablation.verify(place) == ["v_mean/c"]


def test_failures_can_be_forgotten_and_computed_again(tmp_path: Path) -> None:
    is_lucky = False

    def explode(value: np.ndarray) -> np.ndarray:
        if not is_lucky and (np.asarray(value) == 5).any():
            raise RuntimeError("no memory today")
        return np.asarray(value, np.float32)

    def point(*, x: jax.Array) -> dict[str, jax.Array]:
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        return {"v": jax.pure_callback(explode, shape, x, vmap_method="expand_dims")}

    fields = {"v": ablation.Field(reduction=ablation.Reduction(("x",), ("mean",)))}
    for name, given in (("plain", {}), ("reduced", fields)):
        is_lucky = False
        arguments = {"store": tmp_path / name, "chunk": 2, "block": 2, "progress": False}
        arguments["fields"] = given
        grid = {"x": np.arange(8.0)}
        assert ablation.run(point, grid, **arguments)["status"].values.tolist()[5] == 3
        with pytest.raises(ablation.PointError, match=r"'x': 5.0.*already.*no memory today"):
            ablation.run(point, grid, strict=True, **arguments)
        is_lucky = True
        assert ablation.run(point, grid, **arguments)["status"].values.tolist()[5] == 3
        assert ablation.forget_failures(tmp_path / name) == 1
        found = ablation.run(point, grid, strict=True, **arguments)
        assert (found["status"] == 1).all()
        assert ablation.forget_failures(tmp_path / name) == 0
    assert found["v_mean"].item() == 3.5


def test_a_rule_that_raised_is_mended_and_its_points_alone_are_computed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    computed: list[str] = []

    def note(name: str, value: np.ndarray) -> np.ndarray:
        computed.append(name)
        return np.asarray(value, np.float32)

    def point(*, rule: Callable, x: jax.Array) -> dict[str, jax.Array]:
        return {"v": rule(x)}

    def double(x: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        noted = functools.partial(note, "double")
        return 2 * jax.pure_callback(noted, shape, x, vmap_method="expand_dims")

    def broken(x: jax.Array) -> jax.Array:
        return x * no_such_name  # type: ignore[name-defined]

    def grid(*rules: Callable, points: int = 6) -> dict[str, Any]:
        labels = ["double", "mine", "third"][: len(rules)]
        return {
            "x": np.arange(float(points)), "rule": ablation.static(rules, labels=labels)
        }  # fmt: skip

    run = functools.partial(
        ablation.run, point, chunk=2, block=2, progress=False, store=tmp_path / "s"
    )
    first = run(grid(double, broken))
    assert first["status"].sel(rule="mine").values.tolist() == [3] * 6
    said = [record.getMessage() for record in caplog.records]
    assert "every point of rule=mine fails: NameError: name 'no_such_name'" in said[0]
    assert "s: 6 of 12 points failed or are not finite: ablation.failures lists them" in said[1]
    computed.clear()
    # The same failure is not computed again, and neither is what is good.
    assert (run(grid(double, broken))["status"] == first["status"]).all()
    # A run that stops before it has computed anything leaves the rest to the next one.
    with pytest.raises(ablation.StoreError, match=r"axes.x.labels"):
        run(grid(double, jnp.square, points=5))
    mended = run(grid(double, jnp.square, jnp.sqrt, points=8))
    assert (mended["status"] == 1).all()
    np.testing.assert_allclose(mended["v"].sel(rule="mine"), np.arange(8.0) ** 2)
    assert len(computed) == 1, "only the new points of the good rule"
    with pytest.raises(ablation.StoreError, match=r"program.rule=mine: .*have changed|has changed"):
        run(grid(double, jnp.abs, jnp.sqrt, points=8))
    with pytest.raises(ablation.StoreError, match="results, and this run raises NameError: mend"):
        run(grid(double, broken, jnp.sqrt, points=8))
    run(grid(double, jnp.square, jnp.sqrt, points=8), progress=True)
    assert "s: 24 points, all done" in capsys.readouterr().out


def test_shared_arguments_that_differ_are_named(tmp_path: Path) -> None:
    def point(*, x: jax.Array, weights: jax.Array, scale: jax.Array) -> dict[str, jax.Array]:
        return {"v": scale * weights.sum() * x}

    run = functools.partial(
        ablation.run, point, {"x": np.arange(3.0)}, store=tmp_path / "s", progress=False
    )
    shared = {"weights": np.ones(3, np.float32), "scale": np.float32(2)}
    run(shared=shared)
    with pytest.raises(ablation.StoreError, match=r"shared.weights: the store.*") as raised:
        run(shared={**shared, "weights": np.zeros(3, np.float32)})
    assert "shared.scale" not in str(raised.value)
    assert "models.train_or_restore" in str(raised.value)


def test_tuples_in_a_config_are_the_lists_that_are_read(tmp_path: Path) -> None:
    for _ in range(2):
        ablation.run(
            lambda *, x: {"v": x}, {"x": np.arange(2.0)}, store=tmp_path / "s",
            config={"a": ((1, 2), (3,))}, progress=False,
        )  # fmt: skip


def test_only_blocks_that_are_not_done_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fitb_jax.ablation.program import Evaluator

    before = problem.run(tmp_path / "s", fields={}).load()
    disk.forget(tmp_path / "s", [(1, 0, 2, 0, 0)])
    assert (_open(tmp_path / "s")["status"].values == 0).sum() == 10
    results, starts = Evaluator.results, []

    def noted(self: Evaluator, block: Any, **options: Any) -> Any:
        starts.append(block.start)
        return results(self, block, **options)

    monkeypatch.setattr(Evaluator, "results", noted)
    problem.assert_same(problem.run(tmp_path / "s", fields={}), before)
    assert starts == [(1, 0, 2, 0, 0)]
