"""Figure 33: Images that maximise a class.

    python -m experiments reconstructions    # 1 min

Expected: the search on pixels by the logit correlates with the mean digit by 0.589 [0.513, 0.664].

Several searches for all ten classes, beside E[dx], each with an untrained network as its control.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.networks import Network, NetworkOptions, accuracies, head, network
from experiments.core.experiment import Tables
from experiments.core.labelled import interval_variable, pictures, with_notes
from fitb_jax import attribution, data, fill, models, objectives, plotting
from fitb_jax.evaluation.intervals import Interval, bootstrap_interval
from fitb_jax.evaluation.map_similarity import cross_correlations
from fitb_jax.evaluation.tables import interval_columns, interval_table, intervals
from fitb_jax.types import Array, Image, LogitsFn, Objective

Way: TypeAlias = Callable[[LogitsFn], tuple[Array, Array]]
"""From a network to an image of every class, and the probability that it gives each."""

PROTOTYPE = "E[dx]"


class Search(NamedTuple):
    """One way to search an image that maximises a class."""

    objective: Objective
    parametrisation: attribution.Parametrisation
    is_penalised: bool = True
    starts_from_digit: bool = False


SEARCHES = {
    "logit, pixels, no penalty": Search(objectives.logit, "pixels", is_penalised=False),
    "logit, pixels": Search(objectives.logit, "pixels"),
    "logit, pixels, from a digit": Search(objectives.logit, "pixels", starts_from_digit=True),
    "log p, pixels": Search(objectives.log_prob, "pixels"),
    "logit, Fourier": Search(objectives.logit, "fourier"),
    "log p, Fourier": Search(objectives.log_prob, "fourier"),
}

DRAWN_UNTRAINED = (PROTOTYPE, "logit, pixels", "log p, pixels", "logit, Fourier")
"""Columns of the control; its others look alike."""

LEARNING_RATE: dict[attribution.Parametrisation, float] = {"pixels": 0.02, "fourier": 0.05}
LINES: dict[str, Any] = {"rows": ("search", "network"), "over": "label"}


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 33.

    Attributes:
        steps: of each search.
        penalty: weight of the total variation and of the squared distance from black.
        jitter: largest shift before each step, in pixels.
        digit: class of the test digit that one of the searches starts from.
        images_per_class: training images that E[dx] is averaged over, of each class.
        parts: masks of one partition for each of them.
        patch: side of a patch in pixels.
        chunk: images evaluated at once for E[dx].
    """

    steps: int = 256
    penalty: float = 10.0
    jitter: int = 2
    digit: int = 4
    images_per_class: int = 200
    parts: int = 4
    patch: int = 7
    chunk: int = 100

    ZERO_ALLOWED = frozenset({"digit", "jitter"})


def compute(config: Config, net: Network) -> xr.Dataset:
    """Every search for all classes at once, E[dx], and how alike they are to the mean digits."""
    shown, labels = head(net.test, config.test_images)
    names = [*net.test.class_names]
    judged = net.test._replace(images=np.asarray(shown), labels=np.asarray(labels))
    means = data.class_means(judged)
    start = jnp.asarray(data.first_of_classes(net.test, [config.digit])[0])
    factor = _spread(net.trained, shown) / _spread(net.untrained, shown)
    networks = {
        "trained": models.scale_logits(net.trained, 1.0),
        # A penalty is worth as much against it as against the trained network.
        "untrained": models.scale_logits(net.untrained, factor),
    }
    ways: dict[str, Way] = {PROTOTYPE: functools.partial(_prototypes, config, net)}
    ways |= {title: _compiled(config, search, start) for title, search in SEARCHES.items()}
    both = [[jax.device_get(way(each)) for each in networks.values()] for way in ways.values()]
    images, reached = (np.array([[pair[i] for pair in each] for each in both]) for i in (0, 1))
    alike = np.array([[cross_correlations(of, means) for of in each] for each in images])
    start_alike = cross_correlations(np.broadcast_to(start, means.shape), means)
    found = xr.Dataset(
        pictures("search", "network", "label", images=images)
        | pictures("label", means=means)
        | pictures(start=start)
        | {
            "reached": (("search", "network", "label"), reached),
            "correlation": (("search", "network", "label", "mean_of"), alike),
            "start_correlation": (("label", "mean_of"), start_alike),
            "scaled_by": float(factor),
            "accuracy": interval_variable(net.accuracy),
        },
        {"search": [*ways], "network": [*networks], "label": names, "mean_of": names},
    )
    return with_notes(
        found,
        f"{net.label}; {net.test.source}",
        f"intervals are over the {len(names)} classes of one network, one start and one control",
    )


def _spread(logits_fn: LogitsFn, images: Array) -> Array:
    """Standard deviation of a logit over images, averaged over classes."""
    return jax.jit(lambda x: jax.vmap(logits_fn)(x).std(0).mean())(images)


def _compiled(config: Config, search: Search, digit: Image) -> Way:
    """One search of all classes, compiled once for both networks."""
    weight, jitter = (config.penalty, config.jitter) if search.is_penalised else (0.0, 0)
    settings = attribution.ReconstructionConfig(
        parametrisation=search.parametrisation,
        steps=config.steps,
        learning_rate=LEARNING_RATE[search.parametrisation],
        total_variation=weight,
        l2=weight,
        centre=0.0,
        jitter=jitter,
    )
    noise_key, shift_key = jax.random.split(jax.random.key(config.seed))
    noise = attribution.noise_image(digit.shape, centre=0.0, key=noise_key)
    start = digit if search.starts_from_digit else noise

    @jax.jit
    def run(logits_fn: LogitsFn) -> tuple[Array, Array]:
        return attribution.reconstruct_classes(
            logits_fn, start, settings, key=shift_key, objective=search.objective
        )

    return run


def _prototypes(config: Config, net: Network, logits_fn: LogitsFn) -> tuple[Array, Array]:
    """E[dx] of every class, as in Figure 2, which reaches no probability."""
    found = fill.class_prototypes(
        logits_fn,
        net.train.images,
        net.train.labels,
        len(net.train.class_names),
        key=jax.random.key(config.seed),
        images_per_class=config.images_per_class,
        parts=config.parts,
        patch=config.patch,
        chunk=config.chunk,
    )
    return found.mean, jnp.full(len(found.mean), jnp.nan)


def _own(correlation: xr.DataArray) -> xr.DataArray:
    """That with the mean of the class itself."""
    return correlation.sel(mean_of=correlation["label"]).drop_vars("mean_of")


def _more_than_untrained(found: xr.Dataset) -> xr.DataArray:
    """How much training adds to the correlation with the mean of the class, (search, interval)."""
    own = _own(found["correlation"])
    return intervals(own.sel(network="trained") - own.sel(network="untrained"), over="label")


def numbers(config: Config, found: xr.Dataset) -> dict[str, Any]:
    """How the control is scaled, and what training does to the correlations."""
    differences = {
        f"correlation, trained less untrained: {more['search'].values}": Interval(*more.values)
        for more in _more_than_untrained(found)
    }
    return {
        **accuracies(config, found),
        "logits scaled by": float(found["scaled_by"]),
        **differences,
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """The probability reached, and how alike the images are to the mean digits."""
    # Student's interval of probabilities near 1 would go beyond 1.
    bounded: dict[str, Any] = {"title": "p(class)", "of": bootstrap_interval}
    reached = interval_table(found["reached"], **LINES, **bounded).drop(
        index=PROTOTYPE, level="search"
    )
    start = found["start_correlation"].expand_dims(search=["the digit started from"], network=[""])
    alike = pd.concat([_alike(found["correlation"]), _alike(start)])
    table = alike.join(reached).astype(object).where(lambda cells: cells.notna(), None)
    return {"reconstructions": table[["p(class)", *alike.columns]]}


def _alike(correlation: xr.DataArray) -> pd.DataFrame:
    own, classes = _own(correlation), correlation.sizes["label"]
    others = (correlation.sum("mean_of") - own) / (classes - 1)
    is_nearest = correlation.idxmax("mean_of") == correlation["label"]
    nearest = is_nearest.sum("label").stack(line=LINES["rows"]).to_series()
    titles = {
        "own": "correlation with the mean of the class",
        "others": "with those of other classes",
    }
    table = interval_columns(xr.Dataset({"own": own, "others": others}), titles, **LINES)
    table["classes whose own mean is nearest"] = nearest.map(lambda count: f"{count} of {classes}")
    return table


def _pictures(found: xr.Dataset, owner: str, search: str) -> list[np.ndarray]:
    """As they are, or, of signed ones, blue below 0 and red above, as in Figure 2."""
    images = found["images"].sel(network=owner, search=search).values
    if images.min() >= 0:
        return list(images)
    maps = images.mean(-1)
    return [plotting.heat(one, largest=float(np.abs(one).max()), signed=True) for one in maps]


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """A row for each class: its mean, then trained and untrained reconstructions."""
    means = list(found["means"].values)
    columns: dict[str, Sequence[np.ndarray | None]] = {"mean\ntest digit": means}
    for search in found["search"].values:
        columns[search.replace(", ", ",\n")] = _pictures(found, "trained", search)
    columns[""] = [None] * len(means)
    for search in DRAWN_UNTRAINED:
        title = "untrained:\n" + search.replace(", ", ",\n")
        columns[title] = _pictures(found, "untrained", search)
    figure = plotting.image_grid(
        [list(row) for row in zip(*columns.values(), strict=True)],
        column_titles=[*columns],
        row_titles=found["label"].values.tolist(),
        size=0.8,
    )
    return {"reconstructions": figure}


def caption(config: Config, found: xr.Dataset) -> str:
    """State whether the images look like their class, and what is left without training."""
    own = _own(found["correlation"]).mean("label")
    best = own.sel(network="trained").drop_sel(search=PROTOTYPE).idxmax("search").item()
    trained, untrained = (own.sel(search=best, network=name) for name in ("trained", "untrained"))
    more = _more_than_untrained(found)
    return (
        f"Images that maximise one of {found.sizes['label']} classes in {config.steps} steps from "
        "noise or a digit, penalised where not said otherwise. Most alike to the mean test digit "
        f'of their class are those of "{best}": correlation {trained:.2f}, of an untrained network '
        f"with logits of the same spread {untrained:.2f}. The interval of the difference is above "
        f"0 for {int((more.sel(interval='low') > 0).sum())} of {len(more)} columns."
    )


load = network

SMOKE = {"epochs": 1, "steps": 2, "images_per_class": 8}

FULL = {"dataset": "mnist", "steps": 1024, "images_per_class": 5000, "test_images": 0}
