"""Figure 2: Class prototypes E[dx].

    python -m experiments fill_prototypes --datasets mnist_5k fashion_mnist    # 3 min

Needs: Fashion-MNIST for its half, which is left out where it is absent.
Expected: the nearest prototype is that of the class for 0.75 [0.73, 0.78] of the digits.

The expected update of each class, of the first and second order, and the expected fill, of a
standard, a robust and an untrained network.
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import networks
from experiments.common.networks import Network, NetworkOptions
from experiments.core.experiment import Tables
from experiments.core.labelled import interval_variable, pictures, with_notes
from fitb_jax import data, fill, objectives, plotting
from fitb_jax.evaluation.intervals import Interval, proportion_interval
from fitb_jax.evaluation.tables import interval_table
from fitb_jax.types import Image, LogitsFn, Mask, Target, UpdateFn

STANDARD, ROBUST, UNTRAINED, CLASS_MEAN = "standard", "robust", "untrained", "class mean"
FIRST, SECOND, FILLS = "first order", "second order", "fills"


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 2.

    Attributes:
        datasets: shown one after the other; one that is not found is left out with a note.
        objective: whose updates are averaged, see `objectives.OBJECTIVES`.
        images_per_class: training images that are averaged over, of each class.
        parts: masks of one partition: each image is seen with every part blank once.
        patch: side of a patch in pixels.
        tolerance: stop a class when the largest standard error falls below this; 0 never does.
        chunk: images evaluated at once.
        robust_radius: of the robust network, in the L2 norm.
        robust_epochs: of its training; 0 chooses as for the standard one.
        fill_steps: of the fills that are averaged.
        fills_per_class: images that these are averaged over.
        grid_parts: masks of one partition, of the table of settings.
        grid_patches: sides of a patch, of the same.
        grid_objectives: names of objectives, of the same.
        grid_images: images of each class, of the same.
    """

    datasets: tuple[str, ...] = ("mnist_5k", "fashion_mnist")
    objective: str = "log_prob"
    images_per_class: int = 400
    parts: int = 2
    patch: int = 4
    tolerance: float = 0.0
    chunk: int = 100
    robust_radius: float = 2.0
    robust_epochs: int = 10
    fill_steps: int = 32
    fills_per_class: int = 50
    grid_parts: tuple[int, ...] = (2, 4)
    grid_patches: tuple[int, ...] = (2, 4, 7)
    grid_objectives: tuple[str, ...] = ("log_prob", "logit", "margin")
    grid_images: tuple[int, ...] = (100, 400)

    ZERO_ALLOWED = frozenset({"robust_epochs"})


class Loaded(NamedTuple):
    """A standard and a robust network for each data set that was found."""

    standard: networks.Available
    robust: dict[str, networks.Ensemble]


class Rule(NamedTuple):
    """What is averaged, and over how many images."""

    update: UpdateFn
    images_per_class: int


def load(config: Config) -> Loaded:
    """Train the networks of every data set, or find them again."""
    standard = networks.available(config)
    robust = {}
    for dataset, net in standard.networks.items():
        epochs = config.robust_epochs or config.epochs
        options = dataclasses.replace(config, dataset=dataset, epochs=epochs)
        changes = {"robust_radius": config.robust_radius}
        robust[dataset] = networks.ensemble(options, 1, net.train, net.test, changes)
    return Loaded(standard, robust)


def _rules(config: Config) -> dict[str, Rule]:
    objective = objectives.OBJECTIVES[config.objective]
    key = jax.random.key(config.seed)

    def filled(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target) -> Image:
        return fill.iterated(
            logits_fn, image, mask, target, key=key, steps=config.fill_steps, objective=objective
        )

    first, second = (
        functools.partial(order, objective=objective)
        for order in (fill.first_order, fill.second_order)
    )
    return {
        FIRST: Rule(first, config.images_per_class),
        SECOND: Rule(second, config.images_per_class),
        FILLS: Rule(filled, config.fills_per_class),
    }


def compute(config: Config, net: Loaded) -> xr.Dataset:
    """E[dx] of every class, data set, network and rule, and the nearest-prototype classifier."""
    rules = _rules(config)
    parts = [
        _of_networks(config, standard, net.robust[dataset], rules)
        for dataset, standard in net.standard.networks.items()
    ]
    found = xr.concat(parts, pd.Index([*net.robust], name="dataset"), join="outer")
    return with_notes(found, *net.standard.notes)


def _of_networks(
    config: Config, net: Network, robust: networks.Ensemble, rules: Mapping[str, Rule]
) -> xr.Dataset:
    owners = {STANDARD: net.trained, ROBUST: robust.trained[0], UNTRAINED: net.untrained}
    means, errors = [], []
    for logits_fn in owners.values():
        found = [
            _prototypes(config, net, logits_fn, rule.update, rule.images_per_class)
            for rule in rules.values()
        ]
        means.append(np.stack([each.mean for each in found]))
        errors.append(np.stack([each.standard_error for each in found]))
    images, labels = networks.head(net.test, config.test_images)
    nearest = jax.jit(jax.vmap(fill.nearest_prototype, in_axes=(0, None)))
    class_means = data.class_means(net.train)
    hits = [np.stack([nearest(images, each) == labels for each in every]) for every in means]
    settings = _settings(config)
    # One update function of each objective is compiled once for every size.
    by_objective: dict[str, UpdateFn] = {
        name: functools.partial(fill.first_order, objective=objectives.OBJECTIVES[name])
        for name in config.grid_objectives
    }
    measured = []
    for one in settings:
        update = by_objective[one.objective]
        prototypes = _prototypes(config, net, net.trained, update, one.images, one.parts, one.patch)
        measured.append(np.asarray(nearest(images, prototypes.mean) == labels))
    accuracies = [net.accuracy, robust.accuracies[0]]
    return xr.Dataset(
        pictures("network", "rule", "label", mean=means, standard_error=errors)
        | pictures("label", class_mean=class_means)
        | {
            "hits": (("network", "rule", "image"), np.stack(hits)),
            "hits_of_class_mean": ("image", np.asarray(nearest(images, class_means) == labels)),
            "hits_of_setting": (("setting", "image"), np.stack(measured)),
            "accuracy": xr.concat(
                [interval_variable(each) for each in accuracies],
                xr.Variable("trained", [STANDARD, ROBUST]),
            ),
        },
        {
            "network": [*owners],
            "rule": [*rules],
            "setting": [*map(_title, settings)],
            "class_name": ("label", [*net.train.class_names]),
        },
    )


def _prototypes(
    config: Config,
    net: Network,
    logits_fn: LogitsFn,
    update: UpdateFn,
    images_per_class: int,
    parts: int = 0,
    patch: int = 0,
) -> fill.Prototype:
    return fill.class_prototypes(
        logits_fn,
        net.train.images,
        net.train.labels,
        len(net.train.class_names),
        key=jax.random.key(config.seed),
        images_per_class=images_per_class,
        parts=parts or config.parts,
        patch=patch or config.patch,
        order=update,
        chunk=config.chunk,
        tolerance=config.tolerance or None,
    )


class Setting(NamedTuple):
    """A line of the table of settings."""

    parts: int
    patch: int
    objective: str
    images: int


def _settings(config: Config) -> list[Setting]:
    grid = (config.grid_parts, config.grid_patches, config.grid_objectives, config.grid_images)
    return [Setting(*values) for values in itertools.product(*grid)]


def _title(setting: Setting) -> str:
    share = f"1/{setting.parts} in patches of {setting.patch}"
    return f"{share}, {setting.objective}, {setting.images} images"


def numbers(config: Config, found: xr.Dataset) -> dict[str, Any]:
    """What the networks are worth."""
    accuracy = found["accuracy"]
    return {
        f"{dataset}, {name}: test accuracy": Interval(
            *accuracy.sel(dataset=dataset, trained=name).values
        )
        for dataset in found["dataset"].values
        for name in found["trained"].values
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """How well the nearest prototype classifies, of every network and rule, and by setting."""
    how: Mapping[str, Any] = {
        "over": "image",
        "title": "nearest-prototype accuracy",
        "of": proportion_interval,
    }
    mean = found["hits_of_class_mean"].expand_dims(network=["none"], rule=[CLASS_MEAN])
    rows = ("dataset", "network", "rule")
    lines = [interval_table(each, rows=rows, **how) for each in (found["hits"], mean)]
    return {
        "nearest prototype": pd.concat(lines),
        "settings (standard network, first order)": interval_table(
            found["hits_of_setting"], rows=("dataset", "setting"), **how
        ),
    }


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """For each data set the prototypes on scales of their own, and two rows for a reader."""
    figures = {}
    for dataset in found["dataset"].values:
        of, name = found.sel(dataset=dataset), str(dataset).replace(":", "_")
        figures[f"prototypes_{name}"] = _prototype_rows(of)
        for owner in (STANDARD, ROBUST):
            figures[f"reader_{owner}_{name}"] = _reader(of, owner)
    return figures


def _prototype_rows(found: xr.Dataset) -> Figure:
    rows, titles = [[*found["class_mean"].values]], [CLASS_MEAN]
    for owner in found["network"].values:
        of = found.sel(network=owner)
        first = of["mean"].sel(rule=FIRST).values
        rows += [[*map(_signed, first)], [*map(_positive, first)], [*map(_thresholded, first)]]
        titles += [f"{owner}\nE[dx]", "positive part", "thresholded"]
        rows.append([*map(_signed, of["mean"].sel(rule=SECOND).values)])
        titles.append("second order")
        rows.append([*map(_positive, of["mean"].sel(rule=FILLS).values)])
        titles.append("mean of fills")
    return plotting.image_grid(
        rows, column_titles=found["class_name"].values.tolist(), row_titles=titles, size=0.75
    )


def _reader(found: xr.Dataset, owner: str) -> Figure:
    """Positive parts of one network in an order that does not tell the class."""
    first = found["mean"].sel(network=owner, rule=FIRST).values
    order = np.random.default_rng(READER_SEEDS[owner]).permutation(len(first))
    letters = [chr(ord("A") + place) for place in range(len(first))]
    rows = [[draw_one(first[label]) for label in order] for draw_one in (_signed, _positive)]
    return plotting.image_grid(rows, column_titles=letters, size=1.2)


READER_SEEDS = {STANDARD: 11, ROBUST: 12}
"""Of the order of the classes; a reader who knows neither is asked what each letter is."""


def _signed(values: np.ndarray) -> np.ndarray:
    return plotting.heat(np.nan_to_num(values.mean(-1)), signed=True)


def _positive(values: np.ndarray) -> np.ndarray:
    """What is added, as an image."""
    flat = np.maximum(np.nan_to_num(values.mean(-1, keepdims=True)), 0)
    return np.clip(flat / (float(np.percentile(flat, 99)) or 1.0), 0, 1)


def _thresholded(values: np.ndarray) -> np.ndarray:
    """The image that `fill` would paint where nothing is visible."""
    whole = jnp.zeros(values.shape[:2])
    update = jnp.asarray(np.nan_to_num(values))
    return np.asarray(fill.threshold(update, whole, quantile=fill.DEFAULT_QUANTILE))


def caption(config: Config, found: xr.Dataset) -> str:
    """State what the prototypes are and how well they classify."""
    share = found["hits"].mean("image").isel(dataset=0)
    said = ", ".join(
        f"{owner} {float(share.sel(network=owner, rule=FIRST)):.2f}"
        for owner in found["network"].values
    )
    return (
        f"E[dx]: the update averaged over up to {config.images_per_class} training images a class "
        f"and {config.parts} masks of patches of {config.patch} pixels, each map on its own scale; "
        f"the robust network is trained with radius {config.robust_radius:g}. The nearest "
        f"first-order prototype is that of the class for so many test images: {said} (chance "
        "0.10)."
    )


SMOKE = {
    "epochs": 1,
    "robust_epochs": 1,
    "datasets": ("mnist_5k",),
    "images_per_class": 10,
    "fills_per_class": 2,
    "fill_steps": 2,
    "grid_parts": (2,),
    "grid_patches": (4,),
    "grid_objectives": ("log_prob",),
    "grid_images": (10,),
    "test_images": 50,
    "chunk": 10,
}

FULL = {"datasets": ("mnist", "fashion_mnist"), "images_per_class": 5000, "test_images": 0}
