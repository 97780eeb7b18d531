"""Options that make no sense are refused before anything is read or compiled."""

from typing import Any

import pytest

from experiments.registry import EXPERIMENTS

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("extremal_quality", {"penalty_steps": -1}, "penalty_steps must be at least 0, got -1"),
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


@pytest.mark.parametrize(("name", "wrong", "message"), WRONG)
def test_options_out_of_range_are_refused(name: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EXPERIMENTS[name].config(**wrong)


@pytest.mark.parametrize("preset", [{}, {"smoke": True}, {"full": True}])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_presets_are_within_their_ranges(name: str, preset: dict[str, bool]) -> None:
    EXPERIMENTS[name].default(**preset)
