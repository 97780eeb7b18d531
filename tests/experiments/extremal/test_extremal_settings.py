"""The settings of a coordinate network that are compared."""

import dataclasses

import pytest

from experiments.extremal.extremal_settings import BACKGROUNDS, SETTINGS, WEIGHTS, Config, rows
from fitb_jax.extremal import InrConfig


def test_settings_differ_from_the_default_in_what_their_names_say() -> None:
    default = InrConfig()
    found = {name: dataclasses.replace(default, **each) for name, each in SETTINGS.items()}
    assert found.pop("default") == default
    assert all(each != default for each in found.values())
    assert len(set(found.values())) == len(found)
    assert found["grid 56"].grid == 56
    assert found["2 areas a step"].areas_per_step == 2
    assert found["FiLM"].network.conditioning == "film"


def test_rows_are_those_asked_for_with_the_steps_asked_for() -> None:
    every = rows(Config())
    assert {*every} == {*SETTINGS, *WEIGHTS, BACKGROUNDS}
    assert [name for name, row in every.items() if row.sees_backgrounds] == [BACKGROUNDS]
    short = rows(Config(methods=("penalty", "default"), steps=3))
    assert [*short] == ["default", "penalty"]
    assert all(row.method.args[0].steps == 3 for row in short.values())
    with pytest.raises(ValueError, match="methods must be among"):
        rows(Config(methods=("bandwith 1",)))
