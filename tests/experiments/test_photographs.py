"""The photographs that experiments on natural images share."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from experiments.common import photographs
from fitb_jax import data


@pytest.mark.parametrize("areas", [(), (0.0, 0.5), (0.5, 1.0), (0.4, 0.2), (0.2, 0.2), (np.nan,)])
def test_areas_that_no_mask_has_are_refused_with_the_options(areas: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"areas must ascend strictly within \(0, 1\), got"):
        photographs.AreaOptions(areas=areas)


@pytest.mark.parametrize(("count", "parts_read", "found"), [(0, 3, 4), (3, 2, 3), (1, 1, 1)])
def test_no_more_photographs_are_read_than_are_wanted(
    monkeypatch: pytest.MonkeyPatch, count: int, parts_read: int, found: int
) -> None:
    read = []

    def parts(options: photographs.PhotographOptions, part: int) -> Iterator[Any]:
        assert options.count == 0, "those that are not recognised do not count"
        # Two of three are recognised, or nothing is known of them.
        for first in (0, 3, 6):
            names = [str(first + i) for i in range(3)]
            labels = np.array([5, 1, data.UNLABELLED] if first < 6 else [1, 1, 1])
            read.append(first)
            whole = dict.fromkeys(photographs.Explained._fields, np.arange(first, first + 3))
            whole |= {"names": names, "labels": labels, "predicted": np.full(3, 5), "source": "x"}
            yield photographs.Explained(**whole)._replace(pretrained=None, untrained=None)

    monkeypatch.setattr(photographs, "explained_in_parts", parts)
    net = photographs.recognised(photographs.PhotographOptions(count=count))
    assert len(read) == parts_read
    assert net.names == ["0", "2", "3", "5"][:found]
    np.testing.assert_array_equal(net.targets, [0, 2, 3, 5][:found])


@pytest.mark.slow
def test_parts_are_the_whole() -> None:
    options = photographs.PhotographOptions()
    whole = photographs.explained(options)
    parts = [*photographs.explained_in_parts(options, 2)]
    assert [len(part.names) for part in parts] == [2, 2, 1]
    for name in ("images", "targets", "labels", "predicted", "truths"):
        found = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(found, getattr(whole, name))
    assert [name for part in parts for name in part.names] == whole.names
