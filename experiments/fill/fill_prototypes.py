"""Figure 2: Class prototypes E[dx].

    python -m experiments fill_prototypes --datasets mnist_5k fashion_mnist    # 30 s

Needs: Fashion-MNIST for its half, which is left out where it is absent.
Expected: the nearest prototype is that of the class for 0.66 [0.63, 0.68] of the digits, of an
untrained network for 0.14, and the nearest class mean for 0.81.

The expected update of each class with its standard error, and that of an untrained network.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.networks import (
    Available,
    Network,
    NetworkOptions,
    accuracies,
    available,
    head,
)
from experiments.core.experiment import Tables
from experiments.core.labelled import interval_variable, pictures, with_notes
from fitb_jax import fill, plotting
from fitb_jax.evaluation.intervals import proportion_interval
from fitb_jax.evaluation.tables import interval_table

MAPS = {
    "class_mean": ("class mean", "intensity"),
    "mean": ("E[dx]", "nats / intensity"),
    "standard_error": ("standard\nerror", "nats / intensity"),
    "untrained": ("E[dx],\nuntrained", "nats / intensity"),
}
PROTOTYPES = {"mean": "E[dx], trained", "untrained": "E[dx], untrained", "class_mean": "class mean"}


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


def compute(config: Config, available: Available) -> xr.Dataset:
    """E[dx] of every class, data set and network, and the nearest-prototype classifier."""
    parts = [_of_network(config, net) for net in available.networks.values()]
    found = xr.concat(parts, pd.Index([*available.networks], name="dataset"), join="outer")
    return with_notes(found, *available.notes)


def _of_network(config: Config, net: Network) -> xr.Dataset:
    count = config.images_per_class
    trained, untrained = (
        fill.class_prototypes(
            logits_fn,
            net.train.images,
            net.train.labels,
            len(net.train.class_names),
            key=jax.random.key(config.seed),
            images_per_class=count,
            parts=config.parts,
            patch=config.patch,
            order=config.order,
            chunk=config.chunk,
            tolerance=config.tolerance or None,
        )
        for logits_fn in (net.trained, net.untrained)
    )
    of_class = [net.train.images[net.train.labels == k] for k in range(len(trained.mean))]
    maps = {
        "mean": trained.mean,
        "untrained": untrained.mean,
        "class_mean": jnp.stack([jnp.asarray(images[:count]).mean(0) for images in of_class]),
        "standard_error": trained.standard_error,
    }
    shown, labels = head(net.test, config.test_images)
    nearest = jax.jit(jax.vmap(fill.nearest_prototype, in_axes=(0, None)))
    hits = [nearest(shown, maps[name]) == labels for name in PROTOTYPES]
    return xr.Dataset(
        pictures("label", **maps, count=trained.count)
        | {
            "hits": (("prototype", "image"), np.stack(hits)),
            "accuracy": interval_variable(net.accuracy),
        },
        {"prototype": [*PROTOTYPES.values()], "class_name": ("label", [*net.train.class_names])},
    )


def tables(config: Config, found: xr.Dataset) -> Tables:
    """How well the nearest prototype classifies."""
    shares = interval_table(
        found["hits"],
        rows=("dataset", "prototype"),
        over="image",
        title="nearest-prototype accuracy",
        of=proportion_interval,
    )
    return {"nearest prototype": shares}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """For each data set: class mean, E[dx], its standard error, E[dx] of the untrained network."""
    each = {str(name): found.sel(dataset=name) for name in found["dataset"].values}
    return {
        f"prototypes_{name.replace(':', '_')}": plotting.signed_maps(
            [of_dataset[one].values for one in MAPS],
            column_titles=of_dataset["class_name"].values.tolist(),
            row_titles=[title for title, _ in MAPS.values()],
            units=[unit for _, unit in MAPS.values()],
        )
        for name, of_dataset in each.items()
    }


def caption(config: Config, found: xr.Dataset) -> str:
    """State what the prototypes are and how well they classify."""
    share = found["hits"].mean("image").isel(dataset=0).values
    return (
        f"E[dx]: the {config.order}-order update averaged over up to {config.images_per_class} "
        f"training images a class and {config.parts} masks of patches of {config.patch} pixels. "
        f"The nearest prototype is that of the class for {share[0]:.2f} of the test images, of an "
        f"untrained network for {share[1]:.2f} (chance 0.10)."
    )


load = available

numbers = accuracies

SMOKE = {"epochs": 1, "datasets": ("mnist_5k",), "images_per_class": 20, "test_images": 50}

FULL = {"datasets": ("mnist", "fashion_mnist"), "images_per_class": 5000, "test_images": 0}
