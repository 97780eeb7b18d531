"""The checks of a map that tables have as columns."""

from typing import NamedTuple

ALIKE = 0.5
"""A map more similar than this to that of a network without training has failed."""

INVARIANT = 0.95
"""A map less similar than this to that of the image before a shift has failed."""


class Check(NamedTuple):
    """A column of a table."""

    title: str
    meaning: str
    is_high_good: bool | None
    bound: float | None = None


CHECKS = {
    "random_network": Check(
        "random network", "Spearman of magnitudes to all layers random", False, ALIKE
    ),
    "random_labels": Check(
        "random labels", "Spearman of magnitudes to a net of random labels", False, ALIKE
    ),
    "random_logit": Check("random logit", "Spearman to another class", False, ALIKE),
    "input_shift": Check("input shift", "Spearman after a shift taken back", True, INVARIANT),
    "insertion": Check("insertion", "area under p(target), important pixels shown first", True),
    "deletion": Check("deletion", "area under p(target), important pixels hidden first", False),
    "road": Check("ROAD", "half of LeRF less MoRF", True),
    "infidelity": Check(
        "infidelity", "share of the effect of noise that the map does not predict", False
    ),
    "sensitivity": Check("max-sensitivity", "largest relative change under small noise", None),
    "gini": Check("Gini", "concentration of the magnitudes", None),
}
