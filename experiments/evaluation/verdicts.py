"""Who passes which check: the tables, figures and sentences of the scoreboards."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from experiments.experiment import Table
from experiments.common.methods import CONTROLS
from experiments.sanity_cases import ALIKE, INVARIANT
from experiments.scores import CHECKS, Check
from fitb_jax.evaluation.intervals import mean_interval


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
