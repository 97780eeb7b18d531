"""Figure 24, Table 11: Sanity checks of every method.

    python -m experiments sanity_checks    # 3 min

Expected: TODO.

Under 3 minutes on 2 cores, training included. It resumes.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments.experiment import Experiment, Outcome, Table
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.common.networks import head
from experiments.sanity_cases import (
    ALIKE,
    INPUT_SHIFT,
    INVARIANT,
    RANDOM_LABELS,
    RANDOM_LOGIT,
    Checked,
    SanityOptions,
    checked,
    chosen,
    compare,
)
from fitb_jax import ablation, plotting
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.types import Key, LogitsFn, SaliencyFn

MEASURES = {
    "spearman": "Spearman",
    "spearman_magnitude": "Spearman of magnitudes",
    "ssim": "SSIM",
    "hog": "HOG correlation",
}


@dataclasses.dataclass(frozen=True)
class Config(SanityOptions):
    """Options of the sanity checks.

    Attributes:
        test_images: test images explained.
    """

    test_images: int = 16


def point(
    *,
    method: SaliencyFn,
    image: dict[str, jax.Array],
    reference: LogitsFn,
    others: LogitsFn,
    shift: jax.Array,
    key: Key,
) -> dict[str, jax.Array]:
    """Every check of one method on one image.

    Args:
        method: the method.
        image: `pixels` and `label`.
        reference: see `sanity_cases.compare`, as the rest.
        others: networks it is compared with.
        shift: of the input.
        key: random key.

    Returns:
        The maps, the reference first, and the similarities.
    """
    found = compare(
        method,
        image["pixels"],
        image["label"],
        reference=reference,
        others=others,
        shift=shift,
        key=key,
    )
    maps = jax.numpy.concatenate([found.reference[None], found.maps])
    return {"maps": maps, **found.similarity._asdict()}


def rows(config: Config) -> dict[str, SaliencyFn]:
    """Methods and controls.

    Args:
        config: options.

    Returns:
        By name.
    """
    methods = listed.small_methods(config.architecture)
    blurred = {listed.BLURRED: listed.blurred(methods["gradient"])}
    return chosen({**methods, **blurred, **listed.controls()}, config.methods)


def grid(config: Config, methods: dict[str, SaliencyFn], found: Checked) -> GridRun:
    """The grid of methods and images.

    Args:
        config: options.
        methods: by name.
        found: the networks.

    Returns:
        The grid.
    """
    images, labels = head(found.net.test, config.test_images)
    axes = {
        "method": ablation.static([*methods.values()], labels=[*methods]),
        "image": ablation.vmapped({"pixels": images, "label": labels}),
    }
    fields = {
        name: ablation.Field(("case",), meaning=meaning, nan_is_answer=True)
        for name, meaning in MEASURES.items()
    }
    arguments = {
        "key": jax.random.key(config.seed),
        "key_axes": ("image",),
        "shared": found.shared,
        "fields": {**fields, "maps": ablation.Field(("map", "row", "column"))},
        "chunk": len(images),
        # As many as there are: a device fills its lanes up, and the images are few.
        "lanes": len(images),
    }
    return GridRun("sanity_checks", point, axes, arguments)


def plan(config: Config) -> list[str]:
    """What the grid will do.

    Args:
        config: options.

    Returns:
        One line.
    """
    return [plan_grid(grid(config, rows(config), checked(config)))]


def compute(config: Config) -> Outcome:
    """Compare the maps of every method, over test images."""
    methods = rows(config)
    networks = checked(config)
    found = (
        run_grid(config, grid(config, methods, networks)).transpose("method", "image", ...).load()
    )
    arrays = {name: found[name].values for name in MEASURES}
    arrays |= {
        "maps": found["maps"].values[:, 0],
        "image": np.asarray(networks.net.test.images[0]),
        "methods": np.array(found["method"].values.tolist()),
        "cases": np.array(networks.names),
        "layers": np.array(networks.layers),
    }
    numbers = {
        "accuracy": networks.net.accuracy,
        "share of random labels fitted": networks.fitted,
    }
    note = (
        f"{networks.net.label}: {arrays['ssim'].shape[1]} test images; {networks.net.test.source}"
    )
    return Outcome(arrays, numbers, {"sanity checks": _table(arrays)}, [note])


def _table(arrays: dict[str, np.ndarray]) -> Table:
    cases = arrays["cases"].tolist()
    bottom = f"down to {arrays['layers'][-1]}"
    columns = [(f"all layers random: {label}", bottom, name) for name, label in MEASURES.items()]
    columns += [
        (f"{RANDOM_LABELS}: {MEASURES['spearman_magnitude']}", RANDOM_LABELS, "spearman_magnitude"),
        (f"{RANDOM_LOGIT}: {MEASURES['spearman']}", RANDOM_LOGIT, "spearman"),
        (f"{INPUT_SHIFT}: {MEASURES['spearman']}", INPUT_SHIFT, "spearman"),
    ]
    rows: list[list[Any]] = [
        [
            method,
            *(
                str(mean_interval(arrays[name][i, :, cases.index(case)]))
                for _, case, name in columns
            ),
        ]
        for i, method in enumerate(arrays["methods"].tolist())
    ]
    return Table(["method", *(title for title, _, _ in columns)], rows)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """The maps of one digit by every method and network; all similarities as numbers."""
    arrays = outcome.arrays
    cases = arrays["cases"].tolist()
    breaks = {"down to ": "random to\n", "only ": "random only\n", "random l": "random\nl"}
    titles = ["trained", *cases]
    for words, broken in breaks.items():
        titles = [title.replace(words, broken) for title in titles]
    pictures = [[plotting.heat(one) for one in maps] for maps in arrays["maps"]]
    maps = plotting.image_grid(
        pictures, column_titles=titles, row_titles=arrays["methods"].tolist(), size=0.95
    )
    return {"sanity_checks": maps, "similarities": _similarities(arrays)}


def _similarities(arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(15, 11), layout="constrained")
    axes = figure.subplots(2, 2, sharey=True)
    for axis, (name, label) in zip(axes.flat, MEASURES.items(), strict=True):
        means = np.array([[mean_interval(v).estimate for v in found.T] for found in arrays[name]])
        plotting.heat_map(
            axis,
            means,
            row_labels=arrays["methods"].tolist(),
            column_labels=arrays["cases"].tolist(),
            title=label,
            limits=(0.0, 1.0),
        )
        axis.tick_params(axis="x", rotation=35, labelsize=7)
        axis.tick_params(axis="y", labelsize=7)
    return figure


def verdicts(arrays: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """Which methods fail which check, by `ALIKE` and `INVARIANT`.

    Args:
        arrays: similarities (methods, images, cases).

    Returns:
        Names of the methods by check.
    """
    cases, names = arrays["cases"].tolist(), arrays["methods"].tolist()

    def means(case: str, measure: str) -> np.ndarray:
        found = arrays[measure][:, :, cases.index(case)]
        return np.array([mean_interval(one).estimate for one in found])

    bottom = f"down to {arrays['layers'][-1]}"
    failed = {
        "random network": ~(means(bottom, "spearman_magnitude") <= ALIKE),
        RANDOM_LABELS: ~(means(RANDOM_LABELS, "spearman_magnitude") <= ALIKE),
        RANDOM_LOGIT: ~(means(RANDOM_LOGIT, "spearman") <= ALIKE),
        INPUT_SHIFT: ~(means(INPUT_SHIFT, "spearman") >= INVARIANT),
    }
    return {
        check: [name for name, bad in zip(names, found, strict=True) if bad]
        for check, found in failed.items()
    }


def caption(config: Config, outcome: Outcome) -> str:
    """Name the methods that fail each check, ours included."""
    arrays = outcome.arrays
    said = "; ".join(
        f"{check}: {', '.join(names) if names else 'none'}"
        for check, names in verdicts(arrays).items()
    )
    fitted = outcome.numbers["share of random labels fitted"][0]
    return (
        f"Maps of {arrays['ssim'].shape[1]} digits for the trained network, for networks with "
        "random weights from the logits down or in one layer, for one that learned random labels "
        f"(it fits {fitted:.1%} of them), for another class, and for an input shifted by "
        f"{config.shift:g} with a network that takes the shift back. A method fails where the mean "
        f"rank correlation with the map of the trained network is above {ALIKE:g} (of magnitudes "
        f"for other networks, with sign for another class), or below {INVARIANT:g} for the shift, "
        f"or where a map is constant. Failed: {said}. Controls that ask no network must fail "
        "whatever asks for a change. Colours are scaled for each map."
    )


EXPERIMENT = Experiment(
    name="sanity_checks",
    title="Sanity checks of every method",
    regenerates="Figure 16, Table 7",
    needs="nothing",
    duration="3 min",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    smoke={
        "test_images": 2,
        "epochs": 1,
        "label_epochs": 1,
        "methods": ("gradient", "Grad-CAM", "Sobel edges"),
    },
    full={"test_images": 200},
)
