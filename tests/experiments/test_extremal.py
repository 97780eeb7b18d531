"""What the experiments on extremal masks compute themselves, against answers worked out by hand."""

import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from experiments.extremal_warm_starts import fresh, smoothed, steps_to

from experiments import (
    extremal_settings,
    localisation,
    mask_methods,
)
from fitb_jax import extremal


def test_steps_count_to_the_share_of_what_fresh_weights_gain() -> None:
    cold = np.array([0.0, 4.0, 8.0, 9.6, 10.0])
    early = np.array([9.0, 9.5, 9.4, 9.4, 9.4])
    never = np.array([9.0, 9.4, 9.4, 9.4, 9.4])
    curves = np.stack([cold, early, never])[:, None, None]
    np.testing.assert_array_equal(steps_to(curves, 0.95)[:, 0, 0], [4, 2, np.nan])


def test_a_running_mean_never_looks_ahead() -> None:
    step = np.zeros(20)
    step[10:] = 1
    found = smoothed(step)
    np.testing.assert_allclose(found[:10], 0)
    np.testing.assert_allclose(found[10:17], np.arange(1, 8) / 8)
    np.testing.assert_allclose(found[17:], 1)
    np.testing.assert_allclose(smoothed(np.arange(3.0)), [0, 0.5, 1])


def test_fresh_weights_are_those_of_a_fit_that_is_given_none() -> None:
    def logits_fn(image: jax.Array) -> jax.Array:
        return jnp.stack([image.mean(), image[0].mean()])

    image = jnp.linspace(0, 1, 48).reshape(4, 4, 3)
    config = extremal.InrConfig(steps=2)
    key = jax.random.key(5)
    cold = extremal.fit_inr(logits_fn, image, 0, config, key=key)
    given = extremal.fit_inr(logits_fn, image, 0, config, key=key, initial=fresh(key))
    np.testing.assert_array_equal(cold.history.reward, given.history.reward)


def test_settings_differ_from_the_default_in_what_their_names_say() -> None:
    found = extremal_settings.settings(extremal_settings.Config())
    default = found.pop("default")
    assert default == extremal.InrConfig()
    assert all(each != default for each in found.values())
    assert len(set(found.values())) == len(found)
    assert found["grid 56"].grid == 56
    assert found["2 areas a step"].areas_per_step == 2
    assert found["FiLM"].network.conditioning == "film"
    crossed = extremal_settings.settings(extremal_settings.Config(crossed=True))
    assert len(crossed) == 1 + len(found) + 27
    short = extremal_settings.settings(extremal_settings.Config(most_steps=60))
    assert [short[name].steps for name in ("default", "50 steps, rate 0.01")] == [60, 50]
    fine = extremal_settings.settings(extremal_settings.Config(grid=56))
    named = {"grid 14": 14, "grid 28": 28, "grid 112": 112}
    assert {name: each.grid for name, each in fine.items()} == {
        **dict.fromkeys(fine, 56),
        **named,
    }
    with pytest.raises(ValueError, match="settings"):
        extremal_settings.settings(extremal_settings.Config(settings=("bandwith 1",)))
    with pytest.raises(ValueError, match="grid"):
        extremal_settings.settings(extremal_settings.Config(grid=0))


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


def test_fitted_controls_have_the_grid_of_the_settings() -> None:
    config = extremal_settings.Config(grid=56, most_steps=3, settings=("penalty",))
    net = types.SimpleNamespace(located={"pixels": np.zeros((1, 2))}, names=["a"], networks={})
    grid = extremal_settings.control_grid(config, net)
    fitted = [row.method for row in grid.grid["method"].values if hasattr(row.method, "args")]
    assert [each.args for each in fitted] == [(extremal.InrConfig(grid=56, steps=3),)] * 2


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


def test_a_control_row_asks_the_untrained_network_and_no_other() -> None:
    def logits_as_masks(logits_fn: Any, *inputs: Any, key: Any) -> Any:
        return logits_fn(inputs[0])[:, None, None]

    image = {"pixels": jnp.zeros((2, 2, 1)), "target": 0}
    trained, untrained = (lambda image, p=p: jnp.full(3, p) for p in (0.25, 0.75))
    for is_untrained, expected in ((False, 0.25), (True, 0.75)):
        row = mask_methods.MaskRow(logits_as_masks, is_untrained)
        masks = row.masks(trained, untrained, image, jnp.ones(3), key=jax.random.key(0))
        np.testing.assert_array_equal(masks, np.full((3, 1, 1), expected))
    controls = mask_methods.controls(extremal.InrConfig(steps=1))
    assert [row.is_untrained for row in controls.values()] == [False, False, True, False]


def test_a_row_of_a_random_class_asks_for_any_class_but_the_photographs() -> None:
    def trained(image: Any) -> Any:
        return jnp.zeros(4) * image.mean()

    image = {"pixels": jnp.zeros((2, 2, 1)), "target": jnp.asarray(2), "truth": jnp.zeros((2, 2))}
    rows = [*mask_methods.controls(extremal.InrConfig(steps=1)).values()]
    assert [row.is_of_random_class for row in rows] == [False, False, False, True]
    keys = jax.random.split(jax.random.key(0), 64)
    drawn = jax.vmap(lambda key: rows[-1].asked(trained, image, key=key)["target"])(keys)
    assert set(drawn.tolist()) == {0, 1, 3}
    assert rows[0].asked(trained, image, key=keys[0]) is image
