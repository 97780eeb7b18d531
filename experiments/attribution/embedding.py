"""Figure 27: classes by their weights and digits by their activations, in the plane.

python -m experiments embedding
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.neighbors import NearestNeighbors

from experiments.experiment import Experiment, Outcome, Table
from experiments.common.networks import Network, NetworkOptions, head, network
from fitb_jax import attribution, models, plotting
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.types import LogitsFn

KINDS = ("animals", "artefacts", "other")
"""Of the classes of ImageNet."""

FIRST_ARTEFACT, LAST_ARTEFACT = 2_660_000, 4_620_000
"""WordNet 3.0 numbers nouns file by file: animals come before, artefacts between these numbers, and
food, plants, places and people after them."""

PENULTIMATE = {"cnn": "hidden", "mlp": "hidden2"}
"""The layer before the logits, by architecture."""

DIGITS = ("trained", "untrained", "pixels")
"""What a digit is described by; the last two are controls."""

WEIGHTS = ("weights", "untrained weights")
"""What a class is described by; the second is the control."""


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 27.

    Attributes:
        model: pretrained network whose last layer's weights are shown, see `models.load`.
        weights: its state dict, where it does not come with a package.
        perplexity: of t-SNE.
        neighbours: nearest ones whose labels are compared.
        named: classes of the pretrained network that are named in the figure, at most.
    """

    model: str = "efficientnet_lite0"
    weights: Path | None = None
    perplexity: float = 30.0
    neighbours: int = 10
    named: int = 25

    ZERO_ALLOWED = frozenset({"named"})


def compute(config: Config) -> Outcome:
    """Both projections of every description, and how many neighbours share the label."""
    net = network(config)
    images, labels = (np.asarray(array) for array in head(net.test, config.test_images))
    pretrained = models.load(config.model, weights=config.weights)
    key = jax.random.key(config.seed)
    control = models.untrained(config.model, key=key)
    arrays: dict[str, np.ndarray] = {
        "labels": labels,
        "class_names": np.array(net.test.class_names),
        "kinds": _kinds(pretrained.wordnet_ids),
        "names": np.array([name.split(",")[0] for name in pretrained.class_names]),
    }
    rows: list[list[object]] = []
    described = {**_digits(config, net, images)}
    described |= zip(WEIGHTS, (last_layer(pretrained), last_layer(control)), strict=True)
    for name, values in described.items():
        is_class = name in WEIGHTS
        own = arrays["kinds"] if is_class else labels
        projection = attribution.principal_components(values)
        arrays[f"{name}/PCA"] = projection.points
        arrays[f"{name}/explained"] = projection.explained_variance
        if not is_class:
            arrays[f"{name}/t-SNE"] = attribution.tsne(
                values, key=key, perplexity=config.perplexity
            )
        whole = neighbour_agreement(values, own, config.neighbours)
        arrays[f"{name}/agreement"] = whole
        for method in ("PCA",) if is_class else ("PCA", "t-SNE"):
            plane = neighbour_agreement(arrays[f"{name}/{method}"], own, config.neighbours)
            arrays[f"{name}/{method}/agreement"] = plane
            shares = projection.explained_variance if method == "PCA" else ("", "")
            cells = [share if isinstance(share, str) else f"{share:.3f}" for share in shares]
            rows.append(
                [name, method, *cells, str(mean_interval(plane)), str(mean_interval(whole))]
            )
    columns = ["description", "method", "first component", "second component"]
    columns += ["neighbours of the same label, plane", "all dimensions"]
    numbers = {
        "test accuracy": net.accuracy,
        "same label by chance, digits": _chance(labels),
        "same kind by chance, classes": _chance(arrays["kinds"]),
    }
    notes = [f"{net.label}; {net.test.source}"]
    notes.append(
        f"{' and '.join(WEIGHTS)}: of the last layer of {config.model}, labelled by kind; "
        "intervals are over points, for one network and one run of t-SNE"
    )
    return Outcome(arrays, numbers, {"embedding": Table(columns, rows)}, notes)


def _digits(config: Config, net: Network, images: np.ndarray) -> dict[str, np.ndarray]:
    """The descriptions of the test digits, (n, d) each."""

    def activations(logits_fn: LogitsFn) -> np.ndarray:
        features = models.features_of(logits_fn)
        layer = PENULTIMATE[config.architecture]
        return np.asarray(jax.jit(jax.vmap(lambda image: features(image)[layer]))(images))

    each = (activations(net.trained), activations(net.untrained), images.reshape(len(images), -1))
    return dict(zip(DIGITS, each, strict=True))


def last_layer(net: models.Pretrained) -> np.ndarray:
    """Weights of the layer that makes the logits.

    Args:
        net: a pretrained network.

    Returns:
        (classes, d), one row per class.
    """
    classes = len(net.class_names)
    layers = models.parameter_layers(net.logits_fn, jnp.zeros((net.size, net.size, 3)))
    leaves = zip(jax.tree.leaves(net.logits_fn), layers.of_leaves, strict=True)
    kernels = [
        leaf
        for leaf, layer in leaves
        if layer == layers.names[-1] and leaf.ndim == 2 and leaf.shape[1] == classes
    ]
    return np.asarray(kernels[-1]).T


def _kinds(wordnet_ids: tuple[str, ...]) -> np.ndarray:
    """Index into `KINDS` of each class."""
    numbers = np.array([int(wordnet_id[1:]) for wordnet_id in wordnet_ids])
    return np.digitize(numbers, (FIRST_ARTEFACT, LAST_ARTEFACT))


def neighbour_agreement(points: np.ndarray, labels: np.ndarray, neighbours: int) -> np.ndarray:
    """How many of its nearest neighbours have the label of a point.

    Args:
        points: (n, d).
        labels: (n,).
        neighbours: how many, below n; by Euclidean distance, the point itself does not count.

    Returns:
        (n,), shares in [0, 1].
    """
    near = NearestNeighbors(n_neighbors=neighbours).fit(points).kneighbors(return_distance=False)
    return (labels[near] == labels[:, None]).mean(1)


def _chance(labels: np.ndarray) -> float:
    """How often another point, drawn at random, has the same label."""
    _, counts = np.unique(labels, return_counts=True)
    return float((counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1)))


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """The classes and the digits in the plane, and the controls of the digits."""
    arrays = outcome.arrays
    figure = Figure(figsize=(16, 5.8), layout="constrained")
    classes, components, neighbours = figure.subplots(1, 3)
    _draw(classes, arrays, "weights", "PCA")
    _name_some(classes, arrays, config)
    classes.set_title(
        f"(a) last layer of {config.model}: {len(arrays['names'])} classes", fontsize=10
    )
    _draw(components, arrays, "trained", "PCA")
    components.set_title("(b) test digits, layer before the logits: PCA", fontsize=10)
    _draw(neighbours, arrays, "trained", "t-SNE")
    neighbours.set_title("(c) the same: t-SNE", fontsize=10)
    controls = Figure(figsize=(16, 4.4), layout="constrained")
    names = [(name, method) for name in DIGITS[1:] for method in ("PCA", "t-SNE")]
    for axis, (name, method) in zip(controls.subplots(1, len(names)), names, strict=True):
        _draw(axis, arrays, name, method)
        axis.set_title(f"{name}: {method}", fontsize=10)
    return {"embedding": figure, "controls": controls}


def _draw(axis: Axes, arrays: dict[str, np.ndarray], name: str, method: str) -> None:
    is_class = name in WEIGHTS
    labels = arrays["kinds"] if is_class else arrays["labels"]
    names = KINDS if is_class else arrays["class_names"].tolist()
    plotting.scatter(axis, arrays[f"{name}/{method}"], labels, names)
    if method == "PCA":
        first, second = 100 * arrays[f"{name}/explained"]
        axis.set_xlabel(f"first component, {first:.1f} % of the variance", fontsize=8)
        axis.set_ylabel(f"second component, {second:.1f} %", fontsize=8)


def _name_some(axis: Axes, arrays: dict[str, np.ndarray], config: Config) -> None:
    """Name classes in random order, but for those whose name would be written over another."""
    points, kinds = arrays["weights/PCA"], arrays["kinds"]
    scaled = (points - points.min(0)) / np.ptp(points, axis=0)
    taken = [np.median(scaled[kinds == kind], axis=0) for kind in np.unique(kinds)]
    most = len(taken) + config.named
    for index in np.random.default_rng(config.seed).permutation(len(points)):
        apart = np.abs(np.array(taken) - scaled[index])
        if len(taken) == most or ((apart[:, 0] < 0.22) & (apart[:, 1] < 0.03)).any():
            continue
        taken.append(scaled[index])
        is_at_edge = scaled[index][0] > 0.8
        axis.plot(*points[index], "k.", markersize=3)
        axis.annotate(
            arrays["names"][index],
            points[index],
            xytext=(-2 if is_at_edge else 2, 2),
            textcoords="offset points",
            ha="right" if is_at_edge else "left",
            fontsize=7,
        )


def caption(config: Config, outcome: Outcome) -> str:
    """State how much of the variance the plane holds, and how many neighbours agree."""
    arrays, numbers = outcome.arrays, outcome.numbers

    def agreement(name: str, *methods: str) -> str:
        shares = [
            f"{method} {arrays[f'{name}/{method}/agreement'].mean():.2f}" for method in methods
        ]
        return f"{name}: {', '.join(shares)}, all {arrays[f'{name}/agreement'].mean():.2f}"

    explained = ", ".join(
        f"{name} {arrays[f'{name}/explained'].sum():.2f}" for name in (*WEIGHTS, *DIGITS)
    )
    digits = "; ".join(agreement(name, "PCA", "t-SNE") for name in DIGITS)
    classes = "; ".join(agreement(name, "PCA") for name in WEIGHTS)
    return (
        f"(a) The classes of {config.model}, by the two principal components of the last layer's "
        f"weights. (b) {len(arrays['labels'])} test digits, by those of the activations before the "
        "logits of a trained network. (c) The same activations by t-SNE, in which distances "
        "between clusters mean nothing. Names stand at the medians. Share of the variance that two "
        f"components hold: {explained}. Share of the {config.neighbours} nearest neighbours with "
        "the label of the point, in the plane and in all dimensions. Digits (chance "
        f"{numbers['same label by chance, digits']:.2f}): {digits}. Classes, by kind (chance "
        f"{numbers['same kind by chance, classes']:.2f}): {classes}."
    )


EXPERIMENT = Experiment(
    name="embedding",
    title="Classes and activations in the plane",
    regenerates="Figure 27",
    needs="nothing",
    duration="2 min",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    smoke={"epochs": 1, "test_images": 60, "perplexity": 5.0, "neighbours": 3},
    full={"dataset": "mnist", "test_images": 5000},
)
