"""The data and the networks that the experiments on small images share."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from experiments.core.experiment import Options
from experiments.core.labelled import interval_variable, with_notes
from fitb_jax import batching, data, models
from fitb_jax.evaluation.intervals import Interval, proportion_interval
from fitb_jax.types import LogitsFn

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class NetworkOptions(Options):
    """Options of an experiment that explains one small network.

    Attributes:
        dataset: "mnist_5k" (embedded), "mnist", "fashion_mnist" or "tfds:NAME".
        architecture: "cnn" or "mlp".
        activation: "gelu", "softplus" or "relu".
        epochs: of training; 0 chooses by the size of the data set.
        test_images: how many images of the test split the numbers are averages over; 0 means all.
    """

    dataset: str = "mnist_5k"
    architecture: models.Architecture = "cnn"
    activation: models.Activation = "gelu"
    epochs: int = 0
    test_images: int = 1000

    ZERO_ALLOWED = frozenset({"epochs", "test_images"})

    @property
    def label(self) -> str:
        """Such as "mnist_5k, cnn gelu"."""
        return f"{self.dataset}, {self.architecture} {self.activation}"


class Network(NamedTuple):
    """A classifier with what it is judged on.

    Attributes:
        trained: the classifier.
        untrained: the control: same architecture, freshly drawn weights.
        train: images and labels it was trained on.
        test: held out ones.
        accuracy: of the trained classifier on the whole test split.
        label: of what it was trained on, and its kind.
    """

    trained: LogitsFn
    untrained: LogitsFn
    train: data.Images
    test: data.Images
    accuracy: Interval
    label: str


def network(options: NetworkOptions) -> Network:
    """Load the data, and train the network or find it again."""
    train = data.load(options.dataset, split="train", data_dir=options.data_dir)
    test = data.load(options.dataset, split="test", data_dir=options.data_dir)
    classifier, training = configurations(options, train)
    untrained = _untrained(options, classifier)
    if options.plan:
        return Network(untrained, untrained, train, test, Interval(0, 0, 0), options.label)
    trained = _trained(options, classifier, training, train, seed=options.seed)
    accuracy = accuracy_of(trained, test)
    _LOG.info("%s: test accuracy %s", options.label, accuracy)
    return Network(trained, untrained, train, test, accuracy, options.label)


def with_network(found: xr.Dataset, net: Network) -> xr.Dataset:
    """Results with what they say of the network they are of."""
    accuracy = interval_variable(net.accuracy)
    return with_notes(found.assign(accuracy=accuracy), f"{net.label}; {net.test.source}")


class Available(NamedTuple):
    """What was trained by data set, and which of these were used, which left out and why."""

    networks: dict[str, Any]
    notes: list[str]


def available(options: Any, train: Callable[[Any], Any] = network) -> Available:
    """What `train` makes for each of the `datasets` of the options, leaving out those not found."""
    networks, notes = {}, []
    for dataset in options.datasets:
        try:
            networks[dataset] = train(dataclasses.replace(options, dataset=dataset))
        except FileNotFoundError as error:
            notes.append(f"{dataset} is left out: {error}")
            continue
        notes.append(f"{networks[dataset].label}; {networks[dataset].test.source}")
    if not networks:
        raise FileNotFoundError(f"none of the data sets {options.datasets} was found: {notes}")
    return Available(networks, notes)


def accuracies(config: Any, found: xr.Dataset) -> dict[str, Interval]:
    """What results say of the networks they are of."""
    accuracy = found["accuracy"]
    cases = [name for name in accuracy.dims if name != "interval"]
    if not cases:
        return {"test accuracy": Interval(*accuracy.values.tolist())}
    stacked = accuracy.stack(case=cases).transpose("case", "interval")
    return {
        f"{', '.join(map(str, case))}: test accuracy": Interval(*values.tolist())
        for case, values in zip(stacked["case"].values, stacked.values, strict=True)
    }


class Ensemble(NamedTuple):
    """Networks trained at once from different seeds, their control, and their test accuracies."""

    trained: list[LogitsFn]
    untrained: LogitsFn
    accuracies: list[Interval]


def ensemble(
    options: NetworkOptions,
    count: int,
    train: data.Images,
    test: data.Images,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Ensemble:
    """Train networks at once, by `vmap` over their seeds, or find them again.

    Their training is that of the options but for some `changes`.
    """
    classifier, training = configurations(options, train)
    training = dataclasses.replace(training, **changes)
    untrained = _untrained(options, classifier)
    if options.plan:
        return Ensemble([untrained] * count, untrained, [])
    seeds = tuple(range(options.seed, options.seed + count))
    stacked = _trained(options, classifier, training, train, seed=seeds)
    trained = [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(count)]
    return Ensemble(trained, untrained, [accuracy_of(logits_fn, test) for logits_fn in trained])


def untrained_networks(options: NetworkOptions, count: int, train: data.Images) -> LogitsFn:
    """Controls of an ensemble: as many networks with freshly drawn weights."""
    classifier, _ = configurations(options, train)
    seeds = (options.seed + i for i in range(count))
    return models.stack(
        [_untrained(dataclasses.replace(options, seed=seed), classifier) for seed in seeds]
    )


class RandomLabels(NamedTuple):
    """A network with permuted labels learned by heart, and the share of them that it gives."""

    logits_fn: LogitsFn
    fitted: Interval


def random_labels(options: NetworkOptions, train: data.Images, *, epochs: int) -> RandomLabels:
    """Train the same architecture to fit permuted labels, or find it again.

    Source: Adebayo et al. 2018, "Sanity checks for saliency maps", section 4.
    """
    classifier, training = configurations(options, train)
    if options.plan:
        return RandomLabels(_untrained(options, classifier), Interval(0, 0, 0))
    rng = np.random.default_rng(options.seed)
    permuted = train._replace(labels=rng.permutation(train.labels))
    batch = min(2 * training.batch, len(train.images))
    by_heart = dataclasses.replace(training, epochs=epochs, batch=batch, weight_decay=0.0)
    logits_fn = _trained(options, classifier, by_heart, permuted, seed=options.seed)
    fitted = accuracy_of(logits_fn, permuted)
    _LOG.info("random labels: %s of them are fitted", fitted)
    return RandomLabels(logits_fn, fitted)


def _trained(
    options: NetworkOptions,
    classifier: models.ClassifierConfig,
    training: models.TrainingConfig,
    train: data.Images,
    *,
    seed: int | tuple[int, ...],
) -> LogitsFn:
    folder = Path(options.results) / "networks"
    how: dict[str, Any] = {"seed": seed, "folder": folder, "progress": options.progress}
    return models.train_or_restore(
        classifier, training, train.images, train.labels, **how
    ).logits_fn


def _untrained(options: NetworkOptions, classifier: models.ClassifierConfig) -> LogitsFn:
    key = jax.random.key(options.seed + 1000)
    return models.as_logits_fn(models.build(classifier, key=key))


def configurations(
    options: NetworkOptions, train: data.Images
) -> tuple[models.ClassifierConfig, models.TrainingConfig]:
    """Architecture and hyperparameters for a data set."""
    return models.small_configs(
        train.images,
        len(train.class_names),
        architecture=options.architecture,
        activation=options.activation,
        epochs=options.epochs or None,
    )


def accuracy_of(logits_fn: LogitsFn, test: data.Images) -> Interval:
    """Share of test images that are classified as they are labelled."""
    predicted = batching.stream(
        jax.jit(lambda images: models.predict(logits_fn, images)),
        test.images,
        chunk=1000,
        progress=False,
    )
    return proportion_interval(predicted == test.labels)


def head(images: data.Images, count: int) -> tuple[jax.Array, jax.Array]:
    """The first `count` images and labels on the device; all of them for 0."""
    stop = count or len(images.images)
    return jnp.asarray(images.images[:stop]), jnp.asarray(images.labels[:stop])
