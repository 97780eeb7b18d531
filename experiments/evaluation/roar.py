"""Figure 17, Table 8: does a network trained again miss the pixels that a method calls important?

    python -m experiments roar --full --data-dir DIR

Embedded digits by default; `--full` is all of MNIST and Fashion-MNIST. It resumes.
"""

import dataclasses

import numpy as np
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments.experiment import Experiment, Outcome, Table, unless_asked
from experiments.grids import plan_grid, run_grid
from experiments.common.networks import network
from experiments.roar_grids import (
    RoarOptions,
    every_method,
    explain_all,
    grids,
    splits,
)
from experiments.sanity_cases import chosen
from fitb_jax.evaluation.intervals import Interval, mean_interval


def plan(config: RoarOptions) -> list[str]:
    """What the grids will do, as far as they are known without the maps.

    Args:
        config: options.

    Returns:
        A line for each data set.
    """
    lines = []
    for dataset in config.datasets:
        net = network(dataclasses.replace(config, dataset=dataset))
        blank = {
            split: np.zeros(images.shape[:3], np.float32)
            for split, (images, _) in splits(config, net).items()
        }
        names = chosen(every_method(config.architecture), config.methods)
        lines += [
            plan_grid(run) for run in grids(config, dataset, net, dict.fromkeys(names, blank))
        ]
    return lines


def compute(config: RoarOptions) -> Outcome:
    """Train again without what each method calls important, on every data set."""
    methods = chosen(every_method(config.architecture), config.methods)
    arrays: dict[str, np.ndarray] = {"methods": np.array([*methods])}
    numbers, tables, notes, done = {}, {}, [], []
    for dataset in config.datasets:
        try:
            net = network(dataclasses.replace(config, dataset=dataset))
        except FileNotFoundError as error:
            notes.append(f"{dataset} is left out: {error}")
            continue
        maps = {name: explain_all(config, net, one, name) for name, one in methods.items()}
        removed, whole = (
            run_grid(config, run).transpose("training", "method", "fraction", "seed").load()
            for run in grids(config, dataset, net, maps)
        )
        arrays[f"{dataset}/accuracy"] = removed["accuracy"].values[0]
        arrays[f"{dataset}/whole"] = whole["accuracy"].values[0, 0, 0]
        numbers[f"{dataset}: nothing removed"] = mean_interval(arrays[f"{dataset}/whole"])
        tables[dataset] = _table(config, arrays, dataset)
        notes.append(f"{net.label}: {net.train.source}; {net.test.source}")
        done.append(dataset)
    if not done:
        raise FileNotFoundError("; ".join(notes))
    arrays["datasets"] = np.array(done)
    return Outcome(arrays, numbers, tables, notes)


def _table(config: RoarOptions, arrays: dict[str, np.ndarray], dataset: str) -> Table:
    columns = [f"{fraction:.0%} removed" for fraction in config.fractions]
    rows: list[list[object]] = [
        [name, *(str(mean_interval(seeds)) for seeds in accuracy), str(over_fractions(accuracy))]
        for name, accuracy in zip(
            arrays["methods"].tolist(), arrays[f"{dataset}/accuracy"], strict=True
        )
    ]
    return Table(["method", *columns, "mean"], rows)


def over_fractions(accuracy: np.ndarray) -> Interval:
    """Mean accuracy over all fractions, with its interval over seeds.

    Args:
        accuracy: of one method, (fractions, seeds).

    Returns:
        The mean; low is good.
    """
    return mean_interval(accuracy.mean(axis=0))


def draw(config: RoarOptions, outcome: Outcome) -> dict[str, Figure]:
    """Accuracy after training again against the share of pixels removed."""
    arrays = outcome.arrays
    names = arrays["datasets"].tolist()
    figure = Figure(figsize=(1.5 + 5.5 * len(names), 5), layout="constrained")
    for axis, dataset in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for i, (name, accuracy) in enumerate(
            zip(arrays["methods"].tolist(), arrays[f"{dataset}/accuracy"], strict=True)
        ):
            is_control = name in (*listed.CONTROLS, listed.BLURRED, listed.OF_RANDOM_CLASS)
            found = np.array([mean_interval(seeds) for seeds in accuracy])
            axis.errorbar(
                config.fractions,
                found[:, 0],
                yerr=np.clip([found[:, 0] - found[:, 1], found[:, 2] - found[:, 0]], 0, None),
                # There are ten colours.
                marker="os^"[i // 10],
                color=f"C{i % 10}",
                markersize=4,
                capsize=2,
                linestyle="--" if is_control else "-",
                linewidth=2.2 if name in listed.OURS else 1,
                label=name,
            )
        axis.axhline(arrays[f"{dataset}/whole"].mean(), color="grey", linewidth=0.8)
        axis.set_xlabel("share of the pixels removed before training")
        axis.set_title(f"{dataset}; dashed: controls", fontsize=9)
        axis.grid(alpha=0.3)
        axis.set_ylabel("test accuracy after training again")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return {"roar": figure}


def caption(config: RoarOptions, outcome: Outcome) -> str:
    """Rank the methods, and say which do not beat the controls."""
    arrays = outcome.arrays
    names = arrays["methods"].tolist()
    said = []
    for dataset in arrays["datasets"].tolist():
        means = {
            name: over_fractions(accuracy)
            for name, accuracy in zip(names, arrays[f"{dataset}/accuracy"], strict=True)
        }
        order = sorted(names, key=lambda name: means[name].estimate)
        ranked = "; ".join(f"{name} {means[name]}" for name in order)
        said.append(
            f"{dataset} ({arrays[f'{dataset}/whole'].mean():.3f} with nothing removed): {ranked}"
        )
    return (
        f"Test accuracy of {config.architecture} networks trained again ({config.seeds} seeds) on "
        f"images without the most important "
        f"{', '.join(f'{fraction:.0%}' for fraction in config.fractions)} of their pixels, which "
        "show the mean colour. Mean over fractions with its interval over seeds, from the best "
        f"(lowest) to the worst: {' | '.join(said)}. A method that is not below the random map and "
        "the Sobel edges has found nothing that they have not, or gives the predicted class away "
        "by the shape of what it removes, which maps of a random class cannot; one that its own "
        "blurred map beats is judged by how much of a region it removes as well as by what it says "
        "is important."
    )


EXPERIMENT = Experiment(
    name="roar",
    title="Remove and retrain",
    regenerates="Figure 17, Table 8",
    needs="nothing; MNIST and Fashion-MNIST for --full",
    duration="6 min",
    config=RoarOptions,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    left_out=unless_asked("it trains hundreds of networks; run it by its name, or --full"),
    smoke={
        "epochs": 1,
        "again_epochs": 1,
        "seeds": 2,
        "fractions": (0.1, 0.9),
        "train_images": 200,
        "test_images": 100,
        "methods": ("gradient", "Sobel edges"),
    },
    full={"datasets": ("mnist", "fashion_mnist"), "again_epochs": 4, "methods": ()},
)
