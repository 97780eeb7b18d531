"""Figure 27, Table 14: Remove and retrain.

    python -m experiments roar    # 6 min

Needs: MNIST and Fashion-MNIST for `--full`.
Expected: mean accuracy 0.954 [0.954, 0.954] without what the gradient names: the shape of what is
removed gives the class away.

Does a network trained again miss the pixels that a method calls important? Test accuracy after
training without them; controls are maps that ask no network, maps of a random class, and the
gradient without detail. It resumes.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments.common import networks
from experiments.common.methods import chosen
from experiments.core.experiment import Sweep, Tables, unless_asked
from experiments.core.labelled import with_notes
from fitb_jax import ablation, models, saliency
from fitb_jax.evaluation import retraining
from fitb_jax.evaluation.intervals import Interval, mean_interval
from fitb_jax.evaluation.tables import interval_table, intervals
from fitb_jax.types import Key, SaliencyFn, Scalar

EXPLAINED_AT_ONCE = 100


@dataclasses.dataclass(frozen=True)
class Config(networks.NetworkOptions):
    """Options of ROAR.

    Attributes:
        datasets: instead of `dataset`; one that is absent is left out with a note.
        architecture: of the network that is explained and of those trained again.
        fractions: shares of the pixels that are removed.
        seeds: networks for every method and fraction.
        again_epochs: of every training again.
        train_images: of the training split, for maps and trainings again; 0 means all.
        test_images: of the test split; 0 means all.
        methods: names in the table; none means all. Those left out by default need minutes for the
            maps of 5,000 digits.
        chunk: networks trained at once; 0 is one on CPUs, where a vmapped training is slower, and
            all seeds of a fraction elsewhere.
    """

    datasets: tuple[str, ...] = ("mnist_5k",)
    architecture: models.Architecture = "mlp"
    activation: models.Activation = "relu"
    fractions: tuple[float, ...] = retraining.ROAR_FRACTIONS
    seeds: int = 5
    again_epochs: int = 8
    train_images: int = 0
    test_images: int = 0
    methods: tuple[str, ...] = (
        *listed.CONTROLS,
        "gradient",
        listed.BLURRED,
        listed.OF_RANDOM_CLASS,
        "input x gradient",
        "integrated gradients",
        "SmoothGrad squared",
        "VarGrad",
        "occlusion",
        "guided backpropagation",
        listed.FILL_FIRST,
        listed.FILL_SECOND,
    )
    chunk: int = 0

    ZERO_ALLOWED = frozenset({"train_images", "chunk"})

    @property
    def rows(self) -> dict[str, SaliencyFn]:
        """Methods, controls, and two controls of the gradient by its own maps."""
        methods = listed.small_methods(self.architecture)
        of_gradient = {
            listed.BLURRED: listed.blurred(methods["gradient"]),
            listed.OF_RANDOM_CLASS: listed.of_random_class(methods["gradient"]),
        }
        return chosen({**listed.controls(), **methods, **of_gradient}, self.methods)


def point(
    *,
    training: models.Recipe,
    method: dict[str, jax.Array],
    fraction: jax.Array,
    seed: jax.Array,
    train: tuple[jax.Array, jax.Array],
    test: tuple[jax.Array, jax.Array],
    key: Key,
) -> dict[str, Scalar]:
    """Train one network without some pixels of the images, and test it.

    `method` holds maps of the `train` and `test` images; the key depends on the seed alone.
    """
    del seed
    accuracy = retraining.retrained_accuracy(
        training,
        retraining.ExplainedImages(*train, method["train"]),
        retraining.ExplainedImages(*test, method["test"]),
        fraction,
        key=key,
    )
    return {"accuracy": accuracy}


def sweep(config: Config, found: networks.Available) -> Iterator[Sweep]:
    """For each data set the grid of methods, fractions and seeds, and that of nothing removed."""
    at_once = config.chunk or (config.seeds if jax.default_backend() != "cpu" else 1)
    for dataset, net in found.networks.items():
        train = networks.head(net.train, config.train_images)
        test = networks.head(net.test, config.test_images)
        classifier, training = networks.configurations(config, net.train)
        batch = min(training.batch, len(train[0]))
        again = dataclasses.replace(training, epochs=config.again_epochs, batch=batch)
        maps = {
            name: {
                "train": _explain(config, net, method, train[0], f"{name}, train"),
                "test": _explain(config, net, method, test[0], f"{name}, test"),
            }
            for name, method in config.rows.items()
        }
        first = next(iter(maps))
        grids = {
            dataset: (maps, config.fractions),
            f"{dataset}, whole": ({first: maps[first]}, (0.0,)),
        }
        for name, (explained, fractions) in grids.items():
            stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *explained.values())
            yield Sweep(
                name=name,
                point=point,
                axes={
                    "training": ablation.static(
                        [models.Recipe(classifier, again)], labels=[net.label]
                    ),
                    "seed": ablation.vmapped(np.arange(config.seeds)),
                    "method": ablation.looped(stacked, labels=[*explained]),
                    "fraction": ablation.vmapped(np.array(fractions, np.float32), labels=fractions),
                },
                fields={"accuracy": ablation.Field(meaning="of a network trained again")},
                key=jax.random.key(config.seed),
                key_axes=("seed",),
                shared={"train": train, "test": test},
                chunk=at_once,
                lanes=at_once,
                block=max(config.seeds, at_once),
            )


def _explain(
    config: Config, net: networks.Network, method: SaliencyFn, images: jax.Array, label: str
) -> np.ndarray:
    if config.plan:
        return np.zeros(images.shape[:3], np.float32)
    key, chunk = jax.random.key(config.seed), EXPLAINED_AT_ONCE
    options: dict[str, Any] = {"label": label, "progress": config.progress}
    return saliency.explain_predicted(
        method, net.trained, np.asarray(images), key=key, chunk=chunk, **options
    )


def compute(config: Config, found: networks.Available, *swept: xr.Dataset) -> xr.Dataset:
    """The accuracies of every data set, and those with nothing removed."""
    names = pd.Index([*found.networks], name="dataset")
    removed, whole = (
        xr.concat([each["accuracy"].isel(training=0, drop=True) for each in part], names)
        for part in (swept[::2], swept[1::2])
    )
    results = xr.Dataset(
        {"accuracy": removed, "whole": whole.isel(method=0, fraction=0, drop=True)}
    )
    return with_notes(results, *found.notes)


def numbers(config: Config, found: xr.Dataset) -> dict[str, Interval]:
    """The accuracy with nothing removed."""
    return {
        f"{name}: nothing removed": mean_interval(found["whole"].sel(dataset=name))
        for name in found["dataset"].values.tolist()
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Accuracy at every fraction and over all of them, with intervals over seeds; low is good."""
    accuracy = found["accuracy"].assign_coords(fraction=[*config.fractions])
    means = functools.partial(interval_table, rows=("dataset", "method"), over="seed")
    mean = means(accuracy.mean("fraction"), title="mean")
    every = pd.concat([means(accuracy, title="{fraction:.0%} removed"), mean], axis=1)
    return {name: every.xs(name) for name in found["dataset"].values.tolist()}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Accuracy after training again against the share of pixels removed."""
    names = found["dataset"].values.tolist()
    figure = Figure(figsize=(1.5 + 5.5 * len(names), 5), layout="constrained")
    accuracy = intervals(found["accuracy"], over="seed")
    for axis, dataset in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for i, method in enumerate(found["method"].values.tolist()):
            is_control = method in (*listed.CONTROLS, listed.BLURRED, listed.OF_RANDOM_CLASS)
            estimate, low, high = accuracy.sel({"dataset": dataset, "method": method}).T.values
            style: dict[str, Any] = {
                # There are ten colours.
                "marker": "os^"[i // 10],
                "color": f"C{i % 10}",
                "linestyle": "--" if is_control else "-",
                "linewidth": 2.2 if method in listed.OURS else 1,
            }
            reach = np.clip([estimate - low, high - estimate], 0, None)
            line = config.fractions, estimate, reach
            axis.errorbar(*line, markersize=4, capsize=2, label=method, **style)
        whole = float(found["whole"].sel(dataset=dataset).mean())
        axis.axhline(whole, color="grey", linewidth=0.8)
        axis.set_xlabel("share of the pixels removed before training")
        axis.set_title(f"{dataset}; dashed: controls", fontsize=9)
        axis.grid(alpha=0.3)
        axis.set_ylabel("test accuracy after training again")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return {"roar": figure}


def caption(config: Config, found: xr.Dataset) -> str:
    """Name the best method, and what it must beat."""
    mean = found["accuracy"].mean(("fraction", "seed")).transpose("dataset", "method").to_pandas()
    lowest = (f"{name}: {each.idxmin()}, {each.min():.3f}" for name, each in mean.iterrows())
    return (
        f"Test accuracy of {config.architecture} networks trained again ({config.seeds} seeds) on "
        "images whose most important pixels show the mean colour; low is good. Lowest over all "
        f"fractions: {'; '.join(lowest)}. A method that is not below the random map and the Sobel "
        "edges has found nothing that they have not; maps of a random class cannot give the class "
        "away by the shape of what is removed."
    )


def load(config: Config) -> networks.Available:
    """The networks; unknown methods are refused before they are trained."""
    _ = config.rows
    return networks.available(config)


left_out = unless_asked("it trains hundreds of networks; run it by its name, or --full")

SMOKE = {
    "epochs": 1,
    "again_epochs": 1,
    "seeds": 2,
    "fractions": (0.1, 0.9),
    "train_images": 200,
    "test_images": 100,
    "methods": ("gradient", "Sobel edges"),
}

FULL = {"datasets": ("mnist", "fashion_mnist"), "again_epochs": 4, "methods": ()}
