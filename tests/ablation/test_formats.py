"""What is written as netCDF and zarr 2 is what was found; where a store may lie; what fits."""

import json
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from fitb_jax import ablation

OPTIMISED = True


def _point(*, method: str, on: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
    return {
        "value": x * 2,
        "root": jnp.sqrt(x - 1),
        "is_large": x > 1,
        "count": (3 * x).astype(jnp.int32),
        "mean": x + on,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("formats") / "s"
    fields = {
        "root": ablation.Field(units="seconds", meaning="of what is below 1", nan_is_answer=True),
        "mean": ablation.Field(reduction=ablation.Reduction(("on",))),
    }
    axes = {
        "method": ablation.static(["größe", "b"], meaning="name"),
        "on": ablation.vmapped(np.array([False, True])),
        "x": ablation.vmapped(np.arange(4, dtype=np.float32), labels=[10, 20, 30, 40]),
    }
    ablation.run(_point, axes, store=place, fields=fields, config={"a": [1]}, progress=False)
    return place


def _returned(place: Path) -> xr.Dataset:
    return ablation.run(
        lambda *, x: {"value": x > 0, "nothing": x / x},
        {"x": np.arange(3.0)},
        store=place,
        fields={"nothing": ablation.Field(nan_is_answer=True)},
        progress=False,
    )


@pytest.mark.parametrize("is_returned", [True, False], ids=["returned", "opened"])
def test_results_are_written_as_zarr_2_and_netcdf_and_read_back(
    is_returned: bool, tmp_path: Path, store: Path
) -> None:
    found = _returned(tmp_path / "s") if is_returned else xr.open_zarr(store).drop_encoding()
    found.to_zarr(tmp_path / "old", zarr_format=2)
    again = xr.open_zarr(tmp_path / "old").load()
    xr.testing.assert_identical(again, found.load())
    found.to_netcdf(tmp_path / "found.nc", engine="scipy")
    again = xr.load_dataset(tmp_path / "found.nc", engine="scipy")
    xr.testing.assert_identical(again, found)
    assert again["value" if is_returned else "is_large"].dtype == bool
    about = json.loads(again.attrs["fitb_jax_ablation"])
    assert about["identity"]["config"] == ({} if is_returned else {"a": [1]})
    assert again.attrs["completeness"] == "complete"


def test_a_store_opens_without_a_warning(store: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xr.open_zarr(store).load()
    assert found["status"].attrs["long_name"].startswith("0 not computed, 1 done")
    assert "units" not in found["value"].attrs


def test_an_empty_folder_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    plan = ablation.plan(lambda *, x: {"value": x}, {"x": np.arange(3.0)}, store=tmp_path / "s")
    assert plan.blocks_left == 1
    _returned(tmp_path / "s")
    assert ablation.verify(tmp_path / "s") == []
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def _double(*, x: Any, more: Any = 0) -> dict[str, jax.Array]:
    return {"value": jax.tree.leaves(x)[0] * 2}


INT = r"integers from -2147483648 to 2147483647 \(int32\)"
FLOAT = r"0 or magnitudes from 1e-45 to 3e\+38 \(float32\)"
TOO_LARGE: dict[str, tuple[Any, Any, str]] = {
    "seeds": ([7, 3_000_000_000], 0, rf"axis 'x' must hold {INT}, .* got 3000000000 at label 3000"),
    "beyond 64 bits": ([1, 2**70], 0, rf"axis 'x' must hold {INT}.* got 1180591620717411303424"),
    "negative": (np.array([-(2**40)]), 0, "got -1099511627776 at label -1099511627776"),
    "unsigned": (np.array([2**33], np.uint64), 0, r"to 4294967295 \(uint32\)"),
    "large": ([1.0, 1e300], 0, rf"axis 'x' must hold {FLOAT}, .* got 1e\+300 at label 1e\+300"),
    "small": (ablation.looped([1e-50]), 0, r"axis 'x' must hold .* got 1e-50 at label 1e-50"),
    "named": (
        ablation.vmapped({"a": np.array([[1, 2], [3, 2**40]])}, labels=["one", "two"]), 0,
        rf"axis 'x'\['a'\] must hold {INT}, .* got 1099511627776 at label 'two', index \(1,\)",
    ),
    "complex": (ablation.vmapped(np.array([1j, 1e99j]), labels=[0, 1]), 0, "got 1e"),
    "a shared number": ([1.0], 2**40, rf"shared 'more' must hold {INT}, .* got 1099511627776$"),
    "a shared array": (
        [1.0], {"w": np.array([[0.0, 1e-60]])},
        r"shared 'more'\['w'\] .* got 1e-60 at index \(0, 1\)",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", TOO_LARGE)
def test_what_devices_cannot_hold_is_refused_by_name(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fitb_jax.ablation import running

    monkeypatch.setattr(running, "trace_all", lambda *_: pytest.fail("traced"))
    values, more, message = TOO_LARGE[case]
    with pytest.raises(ValueError, match=message):
        ablation.run(_double, {"x": values}, shared={"more": more}, progress=False)


def test_ordinary_numbers_are_rounded() -> None:
    values = [0.0, 0.1, 1 / 3, -1e30, 1e-30]
    found = ablation.run(_double, {"x": values}, shared={"more": np.pi}, progress=False)
    np.testing.assert_array_equal(found["value"], 2 * np.asarray(values, np.float32))
    whole = np.array([2**31 + 5, 7], np.uint32)
    found = ablation.run(lambda *, x: {"value": x}, {"x": whole}, progress=False)
    np.testing.assert_array_equal(found["value"], whole)
    infinite = ablation.vmapped(np.array([np.inf, 1.0]), labels=[0, 1])
    found = ablation.run(
        _double, {"x": infinite}, fields={"value": ablation.Field(nan_is_answer=True)},
        progress=False,
    )  # fmt: skip
    assert np.isinf(found["value"][0])
