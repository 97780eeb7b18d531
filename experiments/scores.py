"""Every check of one map of one image, and who fails which: what the scoreboards share."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from experiments.experiment import Table
from experiments.methods import CONTROLS
from experiments.sanity_cases import ALIKE, INVARIANT, compare
from experiments.statistics import mean_interval
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
    blurred = evaluation.rise_blur(image, outside=colour)
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
    asked = (logits_fn, image, saliency, target)
    found = evaluation.infidelity(*asked, key=noise_key)
    moved = evaluation.max_sensitivity(
        lambda pixels: method(logits_fn, pixels, target, key=method_key),
        image,
        key=near_key,
        samples=SAMPLES,
    )
    return {"infidelity": found.scaled / found.variation, "sensitivity": moved.relative}


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


def passes(
    scores: Mapping[str, np.ndarray], methods: Sequence[str]
) -> dict[str, list[bool | None]]:
    """Which methods pass which check.

    A column with a bound asks that the mean reaches it. One without asks that the method beats
    every control: the 95 % interval of the paired differences over images lies on the good side.

    Args:
        scores: (methods, images) by the names in `CHECKS`.
        methods: names; the controls are among them.

    Returns:
        For each check and method; None where the number is no judgement.
    """
    return {name: _verdicts(CHECKS[name], found, methods) for name, found in scores.items()}


def _verdicts(check: Check, found: np.ndarray, methods: Sequence[str]) -> list[bool | None]:
    if check.is_high_good is None:
        return [None] * len(methods)
    sign = 1 if check.is_high_good else -1
    if check.bound is not None:
        return [bool(sign * mean_interval(one).estimate >= sign * check.bound) for one in found]
    controls = [found[methods.index(name)] for name in CONTROLS if name in methods]
    return [
        all(mean_interval(sign * (one - control)).low > 0 for control in controls) for one in found
    ]


def table(scores: Mapping[str, np.ndarray], methods: Sequence[str]) -> Table:
    """Means with intervals over images, and "fails" beside those that do.

    Args:
        scores: (methods, images) by the names in `CHECKS`.
        methods: names of the rows.

    Returns:
        The table.
    """
    verdicts = passes(scores, methods)
    rows: list[list[Any]] = []
    for at, method in enumerate(methods):
        cells = [
            f"{mean_interval(found[at])}{' fails' if verdicts[name][at] is False else ''}"
            for name, found in scores.items()
        ]
        judged = [verdicts[name][at] for name in scores if verdicts[name][at] is not None]
        rows.append([method, *cells, f"{sum(map(bool, judged))} of {len(judged)}"])
    return Table(["method", *(CHECKS[name].title for name in scores), "passed"], rows)


def draw_board(scores: Mapping[str, np.ndarray], methods: Sequence[str], title: str) -> Figure:
    """The table as a figure: means, on green where the check is passed and on red where not.

    Args:
        scores: (methods, images) by the names in `CHECKS`.
        methods: names of the rows.
        title: above.

    Returns:
        The figure.
    """
    verdicts = passes(scores, methods)
    shade = {None: 0, True: 1, False: 2}
    places = np.array([[shade[verdicts[name][i]] for name in scores] for i in range(len(methods))])
    figure = Figure(
        figsize=(3 + 1.05 * len(scores), 1.4 + 0.3 * len(methods)), layout="constrained"
    )
    axis = figure.subplots()
    colours = ListedColormap(["#eeeeee", "#b7e0b1", "#f2b8b0"])
    axis.imshow(places, cmap=colours, vmin=0, vmax=2, aspect="auto")
    for column, found in enumerate(scores.values()):
        for row, values in enumerate(found):
            mean = mean_interval(values).estimate
            axis.text(column, row, f"{mean:.2f}", ha="center", va="center", fontsize=8)
    arrows = {None: "", True: "\nhigh is good", False: "\nlow is good"}
    labels = [CHECKS[name].title + arrows[CHECKS[name].is_high_good] for name in scores]
    axis.set_xticks(range(len(scores)), labels, fontsize=7)
    axis.xaxis.tick_top()
    axis.set_yticks(range(len(methods)), list(methods), fontsize=8)
    axis.tick_params(length=0)
    axis.set_xlabel(f"{title}. Green: passed, red: failed, grey: no judgement", fontsize=8)
    return figure


def said(scores: Mapping[str, np.ndarray], methods: Sequence[str]) -> str:
    """Who fails which check, and the rule, in words.

    Args:
        scores: (methods, images) by the names in `CHECKS`.
        methods: names of the rows.

    Returns:
        Sentences.
    """
    failed = [
        f"{CHECKS[name].title}: {', '.join(bad) if bad else 'none'}"
        for name, verdicts in passes(scores, methods).items()
        if (bad := [m for m, ok in zip(methods, verdicts, strict=True) if ok is False])
        or CHECKS[name].is_high_good is not None
    ]
    return (
        "A sanity check is failed where the mean rank correlation with the map of another network "
        f"(magnitudes) or class (signed) is above {ALIKE:g}, or that after the shift below "
        f"{INVARIANT:g}; insertion, deletion, ROAD and infidelity where the method does not beat "
        "each of the random map, the centre and the Sobel edges by a paired 95 % interval over "
        f"images. Failed: {'; '.join(failed)}."
    )


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
