"""How an experiment is run, continued, saved and redrawn: by a toy."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from experiments.core import artefact, running
from experiments.core.experiment import Experiment, Sweep
from experiments.core.labelled import notes_of
from fitb_jax import ablation
from fitb_jax.evaluation.intervals import Interval
from tests.experiments import toy

COMMAND = "python -m experiments toy"


def _run(results: Path, experiment: Experiment = toy.EXPERIMENT, **options: Any) -> Path:
    config = toy.Config(results=results, progress=False, **options)
    return running.run(toy.LISTED, experiment, config, command=COMMAND)


def test_results_are_labelled_and_say_what_they_are_of(tmp_path: Path) -> None:
    folder = _run(tmp_path, seed=3)
    found = artefact.load(folder)
    assert found["product"].sel(factor=3, image="ccc") == 9
    assert found["length"].sel(image="bb") == 2
    assert "factor times number" in found["product"].attrs.values()
    assert "status" not in found
    assert notes_of(found) == ["3 numbers"]
    made_by = artefact.made_by(found)
    assert made_by["command"] == COMMAND
    assert made_by["options"]["seed"] == 3
    assert made_by["options"]["pairs"] == [["x", 1], ["y", 2]]
    assert "progress" not in made_by["options"]


def test_tables_and_numbers_are_read_off_the_results(tmp_path: Path) -> None:
    metrics = running.read_metrics(_run(tmp_path))
    assert metrics["regenerates"] == "Figure 1"
    assert metrics["numbers"] == {"largest": 9.0}
    table = metrics["tables"]["products"]
    assert table["columns"] == ["factor", "mean"]
    assert table["rows"][0][0] == 2
    assert table["rows"][0][1]["estimate"] == 4
    assert table["rows"][0][1]["low"] < 4 < table["rows"][0][1]["high"]


def test_a_redrawn_figure_is_of_the_options_of_the_run(tmp_path: Path) -> None:
    pairs = (("z", 9),)
    folder = _run(tmp_path, pairs=pairs)
    before = np.asarray(Image.open(folder / "line.png"))
    (folder / "line.png").unlink()
    (folder / running.METRICS).unlink()
    _run(tmp_path, plot_only=True)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "line.png")), before)
    assert running.read_metrics(folder)["caption"] == "Products."


def test_nothing_is_redrawn_where_nothing_was_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no finished run in .*results\.nc is missing"):
        _run(tmp_path, plot_only=True)


def test_damaged_results_are_named(tmp_path: Path) -> None:
    path = _run(tmp_path) / artefact.RESULTS
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"results\.nc cannot be read"):
        _run(tmp_path, plot_only=True)


def test_a_failing_run_leaves_the_finished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _run(tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full_disk)
    with pytest.raises(OSError, match="No space left"):
        _run(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not list(tmp_path.glob(".toy*")), "scratch is left behind"


def test_a_stopped_run_continues_its_grid(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(*_: Any) -> xr.Dataset:
        raise StopError

    with pytest.raises(StopError):
        _run(tmp_path, dataclasses.replace(toy.EXPERIMENT, compute=stop))
    (store,) = (tmp_path / "grids").iterdir()
    written = {path: path.stat().st_mtime_ns for path in (store / "product").rglob("*")}
    _run(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in (store / "product").rglob("*")} == written


def test_a_folder_with_one_more_image_has_a_store_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        _run(tmp_path, images=("a", "bb"))
        _run(tmp_path, images=("a", "bb"))
        assert not caplog.records
        _run(tmp_path, images=("a", "bb", "ccc"))
    assert "starts anew" in caplog.text
    assert len([*(tmp_path / "grids").iterdir()]) == 2


def test_stores_say_which_options_they_are_of(tmp_path: Path) -> None:
    _run(tmp_path)
    (store,) = (tmp_path / "grids").iterdir()
    with xr.open_zarr(store, consolidated=False) as found:
        assert found.attrs["completeness"] == "complete"
        assert (found["status"] == 1).all()
        assert "images" in str(found.attrs)


def test_a_plan_says_what_the_grids_will_do_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def two(config: toy.Config, net: None) -> list[Sweep]:
        first = toy.sweep(config, net)
        return [first, dataclasses.replace(first, name="again")]

    _run(tmp_path / "results", plan=True)
    _run(tmp_path / "results", dataclasses.replace(toy.EXPERIMENT, sweep=two), plan=True)
    one, first, again = capsys.readouterr().out.splitlines()
    assert one == first
    assert "2 factor x 3 image = 6 points; " in first
    assert "2 compiles" in first
    assert again == "toy again: 2 factor x 3 image = 6 points, like the first"
    assert not (tmp_path / "results").exists()


def test_a_plan_says_what_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(tmp_path)
    _run(tmp_path, plan=True)
    (store,) = (tmp_path / "grids").iterdir()
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"toy: 2 factor x 3 image = 6 points, 6 of them done in {store}"


def test_an_option_of_the_figure_alone_computes_no_point_anew(tmp_path: Path) -> None:
    for pairs in ((("x", 1),), (("y", 2),)):
        _run(tmp_path, pairs=pairs)
    assert len([*(tmp_path / "grids").iterdir()]) == 1


def test_options_that_a_redrawn_run_does_not_have_are_refused(tmp_path: Path) -> None:
    _run(tmp_path, images=("a", "bb"))
    _run(tmp_path, plot_only=True)
    _run(tmp_path, plot_only=True, images=("a", "bb"))
    with pytest.raises(ValueError, match=r"images of the run that --plot-only redraws is .*'bb'"):
        _run(tmp_path, plot_only=True, images=("a",))


def test_an_experiment_without_a_grid_computes(tmp_path: Path) -> None:
    def compute(config: toy.Config, net: None) -> xr.Dataset:
        values = {"product": (("factor", "image"), np.ones((1, 2)))}
        return xr.Dataset(values, {"factor": [2], "image": ["a", "b"]})

    bare = Experiment(
        config=toy.Config,
        load=lambda config: None,
        compute=compute,
        draw=toy.draw,
        caption=lambda config, found: "Ones.",
    )
    assert artefact.load(_run(tmp_path, bare))["product"].sum() == 2
    assert running.plan(toy.LISTED, bare, toy.Config()) == ["toy: no grid"]


def test_intervals_come_back_from_the_file(tmp_path: Path) -> None:
    from experiments.core.labelled import interval_variable

    interval = Interval(0.5, 0.25, float("nan"))
    artefact.save(
        xr.Dataset({"accuracy": interval_variable(interval), "names": ("k", ["a", "b"])}),
        artefact.provenance(toy.Config(), COMMAND),
        tmp_path,
    )
    found = artefact.load(tmp_path)
    np.testing.assert_array_equal(found["accuracy"], interval)
    assert found["accuracy"].sel(interval="low") == 0.25
    assert found["names"].values.tolist() == ["a", "b"]


def test_what_is_current_has_these_options_and_a_clean_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefact, "_commit", lambda: "abc")
    folder = _run(tmp_path)
    config = toy.Config(results=tmp_path, progress=False)
    assert artefact.is_current(folder, config)
    assert not artefact.is_current(folder, dataclasses.replace(config, seed=1))
    monkeypatch.setattr(artefact, "_commit", lambda: "abd")
    assert not artefact.is_current(folder, config), "made by another commit"
    monkeypatch.setattr(artefact, "_commit", lambda: "abc+changes")
    assert not artefact.is_current(folder, config), "no commit knows the files this was made from"


def test_a_failing_point_stops_a_strict_run(tmp_path: Path) -> None:
    def infinite(*, factor: int, image: Any, key: Any) -> dict[str, Any]:
        return {"product": image / 0}

    def sweep(config: toy.Config, net: None) -> Sweep:
        return dataclasses.replace(toy.sweep(config, net), point=infinite)

    broken = dataclasses.replace(toy.EXPERIMENT, sweep=sweep)
    with pytest.raises(ablation.PointError):
        _run(tmp_path, broken, strict=True)
