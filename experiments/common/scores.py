"""The checks of a map that tables have as columns, and the scores that need nothing but the map."""

from typing import NamedTuple

import jax

from fitb_jax import evaluation
from fitb_jax.types import Image, Key, LogitsFn

ALIKE = 0.5
"""A map more similar than this to that of a network without training has failed."""

INVARIANT = 0.95
"""A map less similar than this to that of the image before a shift has failed."""


class Check(NamedTuple):
    """A column of a table.

    Attributes:
        title: of the column.
        meaning: one line.
        is_high_good: whether larger is better; None where the number is no judgement.
        bound: what the mean must reach, None where it must beat every control.
    """

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


def faithfulness_scores(
    logits_fn: LogitsFn,
    image: Image,
    saliency: jax.Array,
    target: jax.Array,
    *,
    colour: jax.Array,
    chunk: int,
    key: Key,
) -> dict[str, jax.Array]:
    """Insertion, deletion, ROAD and concentration of one map."""
    keys = jax.random.split(key, 3)
    blurred = evaluation.faithfulness.rise_blur(image, outside=colour)
    asked = (logits_fn, image, saliency, target)
    inserted = evaluation.insertion(*asked, key=keys[0], background=blurred, chunk=chunk)
    deleted = evaluation.deletion(*asked, key=keys[1], background=colour, chunk=chunk)
    return {
        "insertion": inserted.area_under_curve,
        "deletion": deleted.area_under_curve,
        "road": evaluation.road(*asked, key=keys[2], chunk=chunk).score,
        "gini": evaluation.gini(saliency),
    }
