"""What the experiments on extremal masks compute themselves, against answers worked out by hand."""

import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from experiments.extremal_disjoint import binarise_apart
from experiments.extremal_initialisations import agreement, groups

from experiments import (
    extremal_areas,
    extremal_initialisations,
    localisation,
)
from fitb_jax import extremal


def test_agreement_is_intersection_over_union_of_masks_of_the_same_area() -> None:
    left, right, both = np.zeros((3, 2, 4), bool)
    left[:, :2] = right[:, 2:] = both[:, 1:3] = True
    small = np.zeros((2, 4), bool)
    small[0, 0] = True
    some = np.stack([np.stack([left, small]), np.stack([both, small])])
    others = np.stack([np.stack([left, small]), np.stack([right, ~small])])
    expected = [[[1, 0], [1 / 3, 1 / 3]], [[1, 0], [1, 0]]]
    np.testing.assert_allclose(agreement(some, others), expected, rtol=1e-6)


def test_masks_that_overlap_are_of_one_group_and_the_largest_comes_first() -> None:
    family = np.array([1, 0, 0, 1, 0])
    iou = np.where(family[:, None] == family[None], 0.8, 0.2)
    np.fill_diagonal(iou, 1)
    found, order = groups(iou, 0.5)
    np.testing.assert_array_equal(found, family)
    assert (np.diff(family[order]) != 0).sum() == 1
    assert groups(iou, 0.1)[0].max() == 0
    assert groups(iou, 0.9)[0].max() == 4


def test_initialisations_are_fitted_with_the_grid_and_bandwidth_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class FitError(Exception):
        pass

    def fit_inr(*arguments: Any, **_: Any) -> None:
        raise FitError(arguments[3])

    net = types.SimpleNamespace(
        images=np.zeros((1, 8, 8, 3), np.float32),
        targets=np.zeros(1, int),
        pretrained=types.SimpleNamespace(logits_fn=jax.tree_util.Partial(jnp.sum)),
    )
    monkeypatch.setattr(extremal_initialisations, "explained", lambda config: net)
    monkeypatch.setattr(extremal, "fit_inr", fit_inr)
    config = extremal_initialisations.Config(grid=7, bandwidth=0.25, progress=False)
    with pytest.raises(FitError) as raised:
        extremal_initialisations.compute(config)
    (settings,) = raised.value.args
    assert (settings.grid, settings.network.bandwidth) == (7, 0.25)


def test_binary_masks_have_their_areas_and_do_not_overlap() -> None:
    first = jnp.linspace(0, 1, 20).reshape(4, 5)
    masks = jnp.stack([first, first, 1 - first])
    areas = jnp.array([0.2, 0.3, 0.5])
    found = binarise_apart(masks, areas)
    np.testing.assert_array_equal(found.sum((1, 2)), [4, 6, 10])
    np.testing.assert_array_equal(found.sum(0), np.ones((4, 5)))
    # The second wants what the first has, and takes the next best.
    np.testing.assert_array_equal(found[1].ravel().nonzero()[0], np.arange(10, 16))


def test_the_dense_areas_are_among_the_fine_ones_from_first_to_last() -> None:
    areas, places = extremal_areas.sweeps(extremal_areas.Config())
    assert places[0] == 0
    assert places[-1] == len(areas) - 1
    with pytest.raises(ValueError, match="every must divide the 56 steps"):
        extremal_areas.sweeps(extremal_areas.Config(every=5))


def test_scores_are_means_over_runs_of_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second key's maps hit where the first key's missed, and of one photograph both did."""
    hits = {5: [0.0, 1.0], 6: [1.0, 1.0]}
    net = localisation.Explained(
        pretrained=types.SimpleNamespace(logits_fn=None),
        untrained=None,
        images=np.zeros((2, 4, 4, 3), np.float32),
        targets=np.arange(2),
        labels=np.arange(2),
        predicted=np.arange(2),
        truths=np.ones((2, 4, 4), bool),
        ignored=np.zeros((2, 4, 4), bool),
        classes=np.arange(2),
        difficult=np.zeros(2, bool),
        names=["a", "b"],
        source="made here",
    )

    def run_grid(config: localisation.Config, run: Any) -> xr.Dataset:
        assert config.keys == 1
        assert run.arguments["key"] == jax.random.key(config.seed)
        hit = np.array(hits[config.seed])
        scores = dict.fromkeys(
            ("pointing", "mass", "rank", "iou"), (("image", "method"), hit[:, None])
        )
        curves = dict.fromkeys(
            ("precision", "probability"), (("image", "area", "method"), hit[:, None, None])
        )
        return xr.Dataset({**scores, **curves}, {"method": ["gradient"]})

    row = localisation.Row(lambda *inputs, key: None)
    monkeypatch.setattr(localisation, "recognised", lambda config: net)
    monkeypatch.setattr(localisation, "rows", lambda pretrained: {"gradient": row})
    monkeypatch.setattr(localisation, "run_grid", run_grid)
    monkeypatch.setattr(localisation, "_seconds", lambda net, row: 0.0)
    for keys, expected in ((1, [0, 1]), (2, [0.5, 1])):
        config = localisation.Config(seed=5, keys=keys, areas=(0.1,))
        found = localisation.compute(config)
        np.testing.assert_array_equal(found.arrays["pointing"], [expected])
        np.testing.assert_array_equal(found.arrays["probability"][..., 0], [expected])
        assert any("2 random keys" in note for note in found.notes) == (keys == 2)
    with pytest.raises(ValueError, match="keys"):
        localisation.compute(localisation.Config(keys=0))


def test_the_pointing_game_of_small_objects_is_theirs_alone() -> None:
    arrays = {
        "methods": np.array(["centre", "extremal INR"]),
        "object_area": np.array([0.9, 0.4, 0.2, 0.1, 0.6]),
        "pointing": np.array([[1, 1, 0, 0, 1], [1, 1, 1, np.nan, 1]]),
        "areas": np.array([0.1]),
        "seconds": np.ones(2),
        "classes": np.arange(5),
        "difficult": np.zeros(5, bool),
        **{name: np.ones((2, 5)) for name in ("mass", "rank", "iou")},
        **{name: np.ones((2, 5, 1)) for name in ("precision", "probability")},
    }
    found = localisation.tables(arrays)["pointing game by the size of the objects"]
    cells = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    centre, ours = ([cell.split(" [")[0] for cell in line.values()] for line in cells)
    assert [name for name in found.columns if "photographs" in name] == [
        "all (5 photographs)",
        "objects below 0.5 (3 photographs)",
        "objects below 0.25 (2 photographs)",
    ]
    # A case that is nobody's hit or miss leaves the pair, not the line.
    assert centre == ["centre", "0.600", "0.250", "0.333", "0.500", "0.000", "1.000"]
    assert ours == ["extremal INR", "1.000", "", "1.000", "", "1.000", ""]
    nowhere = arrays | {"object_area": np.zeros(5)}
    assert "pointing game by the size of the objects" not in localisation.tables(nowhere)


def test_regions_are_compared_by_photograph() -> None:
    masks, gradient = np.array([0.9, 0.8, 0.1]), np.array([0.5, 0.2, 0.3])
    arrays = {
        "methods": np.array(["gradient", "extremal INR"]),
        "object_area": np.array([0.9, 0.4, 0.2]),
        "areas": np.array([0.1]),
        "probability": np.stack([gradient, masks])[:, :, None],
    }
    found = localisation._differences(arrays)
    assert found.columns == ["map", "area 0.1, all", "area 0.1, objects below 0.5"]
    assert len(found.rows) == 1, "the masks are not compared with themselves"
    name, whole, small = found.rows[0]
    assert name == "gradient"
    assert whole.startswith(f"{np.mean(masks - gradient):.3f}")
    assert small.startswith(f"{np.mean((masks - gradient)[1:]):.3f}")
