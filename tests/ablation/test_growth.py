"""A grid that gets more labels keeps the points that it has."""

import itertools
import json
import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

from fitb_jax import ablation
from fitb_jax.ablation import store as disk
from fitb_jax.ablation.program import Evaluator

OPTIMISED = True

FIELDS = {
    "over_x": ablation.Field(reduction=ablation.Reduction(("x",), ("mean", "count"))),
    "over_both": ablation.Field(reduction=ablation.Reduction(("x", "y"))),
}
METHODS = ("add", "multiply", "subtract")


def point(*, method: str, net: jax.Array, x: jax.Array, y: jax.Array, key: jax.Array) -> Any:
    noise = jax.random.normal(key)
    value = {"add": x + y, "multiply": x * y, "subtract": x - y}[method] * net + noise
    return {"value": value, "pair": jax.numpy.stack([value, noise]), "over_x": value,
            "over_both": value}  # fmt: skip


def grid(methods: int = 1, nets: int = 1, xs: int = 5, ys: int = 3) -> dict[str, Any]:
    return {
        "y": np.arange(ys, dtype=np.float32),
        "method": ablation.static(METHODS[:methods]),
        "x": ablation.vmapped(np.linspace(0, 1, 9)[:xs], labels=["x" * (i + 1) for i in range(xs)]),
        "net": ablation.looped(np.arange(1.0, 1 + nets, dtype=np.float32)),
    }  # fmt: skip


def run(store: Path | None, axes: dict[str, Any], **changes: Any) -> xr.Dataset:
    arguments = {
        "key": jax.random.key(1), "store": store, "chunk": 4, "block": 8, "lanes": 4,
        "fields": FIELDS, "progress": False, **changes,
    }  # fmt: skip
    return ablation.run(point, axes, **arguments).load()


def assert_same(a: xr.Dataset, b: xr.Dataset) -> None:
    for name in b.variables:
        if str(name).startswith("over"):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-6, err_msg=str(name))
        else:
            np.testing.assert_array_equal(a[name], b[name], err_msg=str(name))


@pytest.fixture(scope="session")
def large() -> xr.Dataset:
    return run(None, grid(3, 2, 9, 5))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the blocks that are computed."""
    results, sizes = Evaluator.results, []

    def noted(self: Evaluator, block: Any, **options: Any) -> Any:
        sizes.append(int(np.prod(block.shape)))
        return results(self, block, **options)

    monkeypatch.setattr(Evaluator, "results", noted)
    return sizes


@pytest.mark.parametrize(
    "larger",
    [{"xs": 9}, {"ys": 4}, {"methods": 2}, {"nets": 2},
     {"methods": 3, "nets": 2, "xs": 6, "ys": 5}],
    ids=lambda larger: "-".join(larger),
)  # fmt: skip
def test_only_the_new_points_are_computed(
    larger: dict[str, int], tmp_path: Path, computed: list[int], large: xr.Dataset
) -> None:
    store = tmp_path / "s"
    small = run(store, grid())
    assert sum(computed) == 15
    plan = ablation.plan(point, grid(**larger), store=store, key=jax.random.key(1), fields=FIELDS)
    assert 0 < plan.blocks_left < plan.blocks
    computed.clear()
    grown = run(store, grid(**larger))
    assert grown["status"].size - 15 == sum(computed)
    assert grown.attrs["completeness"] == "complete"
    assert (grown["status"] == 1).all()
    for name in ("value", "pair", "status"):
        old = grown[name].sel(
            {axis: small[axis] for axis in small.dims if axis in grown[name].dims}
        )
        np.testing.assert_array_equal(old, small[name])
        where = {axis: grown[axis] for axis in ("y", "method", "x", "net")}
        np.testing.assert_array_equal(grown[name], large[name].sel(where))
    np.testing.assert_allclose(grown["over_x_mean"], grown["value"].mean("x"), rtol=1e-5)
    assert (grown["over_x_count"] == grown.sizes["x"]).all()
    np.testing.assert_allclose(grown["over_both_mean"], grown["value"].mean(("x", "y")), 1e-5, 1e-6)
    assert ablation.verify(store) == []
    computed.clear()
    assert_same(run(store, grid(**larger)), grown)
    assert computed == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_any_way_of_growing_ends_with_the_same_store(
    seed: int, tmp_path: Path, large: xr.Dataset
) -> None:
    draw = random.Random(seed)
    largest = {"methods": 2, "nets": 1, "xs": 9, "ys": 5}
    sizes = {name: draw.randint(1, (n + 1) // 2) for name, n in largest.items()}
    found = run(tmp_path / "s", grid(**sizes))
    while sizes != largest:
        name = draw.choice([name for name in sizes if sizes[name] < largest[name]])
        sizes[name] = draw.randint(sizes[name] + 1, largest[name])
        found = run(tmp_path / "s", grid(**sizes), chunk=draw.choice([4, 8, 64]))
    where = {axis: found[axis] for axis in ("y", "method", "x", "net")}
    np.testing.assert_array_equal(found["value"], large["value"].sel(where))
    np.testing.assert_allclose(found["over_x_mean"], found["value"].mean("x"), rtol=1e-5, atol=1e-6)
    assert ablation.verify(tmp_path / "s") == []


def test_an_unfinished_grid_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, calls = Evaluator.results, 0

    def interrupted(self: Evaluator, block: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return results(self, block, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Evaluator, "results", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "s", grid(xs=5, ys=4))
    done = xr.open_zarr(tmp_path / "s")["status"].values > 0
    assert done.any()
    assert not done.all()
    grown = run(tmp_path / "s", grid(xs=6, ys=4))
    assert_same(grown, run(None, grid(xs=6, ys=4)))


def test_growing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path / "s", grid())
    with caplog.at_level(logging.INFO):
        run(tmp_path / "s", grid(xs=6, nets=2))
    assert "s grows: x from 5 to 6, net from 1 to 2" in caplog.text


def test_the_bar_starts_with_what_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "s", grid())
    run(tmp_path / "s", grid(xs=6), progress=True)
    assert "15.0/18.0" in capsys.readouterr().err
    plan = ablation.plan(
        point, grid(3, xs=6), key=jax.random.key(1), store=tmp_path / "s", fields=FIELDS,
        chunk=4, block=8, lanes=4,
    )  # fmt: skip
    assert plan.compiles == 2  # of the first method all is there


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "fewer labels": (grid(ys=2), r"axes.y.labels: the store has \[0.0, 1.0, 2.0\]"),
    "a label in front": (
        {**grid(), "y": np.arange(-1.0, 3.0, dtype=np.float32)},
        r"axes.y.labels: .*, this run has \[-1.0, 0.0, 1.0\] first",
    ),
    "an old value changed": (
        {**grid(), "net": ablation.looped(np.array([3.0, 2.0], np.float32), labels=[1.0, 2.0])},
        "axes.net.values: the store has",
    ),
    "floats for integers": (
        {**grid(), "net": ablation.looped(np.ones(2, np.float32), labels=[1, 2])},
        "axes.net.labels_are: the store has floats, this run has integers",
    ),
    "another kind": ({**grid(), "net": np.arange(1.0, 3.0, dtype=np.float32)}, "axes.net.kind"),
    "another order": ({k: grid()[k] for k in ("x", "method", "y", "net")}, "order: the store has"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_more_labels_behind_the_old_is_refused(case: str, tmp_path: Path) -> None:
    axes, message = REFUSED[case]
    before = run(tmp_path / "s", grid())
    with pytest.raises(ablation.StoreError, match=message) as raised:
        run(tmp_path / "s", axes)
    if "axes" in message:
        assert "an axis grows by labels behind those that the store has" in str(raised.value)
    assert_same(run(tmp_path / "s", grid()), before)


def test_many_labels_grow_as_well(tmp_path: Path) -> None:
    def names(count: int) -> dict[str, Any]:
        labels = [f"photo {10**i % 9973}-{i}" for i in range(count)]
        return {"x": ablation.vmapped(np.arange(count, dtype=np.float32), labels=labels)}

    def double(*, x: jax.Array) -> dict[str, jax.Array]:
        return {"value": 2 * x}

    for count in (21, 150):
        found = ablation.run(double, names(count), store=tmp_path / "s", progress=False)
    np.testing.assert_array_equal(found["value"], 2 * np.arange(150))
    other = {"x": ablation.vmapped(np.arange(200.0, dtype=np.float32))}
    with pytest.raises(ablation.StoreError, match=r"axes.x.labels: the store has 150 labels"):
        ablation.run(double, other, store=tmp_path / "s", progress=False)


class _Killed(BaseException):
    """Stands for SIGKILL: nothing is tidied up after it."""


def _killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop before the `step`-th thing that growing does to the disk, and do nothing after it."""
    steps = itertools.count()
    is_dead = False

    def watched(change: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **options: Any) -> Any:
            nonlocal is_dead
            if is_dead:
                return None
            if next(steps) == step:
                is_dead = True
                raise _Killed
            return change(*arguments, **options)

        return stepped

    changes = (
        (disk, "_create_arrays"),
        (disk, "_link_files"),
        (Path, "rename"),
        (shutil, "rmtree"),
    )
    for owner, name in changes:
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))


def test_a_kill_while_growing_leaves_the_old_store_or_the_new(tmp_path: Path) -> None:
    def evaluate(count: int, store: Path | None) -> xr.Dataset:
        axis = {"x": np.arange(count, dtype=np.float32)}
        fields = {"square": ablation.Field(reduction=ablation.Reduction(("x",)))}
        options: dict[str, Any] = {"fields": fields, "chunk": 2, "block": 4, "progress": False}
        found = ablation.run(
            lambda *, x: {"double": 2 * x, "square": x**2}, axis, store=store, **options
        )
        return found.load()

    origin = tmp_path / "origin"
    evaluate(5, origin)
    wanted = evaluate(7, None)
    seen = set()
    for step in range(99):
        store = tmp_path / f"{step}" / "s"
        shutil.copytree(origin, store)
        with pytest.MonkeyPatch.context() as patched:
            _killed_at(step, patched)
            try:
                evaluate(7, store)
                break
            except _Killed:
                pass
        size = 0
        if store.exists():
            found = xr.open_zarr(store).load()
            size = found.sizes["x"]
            np.testing.assert_array_equal(found["double"][:5], 2 * np.arange(5))
            assert found["status"].values.tolist() == [1] * 5 + [0] * (size - 5)
            assert (found.attrs["completeness"] == "complete") == (size == 5)
        seen.add(size)
        xr.testing.assert_allclose(evaluate(7, store), wanted, rtol=1e-12)
        assert ablation.verify(store) == []
        assert [path.name for path in store.parent.iterdir()] == ["s"]
    assert 10 < step < 99
    assert seen == {0, 5, 7}, "between two renames there is none, until it is run again"


def test_a_disk_that_is_full_while_growing_leaves_the_old_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zarr.storage

    store = tmp_path / "s"
    old = run(store, grid())
    put, count = zarr.storage._local._put, itertools.count()

    def full(*arguments: Any, **options: Any) -> Any:
        if next(count) == 12:
            raise OSError(28, "No space left on device")
        return put(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(zarr.storage._local, "_put", full)
        with pytest.raises(OSError, match="No space left"):
            run(store, grid(xs=6))
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert_same(xr.open_zarr(store).load(), old)
    assert_same(run(store, grid(xs=6)), run(None, grid(xs=6)))


def test_the_store_says_how_it_grew(tmp_path: Path) -> None:
    for xs in (3, 5, 6):
        found = run(tmp_path / "s", grid(xs=xs))
    meta = json.loads(found.attrs["fitb_jax_ablation"])
    assert meta["sizes"] == {"y": 3, "method": 1, "x": 6, "net": 1}
    assert meta["former"] == {"x": [3, 5]}
