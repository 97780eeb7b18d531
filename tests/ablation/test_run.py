import itertools
import json
import logging
import math
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
import zarr

from fitb_jax import ablation, fill, masks
from tests.ablation import problem

OPTIMISED = True


def test_every_point_is_what_the_function_returns_there(whole: xr.Dataset) -> None:
    labels = {name: whole[name].values for name in ("network", "order", "ratio", "image", "seed")}
    grid = problem.grid()
    direct = jax.jit(problem.point, static_argnames="order")
    pictures = []
    for at in itertools.product((0, 2), (0, 1), (0, 2), (1, 4), (0, 1)):
        place = dict(zip(labels, at, strict=True))
        found = whole[["probability", "picture", "blanks"]].isel(place)
        expected = direct(
            network=jax.tree.map(lambda leaf, i=at[0]: leaf[i], problem.NETWORKS),
            order=problem.ORDERS[at[1]],
            ratio=labels["ratio"][at[2]],
            image=jax.tree.map(lambda leaf, i=at[3]: leaf[i], grid["image"].values),
            seed=at[4],
            key=_key(ratio=labels["ratio"][at[2]], image=at[3], seed=at[4]),
        )
        np.testing.assert_allclose(found["probability"], expected.probability, rtol=1e-5)
        np.testing.assert_allclose(found["picture"], expected.picture, atol=1e-5)
        assert found["blanks"] == expected.blanks
        pictures.append(expected.picture)
    assert np.std(pictures, axis=0).min() > 0


def _key(**labels: float) -> jax.Array:
    """As documented: the digests of the coordinates are added, and folded in by halves."""
    import hashlib

    digests = (
        hashlib.blake2b(f"{name}={np.asarray(label).item()!r}".encode(), digest_size=8).digest()
        for name, label in labels.items()
    )
    total = sum(int.from_bytes(digest, "little") for digest in digests) % 2**64
    key = jax.random.fold_in(jax.random.key(7), np.uint32(total >> 32))
    return jax.random.fold_in(key, np.uint32(total % 2**32))


def test_dimensions_coordinates_and_attributes_are_in_the_store(whole: xr.Dataset) -> None:
    assert whole["probability"].dims == ("network", "order", "ratio", "image", "seed")
    assert whole["update_mean"].dims == ("network", "order", "ratio", "y", "x", "channel")
    assert whole["spread_mean"].dims == ("network", "order", "ratio", "seed")
    assert whole["order"].values.tolist() == ["first", "second"]
    assert whole["ratio"].values.tolist() == [0.25, 0.5, 0.75]
    assert whole["probability"].attrs["long_name"] == "p(target) of the masked image"
    assert whole["update_mean"].attrs["units"] == "nats / intensity"
    assert whole.attrs["completeness"] == "complete"
    versions = json.loads(whole.attrs["fitb_jax_ablation"])["identity"]["versions"]
    assert versions["jax"] == jax.__version__
    assert (whole["status"] == 1).all()
    assert whole["blanks"].dtype == np.int32


def test_statistics_are_those_of_the_points(whole: xr.Dataset) -> None:
    found = problem.run(None, fields={})
    updates = found["update"].values.astype(np.float64)
    assert updates.shape == (3, 2, 3, 5, 2, *problem.SHAPE)
    np.testing.assert_allclose(whole["update_mean"], updates.mean((3, 4)), atol=1e-7)
    error = updates.std((3, 4), ddof=1) / np.sqrt(10)
    np.testing.assert_allclose(whole["update_standard_error"], error, rtol=1e-6, atol=1e-9)
    assert (whole["update_count"] == 10).all()
    spread = found["spread"].values.astype(np.float64)
    np.testing.assert_allclose(whole["spread_mean"], spread.mean(3), rtol=1e-7)


def test_any_axis_may_be_averaged_over(whole: xr.Dataset) -> None:
    over = ("network", "order", "seed")
    fields = {"probability": ablation.Field(reduction=ablation.Reduction(over))}
    found = problem.run(None, fields=fields)
    values = whole["probability"].astype(np.float64)
    assert found["probability_mean"].dims == ("ratio", "image")
    np.testing.assert_allclose(found["probability_mean"], values.mean(over), rtol=1e-6)
    error = values.std(over, ddof=1) / np.sqrt(12)
    np.testing.assert_allclose(found["probability_standard_error"], error, rtol=1e-6)


def test_the_expected_update_is_a_reduction() -> None:
    images, target = jnp.asarray(problem.IMAGES), 1

    def logits_fn(x: jax.Array) -> jax.Array:
        return (
            jax.nn.softplus(x.ravel() @ problem.NETWORKS["first"][0])
            @ (problem.NETWORKS["second"][0])
        )

    def hidden_update(*, image: jax.Array, seed: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        mask = masks.random_patches((6, 6), 0.5, 2, key=key)
        update = fill.first_order(logits_fn, image, mask, target)
        return {"update": jnp.where(mask[:, :, None] == 0, update, jnp.nan), "mask": mask}

    reduction = ablation.Reduction(("image", "seed"), ("mean", "count"))
    found = ablation.run(
        hidden_update,
        {"image": ablation.vmapped(images), "seed": np.arange(4)},
        key=jax.random.key(0),
        fields={"update": ablation.Field(reduction=reduction, nan_is_answer=True)},
        progress=False,
    )
    prototype = fill.expected_update(
        logits_fn, images, jnp.full(5, target), jnp.asarray(found["mask"].values)
    )
    np.testing.assert_array_equal(found["update_count"][..., 0], prototype.count)
    np.testing.assert_allclose(found["update_mean"], prototype.mean, atol=1e-6)


@pytest.mark.parametrize(("chunk", "block"), [(4, 7), (8, 30), (20, 5)])
def test_results_do_not_depend_on_chunks_and_blocks(
    chunk: int, block: int, whole: xr.Dataset
) -> None:
    problem.assert_same(problem.run(None, chunk=chunk, block=block), whole)


def test_results_do_not_depend_on_the_rest_of_the_grid(whole: xr.Dataset) -> None:
    smaller = problem.run(None, grid=problem.grid(orders=("second",), ratios=(0.75, 0.1)))
    names = ["probability", "picture", "blanks"]
    problem.assert_same(
        smaller[names].sel(order="second", ratio=0.75), whole[names].sel(order="second", ratio=0.75)
    )


def test_points_that_differ_in_other_axes_share_their_key(whole: xr.Dataset) -> None:
    blanks = problem.run(None, point_fn=_noise, fields={})["noise"].values
    assert (blanks == blanks[:1, :1]).all(), "networks and orders must share the noise"
    assert len(np.unique(blanks)) == 3 * 5 * 2
    own = problem.run(None, point_fn=_noise, fields={}, key_axes=None)["noise"].values
    assert len(np.unique(own)) == own.size


def _noise(*, key: jax.Array, **_: object) -> dict[str, jax.Array]:
    return {"noise": jax.random.normal(key)}


def test_one_compile_for_each_static_value(monkeypatch: pytest.MonkeyPatch) -> None:
    from fitb_jax.ablation import program

    compile_chunk = mock.Mock(wraps=program.compile_chunk)
    monkeypatch.setattr(program, "compile_chunk", compile_chunk)
    traces = []

    def counted(*, order: str, ratio: jax.Array, network: jax.Array) -> dict[str, jax.Array]:
        traces.append(order)
        return {"value": ratio * network}

    grid = {
        "order": ablation.static(["a", "b", "c"]),
        "network": ablation.looped(np.arange(4.0)),
        "ratio": np.linspace(0, 1, 23),
    }
    found = ablation.run(counted, grid, chunk=5, block=7, progress=False)
    np.testing.assert_allclose(found["value"][1], np.outer(np.arange(4), np.linspace(0, 1, 23)))
    assert compile_chunk.call_count == 3
    # What shapes and fingerprint are found by is what is compiled.
    assert sorted(traces) == ["a", "b", "c"] * (1 if jax.device_count() == 1 else 2)
    plan = ablation.plan(counted, grid, chunk=5, block=7)
    assert (plan.points, plan.compiles, plan.blocks, plan.chunks) == (276, 3, 48, 84)


def test_a_small_chunk_is_what_is_asked_for() -> None:
    def large(*, x: jax.Array) -> dict[str, jax.Array]:
        return {"v": jnp.full((1024, 1024, 4), x)}

    devices = ablation.point_mesh().size
    plan = ablation.plan(large, {"x": np.arange(9.0)}, chunk=3)
    assert plan.chunk == math.ceil(3 / devices) * devices
    plan = ablation.plan(large, {"x": np.arange(9.0)}, chunk="auto", memory=2**26)
    assert plan.chunk == devices


def test_a_static_value_that_does_not_compile_is_recorded_whatever_its_place() -> None:
    def point(*, kind: str, x: jax.Array) -> dict[str, jax.Array]:
        if kind == "bad":  # it can be traced, and not be vectorised
            x = jax.pure_callback(np.asarray, jax.ShapeDtypeStruct((), jnp.float32), x)
        return {"v": x}

    for kinds in (["bad", "good"], ["good", "bad"]):
        grid = {"kind": ablation.static(kinds), "x": np.arange(3.0)}
        found = ablation.run(point, grid, progress=False)
        assert (found["status"].sel(kind="good") == 1).all()
        assert (found["status"].sel(kind="bad") == 3).all()


def test_a_complex_value_that_is_not_finite_is_no_result() -> None:
    found = ablation.run(
        lambda *, x: {"v": jnp.log(x - 1) * 1j}, {"x": np.arange(1.0, 3.0)}, progress=False
    )
    assert found["status"].values.tolist() == [2, 1]


def test_the_plan_is_printed_before_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    ablation.run(lambda *, x: {"value": x}, {"x": np.arange(3.0)})
    said = capsys.readouterr().out
    assert "3 x = 3 points; " in said
    assert "to do: 1 block, 1 compile;" in said


def test_the_plan_says_what_will_be_done(tmp_path: Path) -> None:
    arguments = {"key": jax.random.key(7), "fields": problem.FIELDS, "chunk": 4, "block": 12}
    before = ablation.plan(problem.point, problem.grid(), store=tmp_path / "s", **arguments)
    assert before.points == 180
    assert before.axes == {"network": 3, "order": 2, "ratio": 3, "image": 5, "seed": 2}
    assert before.blocks == before.blocks_left == 18
    assert before.chunk_bytes > 4 * before.point_bytes
    assert "3 network x 2 order x 3 ratio x 5 image x 2 seed = 180 points" in str(before)
    assert not (tmp_path / "s").exists()
    found = problem.run(tmp_path / "s", key_axes=None)
    after = ablation.plan(problem.point, problem.grid(), store=tmp_path / "s", **arguments)
    assert after.blocks_left == 0
    kept = sum(found[name].nbytes for name in found.data_vars)
    assert after.store_bytes == kept
    work = zarr.open_group(tmp_path / "s" / "work", mode="r")
    pooled_from = [work[name].members() for name in ("update", "spread")]
    assert after.work_bytes == sum(array.nbytes for parts in pooled_from for _, array in parts)
    assert "more to pool from" in str(after)


@pytest.mark.usefixtures("unchecked")
def test_a_static_value_that_raises_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    store = tmp_path / "store"
    found = problem.run(store, grid=problem.grid(orders=("first", "third")))
    assert (found["status"].sel(order="first") == 1).all()
    assert (found["status"].sel(order="third") == 3).all()
    assert np.isnan(found["probability"].sel(order="third")).all()
    assert (found["update_count"].sel(order="third") == 0).all()
    failures = list(ablation.failures(store))
    assert len(failures) == 90
    assert failures[0].coordinates["order"] == "third"
    assert "order must be one of ['first', 'second'], got 'third'" in failures[0].reason
    with pytest.raises(ablation.PointError, match=r"'order': 'third'.*got 'third'"):
        problem.run(None, grid=problem.grid(orders=("first", "third")), strict=True)
    with pytest.raises(ValueError, match="got 'fourth'"):
        problem.run(None, grid=problem.grid(orders=("third", "fourth")))


def _explode(value: np.ndarray) -> np.ndarray:
    if (np.asarray(value) == 13).any():
        raise RuntimeError("thirteen is unlucky")
    return np.asarray(value, np.float32)


def _unlucky(*, x: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    value = jax.pure_callback(_explode, shape, x + 10 * y, vmap_method="expand_dims")
    return {"value": value, "root": jnp.sqrt(x - 2.0)}


GRID = {"y": np.arange(3, dtype=np.float32), "x": np.arange(8, dtype=np.float32)}


@pytest.mark.parametrize("chunk", [1, 5, 24])
def test_a_point_that_raises_is_found_in_its_chunk(chunk: int, tmp_path: Path) -> None:
    found = ablation.run(_unlucky, GRID, store=tmp_path / "s", chunk=chunk, progress=False)
    assert found["status"].values.tolist() == [
        [2, 2, 1, 1, 1, 1, 1, 1],
        [2, 2, 1, 3, 1, 1, 1, 1],
        [2, 2, 1, 1, 1, 1, 1, 1],
    ]
    values = found["value"].values
    assert np.isnan(values[1, 3])
    np.testing.assert_array_equal(np.delete(values.ravel(), 11)[:11], [*range(8), 10, 11, 12])
    failures = {tuple(f.coordinates.values()): f.reason for f in ablation.failures(tmp_path / "s")}
    assert "thirteen is unlucky" in failures[1.0, 3.0]
    assert failures[0.0, 1.0] == "not finite: root"
    assert len(failures) == 7


def test_nan_may_be_an_answer(tmp_path: Path) -> None:
    fields = {"root": ablation.Field(nan_is_answer=True)}
    grid = {"y": np.zeros(1, np.float32), "x": np.arange(8, dtype=np.float32)}
    found = ablation.run(_unlucky, grid, fields=fields, progress=False)
    assert (found["status"] == 1).all()
    assert np.isnan(found["root"]).sum() == 2
    with pytest.raises(ablation.PointError, match=r"'x': 0.0.*not finite: root"):
        ablation.run(_unlucky, grid, strict=True, progress=False)


def test_statistics_leave_out_what_is_not_finite() -> None:
    reduction = ablation.Reduction(("x",), ("mean", "count"))
    fields = {
        "root": ablation.Field(reduction=reduction),
        "value": ablation.Field(reduction=reduction),
    }
    found = ablation.run(_unlucky, GRID, fields=fields, block=3, chunk=2, progress=False)
    expected = np.sqrt(np.arange(6.0))
    assert found["root_count"].values.tolist() == [6, 5, 6]
    np.testing.assert_allclose(found["root_mean"][0], expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(found["root_mean"][1], np.delete(expected, 1).mean(), rtol=1e-6)


def test_memory_that_is_not_there_halves_the_chunk(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from fitb_jax.ablation import program

    compile_chunk = program.compile_chunk

    def with_little_memory(*arguments: object) -> program.Program:
        compiled = compile_chunk(*arguments)

        def call(*given: object) -> object:
            if compiled.chunk > 7:
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")
            return compiled.call(*given)

        return compiled._replace(call=call)

    monkeypatch.setattr(program, "compile_chunk", with_little_memory)
    with caplog.at_level(logging.WARNING):
        found = ablation.run(
            lambda *, x: {"value": x**2}, {"x": np.arange(50.0)}, chunk=25, lanes=10, progress=False
        )
    np.testing.assert_allclose(found["value"], np.arange(50.0) ** 2)
    assert (found["status"] == 1).all()
    assert [record.args for record in caplog.records] == [(20, 30), (10, 20), (5, 10)]


@pytest.mark.parametrize("memory", [2**19, 2**21, 2**24])
def test_chunks_fit_the_memory_asked_for(memory: int) -> None:
    def table(*, x: jax.Array) -> dict[str, jax.Array]:
        squares = jnp.outer(jnp.arange(64.0), jnp.arange(64.0)) * x
        return {"value": jnp.sort(squares, axis=0)}

    plan = ablation.plan(table, {"x": np.arange(20_000.0)}, chunk="auto", memory=memory)
    assert 0.4 * memory < plan.chunk_bytes <= memory


def test_a_grid_may_hold_keys_and_no_vmapped_axis() -> None:
    keys = jax.random.split(jax.random.key(3), 4)

    def draw(*, own: jax.Array) -> dict[str, jax.Array]:
        return {"value": jax.random.normal(own)}

    expected = jax.vmap(jax.random.normal)(keys)
    for axis in (ablation.vmapped(keys), ablation.looped(keys)):
        found = ablation.run(draw, {"own": axis}, progress=False)
        np.testing.assert_array_equal(found["value"], expected)


def test_static_values_of_numpy_and_a_point_that_takes_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def point(**given: Any) -> dict[str, Any]:
        return {"v": given["n"] * jax.random.uniform(given["key"], (given["n"],)).sum()}

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    grid = {"n": ablation.static(np.arange(1, 3))}
    fields = {"v": ablation.Field(nan_is_answer=True)}
    found = ablation.run(
        point, grid, key=jax.random.key(0), store=".", fields=fields, progress=False
    )
    assert found["n"].values.tolist() == [1, 2]
    assert (found["status"] == 1).all()
