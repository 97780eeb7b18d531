"""Tables of intervals side by side, and correlations of pairs."""

import numpy as np
import xarray as xr

from fitb_jax.evaluation import tables
from fitb_jax.evaluation.intervals import mean_interval, proportion_interval

RNG = np.random.default_rng(0)


def test_columns_stand_side_by_side_each_by_its_rule() -> None:
    found = xr.Dataset(
        {
            "p": (("method", "image", "size"), RNG.uniform(size=(2, 9, 2))),
            "hit": (("method", "image"), RNG.uniform(size=(2, 9)) < 0.5),
        },
        {"method": ["a", "b"], "size": [1, 2]},
    )
    titles = {"hit": "accuracy", "p": "p, size {size}"}
    rules = {"hit": proportion_interval}
    table = tables.interval_columns(found, titles, rows="method", over="image", of=rules)
    assert [*table.columns] == ["accuracy", "p, size 1", "p, size 2"]
    hits, p = (
        found["hit"].sel({"method": "b"}).values,
        found["p"].sel({"method": "b", "size": 2}).values,
    )
    assert table.loc["b", "accuracy"] == proportion_interval(hits)
    np.testing.assert_allclose(table.loc["b", "p, size 2"], mean_interval(p))


def test_pairs_are_correlated_without_what_is_nan() -> None:
    values = RNG.normal(size=(3, 2, 4, 5))
    values[0, 0, 0, 0] = np.nan
    maps = xr.DataArray(values, {"network": ["a", "b", "c"]}, ("network", "label", "y", "x"))
    pairs = [("a", "b"), ("b", "c")]
    found = tables.pair_correlations(maps, pairs, between="network", along=("y", "x"))
    assert found.dims == ("pair", "label")
    expected = np.corrcoef(values[0, 0].ravel()[1:], values[1, 0].ravel()[1:])[0, 1]
    np.testing.assert_allclose(found[0, 0], expected)
    np.testing.assert_allclose(
        found[1, 1], np.corrcoef(values[1, 1].ravel(), values[2, 1].ravel())[0, 1]
    )
