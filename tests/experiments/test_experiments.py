import dataclasses
import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from experiments import __main__ as command_line
from experiments import provenance
from experiments.experiment import Outcome, is_current, load_outcome, run
from experiments.registry import EXPERIMENTS
from experiments.reproduce import Config, reproduce
from tests.experiments.conftest import HEAVY, LIGHT


@pytest.mark.parametrize("name", LIGHT)
def test_a_run_writes_config_metrics_arrays_and_figures(name: str, results: Path) -> None:
    _check_run(name, results)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_run_does_so_too_and_is_redrawn(name: str, heavy_results: Path) -> None:
    _check_run(name, heavy_results)
    _check_redrawn(name, heavy_results)


def _check_run(name: str, results: Path) -> None:
    folder = results / name
    config = json.loads((folder / "config.json").read_text())
    assert config["command"].startswith(f"python -m experiments {name} --smoke --photographs")
    assert {"jax", "jaxlib", "flax", "optax", "numpy", "python"} <= config["versions"].keys()
    assert config["device"]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert len(metrics["caption"]) > 100
    pictures = [array for array in load_outcome(folder).arrays.values() if array.ndim >= 4]
    assert all(np.nanmax(np.abs(array)) > 0 for array in pictures)
    figures = list(folder.glob("*.png"))
    assert figures
    for figure in figures:
        pixels = np.asarray(Image.open(figure).convert("L"))
        assert pixels.std() > 1, f"{figure.name} is blank"


@pytest.mark.parametrize("name", LIGHT)
def test_plot_only_redraws_the_same_figures_from_the_arrays(name: str, results: Path) -> None:
    _check_redrawn(name, results)


def _check_redrawn(name: str, results: Path) -> None:
    folder = results / name
    before = {path.name: np.asarray(Image.open(path)) for path in folder.glob("*.png")}
    for path in folder.glob("*.png"):
        path.unlink()
    assert command_line.main([name, "--plot-only", "--results", str(results), "--no-progress"]) == 0
    after = {path.name: np.asarray(Image.open(path)) for path in folder.glob("*.png")}
    assert before.keys() == after.keys()
    for figure, pixels in before.items():
        np.testing.assert_array_equal(pixels, after[figure])


def test_plans_are_printed_and_nothing_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--plan", "--smoke", "--results", str(tmp_path / "results"), "--no-progress"]
    assert command_line.main(["reproduce", *arguments, "--only", *LIGHT]) == 0
    printed = capsys.readouterr().out
    assert "2 update x 2 network x 4 setting x 20 image = 320 points; 2 compiles" in printed
    assert "fill_ablation_large: 2 order x 3 network x 10 label x 2 ratio x 2 patch" in printed
    assert "fill_in: no grid" in printed
    assert not (tmp_path / "results").exists()


def test_the_grids_of_experiments_are_complete_and_without_failures(results: Path) -> None:
    stores = list((results / "grids").iterdir())
    assert len(stores) == 4
    for store in stores:
        dataset = xr.open_zarr(store, consolidated=False)
        assert dataset.attrs["completeness"] == "complete"
        assert (dataset["status"] == 1).all()
        assert json.loads(dataset.attrs["fitb_jax_ablation"])["identity"]["config"]["options"]


def test_results_are_the_same_for_every_chunk_size(results: Path, tmp_path: Path) -> None:
    chosen = EXPERIMENTS["fill_ablation"]
    options = dataclasses.replace(
        chosen.default(smoke=True), results=results, progress=False, smoke=True, chunk=7
    )
    again = chosen.compute(options).arrays
    for name, array in load_outcome(results / "fill_ablation").arrays.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


def test_networks_are_found_again(results: Path) -> None:
    kept = {path: path.stat().st_mtime_ns for path in (results / "networks").iterdir()}
    assert kept
    options = EXPERIMENTS["fill_in"].default(smoke=True)
    run(
        EXPERIMENTS["fill_in"],
        dataclasses.replace(options, results=results, progress=False, smoke=True),
        command="python -m experiments fill_in --smoke",
    )
    assert {path: path.stat().st_mtime_ns for path in (results / "networks").iterdir()} == kept


def test_a_failing_run_leaves_the_finished_one(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in (results / "fill_in").iterdir()}

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    arguments = ["fill_in", "--smoke", "--results", str(results), "--no-progress"]
    assert command_line.main(arguments) == 1
    assert {path.name: path.read_bytes() for path in (results / "fill_in").iterdir()} == before
    assert not list(results.glob(".fill_in*")), "scratch is left behind"


def test_reproduce_skips_what_is_up_to_date(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_commit", lambda: "abc")
    folder = results / "fill_in"
    options = dataclasses.replace(
        EXPERIMENTS["fill_in"].default(smoke=True), results=results, smoke=True, progress=False
    )
    assert not is_current(folder, options), "made by another commit"
    run(EXPERIMENTS["fill_in"], options, command="python -m experiments fill_in --smoke")
    assert is_current(folder, options)
    assert not is_current(folder, dataclasses.replace(options, seed=1))
    monkeypatch.setattr(provenance, "_commit", lambda: "abc+changes")
    assert not is_current(folder, options), "no commit knows the files this was made from"


def test_a_data_set_that_is_absent_is_left_out_with_a_note(tmp_path: Path) -> None:
    chosen = EXPERIMENTS["fill_prototypes"]
    options = dataclasses.replace(
        chosen.default(smoke=True),
        results=tmp_path,
        data_dir=tmp_path,
        datasets=("mnist_5k", "fashion_mnist"),
        progress=False,
    )
    outcome = chosen.compute(options)
    assert any(note.startswith("fashion_mnist is left out") for note in outcome.notes)
    assert not any(name.startswith("fashion_mnist") for name in outcome.arrays)


def test_the_overview_lists_every_experiment() -> None:
    text = command_line.overview()
    for name, chosen in EXPERIMENTS.items():
        assert name in text
        assert chosen.regenerates in text


@pytest.mark.parametrize("name", [*EXPERIMENTS, "reproduce"])
def test_help_names_the_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command_line.main([name, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for option in ("--smoke", "--full", "--plot-only", "--data-dir", "--seed"):
        assert option in text


BAD = [
    (["nothing"], "experiment must be one of"),
    (["fill_in", "--smoke", "--full"], "--smoke and --full exclude each other"),
    (["fill_in", "--plot-only"], "no finished run"),
    (["fill_in", "--smoke", "--dataset", "mnits"], "mnist"),
    (["fill_in", "--smoke", "--digits", "11"], "digit must be one of the labels"),
    (["fill_in", "--smoke", "--patch", "99"], "patch must be at most"),
    (["fill_in", "--smoke", "--ratio", "1.5"], r"ratio must lie in \[0, 1\]"),
    (["fill_second_order", "--smoke", "--damping", "1"], "damping must lie in"),
    (["fill_fidelity", "--smoke", "--ratios", "0.5"], "one entry per mask setting"),
    (["photo_accuracy", "--smoke"], "labelled photographs are needed"),
    (["photo_fill_in", "--smoke", "--photographs", "imagenot"], "closest match: imagenet"),
    (["photo_fill_in", "--smoke", "--model", "resnet18"], "weights must be given"),
    (["photo_fidelity", "--smoke", "--rules", "third order"], "rules must be one of"),
    (["roar", "--smoke", "--methods", "nothing"], "methods must be among"),
    (["sanity_checks", "--smoke", "--methods", "nothing"], "methods must be among"),
    (["scoreboard", "--smoke", "--methods", "nothing"], "methods must be among"),
    (["stability", "--smoke", "--methods", "nothing"], "methods must be among"),
    (["stability", "--smoke", "--together", "1"], "together must be at least 2"),
    (["stability", "--smoke", "--groups", "90"], "groups must leave 2 images each"),
    (["local_approximation", "--smoke", "--perturbations", "no"], "perturbations must be among"),
    (["photo_prototypes", "--smoke", "--count", "2"], "at least 4 photographs"),
]


def test_what_needs_labelled_photographs_is_left_out_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in set(EXPERIMENTS) - {"photo_accuracy"}:
        monkeypatch.delitem(EXPERIMENTS, name)
    with caplog.at_level(logging.INFO):
        reproduce(Config(results=tmp_path, smoke=True, progress=False, plan=True))
    assert "photo_accuracy is left out: labelled photographs are needed" in caplog.text
    assert not (tmp_path / "photo_accuracy").exists()


def test_the_accuracy_is_that_of_the_photographs(results: Path) -> None:
    outcome = load_outcome(results / "photo_accuracy")
    # Two copies of a cat, an espresso and a rocket; at least one of the three is recognised.
    assert len(outcome.arrays["rank"]) == 6
    assert outcome.numbers["top-5"][0] >= 1 / 3


def test_photographs_that_the_network_has_no_class_for_are_refused(tmp_path: Path) -> None:
    (tmp_path / "gryphon").mkdir()
    Image.new("RGB", (300, 300), "red").save(tmp_path / "gryphon" / "a.png")
    options = dataclasses.replace(
        EXPERIMENTS["photo_accuracy"].default(smoke=True),
        results=tmp_path / "results",
        photographs="folder",
        photo_dir=tmp_path,
        progress=False,
    )
    with pytest.raises(ValueError, match="one class each that efficientnet_lite0 knows"):
        EXPERIMENTS["photo_accuracy"].compute(options)


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_options_are_one_line_on_stderr(
    arguments: list[str],
    message: str,
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = ["--results", str(tmp_path)] if len(arguments) > 1 else []
    status = command_line.main([*arguments, *place])
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 1
    assert error.startswith("error: ")
    assert re.search(message, error), error
    assert not list(tmp_path.glob("fill_*")), "half a run is left"


def test_ctrl_c_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> Outcome:
        raise KeyboardInterrupt

    broken = dataclasses.replace(EXPERIMENTS["fill_in"], compute=interrupted)
    monkeypatch.setitem(EXPERIMENTS, "fill_in", broken)
    assert command_line.main(["fill_in", "--results", str(tmp_path)]) == 130
    assert "are kept" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_damaged_arrays_are_named(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fill_in"
    folder.mkdir()
    (folder / "metrics.json").write_text((results / "fill_in" / "metrics.json").read_text())
    (folder / "arrays.npz").write_bytes((results / "fill_in" / "arrays.npz").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"arrays\.npz cannot be read"):
        load_outcome(folder)


def test_the_log_says_which_data_were_used(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = EXPERIMENTS["fill_in"]
    options = dataclasses.replace(chosen.default(smoke=True), results=results, progress=False)
    with caplog.at_level(logging.INFO):
        outcome = chosen.compute(options)
    assert "mnist_5k: 1000 test images" in caplog.text
    assert "embedded" in outcome.notes[0]
