"""What is typed: the list, help, options that make no sense, Ctrl-C."""

import dataclasses
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from experiments import __main__ as command_line
from experiments.core import discovery, reproduce
from tests.experiments import toy

EVERY = discovery.experiments()


def test_the_list_has_every_experiment_by_chapter(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        assert command_line.main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        for title in discovery.CHAPTERS.values():
            assert any(line.startswith(title) for line in lines)
        for name, one in EVERY.items():
            assert any(name in line and one.regenerates in line for line in lines), name


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    missing = []
    for name in [*EVERY, "reproduce"]:
        with pytest.raises(SystemExit) as stop:
            command_line.main([name, "--help"])
        text = capsys.readouterr().out
        options = ("--smoke", "--full", "--plot-only", "--data-dir", "--seed")
        missing += [(name, option) for option in options if option not in text]
        missing += [(name, "exit status")] * (stop.value.code != 0)
    assert not missing


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("extremal_quality", {"steps": -1}, "steps must be at least 0, got -1"),
    ("extremal_quality", {"dense_steps": 0}, "dense_steps must be at least 1, got 0"),
    ("extremal_areas", {"largest": 1.5}, r"must ascend strictly within \(0, 1\), got 0.04 and 1.5"),
    ("extremal_areas", {"smallest": 0.6, "largest": 0.1}, "got 0.6 and 0.1"),
    ("extremal_areas", {"smallest": 0.0}, "got 0.0 and 0.6"),
    ("extremal_areas", {"fine": 1}, "fine must be at least 2, got 1"),
    ("extremal_areas", {"every": 0}, "every must be at least 1, got 0"),
    ("extremal_areas", {"every": 5}, "every must divide the 56 steps"),
    ("inr_explain", {"frames": 0}, "frames must be at least 1, got 0"),
    ("inr_explain", {"count": -1}, "count must be at least 0, got -1"),
    ("inr_explain", {"seed": -1}, "seed must be at least 0, got -1"),
    ("inr_explain", {"areas": (0.2, 0.1)}, "areas must ascend strictly"),
    ("extremal_initialisations", {"initialisations": 1}, "initialisations must be at least 2"),
    ("extremal_warm_starts", {"held_out": 0}, "held_out must be at least 1, got 0"),
    ("extremal_warm_starts", {"budgets": ()}, r"budgets must ascend strictly.*got \(\)"),
    ("extremal_warm_starts", {"budgets": (4, 2)}, r"budgets must ascend strictly.*got \(4, 2\)"),
    ("extremal_warm_starts", {"budgets": (0, 2)}, "budgets must be at least 1, got 0"),
    ("extremal_scheme", {"features": 0}, "features must be at least 1, got 0"),
    ("extremal_disjoint", {"controls": 0}, "controls must be at least 1, got 0"),
    ("localisation", {"tolerance": -5}, "tolerance must be at least 0, got -5"),
    ("localisation", {"count": -9}, "count must be at least 0, got -9"),
    ("fill_in", {"digits": (3, -1)}, "digits must be at least 0, got -1"),
]


def test_options_out_of_range_are_refused_before_anything_is_read() -> None:
    for name, wrong, message in REFUSED:
        with pytest.raises(ValueError, match=message):
            discovery.load(EVERY[name]).config(**wrong)


BAD = [
    (["nothing"], "experiment must be one of"),
    (["photo_scoreboard"], "is called 'scoreboard --source photographs' since version 0.2.0"),
    (
        ["inr_explain", "--image=x.png"],
        "no --image since version 0.2.0; use 'fitb-jax explain PHOTO'",
    ),
    (["fill_in", "--smoke", "--full"], "--smoke and --full exclude each other"),
    (["fill_in", "--plot-only"], "no finished run"),
    (["fill_in", "--smoke", "--dataset", "mnits"], "mnist"),
    (["fill_in", "--smoke", "--digits", "11"], "labels must be among"),
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
    (["reproduce", "--smoke", "--only", "nothing"], "only must be one of"),
    (["publish"], "no finished run"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, so that a network that some train before they refuse is trained once."""
    return tmp_path_factory.mktemp("results")


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_options_are_one_line_on_stderr(
    arguments: list[str], message: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--results", str(results)] if len(arguments) > 1 or arguments == ["publish"] else []
    status = command_line.main([*arguments, *place])
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 1
    assert error.startswith("error: ")
    assert re.search(message, error), error
    assert not list(results.glob("*/results.nc")), "half a run is left"


@pytest.mark.parametrize(("name", "option"), [("fill_robust", "fills"), ("photo_regions", "ways")])
def test_a_row_that_there_is_not_is_refused_before_anything_is_read(name: str, option: str) -> None:
    default = discovery.load(EVERY[name]).default(smoke=True)
    with pytest.raises(ValueError, match=f"{option} must be one of .*, got 'nothing'"):
        dataclasses.replace(default, **{option: ("nothing",)})


def test_ctrl_c_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    broken = dataclasses.replace(toy.EXPERIMENT, compute=interrupted)
    monkeypatch.setattr(command_line, "experiments", lambda: {"toy": toy.LISTED})
    monkeypatch.setattr(command_line, "load", lambda listed: broken)
    assert command_line.main(["toy", "--results", str(tmp_path), "--no-progress"]) == 130
    assert "goes on from the blocks" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["grids"]


def test_what_needs_labelled_photographs_is_left_out_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        reproduce.run(
            reproduce.Config(
                results=tmp_path, smoke=True, progress=False, plan=True, only=("photo_accuracy",)
            )
        )
    assert "photo_accuracy is left out: labelled photographs are needed" in caplog.text
    assert not (tmp_path / "photo_accuracy").exists()
