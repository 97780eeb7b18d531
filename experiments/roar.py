"""Figure 17, Table 8: does a network trained again miss the pixels that a method calls important?

    python -m experiments roar --full --data-dir DIR

Embedded digits by default; `--full` is all of MNIST and Fashion-MNIST. It resumes.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments import methods as listed
from experiments.experiment import Experiment, Outcome, Table
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.networks import Network, NetworkOptions, configurations, network
from experiments.sanity_cases import chosen
from experiments.statistics import Interval, mean_interval
from fitb_jax import ablation, batching, evaluation, models
from fitb_jax.types import Array, Float, Int, Key, LogitsFn, SaliencyFn, Scalar

BLURRED = "gradient, blurred"
EXPLAINED_AT_ONCE = 100


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
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
    fractions: tuple[float, ...] = evaluation.ROAR_FRACTIONS
    seeds: int = 5
    again_epochs: int = 8
    train_images: int = 0
    test_images: int = 0
    methods: tuple[str, ...] = (
        "random map",
        "Sobel edges",
        "gradient",
        BLURRED,
        "input x gradient",
        "integrated gradients",
        "SmoothGrad squared",
        "VarGrad",
        "occlusion",
        "guided backpropagation",
        listed.OURS[0],
    )
    chunk: int = 0


@dataclasses.dataclass(frozen=True)
class Training:
    """Training from scratch with everything set but the images, equal to another with the same.

    Attributes:
        classifier: the architecture.
        training: the hyperparameters.
    """

    classifier: models.ClassifierConfig
    training: models.TrainingConfig

    def __call__(
        self, images: Float[Array, "n h w c"], labels: Int[Array, "n"], *, key: Key
    ) -> LogitsFn:
        """Train one network."""
        return models.train(self.classifier, self.training, images, labels, key=key).logits_fn


def point(
    *,
    training: Training,
    method: dict[str, jax.Array],
    fraction: jax.Array,
    seed: jax.Array,
    train: tuple[jax.Array, jax.Array],
    test: tuple[jax.Array, jax.Array],
    key: Key,
) -> dict[str, Scalar]:
    """Train one network again, and test it.

    Args:
        training: how.
        method: maps of the `train` and `test` images.
        fraction: share of the pixels that is removed.
        seed: which of the networks; the key depends on it alone.
        train: images and labels.
        test: likewise.
        key: of the training and of ties.

    Returns:
        The accuracy.
    """
    del seed
    accuracy = evaluation.retrained_accuracy(
        training,
        evaluation.Mapped(*train, method["train"]),
        evaluation.Mapped(*test, method["test"]),
        fraction,
        key=key,
    )
    return {"accuracy": accuracy}


def every_method(architecture: models.Architecture) -> dict[str, SaliencyFn]:
    """Methods, controls and the blurred control of one method.

    Args:
        architecture: of the network explained.

    Returns:
        By name.
    """
    methods = listed.small_methods(architecture)
    return {**listed.controls(), **methods, BLURRED: listed.blurred(methods["gradient"])}


def explain_all(config: Config, net: Network, method: SaliencyFn, name: str) -> dict[str, Any]:
    """Maps of the predicted class of every image: the labels of test images are not used.

    Args:
        config: options.
        net: the network and its data.
        method: the method.
        name: for the progress bar.

    Returns:
        Maps (n, h, w) by the name of the split.
    """

    @jax.jit
    def batch(images: Array, places: Array) -> Array:
        def one(image: Array, place: Array) -> Array:
            key = jax.random.fold_in(jax.random.key(config.seed), place)
            return method(net.trained, image, jnp.argmax(net.trained(image)), key=key)

        return jax.vmap(one)(images, places)

    return {
        split: batching.stream(
            batch,
            images,
            np.arange(len(images)),
            chunk=EXPLAINED_AT_ONCE,
            label=f"{name}, {split}",
            progress=config.progress,
        )
        for split, (images, _) in splits(config, net).items()
    }


def splits(config: Config, net: Network) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels that are explained and trained on, by split.

    Args:
        config: options.
        net: whose data.

    Returns:
        Of "train" and "test".
    """
    counts = {"train": (net.train, config.train_images), "test": (net.test, config.test_images)}
    return {
        name: (images.images[: count or None], images.labels[: count or None])
        for name, (images, count) in counts.items()
    }


def grids(config: Config, dataset: str, net: Network, maps: dict[str, Any]) -> list[GridRun]:
    """The grid of methods, fractions and seeds, and that of nothing removed.

    Args:
        config: options.
        dataset: part of the name.
        net: the data.
        maps: by method and split.

    Returns:
        Both.
    """
    classifier, training = configurations(config, net.train)
    found = splits(config, net)
    size = len(found["train"][0])
    again = dataclasses.replace(
        training, epochs=config.again_epochs, batch=min(training.batch, size)
    )
    at_once = config.seeds if jax.default_backend() != "cpu" else 1
    common = {
        "training": ablation.structural([Training(classifier, again)], labels=[net.label]),
        "seed": ablation.batched(np.arange(config.seeds)),
    }
    arguments = {
        "key": jax.random.key(config.seed),
        "key_axes": ("seed",),
        "shared": found,
        "fields": {"accuracy": ablation.Field(meaning="of a network trained again")},
        "chunk": config.chunk or at_once,
        "lanes": config.chunk or at_once,
        "block": max(config.seeds, config.chunk or at_once),
    }

    def of(name: str, chosen_maps: dict[str, Any], fractions: tuple[float, ...]) -> GridRun:
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *chosen_maps.values())
        axes = {
            **common,
            "method": ablation.looped(stacked, labels=[*chosen_maps]),
            "fraction": ablation.batched(np.array(fractions, np.float32), labels=fractions),
        }
        return GridRun(name, point, axes, arguments)

    first = dict([next(iter(maps.items()))])
    return [
        of(f"roar_{dataset}", maps, config.fractions),
        of(f"roar_{dataset}_whole", first, (0.0,)),
    ]


def plan(config: Config) -> list[str]:
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


def compute(config: Config) -> Outcome:
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


def _table(config: Config, arrays: dict[str, np.ndarray], dataset: str) -> Table:
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


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Accuracy after training again against the share of pixels removed."""
    arrays = outcome.arrays
    names = arrays["datasets"].tolist()
    figure = Figure(figsize=(1.5 + 5.5 * len(names), 5), layout="constrained")
    for axis, dataset in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for name, accuracy in zip(
            arrays["methods"].tolist(), arrays[f"{dataset}/accuracy"], strict=True
        ):
            is_control = name in (*listed.CONTROLS, BLURRED)
            found = np.array([mean_interval(seeds) for seeds in accuracy])
            axis.errorbar(
                config.fractions,
                found[:, 0],
                yerr=np.clip([found[:, 0] - found[:, 1], found[:, 2] - found[:, 0]], 0, None),
                marker="o",
                markersize=3,
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


def caption(config: Config, outcome: Outcome) -> str:
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
        "the Sobel edges has found nothing that they have not; one that its own blurred map beats "
        "is judged by how much of a region it removes as well as by what it says is important."
    )


EXPERIMENT = Experiment(
    name="roar",
    title="Remove and retrain",
    regenerates="Figure 17, Table 8",
    needs="nothing; MNIST and Fashion-MNIST for --full",
    duration="6 min",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    smoke={
        "epochs": 1,
        "again_epochs": 1,
        "seeds": 2,
        "fractions": (0.1, 0.9),
        "train_images": 200,
        "test_images": 100,
        "methods": ("gradient", "Sobel edges"),
    },
    full={"datasets": ("mnist", "fashion_mnist"), "again_epochs": 4},
)
