"""Figure 34: Classes and activations in the plane.

    python -m experiments embedding    # 2 min

Expected: of ten neighbours of a digit by all activations, 0.930 [0.918, 0.941] have its label.

Principal components and t-SNE of activations, pixels, and of the weights of the last layer.
"""

import dataclasses
import functools
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
from experiments.core.experiment import Tables
from experiments.core.labelled import interval_variable, with_notes
from fitb_jax import attribution, imagenet, models, plotting
from fitb_jax.evaluation.tables import interval_columns

PENULTIMATE = {"cnn": "hidden", "mlp": "hidden2"}
"""The layer before the logits, by architecture."""

DIGITS = ("trained", "untrained", "pixels")
"""What a digit is described by; the last two are controls."""

WEIGHTS = ("weights", "untrained weights")
"""What a class is described by; the second is the control."""

METHODS = ("PCA", "t-SNE")


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 34.

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
    kinds = imagenet.kinds(pretrained.wordnet_ids)
    digits = _digits(config, net, images)
    black = jnp.zeros((pretrained.size, pretrained.size, 3))
    weights = [models.logit_weights(each.logits_fn, black) for each in (pretrained, control)]
    classes = zip(WEIGHTS, weights, strict=True)
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
    agreement = functools.partial(
        attribution.neighbour_agreement, labels=labels, neighbours=config.neighbours
    )
    return xr.Dataset(
        {
            "points": (("method", "point", "component"), np.stack([*planes.values()])),
            "explained": ("component", components.explained_variance),
            "in_plane": (("method", "point"), np.stack([*map(agreement, planes.values())])),
            "in_all": ("point", agreement(values)),
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
    layer, shown = PENULTIMATE[config.architecture], jnp.asarray(images)
    layers = (models.activations(net_fn, shown, layer) for net_fn in (net.trained, net.untrained))
    each = (*map(np.asarray, layers), images.reshape(len(images), -1))
    return dict(zip(DIGITS, each, strict=True))


def numbers(config: Config, found: xr.Dataset) -> dict[str, Any]:
    """How many neighbours would share the label by chance."""
    digits, classes = (
        attribution.chance_agreement(_of(found, name)["label"].values)
        for name in (DIGITS[0], WEIGHTS[0])
    )
    return {
        **accuracies(config, found),
        "same label by chance, digits": digits,
        "same kind by chance, classes": classes,
    }


def _of(found: xr.Dataset, name: str) -> xr.Dataset:
    """One description, with its own points."""
    one = found.sel(description=name)
    return one.isel(point=one["label"].values >= 0)


def tables(config: Config, found: xr.Dataset) -> Tables:
    """What the plane holds of the variance and of the neighbourhoods."""
    rows = ("description", "method")
    titles = {"in_plane": "neighbours of the same label, plane", "in_all": "all dimensions"}
    shared = found.assign(in_all=found["in_all"].broadcast_like(found["in_plane"]))
    agreement = interval_columns(shared, titles, rows=rows, over="point")
    shares = found["explained"].expand_dims(method=["PCA"]).stack(line=rows)
    shares = shares.transpose("line", "component").to_pandas().reindex(agreement.index)
    table = pd.concat([shares, agreement], axis=1).astype(object)
    is_there = found["points"].notnull().any(("point", "component")).to_series()
    return {"embedding": table.where(table.notna(), None)[is_there]}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The classes and the digits in the plane, and the controls of the digits."""
    figure, controls = (Figure(figsize=(16, high), layout="constrained") for high in (5.8, 4.4))
    classes, components, neighbours = figure.subplots(1, 3)
    count = found.sizes["class"]
    _draw(classes, found, "weights", "PCA", f"(a) last layer of {config.model}: {count} classes")
    points, kinds = _plane(found, "weights", "PCA")
    taken = np.array([np.median(points[kinds == kind], axis=0) for kind in np.unique(kinds)])
    names = found["class_name"].values.tolist()
    plotting.name_points(classes, points, names, most=config.named, taken=taken, seed=config.seed)
    _draw(components, found, "trained", "PCA", "(b) test digits, layer before the logits: PCA")
    _draw(neighbours, found, "trained", "t-SNE", "(c) the same: t-SNE")
    shown = [(name, method) for name in DIGITS[1:] for method in METHODS]
    for axis, (name, method) in zip(controls.subplots(1, len(shown)), shown, strict=True):
        _draw(axis, found, name, method, f"{name}: {method}")
    return {"embedding": figure, "controls": controls}


def _plane(found: xr.Dataset, name: str, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Points of one description (n, 2), and their labels."""
    of = _of(found, name)
    points = of["points"].sel({"method": method}).transpose("point", "component")
    return points.values, of["label"].values


def _draw(axis: Axes, found: xr.Dataset, name: str, method: str, title: str) -> None:
    names = imagenet.KINDS if name in WEIGHTS else found["digit_name"].values.tolist()
    plotting.scatter(axis, *_plane(found, name, method), names)
    axis.set_title(title, fontsize=10)
    if method == "PCA":
        first, second = 100 * found["explained"].sel(description=name).values
        axis.set_xlabel(f"first component, {first:.1f} % of the variance", fontsize=8)
        axis.set_ylabel(f"second component, {second:.1f} %", fontsize=8)


def caption(config: Config, found: xr.Dataset) -> str:
    """State how many neighbours agree."""
    trained, pixels = found["in_all"].mean("point").sel(description=["trained", "pixels"]).values
    return (
        f"(a) Classes of {config.model} by the weights of its last layer; (b), (c) test digits by "
        "the activations before the logits. Names stand at the medians; distances between clusters "
        f"mean nothing in (c). Of {config.neighbours} neighbours in all dimensions {trained:.2f} "
        f"have the label of a digit, by the pixels alone {pixels:.2f}."
    )


load = network

SMOKE = {"epochs": 1, "test_images": 60, "perplexity": 5.0, "neighbours": 3}

FULL = {"dataset": "mnist", "test_images": 5000}
