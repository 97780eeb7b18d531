"""Steps from warm starts, against answers worked out by hand."""

import numpy as np
import xarray as xr

from experiments.extremal.extremal_warm_starts import COLD, STARTS, gain, steps_to


def test_steps_count_to_the_share_of_what_fresh_weights_gain() -> None:
    curves = {
        "early": [9.0, 9.5, 9.4, 9.4, 9.4],
        COLD: [0.0, 4.0, 8.0, 9.6, 10.0],
        "never": [9.0, 9.4, 9.4, 9.4, 9.4],
    }
    found = xr.DataArray([*curves.values()], {"start": [*curves]}, ("start", "step"))
    assert float(gain(found)) == 10
    steps = steps_to(found, 0.95)
    np.testing.assert_array_equal(steps.sel(start=[COLD, "early", "never"]), [4, 2, np.nan])
    assert COLD in STARTS
