"""The maps and the trainings again of ROAR: what its grids evaluate."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import methods as listed
from experiments.common.networks import Network, NetworkOptions, configurations
from experiments.grids import GridRun
from fitb_jax import ablation, batching, evaluation, models
from fitb_jax.types import Array, Float, Int, Key, LogitsFn, SaliencyFn, Scalar

EXPLAINED_AT_ONCE = 100


@dataclasses.dataclass(frozen=True)
class RoarOptions(NetworkOptions):
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
    fractions: tuple[float, ...] = evaluation.retraining.ROAR_FRACTIONS
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
        *listed.OURS[:2],
    )
    chunk: int = 0

    ZERO_ALLOWED = frozenset({"train_images", "chunk"})


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
        evaluation.ExplainedImages(*train, method["train"]),
        evaluation.ExplainedImages(*test, method["test"]),
        fraction,
        key=key,
    )
    return {"accuracy": accuracy}


def every_method(architecture: models.Architecture) -> dict[str, SaliencyFn]:
    """Methods, controls, and two controls of the gradient by its own maps.

    Args:
        architecture: of the network explained.

    Returns:
        By name.
    """
    methods = listed.small_methods(architecture)
    of_gradient = {
        listed.BLURRED: listed.blurred(methods["gradient"]),
        listed.OF_RANDOM_CLASS: listed.of_random_class(methods["gradient"]),
    }
    return {**listed.controls(), **methods, **of_gradient}


def explain_all(config: RoarOptions, net: Network, method: SaliencyFn, name: str) -> dict[str, Any]:
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


def splits(config: RoarOptions, net: Network) -> dict[str, tuple[np.ndarray, np.ndarray]]:
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


def grids(config: RoarOptions, dataset: str, net: Network, maps: dict[str, Any]) -> list[GridRun]:
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
        "training": ablation.static([Training(classifier, again)], labels=[net.label]),
        "seed": ablation.vmapped(np.arange(config.seeds)),
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
            "fraction": ablation.vmapped(np.array(fractions, np.float32), labels=fractions),
        }
        return GridRun(name, point, axes, arguments)

    first = dict([next(iter(maps.items()))])
    return [
        of(f"roar_{dataset}", maps, config.fractions),
        of(f"roar_{dataset}_whole", first, (0.0,)),
    ]
