"""Agreement of masks and groups of them, against answers worked out by hand."""

import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.extremal import extremal_initialisations
from experiments.extremal.extremal_initialisations import agreement, groups
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

    net: Any = types.SimpleNamespace(
        images=np.zeros((1, 8, 8, 3), np.float32),
        targets=np.zeros(1, int),
        pretrained=types.SimpleNamespace(logits_fn=jax.tree_util.Partial(jnp.sum)),
    )
    monkeypatch.setattr(extremal, "fit_inr", fit_inr)
    config = extremal_initialisations.Config(grid=7, bandwidth=0.25, progress=False)
    with pytest.raises(FitError) as raised:
        extremal_initialisations.compute(config, net)
    (settings,) = raised.value.args
    assert (settings.grid, settings.network.bandwidth) == (7, 0.25)
