"""Figure 22, Table 9: Accuracy of a pretrained network.

    python -m experiments photo_accuracy --photographs imagenet --photo-dir ILSVRC/val    # 15 s

Needs: labelled photographs (--photo-dir).
Expected: TODO.

Any layout of `data.photographs` whose classes the network knows. About 15 s for 400 photographs on
2 cores; photographs are streamed, so that all 50,000 need no more memory.
"""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from experiments.experiment import Experiment, Outcome, Table
from experiments.common.photographs import PhotographOptions, photographs, pretrained
from fitb_jax import data
from fitb_jax.data.photos.explained_object import UNLABELLED, class_indices
from fitb_jax.evaluation.intervals import Interval, proportion_interval
from fitb_jax.types import LogitsFn

TOP = 5


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Table 2.

    Attributes:
        bins: of the predicted probability.
    """

    photographs: str = "imagenet"
    bins: int = 10
    chunk: int = 8


def compute(config: Config) -> Outcome:
    """Classify every photograph."""
    if reason := left_out(config):
        raise ValueError(reason)
    net = pretrained(config)
    found = photographs(config, net.size)
    ranks, largest, names = [], [], []

    @jax.jit
    def judge(logits_fn: LogitsFn, images: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        logits = jax.vmap(logits_fn)(images)
        own = jnp.take_along_axis(logits, labels[:, None], axis=1)
        probability = jax.nn.softmax(logits).max(axis=1)
        return {"rank": (logits > own).sum(axis=1), "largest": probability}

    for batch in tqdm(
        _batches(found, config.chunk),
        total=-(-len(found) // config.chunk),
        desc="classify",
        disable=not config.progress,
    ):
        labels = class_indices(found, [one.labels for one in batch])
        if (labels == UNLABELLED).any():
            name = batch[int(np.argmin(labels))].name
            raise ValueError(
                f"photographs must have one class each that {config.model} knows, got {name!r} "
                f"of {found.source} without"
            )
        at = np.minimum(np.arange(config.chunk), len(batch) - 1)
        images = np.stack([one.image for one in batch])[at]
        judged = judge(net.logits_fn, images, labels[at])
        ranks.append(np.asarray(judged["rank"])[: len(batch)])
        largest.append(np.asarray(judged["largest"])[: len(batch)])
        names += [one.name for one in batch]
    arrays = {
        "rank": np.concatenate(ranks),
        "largest": np.concatenate(largest),
        "names": np.array(names),
    }
    top1 = proportion_interval(arrays["rank"] == 0)
    top5 = proportion_interval(arrays["rank"] < TOP)
    row = [config.model, len(names), *map(_text, (top1, top5)), _calibration_error(config, arrays)]
    columns = ["network", "photographs", "top-1", f"top-{TOP}", "calibration error"]
    return Outcome(
        arrays,
        {"top-1": top1, f"top-{TOP}": top5},
        {"accuracy": Table(columns, [row])},
        [f"{found.source}; centre crop of 224 / 256, bicubic"],
    )


def left_out(config: Config) -> str | None:
    """It needs photographs with labels.

    Args:
        config: says where.

    Returns:
        Why it cannot run; None if it can.
    """
    if config.photographs == "skimage" or config.photo_dir is None:
        return (
            "labelled photographs are needed: --photographs imagenet (or manifest, folder) "
            "--photo-dir DIR"
        )
    return None


def _batches(found: data.Photographs, size: int) -> Iterator[list[data.Photograph]]:
    batch: list[data.Photograph] = []
    for photograph in found:
        batch.append(photograph)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _bins(config: Config, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Photographs, mean probability and accuracy with its interval of each bin, (bins, 5)."""
    place = np.minimum((arrays["largest"] * config.bins).astype(int), config.bins - 1)
    rows = np.full((config.bins, 5), np.nan)
    for i in range(config.bins):
        chosen = place == i
        rows[i, 0] = chosen.sum()
        if chosen.any():
            share = proportion_interval(arrays["rank"][chosen] == 0)
            rows[i, 1:] = arrays["largest"][chosen].mean(), *share
    return rows


def _calibration_error(config: Config, arrays: dict[str, np.ndarray]) -> float:
    """Expected calibration error: distance of accuracy from probability, by photographs."""
    count, probability, accuracy, _, _ = _bins(config, arrays).T
    return float(np.nansum(count * np.abs(accuracy - probability)) / count.sum())


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Accuracy against predicted probability, and how many photographs there are of each."""
    count, probability, accuracy, low, high = _bins(config, outcome.arrays).T
    figure = Figure(figsize=(4.2, 4.4), layout="constrained")
    chart, histogram = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    chart.plot([0, 1], [0, 1], color="grey", linewidth=0.8, label="calibrated")
    reach = np.clip([accuracy - low, high - accuracy], 0, None)
    chart.errorbar(
        probability, accuracy, yerr=reach, fmt="o", markersize=4, capsize=2, label=config.model
    )
    chart.set_ylabel("accuracy (95 % interval)", fontsize=8)
    chart.set_ylim(-0.02, 1.02)
    chart.legend(fontsize=7)
    edges = np.linspace(0, 1, config.bins + 1)
    histogram.bar(edges[:-1], count, width=1 / config.bins, align="edge", edgecolor="white")
    histogram.set_ylabel("photographs", fontsize=8)
    histogram.set_xlabel("probability of the predicted class", fontsize=8)
    return {"photo_accuracy": figure}


def caption(config: Config, outcome: Outcome) -> str:
    """State accuracy and calibration."""
    name, count, top1, top5, error = outcome.tables["accuracy"].rows[0]
    return (
        f"{name} on {count} photographs, centre crop: top-1 {top1}, top-{TOP} {top5}. Accuracy in "
        f"bins of the probability of the predicted class; its expected calibration error is "
        f"{error:.3f}. What an explanation explains is a network that is right this often."
    )


def _text(share: Interval) -> str:
    return str(share)


EXPERIMENT = Experiment(
    name="photo_accuracy",
    title="Accuracy of a pretrained network",
    regenerates="Table 2",
    needs="labelled photographs (--photo-dir)",
    duration="15 s",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    smoke={"count": 8, "bins": 4},
    full={},
    left_out=left_out,
)
