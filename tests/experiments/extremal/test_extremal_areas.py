"""The areas that masks are found for."""

import pytest

from experiments.extremal import extremal_areas


def test_the_dense_areas_are_among_the_fine_ones_from_first_to_last() -> None:
    fine, dense, shown = extremal_areas.Config().areas
    assert dense[0] == fine[0]
    assert dense[-1] == fine[-1]
    assert set(shown) <= set(dense) <= set(fine)
    assert (shown[0], shown[-1]) == (dense[0], dense[-1])
    with pytest.raises(ValueError, match="every must divide the 56 steps"):
        extremal_areas.Config(every=5)
