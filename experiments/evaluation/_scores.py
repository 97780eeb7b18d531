"""Every check of one map of one image: what the scoreboards share."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.sanity_cases import ALIKE, INVARIANT, compare
from fitb_jax import ablation, evaluation
from fitb_jax.types import Image, Key, LogitsFn, SaliencyFn

SAMPLES = 10
"""Images around an image, for max-sensitivity."""


class Check(NamedTuple):
    """A column of a scoreboard.

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


def sanity_scores(
    method: SaliencyFn,
    image: Image,
    target: jax.Array,
    *,
    reference: LogitsFn,
    others: LogitsFn,
    shift: jax.Array,
    key: Key,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The map of the trained network, and the similarities that the sanity columns show.

    Args:
        method: the method.
        image: (h, w, c).
        target: class that is explained.
        reference: the trained network.
        others: stacked: one with every layer random, and perhaps one of random labels.
        shift: of the input.
        key: random key.

    Returns:
        The map, and scores by the names in `CHECKS`.
    """
    found = compare(method, image, target, reference=reference, others=others, shift=shift, key=key)
    networks = ("random_network", "random_labels")[: len(found.maps) - 2]
    scores = {name: found.similarity.spearman_magnitude[i] for i, name in enumerate(networks)}
    scores["random_logit"] = found.similarity.spearman[-2]
    scores["input_shift"] = found.similarity.spearman[-1]
    return found.reference, scores


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
    """Insertion, deletion, ROAD and concentration of one map.

    Args:
        logits_fn: the classifier.
        image: (h, w, c).
        saliency: (h, w).
        target: class that is explained.
        colour: what deletion shows, and lies around the image that insertion blurs: the mean colour
            that the classifier subtracts, (c,).
        chunk: images evaluated at once.
        key: of ties and noise.

    Returns:
        Scores by the names in `CHECKS`.
    """
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


def robustness_scores(
    method: SaliencyFn,
    logits_fn: LogitsFn,
    image: Image,
    saliency: jax.Array,
    target: jax.Array,
    *,
    key: Key,
) -> dict[str, jax.Array]:
    """Infidelity and max-sensitivity of one method.

    Args:
        method: the method.
        logits_fn: the classifier.
        image: (h, w, c).
        saliency: the method's map, (h, w).
        target: class that is explained.
        key: random key; the method has one key for all images around this one.

    Returns:
        Scores by the names in `CHECKS`.
    """
    method_key, noise_key, near_key = jax.random.split(key, 3)
    moved = evaluation.max_sensitivity(
        lambda pixels: method(logits_fn, pixels, target, key=method_key),
        image,
        key=near_key,
        samples=SAMPLES,
    )
    predicted = infidelity_score(logits_fn, image, saliency, target, key=noise_key)
    return {"infidelity": predicted, "sensitivity": moved.relative}


def infidelity_score(
    logits_fn: LogitsFn,
    image: Image,
    saliency: jax.Array,
    target: jax.Array,
    *,
    key: Key,
    chunk: int = 32,
) -> jax.Array:
    """The squared error of what the map predicts of noise, as a share of the noise's effect.

    Args:
        logits_fn: the classifier.
        image: (h, w, c).
        saliency: (h, w).
        target: class that is explained.
        key: of the noise.
        chunk: images evaluated at once.

    Returns:
        The share: 1 is a map of zeros.
    """
    found = evaluation.infidelity(logits_fn, image, saliency, target, key=key, chunk=chunk)
    return found.scaled / found.variation


def fields(names: Sequence[str]) -> dict[str, ablation.Field]:
    """What the columns mean, for the store.

    Args:
        names: of the columns.

    Returns:
        By name. A constant map has no correlation: there is no answer then.
    """
    return {
        name: ablation.Field(meaning=CHECKS[name].meaning, nan_is_answer=True) for name in names
    }


def as_arrays(found: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Scores and names as they are saved.

    Args:
        found: results of the grid, of dimensions method, image.
        names: of the columns.

    Returns:
        (methods, images) by the name of the column, and "methods".
    """
    arrays = {name: found[name].transpose("method", "image").values for name in names}
    return {**arrays, "methods": np.array(found["method"].values.tolist())}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The inverse of `as_arrays`.

    Args:
        arrays: what was saved.

    Returns:
        Scores by the name of the column, and names of the rows.
    """
    return {name: arrays[name] for name in CHECKS if name in arrays}, arrays["methods"].tolist()
