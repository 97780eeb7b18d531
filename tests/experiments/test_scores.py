"""Who passes which check, on constructed scores."""

import numpy as np
import pytest
from experiments.sanity_cases import chosen

from experiments import methods, scores, verdicts

NAMES = ["random map", "centre", "Sobel edges", "good", "like a control", "bad"]


def board() -> dict[str, np.ndarray]:
    """Scores of 20 images: "good" is above every control on each image, "bad" below."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=20)
    levels = np.array([0.0, 0.1, 0.2, 0.5, 0.2, -0.5])
    noise = 0.05 * rng.normal(size=(6, 20))
    high = levels[:, None] + difficulty[None] + noise
    return {"insertion": high, "deletion": -high, "gini": high}


def test_a_method_passes_where_it_beats_every_control_image_by_image() -> None:
    found = verdicts.passes(board(), NAMES)
    # The images differ by more than the methods do: only paired differences show it.
    for name in ("insertion", "deletion"):
        assert found[name] == [False, False, False, True, False, False]
    assert found["gini"] == [None] * 6


def test_sanity_columns_have_a_bound() -> None:
    values = np.array([[0.4, 0.5], [0.6, 0.7], [np.nan, np.nan]])
    found = verdicts.passes({"random_network": values, "input_shift": values}, ["a", "b", "c"])
    assert found["random_network"] == [True, False, False], "a constant map says nothing"
    assert found["input_shift"] == [False, False, False]
    kept = verdicts.passes({"input_shift": np.ones((1, 2))}, ["a"])
    assert kept["input_shift"] == [True]


def test_the_table_counts_and_the_words_name_the_failures() -> None:
    table = verdicts.table(board(), NAMES)
    row = dict(zip(table.columns, table.rows[NAMES.index("bad")], strict=True))
    assert row["passed"] == "0 of 2"
    assert row["insertion"].endswith("fails")
    assert "fails" not in row["Gini"]
    good = dict(zip(table.columns, table.rows[NAMES.index("good")], strict=True))
    assert good["passed"] == "2 of 2"
    text = verdicts.said(board(), NAMES)
    assert "insertion: random map, centre, Sobel edges, like a control, bad" in text
    assert "Gini" not in text


def test_scores_are_found_again_in_the_arrays() -> None:
    arrays = {**board(), "methods": np.array(NAMES)}
    found, names = scores.from_arrays(arrays)
    assert names == NAMES
    assert set(found) == {"insertion", "deletion", "gini"}


def test_methods_are_chosen_by_name_in_their_order() -> None:
    every = methods.small_methods()
    assert [*chosen(every, ())] == [*every]
    assert [*chosen(every, ("RISE", "gradient"))] == ["gradient", "RISE"]
    with pytest.raises(ValueError, match="methods must be among"):
        chosen(every, ("Rise",))


def test_lists_of_methods_hold_ours_and_can_be_told_apart() -> None:
    every = methods.small_methods()
    assert set(methods.OURS) <= set(every)
    assert set(methods.CONTROLS) == set(methods.controls())
    assert "Grad-CAM" not in methods.small_methods("mlp")
    assert every == methods.small_methods(), "or jax.jit would trace them again"
    assert len({hash(method) for method in every.values()}) == len(every)
