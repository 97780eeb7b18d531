"""An experiment of a few lines: twice and three times some numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.core.discovery import Listed
from experiments.core.experiment import Experiment, Options, Sweep
from experiments.core.labelled import with_notes
from fitb_jax import ablation
from fitb_jax.evaluation.tables import interval_table

LISTED = Listed("toy", "fill", 1, "Figure 1", "A toy", "python -m experiments toy", "0 s", "", "6")


@dataclasses.dataclass(frozen=True)
class Config(Options):
    """Options of the toy.

    Attributes:
        images: names of the numbers, which are their lengths.
        pairs: shown as they are, to see that nested options come back.
    """

    images: tuple[str, ...] = ("a", "bb", "ccc")
    pairs: tuple[tuple[str, int], ...] = (("x", 1), ("y", 2))

    ONLY_SHOWN = frozenset({"pairs"})


def point(*, factor: int, image: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
    """A product."""
    del key
    return {"product": factor * image}


def sweep(config: Config, net: None) -> Sweep:
    """Every factor and number."""
    values = np.array([len(name) for name in config.images], np.float32)
    return Sweep(
        point=point,
        axes={
            "factor": ablation.static([2, 3]),
            "image": ablation.vmapped(jnp.asarray(values), labels=config.images),
        },
        fields={"product": ablation.Field(meaning="factor times number")},
        key=jax.random.key(config.seed),
        about={"length": ("image", values)},
        chunk=1,
        block=1,
    )


def compute(config: Config, net: None, found: xr.Dataset) -> xr.Dataset:
    """The products."""
    return with_notes(found, f"{found.sizes['image']} numbers")


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The products as a line, with the options as its title."""
    figure = Figure()
    axis = figure.subplots()
    axis.plot(found["product"].sel(factor=2))
    axis.set_title(str(config.pairs))
    return {"line": figure}


EXPERIMENT = Experiment(
    config=Config,
    load=lambda config: None,
    sweep=sweep,
    compute=compute,
    tables=lambda config, found: {
        "products": interval_table(found["product"], rows="factor", over="image", title="mean")
    },
    numbers=lambda config, found: {"largest": found["product"].max()},
    draw=draw,
    caption=lambda config, found: "Products.",
    smoke={"images": ("a", "bb")},
)
