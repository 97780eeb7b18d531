"""Figure 32: Classes and activations in the plane.

    python -m experiments embedding    # 2 min

Expected: of ten neighbours of a digit 0.930 [0.918, 0.941] have its label, by the activations of
the trained network; 0.605 [0.586, 0.624] by an untrained one's, 0.765 [0.748, 0.782] by the pixels.

Principal components and t-SNE of activations, pixels, and of the weights of the last layer.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common.networks import Network, NetworkOptions, accuracies, head, network
from experiments.core.experiment import Experiment, Tables
from experiments.core.labelled import interval_variable, with_notes
from fitb_jax import attribution, extras, models, plotting
from fitb_jax.evaluation.tables import interval_table
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

METHODS = ("PCA", "t-SNE")


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 32.

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


def compute(config: Config, net: Network) -> xr.Dataset:
    """Both projections of every description, and how many neighbours share the label."""
    images, labels = (np.asarray(array) for array in head(net.test, config.test_images))
    pretrained = models.load(config.model, weights=config.weights)
    control = models.untrained(config.model, key=jax.random.key(config.seed))
    kinds = _kinds(pretrained.wordnet_ids)
    digits = _digits(config, net, images)
    classes = zip(WEIGHTS, map(last_layer, (pretrained, control)), strict=True)
    described = {name: _projected(config, values, labels) for name, values in digits.items()}
    # Of classes there is no t-SNE.
    described |= {name: _projected(config, values, kinds, ["PCA"]) for name, values in classes}
    found = xr.concat(
        [*described.values()],
        pd.Index([*described], name="description"),
        join="outer",
        fill_value={"label": -1},
    ).assign(
        digit_name=("digit", [*net.test.class_names]),
        class_name=("class", [name.split(",")[0] for name in pretrained.class_names]),
        accuracy=interval_variable(net.accuracy),
    )
    return with_notes(
        found,
        f"{net.label}; {net.test.source}",
        f"{' and '.join(WEIGHTS)}: of the last layer of {config.model}, labelled by kind; "
        "intervals are over points, for one network and one run of t-SNE",
    )


def _projected(
    config: Config, values: np.ndarray, labels: np.ndarray, methods: Sequence[str] = METHODS
) -> xr.Dataset:
    """One description (n, d) in the plane; points of others are nan, and their label is -1."""
    components = attribution.principal_components(values)
    planes = {"PCA": components.points}
    if "t-SNE" in methods:
        key = jax.random.key(config.seed)
        planes["t-SNE"] = attribution.tsne(values, key=key, perplexity=config.perplexity)
    agreement = [neighbour_agreement(each, labels, config.neighbours) for each in planes.values()]
    return xr.Dataset(
        {
            "points": (("method", "point", "component"), np.stack([*planes.values()])),
            "explained": ("component", components.explained_variance),
            "in_plane": (("method", "point"), np.stack(agreement)),
            "in_all": ("point", neighbour_agreement(values, labels, config.neighbours)),
            "label": ("point", labels),
        },
        {
            "method": [*planes],
            "point": np.arange(len(values)),
            "component": ["first component", "second component"],
        },
    )


def _digits(config: Config, net: Network, images: np.ndarray) -> dict[str, np.ndarray]:
    """The descriptions of the test digits, (n, d) each."""

    def activations(logits_fn: LogitsFn) -> np.ndarray:
        features = models.features_of(logits_fn)
        layer = PENULTIMATE[config.architecture]
        return np.asarray(jax.jit(jax.vmap(lambda image: features(image)[layer]))(images))

    each = (activations(net.trained), activations(net.untrained), images.reshape(len(images), -1))
    return dict(zip(DIGITS, each, strict=True))


def last_layer(net: models.Pretrained) -> np.ndarray:
    """Weights of the layer that makes the logits, a row per class."""
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
    """Share of its nearest neighbours that have the label of a point, without the point itself."""
    with extras.needed("python -m experiments embedding", extra="projections"):
        from sklearn.neighbors import NearestNeighbors
    near = NearestNeighbors(n_neighbors=neighbours).fit(points).kneighbors(return_distance=False)
    return (labels[near] == labels[:, None]).mean(1)


def numbers(config: Config, found: xr.Dataset) -> dict[str, Any]:
    """How many neighbours would share the label by chance."""
    return {
        **accuracies(found),
        "same label by chance, digits": _chance(found, DIGITS[0]),
        "same kind by chance, classes": _chance(found, WEIGHTS[0]),
    }


def _chance(found: xr.Dataset, name: str) -> float:
    """How often another point, drawn at random, has the same label."""
    counts = np.unique(_of(found, name)["label"], return_counts=True)[1]
    return float((counts * (counts - 1)).sum() / (counts.sum() * (counts.sum() - 1)))


def _of(found: xr.Dataset, name: str) -> xr.Dataset:
    """One description, with its own points."""
    one = found.sel(description=name)
    return one.isel(point=one["label"].values >= 0)


def tables(config: Config, found: xr.Dataset) -> Tables:
    """What the plane holds of the variance and of the neighbourhoods."""
    lines = {"rows": ("description", "method"), "over": "point"}
    plane = interval_table(found["in_plane"], title="neighbours of the same label, plane", **lines)
    in_all = found["in_all"].broadcast_like(found["in_plane"])
    whole = interval_table(in_all, title="all dimensions", **lines)
    shares = found["explained"].expand_dims(method=["PCA"]).stack(line=lines["rows"])
    shares = shares.transpose("line", "component").to_pandas().reindex(plane.index)
    table = pd.concat([shares, plane, whole], axis=1).astype(object)
    is_there = found["points"].notnull().any(("point", "component")).to_series()
    return {"embedding": table.where(table.notna(), None)[is_there]}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The classes and the digits in the plane, and the controls of the digits."""
    figure = Figure(figsize=(16, 5.8), layout="constrained")
    classes, components, neighbours = figure.subplots(1, 3)
    count = found.sizes["class"]
    _draw(classes, found, "weights", "PCA", f"(a) last layer of {config.model}: {count} classes")
    _name_some(classes, found, config)
    _draw(components, found, "trained", "PCA", "(b) test digits, layer before the logits: PCA")
    _draw(neighbours, found, "trained", "t-SNE", "(c) the same: t-SNE")
    controls = Figure(figsize=(16, 4.4), layout="constrained")
    names = [(name, method) for name in DIGITS[1:] for method in METHODS]
    for axis, (name, method) in zip(controls.subplots(1, len(names)), names, strict=True):
        _draw(axis, found, name, method, f"{name}: {method}")
    return {"embedding": figure, "controls": controls}


def _draw(axis: Axes, found: xr.Dataset, name: str, method: str, title: str) -> None:
    of = _of(found, name)
    names = KINDS if name in WEIGHTS else found["digit_name"].values.tolist()
    points = of["points"].sel({"method": method}).transpose("point", "component").values
    plotting.scatter(axis, points, of["label"].values, names)
    axis.set_title(title, fontsize=10)
    if method == "PCA":
        first, second = 100 * of["explained"].values
        axis.set_xlabel(f"first component, {first:.1f} % of the variance", fontsize=8)
        axis.set_ylabel(f"second component, {second:.1f} %", fontsize=8)


def _name_some(axis: Axes, found: xr.Dataset, config: Config) -> None:
    """Name classes in random order, but for those whose name would be written over another."""
    of = _of(found, "weights")
    points = of["points"].sel({"method": "PCA"}).transpose("point", "component").values
    scaled = (points - points.min(0)) / np.ptp(points, axis=0)
    kinds = of["label"].values
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
            str(found["class_name"].values[index]),
            points[index],
            xytext=(-2 if is_at_edge else 2, 2),
            textcoords="offset points",
            ha="right" if is_at_edge else "left",
            fontsize=7,
        )


def caption(config: Config, found: xr.Dataset) -> str:
    """State how much of the variance the plane holds, and how many neighbours agree."""
    share = found["explained"].sum("component").sel(description="trained")
    agreement = found["in_all"].mean("point").sel(description=["trained", "pixels"])
    trained, pixels = agreement.values
    return (
        f"(a) The classes of {config.model}, by the two principal components of the last layer's "
        f"weights. (b) {_of(found, 'trained').sizes['point']} test digits, by those of the "
        "activations before the logits of a trained network, which hold "
        f"{float(share):.2f} of the variance. (c) The same by t-SNE, in which distances between "
        "clusters mean nothing. Names stand at the medians. Of the "
        f"{config.neighbours} nearest neighbours in all dimensions {trained:.2f} have the label of "
        f"a digit, by the pixels alone {pixels:.2f}."
    )


EXPERIMENT = Experiment(
    config=Config,
    load=network,
    compute=compute,
    numbers=numbers,
    tables=tables,
    draw=draw,
    caption=caption,
    smoke={"epochs": 1, "test_images": 60, "perplexity": 5.0, "neighbours": 3},
    full={"dataset": "mnist", "test_images": 5000},
)
