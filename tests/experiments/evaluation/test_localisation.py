"""Rows, keys and tables of `localisation`, against answers worked out by hand."""

import dataclasses
import types
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

from experiments.common import methods
from experiments.common.judges import Judged
from experiments.common.photographs import Explained
from experiments.core import discovery, running
from experiments.core.experiment import Experiment, Sweep
from experiments.core.labelled import notes_of
from experiments.evaluation import localisation
from experiments.evaluation.localisation import FIELDS, Config, Row, rows, tables
from fitb_jax import models

BY_SIZE = "pointing game by the size of the objects"


def test_rows_of_a_random_class_and_of_no_training_are_of_the_method_they_name() -> None:
    found = rows(models.untrained("efficientnet_lite0", key=jax.random.key(0)))
    for name in ("gradient", "Grad-CAM", "occlusion", methods.EXTREMAL):
        method = found[name].saliency_fn
        assert found[f"{name}{methods.UNTRAINED}"] == Row(method, is_untrained=True)
        assert found[f"{name}{methods.RANDOM_CLASS}"] == Row(methods.of_random_class(method))


def test_scores_are_means_over_runs_of_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second key's maps hit where the first key's missed, and of one photograph both did."""
    hits = {5: [0.0, 1.0], 6: [1.0, 1.0]}
    untrained: dict[int, Any] = {5: "untrained of 5", 6: "untrained of 6"}
    stand_in: Any = types.SimpleNamespace(logits_fn=None)
    net = Explained(
        pretrained=stand_in,
        untrained=untrained[5],
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
    backgrounds = np.zeros((1, 4, 4, 3), np.float32)
    judge: Any = types.SimpleNamespace(logits_fn=lambda image: image.mean((0, 1)), size=4)
    judged = Judged(net, judge, backgrounds, backgrounds, np.zeros(2, bool))
    alone = Config(seed=6, areas=(0.1,))

    def draw_untrained(name: str, *, key: jax.Array) -> types.SimpleNamespace:
        assert key == jax.random.key(6)
        return types.SimpleNamespace(logits_fn=untrained[6])

    def run_sweep(name: str, sweep: Sweep, config: Config) -> xr.Dataset:
        assert isinstance(sweep.options, Config)
        assert sweep.options.keys == 1
        seed = sweep.options.seed
        assert sweep.key == jax.random.key(seed)
        assert sweep.shared["untrained"] == untrained[seed]
        assert not sweep.name, "or the store of the key alone would not be found again"
        assert seed == 5 or sweep.options == alone
        hit = np.array(hits[seed])
        scores = {
            one: (("image", "method", *field.dims), hit.reshape(2, *[1] * (1 + len(field.dims))))
            for one, field in FIELDS.items()
        }
        return xr.Dataset(scores, {"method": ["gradient"], "image": net.names})

    monkeypatch.setattr(models, "untrained", draw_untrained)
    row = Row(lambda *inputs, key: None)
    monkeypatch.setattr(localisation, "rows", lambda pretrained: {"gradient": row})
    monkeypatch.setattr(localisation, "_seconds", lambda net, row: 0.0)
    monkeypatch.setattr(running, "run_sweep", run_sweep)
    experiment = dataclasses.replace(Experiment.of(localisation), load=lambda config: judged)
    listed = discovery.experiments()["localisation"]
    for keys, expected in ((1, [0, 1]), (2, [0.5, 1])):
        found = running.compute(listed, experiment, Config(seed=5, keys=keys, areas=(0.1,)))
        found = found.sel({"method": "gradient"})
        np.testing.assert_array_equal(found["pointing"], expected)
        np.testing.assert_array_equal(found["probability"].squeeze("area"), expected)
        assert any("2 random keys" in note for note in notes_of(found)) == (keys == 2)
    with pytest.raises(ValueError, match="keys"):
        Config(keys=0)


def localised(object_area: list[float], **scores: np.ndarray) -> xr.Dataset:
    """Results of the centre and of extremal masks, every score 1 where none is given."""
    shape = {"method": 2, "image": len(object_area)}
    return xr.Dataset(
        {
            "object_area": ("image", object_area),
            "object_class": ("image", np.arange(shape["image"])),
            "difficult": ("image", np.zeros(shape["image"], bool)),
            "seconds": ("method", np.ones(2)),
            **{
                name: (
                    (*shape, *field.dims),
                    np.reshape(
                        scores.get(name, np.ones((*shape.values(),))),
                        (*shape.values(), *[1] * len(field.dims)),
                    ),
                )
                for name, field in FIELDS.items()
            },
        },
        {"method": ["centre", methods.EXTREMAL], "area": [0.1]},
    )


def test_the_pointing_game_of_small_objects_is_theirs_alone() -> None:
    pointing = np.array([[1, 1, 0, 0, 1], [1, 1, 1, np.nan, 1]])
    found = localised([0.9, 0.4, 0.2, 0.1, 0.6], pointing=pointing)
    table = tables(Config(), found)[BY_SIZE]
    centre, ours = (
        [cell and f"{cell.estimate:.3f}" for cell in table.loc[name]] for name in table.index
    )
    assert [name for name in table.columns if "photographs" in name] == [
        "all (5 photographs)",
        "objects below 0.5 (3 photographs)",
        "objects below 0.25 (2 photographs)",
    ]
    # A case that is nobody's hit or miss leaves the pair, not the line.
    assert [*table.index] == ["centre", "extremal INR"]
    assert centre == ["0.600", "0.250", "0.333", "0.500", "0.000", "1.000"]
    assert ours == ["1.000", "", "1.000", "", "1.000", ""]
    assert BY_SIZE not in tables(Config(), localised([0.0] * 5, pointing=pointing))


def test_regions_are_compared_by_photograph() -> None:
    masks, centre = np.array([0.9, 0.8, 0.1]), np.array([0.5, 0.2, 0.3])
    found = localised([0.9, 0.4, 0.2], probability=np.stack([centre, masks]))
    table = tables(Config(), found)["p(class) of the regions: extremal INR less each map"]
    assert [*table.columns] == ["area 0.1, all", "area 0.1, objects below 0.5"]
    assert [*table.index] == ["centre"], "the masks are not compared with themselves"
    whole, small = table.loc["centre"]
    assert whole.estimate == pytest.approx(np.mean(masks - centre))
    assert small.estimate == pytest.approx(np.mean((masks - centre)[1:]))
    alone = tables(Config(), found.sel({"method": [methods.EXTREMAL]}))
    assert [len(table) for table in alone.values()] == [1, 0, 1]


def test_the_caption_is_of_the_method_with_the_most_p_of_the_class() -> None:
    probability = np.array([[0.1, 0.3], [0.5, 0.7]])
    found = localised([0.9, 0.4], probability=probability, pointing=np.array([[1, 1], [0, 1]]))
    said = localisation.caption(Config(areas=(0.1,)), found)
    assert "extremal INR has the most p(class), 0.600" in said
    assert "is 0.500" in said
