"""Figure 2: E[dx], the expected update of each class, with its standard error and its controls.

    python -m experiments fill_prototypes --datasets mnist_5k fashion_mnist

About 30 s on 2 cores, most of it to train on Fashion-MNIST.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from experiments.experiment import Experiment, Outcome, Table
from experiments.networks import Network, NetworkOptions, head, network
from fitb_jax import fill, masks, plotting
from fitb_jax.evaluation.intervals import Interval, proportion_interval


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 2.

    Attributes:
        datasets: shown one after the other; one that is not found is left out with a note.
        order: of the update, "first" or "second".
        images_per_class: training images that are averaged over, of each class.
        parts: masks of one partition: each image is seen with every part blank once.
        patch: side of a patch in pixels.
        tolerance: stop a class when the largest standard error falls below this; 0 never does.
        chunk: images evaluated at once.
    """

    datasets: tuple[str, ...] = ("mnist_5k", "fashion_mnist")
    order: fill.Order = "first"
    images_per_class: int = 400
    parts: int = 4
    patch: int = 7
    tolerance: float = 0.0
    chunk: int = 100


def compute(config: Config) -> Outcome:
    """E[dx] of every class, data set and network, and the nearest-prototype classifier."""
    arrays: dict[str, np.ndarray] = {}
    numbers: dict[str, Interval] = {}
    rows: list[list[object]] = []
    notes: list[str] = []
    for dataset in config.datasets:
        try:
            net = network(dataclasses.replace(config, dataset=dataset))
        except FileNotFoundError as error:
            notes.append(f"{dataset} is left out: {error}")
            continue
        notes.append(f"{net.label}; {net.test.source}")
        numbers[f"{dataset}: test accuracy"] = net.accuracy
        found = _prototypes(config, net)
        found["class_names"] = np.array(net.train.class_names)
        arrays |= {f"{dataset}/{name}": array for name, array in found.items()}
        rows += _nearest_prototype_rows(config, dataset, net, found)
    if not arrays:
        raise FileNotFoundError(f"none of the data sets {config.datasets} was found: {notes}")
    columns = ["data set", "prototype", "nearest-prototype accuracy", "95 % interval"]
    return Outcome(arrays, numbers, {"nearest prototype": Table(columns, rows)}, notes)


def _prototypes(config: Config, net: Network) -> dict[str, np.ndarray]:
    expected_update = jax.jit(
        functools.partial(
            fill.expected_update,
            order=config.order,
            chunk=config.chunk,
            tolerance=config.tolerance or None,
        )
    )
    found: dict[str, list[np.ndarray]] = {
        "mean": [],
        "standard_error": [],
        "count": [],
        "untrained": [],
        "class_mean": [],
    }
    shape = net.train.images.shape[1:3]
    key = jax.random.key(config.seed)
    for label in tqdm(range(len(net.train.class_names)), desc="E[dx]", disable=not config.progress):
        images = jnp.asarray(net.train.images[net.train.labels == label][: config.images_per_class])
        targets = jnp.full(len(images), label, jnp.int32)
        keys = jax.random.split(jax.random.fold_in(key, label), len(images))
        own_masks = jax.vmap(
            lambda key: masks.partition(shape, config.parts, config.patch, key=key)
        )(keys)
        prototype = expected_update(net.trained, images, targets, own_masks)
        control = expected_update(net.untrained, images, targets, own_masks)
        found["mean"].append(np.asarray(prototype.mean))
        found["standard_error"].append(np.asarray(prototype.standard_error))
        found["count"].append(np.asarray(prototype.count))
        found["untrained"].append(np.asarray(control.mean))
        found["class_mean"].append(np.asarray(images.mean(0)))
    return {name: np.stack(maps) for name, maps in found.items()}


def _nearest_prototype_rows(
    config: Config, dataset: str, net: Network, found: dict[str, np.ndarray]
) -> list[list[object]]:
    images, labels = head(net.test, config.test_images)
    classify = jax.jit(jax.vmap(fill.nearest_prototype, in_axes=(0, None)))
    rows: list[list[object]] = []
    for name, prototypes in (
        ("E[dx], trained", found["mean"]),
        ("E[dx], untrained", found["untrained"]),
        ("class mean image", found["class_mean"]),
    ):
        share = proportion_interval(np.asarray(classify(images, jnp.asarray(prototypes)) == labels))
        rows.append([dataset, name, share.estimate, f"[{share.low:.3f}, {share.high:.3f}]"])
    return rows


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """For each data set: class mean, E[dx], its standard error, E[dx] of the untrained network."""
    figures = {}
    for dataset in dict.fromkeys(name.split("/")[0] for name in outcome.arrays):
        maps = {
            name: outcome.arrays[f"{dataset}/{name}"]
            for name in ("class_mean", "mean", "standard_error", "untrained")
        }
        figures[f"prototypes_{dataset.replace(':', '_')}"] = plotting.signed_maps(
            list(maps.values()),
            column_titles=outcome.arrays[f"{dataset}/class_names"].tolist(),
            row_titles=["class mean", "E[dx]", "standard\nerror", "E[dx],\nuntrained"],
            units=["intensity", "nats / intensity", "nats / intensity", "nats / intensity"],
        )
    return figures


def caption(config: Config, outcome: Outcome) -> str:
    """State what the prototypes are and how well they classify."""
    shares = "; ".join(
        f"{dataset}: {name} {share:.2f}"
        for dataset, name, share, _ in outcome.tables["nearest prototype"].rows
    )
    errors = [array for name, array in outcome.arrays.items() if name.endswith("/standard_error")]
    means = [array for name, array in outcome.arrays.items() if name.endswith("/mean")]
    signal = np.mean(
        [np.nanstd(mean) / np.nanmean(error) for mean, error in zip(means, errors, strict=True)]
    )
    return (
        f"E[dx]: the {config.order}-order update averaged over up to {config.images_per_class} "
        f"training images a class and the {config.parts} masks of a partition into patches of "
        f"{config.patch} pixels drawn for each image, per pixel over the times it was hidden. Its "
        "spread over the pixels is "
        f"{signal:.1f} times its mean standard error. Control: the same for an untrained network. "
        f"Accuracy of the nearest prototype on test images: {shares} (chance 0.10)."
    )


EXPERIMENT = Experiment(
    name="fill_prototypes",
    title="Class prototypes E[dx]",
    regenerates="Figure 2",
    needs="Fashion-MNIST for its half (left out where absent)",
    duration="30 s",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    smoke={"epochs": 1, "datasets": ("mnist_5k",), "images_per_class": 20, "test_images": 50},
    full={"datasets": ("mnist", "fashion_mnist"), "images_per_class": 5000, "test_images": 0},
)
