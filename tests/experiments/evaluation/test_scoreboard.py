"""Who passes which check, on constructed scores; and the photographs as a source."""

from pathlib import Path

import numpy as np
import xarray as xr

from experiments import __main__ as command_line
from experiments.evaluation.scoreboard import Config, tables
from fitb_jax.evaluation.board_checks import CHECKS, judged, passes
from tests.experiments import checks

NAMES = ["random map", "centre", "Sobel edges", "good", "like a control", "bad"]


def board() -> xr.Dataset:
    """Scores of 20 images: "good" is above every control on each image, "bad" below."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=20)
    levels = np.array([0.0, 0.1, 0.2, 0.5, 0.2, -0.5])
    noise = 0.05 * rng.normal(size=(6, 20))
    high = xr.DataArray(levels[:, None] + difficulty[None] + noise, dims=("method", "image"))
    found = xr.Dataset({"insertion": high, "deletion": -high, "gini": high}, {"method": NAMES})
    return judged(found)


def test_a_method_passes_where_it_beats_every_control_image_by_image() -> None:
    passed = board()["passed"]
    # The images differ by more than the methods do: only paired differences show it.
    for name in ("insertion", "deletion"):
        assert passed.sel(check=name).values.tolist() == [0, 0, 0, 1, 0, 0]
    assert passed.sel(check="gini").isnull().all()


def test_sanity_columns_have_a_bound() -> None:
    values = xr.DataArray(
        [[0.4, 0.5], [0.6, 0.7], [np.nan, np.nan]],
        {"method": ["a", "b", "c"]},
        ("method", "image"),
    )
    random, shift = CHECKS["random_network"], CHECKS["input_shift"]
    assert passes(random, values).values.tolist() == [True, False, False], (
        "a constant map says nothing"
    )
    assert passes(shift, values).values.tolist() == [False, False, False]
    assert passes(shift, xr.ones_like(values[:1])).values.tolist() == [True]


def test_the_table_counts_and_names_the_failures() -> None:
    table, less_good = tables(Config(), board()).values()
    assert [*table.columns] == ["insertion", "deletion", "Gini", "passed", "fails"]
    assert table.loc["bad", "passed"] == "0 of 2"
    assert table.loc["good", "passed"] == "2 of 2"
    for name in set(NAMES) - {"good"}:
        assert table.loc[name, "fails"] == "insertion, deletion", "Gini is no judgement"
    assert table.loc["good", "fails"] == ""
    assert set(less_good.index) == {*NAMES} - {"good"}
    for title, sign in (("insertion", 1), ("deletion", -1)):
        _, low, high = less_good.loc["bad", title]
        # Images differ by 1, methods by 1 and noise of 0.05.
        assert -1.05 < sign * (low + high) / 2 < -0.95
        assert high - low < 0.1


def test_of_photographs_what_a_pretrained_network_allows_is_asked(
    stubbed: None, photo_dir: Path, tmp_path: Path
) -> None:
    options = ["--source", "photographs", "--photographs", "imagenet", "--no-progress"]
    folder = ["--results", str(tmp_path), "--photo-dir", str(photo_dir)]
    methods = ["--methods", "centre"]
    assert command_line.main(["scoreboard", "--smoke", *options, *methods, *folder]) == 0
    with xr.open_dataset(tmp_path / "scoreboard" / "results.nc") as found:
        asked = set(Config(source="photographs").columns)
        assert asked == set(found) & set(CHECKS)
        assert not asked & {"random_labels", "in_domain_deletion", "sensitivity", "pointing"}
        assert found["method"].values.tolist() == ["centre"]
    checks.check_redrawn("scoreboard", tmp_path)
