"""Lines of the tables of filled images."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from experiments.core.labelled import pictures
from experiments.fill import fill_fidelity
from experiments.fill._fidelity import MEASURES, score_table, unfilled
from fitb_jax import fill
from fitb_jax.evaluation.intervals import mean_interval, proportion_interval


@pytest.fixture
def found() -> xr.Dataset:
    """Scores of two networks, two orders, two masks and six images, as a sweep returns them."""
    rng = np.random.default_rng(0)
    dims = ("classifier", "update", "network", "setting", "image")
    shape = (2, 2, 2, 2, 6)
    scores = {name: (dims, rng.random(shape)) for name in fill.Fidelity._fields}
    for name in ("correct_masked", "correct_filled"):
        scores[name] = (dims, rng.integers(2, size=shape).astype(float))
    scores["ratio"], scores["patch"] = ("setting", [0.5, 0.25]), ("setting", [4, 7])
    labels = {
        "classifier": ["b", "a"],
        "update": ["first", "second"],
        "network": ["trained", "untrained"],
        "setting": ["ratio 0.5, patch 4", "ratio 0.25, patch 7"],
    }
    return xr.Dataset(scores, labels)


def test_scores_have_the_intervals_of_what_they_are(found: xr.Dataset) -> None:
    of = found.isel(classifier=0, setting=0)
    table = score_table(of, rows=("network", "update"))
    cell = of.sel(network="untrained", update="second")
    line = table.loc[("untrained", "second")]
    assert [*table.columns] == [*MEASURES.values()]
    assert line["p(target)"] == mean_interval(cell["probability_filled"])
    assert line["accuracy"] == proportion_interval(cell["correct_filled"])
    assert line["correlation"] == mean_interval(cell["correlation"])


def test_what_is_not_filled_has_no_correlation(found: xr.Dataset) -> None:
    of = found.isel(classifier=0, setting=0, network=0)
    line = score_table(unfilled(of), rows="update").loc["first"]
    assert line["p(target)"] == mean_interval(of["probability_masked"].sel(update="first"))
    assert line["accuracy"] == proportion_interval(of["correct_masked"].sel(update="first"))
    assert line["correlation"] == ""


def test_lines_of_the_table_of_fidelity(found: xr.Dataset) -> None:
    tables = fill_fidelity.tables(fill_fidelity.Config(), found)
    updates = ["none (masked)", *fill_fidelity.UPDATES]
    settings = [("b", 0.5, 4), ("b", 0.25, 7), ("a", 0.5, 4), ("a", 0.25, 7)]
    lines = [(*setting, update) for setting in settings for update in updates]
    assert [*tables["fidelity"].index] == lines
    cell = found.sel(classifier="a", network="untrained", update="first").isel(setting=1)
    line = tables["fidelity"].loc[("a", 0.25, 7, "first order, untrained")]
    assert line["p(target)"] == mean_interval(cell["probability_filled"])

    gains = tables["second order minus first, paired over images"]
    pd.testing.assert_index_equal(
        gains.index, pd.MultiIndex.from_tuples(settings, names=gains.index.names)
    )
    trained = found["correct_filled"].sel(classifier="b", network="trained").isel(setting=0)
    more = trained.sel(update="second") - trained.sel(update="first")
    assert gains.loc[("b", 0.5, 4), "accuracy"] == mean_interval(more)


def test_pictures_name_as_many_dimensions_as_there_are() -> None:
    named = pictures("digit", mask=np.zeros((2, 4, 5)), image=np.zeros((2, 4, 5, 1)), p=np.zeros(2))
    assert {name: dims for name, (dims, _) in named.items()} == {
        "mask": ("digit", "row", "column"),
        "image": ("digit", "row", "column", "channel"),
        "p": ("digit",),
    }
