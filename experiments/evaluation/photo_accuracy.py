"""Figure 24, Table 11: Accuracy of a pretrained network.

    python -m experiments photo_accuracy --photographs manifest --photo-dir DIR    # 15 s

Needs: labelled photographs (--photo-dir).
Expected: top-1 0.748 [0.703, 0.788] (EfficientNet-Lite0, 400 photographs of ImageNet).

And whether its probabilities can be believed. Any layout of `data.photographs` whose classes the
network knows. Photographs are streamed: all 50,000 need no more memory.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from experiments.common.photographs import PhotographOptions, photographs, pretrained
from experiments.core.experiment import Tables
from experiments.core.labelled import with_notes
from fitb_jax import data, models
from fitb_jax.evaluation.intervals import Interval, proportion_interval
from fitb_jax.types import LogitsFn

TOP = 5


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Table 11.

    Attributes:
        bins: of the predicted probability.
    """

    photographs: str = "imagenet"
    bins: int = 10
    chunk: int = 8


def load(config: Config) -> tuple[models.Pretrained, data.Photographs]:
    """The network, and the photographs, not read yet."""
    if reason := left_out(config):
        raise ValueError(reason)
    net = pretrained(config)
    return net, photographs(config, net.size)


def left_out(config: Config) -> str | None:
    """Why it cannot run, or None: it needs photographs with labels."""
    if config.photographs == "skimage" or config.photo_dir is None:
        return (
            "labelled photographs are needed: --photographs imagenet (or manifest, folder) "
            "--photo-dir DIR"
        )
    return None


def compute(config: Config, net: tuple[models.Pretrained, data.Photographs]) -> xr.Dataset:
    """The rank of the true class and the probability of the predicted one, of every photograph."""
    network, every = net
    judged: dict[str, list[np.ndarray]] = {"rank": [], "largest": []}
    names: list[str] = []

    @jax.jit
    def judge(logits_fn: LogitsFn, images: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        logits = jax.vmap(logits_fn)(images)
        own = jnp.take_along_axis(logits, labels[:, None], axis=1)
        probability = jax.nn.softmax(logits).max(axis=1)
        return {"rank": (logits > own).sum(axis=1), "largest": probability}

    stream = iter(every)
    for batch in tqdm(
        iter(lambda: [*itertools.islice(stream, config.chunk)], []),
        total=-(-len(every) // config.chunk),
        desc="classify",
        disable=not config.progress,
    ):
        labels = data.imagenet_labels(every, [one.labels for one in batch])
        if (labels == data.UNLABELLED).any():
            name = batch[int(np.argmin(labels))].name
            raise ValueError(
                f"photographs must have one class each that {config.model} knows, got {name!r} "
                f"of {every.source} without"
            )
        at = np.minimum(np.arange(config.chunk), len(batch) - 1)
        images = np.stack([one.image for one in batch])[at]
        for field, values in judge(network.logits_fn, images, labels[at]).items():
            judged[field].append(np.asarray(values)[: len(batch)])
        names += [one.name for one in batch]
    found = {field: ("image", np.concatenate(values)) for field, values in judged.items()}
    note = f"{every.source}; centre crop of 224 / 256, bicubic"
    return with_notes(xr.Dataset(found, {"image": names}), note)


def _bins(config: Config, found: xr.Dataset) -> pd.DataFrame:
    """Photographs, mean probability and accuracy of each bin of the probability that has some."""
    largest, hits = found["largest"].values, found["rank"].values == 0
    place = np.minimum((largest * config.bins).astype(int), config.bins - 1)
    rows = [
        (i, is_in.sum(), largest[is_in].mean(), *proportion_interval(hits[is_in]))
        for i in np.unique(place)
        for is_in in [place == i]
    ]
    return pd.DataFrame(rows, columns=["place", "count", "probability", "accuracy", "low", "high"])


def numbers(config: Config, found: xr.Dataset) -> dict[str, Interval]:
    """How often the true class is the likeliest, and among the likeliest five."""
    return {f"top-{top}": proportion_interval(found["rank"].values < top) for top in (1, TOP)}


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Accuracy, and the distance of accuracy from probability, by photographs."""
    bins = _bins(config, found)
    distance = (bins["accuracy"] - bins["probability"]).abs()
    line = {
        "photographs": found.sizes["image"],
        **numbers(config, found),
        "calibration error": (bins["count"] * distance).sum() / bins["count"].sum(),
    }
    table = pd.DataFrame(
        {name: pd.Series([value], dtype=object) for name, value in line.items()}
    ).set_axis(pd.Index([config.model], name="network"))
    return {"accuracy": table}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Accuracy against predicted probability, and how many photographs there are of each."""
    bins = _bins(config, found)
    figure = Figure(figsize=(4.2, 4.4), layout="constrained")
    chart, histogram = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    chart.plot([0, 1], [0, 1], color="grey", linewidth=0.8, label="calibrated")
    reach = [bins["accuracy"] - bins["low"], bins["high"] - bins["accuracy"]]
    chart.errorbar(
        bins["probability"],
        bins["accuracy"],
        yerr=np.clip(reach, 0, None),
        fmt="o",
        markersize=4,
        capsize=2,
        label=config.model,
    )
    chart.set_ylabel("accuracy (95 % interval)", fontsize=8)
    chart.set_ylim(-0.02, 1.02)
    chart.legend(fontsize=7)
    histogram.bar(
        bins["place"] / config.bins,
        bins["count"],
        width=1 / config.bins,
        align="edge",
        edgecolor="white",
    )
    histogram.set_ylabel("photographs", fontsize=8)
    histogram.set_xlabel("probability of the predicted class", fontsize=8)
    return {"photo_accuracy": figure}


def caption(config: Config, found: xr.Dataset) -> str:
    """State accuracy and calibration."""
    line = tables(config, found)["accuracy"].iloc[0]
    return (
        f"{config.model} on {line['photographs']} photographs, centre crop: top-1 {line['top-1']}. "
        "Accuracy in bins of the probability of the predicted class; its expected calibration "
        f"error is {line['calibration error']:.3f}. What an explanation explains is a network that "
        "is right this often."
    )


SMOKE = {"count": 8, "bins": 4}
