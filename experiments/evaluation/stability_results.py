"""What `stability` says of its numbers: the table, the claim, the caption."""

from typing import Any

import numpy as np

from experiments.common import methods as listed
from experiments.experiment import Outcome, Table
from experiments.stability_points import MEASURES
from fitb_jax.evaluation.intervals import Interval, bootstrap_interval

HEADLINE = [*MEASURES].index("spearman")
"""The measure of the table's controls and of the caption. Not that of magnitudes: maps that are
zero wherever the image is black agree by it even between untrained networks."""

GRADIENT_METHODS = (
    *("gradient", "input x gradient", "integrated gradients", "SmoothGrad", "SmoothGrad squared"),
    *("VarGrad", "deconvnet", "guided backpropagation"),
)
"""One backward pass at the image, or a mean of such near it."""

MASK_METHODS = ("occlusion", "RISE", *listed.OURS)
"""Those that hide parts of the image."""


def table(arrays: dict[str, np.ndarray], networks: int) -> Table:
    """Agreement of every method, with intervals over groups of images.

    Args:
        arrays: as `compute` saves them.
        networks: of an architecture.

    Returns:
        A row for each method.
    """
    architectures = arrays["architectures"].tolist()
    first, short = architectures[0], [*MEASURES.values()][HEADLINE]
    columns = ["method", *(f"{first}: {label}" for label in MEASURES.values())]
    columns += [f"floor: {short}", "above the floor", "other draws", "untrained"]
    columns += [f"{name}: {short}" for name in architectures[1:]]
    columns += ["between architectures"] * (len(architectures) == 2)
    columns += ["signal to noise of the mean map"]
    body: list[list[Any]] = []
    for at, name in enumerate(arrays["methods"].tolist()):
        trained = arrays["networks"][at, 0]
        floor, draws = (arrays[field][at, 0, :, 0, HEADLINE] for field in ("images", "draws"))
        own = trained[:, 0, HEADLINE]
        values = [trained[:, 0, m] for m in range(len(MEASURES))]
        values += [floor, own - floor, draws, arrays["networks"][at, 1, :, 0, HEADLINE]]
        more = len(architectures) - 1 + (len(architectures) == 2)
        values += [trained[:, 1 + i, HEADLINE] for i in range(more)]
        ratio = signal_to_noise(arrays, at, networks)
        body.append([name, *(str(bootstrap_interval(each)) for each in values), str(ratio)])
    return Table(columns, body)


def signal_to_noise(arrays: dict[str, np.ndarray], method: int, networks: int) -> Interval:
    """Of the mean map over the trained networks of the first architecture, pooled over images.

    Args:
        arrays: as `compute` saves them.
        method: place of the method.
        networks: that the mean is over.

    Returns:
        n times mean signal over mean noise; infinite where the maps are equal.
    """
    pair = np.stack([arrays[name][method, 0, :, 0] for name in ("signal", "noise")], axis=1)

    def ratio(cases: np.ndarray) -> float:
        signal, noise = cases.mean(0)
        # Equal maps differ by rounding alone.
        return float(networks * signal / noise) if noise > 1e-6 else float("inf")

    if pair[:, 1].max() <= 1e-6:
        return Interval(*3 * (float("inf"),))
    return bootstrap_interval(pair, ratio)


def family(
    arrays: dict[str, np.ndarray], names: tuple[str, ...], field: str, *, state: int = 0
) -> np.ndarray:
    """Mean over some methods of one agreement, for networks of the first architecture.

    Args:
        arrays: as `compute` saves them.
        names: methods; those that were not asked for are left out.
        field: "networks" or "images".
        state: 0 for trained networks, 1 for untrained ones.

    Returns:
        One value per group; nan if there is no method.
    """
    places = [i for i, name in enumerate(arrays["methods"].tolist()) if name in names]
    groups = arrays[field].shape[2]
    if not places:
        return np.full(groups, np.nan)
    return np.mean(arrays[field][places, state, :, 0, HEADLINE], axis=0)


def caption(config: Any, outcome: Outcome) -> str:
    """Judge the claim that gradient maps are unstable across networks and masks less so.

    Args:
        config: options of the experiment.
        outcome: what was saved.

    Returns:
        One paragraph.
    """
    arrays = outcome.arrays
    names = arrays["methods"].tolist()
    own, floor = (arrays[field][:, 0, :, 0, HEADLINE] for field in ("networks", "images"))
    means = [bootstrap_interval(each) for each in own]
    order = sorted(range(len(names)), key=lambda i: -means[i].estimate)
    said = "; ".join(f"{names[i]} {means[i]}" for i in order)
    above = [bootstrap_interval(each) for each in own - floor]
    lost = [name for name, one in zip(names, above, strict=True) if not one.low > 0]
    gradients, masks, blurred = (
        family(arrays, each, "networks")
        for each in (GRADIENT_METHODS, MASK_METHODS, (listed.BLURRED,))
    )
    raw = bootstrap_interval(masks - gradients)
    of_digits = family(arrays, MASK_METHODS, "images") - family(arrays, GRADIENT_METHODS, "images")
    of_untrained = family(arrays, MASK_METHODS, "networks", state=1) - family(
        arrays, GRADIENT_METHODS, "networks", state=1
    )
    accuracies = "; ".join(
        f"{name} {min(a[0] for a in each):.3f} to {max(a[0] for a in each):.3f}"
        for name in arrays["architectures"].tolist()
        if (each := outcome.numbers[f"accuracy of each {name}"])
    )
    return (
        f"Agreement of the maps of {config.networks} networks that differ in their seed alone "
        f"(test accuracies: {accuracies}), over {own.shape[1] * config.together} digits: mean "
        f"Spearman correlation over pairs of {arrays['architectures'][0]} networks, "
        f"with bootstrap intervals: {said}. The floor is the agreement of one network's maps of "
        f"different digits of a class; not above it: {', '.join(lost) if lost else 'none'}. "
        f"Masks against gradients: {_verdict(raw)} by agreement, "
        f"{_verdict(bootstrap_interval(masks - gradients - of_digits))} above the floor, "
        f"{_verdict(bootstrap_interval(masks - gradients - of_untrained))} above untrained "
        f"networks; against the gradient merely blurred, "
        f"{_verdict(bootstrap_interval(masks - blurred))}. Controls "
        "that ask no network agree fully (edges, centre): agreement alone is no merit."
    )


def _verdict(difference: Interval) -> str:
    word = "more" if difference.low > 0 else "less" if difference.high < 0 else "as"
    return f"{word} stable ({difference})"
