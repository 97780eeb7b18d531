"""The parts of a folder of photographs: one after the other."""

from collections.abc import Iterator
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.extremal import extremal_folder


def test_a_part_is_read_when_the_one_before_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def parts(config: extremal_folder.Config, size: int) -> Iterator[SimpleNamespace]:
        for start in range(0, 3, size):
            names = [f"photograph {place}" for place in range(start, min(start + size, 3))]
            read.append(names)
            yield SimpleNamespace(
                pretrained=SimpleNamespace(logits_fn=jnp.sum),
                cases={"pixels": np.zeros((len(names), 2, 2, 3))},
                names=names,
                targets=[0] * len(names),
                class_name=str,
                source="made here",
            )

    monkeypatch.setattr(extremal_folder, "explained_in_parts", parts)
    sweeps = extremal_folder.sweep(extremal_folder.Config(part=2), None)
    assert next(sweeps).name == "00000"
    assert len(read) == 1
    second = next(sweeps)
    assert (second.name, second.axes["image"].labels.tolist()) == ("00001", ["photograph 2"])
    assert next(sweeps, None) is None
    read.clear()
    assert len([*extremal_folder.sweep(extremal_folder.Config(part=2, plan=True), None)]) == 1
    assert len(read) == 1, "a plan must not read every photograph"
