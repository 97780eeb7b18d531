"""Figure 31: Images that maximise a class.

    python -m experiments reconstructions    # 1 min

Expected: TODO.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table
from experiments.common.networks import Network, NetworkOptions, first_of_class, head, network
from fitb_jax import attribution, fill, masks, objectives, plotting
from fitb_jax.evaluation.intervals import bootstrap_interval, mean_interval
from fitb_jax.types import Array, Image, Logits, LogitsFn, Objective

NETWORKS = ("trained", "untrained")
PROTOTYPE = "E[dx]"


class Search(NamedTuple):
    """One way to search an image that maximises a class.

    Attributes:
        objective: what is to grow.
        parametrisation: what of the image is changed.
        is_penalised: whether total variation, distance from black and jitter hold it back.
        start: "noise" or "digit".
    """

    objective: Objective
    parametrisation: attribution.Parametrisation
    is_penalised: bool = True
    start: str = "noise"


SEARCHES = {
    "logit, pixels, no penalty": Search(objectives.logit, "pixels", is_penalised=False),
    "logit, pixels": Search(objectives.logit, "pixels"),
    "logit, pixels, from a digit": Search(objectives.logit, "pixels", start="digit"),
    "log p, pixels": Search(objectives.log_prob, "pixels"),
    "logit, Fourier": Search(objectives.logit, "fourier"),
    "log p, Fourier": Search(objectives.log_prob, "fourier"),
}

DRAWN_UNTRAINED = (PROTOTYPE, "logit, pixels", "log p, pixels", "logit, Fourier")
"""Columns of the control; its others look alike."""

_DIFFERENCE = "correlation, trained less untrained: "

LEARNING_RATE: dict[attribution.Parametrisation, float] = {"pixels": 0.02, "fourier": 0.05}


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 26.

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


def compute(config: Config) -> Outcome:
    """Every search for all classes at once, E[dx], and how alike they are to the mean digits."""
    net = network(config)
    shown, labels = head(net.test, config.test_images)
    means = _class_means(np.asarray(shown), np.asarray(labels), len(net.test.class_names))
    start = jnp.asarray(first_of_class(net.test, config.digit))
    factor = _spread(net.trained, shown) / _spread(net.untrained, shown)
    networks = {
        "trained": Partial(_scaled, jnp.float32(1.0), net.trained),
        # A penalty is worth as much against it as against the trained network.
        "untrained": Partial(_scaled, factor, net.untrained),
    }
    arrays = {
        "means": means,
        "start": np.asarray(start),
        "class_names": np.array(net.test.class_names),
        "start/correlation": _correlations(np.broadcast_to(start, means.shape), means),
    }
    for name, logits_fn in networks.items():
        prototypes = _prototypes(config, net, logits_fn)
        arrays[f"{name}/{PROTOTYPE}"] = prototypes
        arrays[f"{name}/{PROTOTYPE}/correlation"] = _correlations(prototypes, means)
    for title, search in SEARCHES.items():
        searched = _compiled(config, search, start)
        for name, logits_fn in networks.items():
            images, reached = (np.asarray(found) for found in searched(logits_fn))
            arrays |= {f"{name}/{title}": images, f"{name}/{title}/p": reached}
            arrays[f"{name}/{title}/correlation"] = _correlations(images, means)
    numbers: dict[str, object] = {"test accuracy": net.accuracy, "logits scaled by": float(factor)}
    for title in (PROTOTYPE, *SEARCHES):
        own = [np.diag(arrays[f"{name}/{title}/correlation"]) for name in NETWORKS]
        numbers[f"{_DIFFERENCE}{title}"] = mean_interval(own[0] - own[1])
    notes = [f"{net.label}; {net.test.source}"]
    notes.append(
        f"intervals are over the {len(means)} classes of one network, one start and one control"
    )
    return Outcome(arrays, numbers, {"reconstructions": _table(arrays)}, notes)


def _spread(logits_fn: LogitsFn, images: Array) -> Array:
    """Standard deviation of a logit over images, averaged over classes."""
    return jax.jit(lambda x: jax.vmap(logits_fn)(x).std(0).mean())(images)


def _scaled(factor: Array, logits_fn: LogitsFn, image: Image) -> Logits:
    return factor * logits_fn(image)


def _compiled(
    config: Config, search: Search, digit: Image
) -> Callable[[LogitsFn], tuple[Array, Array]]:
    """From a network to the images of all classes and the probability that it gives each."""
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
    start = digit if search.start == "digit" else noise

    @jax.jit
    def run(logits_fn: LogitsFn) -> tuple[Array, Array]:
        def one(target: Array, key: Array) -> tuple[Array, Array]:
            found = attribution.reconstruct(
                logits_fn, start, target, settings, key=key, objective=search.objective
            )
            return found.image, objectives.prob(logits_fn(found.image), target)

        targets = jnp.arange(logits_fn(start).shape[0])
        return jax.vmap(one)(targets, jax.random.split(shift_key, targets.size))

    return run


def _prototypes(config: Config, net: Network, logits_fn: LogitsFn) -> np.ndarray:
    """E[dx] of every class, as in Figure 2."""
    expected = jax.jit(functools.partial(fill.expected_update, chunk=config.chunk))
    key = jax.random.key(config.seed)
    found = []
    for label in range(len(net.train.class_names)):
        images = jnp.asarray(net.train.images[net.train.labels == label][: config.images_per_class])
        keys = jax.random.split(jax.random.fold_in(key, label), len(images))
        partition = functools.partial(masks.partition, images.shape[1:3], config.parts)
        own = jax.vmap(lambda key, draw=partition: draw(config.patch, key=key))(keys)
        targets = jnp.full(len(images), label, jnp.int32)
        found.append(np.asarray(expected(logits_fn, images, targets, own).mean))
    return np.stack(found)


def _class_means(images: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    absent = sorted(set(range(classes)) - set(labels.tolist()))
    if absent:
        raise ValueError(f"test_images must hold every class, got none of {absent}")
    return np.stack([images[labels == label].mean(0) for label in range(classes)])


def _correlations(images: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Pearson correlation over pixels of each image with each mean, (k, k); 0 for one colour."""

    def directions(of: np.ndarray) -> np.ndarray:
        flat = of.reshape(len(of), -1).astype(np.float64)
        centred = flat - flat.mean(1, keepdims=True)
        return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)

    return directions(images) @ directions(means).T


def _table(arrays: dict[str, np.ndarray]) -> Table:
    columns = ["search", "network", "p(class)", "correlation with the mean of the class"]
    columns += ["with those of other classes", "classes whose own mean is nearest"]
    rows: list[list[object]] = []
    for title in (PROTOTYPE, *SEARCHES):
        for name in NETWORKS:
            reached = arrays.get(f"{name}/{title}/p")
            # Student's interval of probabilities near 1 would go beyond 1.
            cell = "" if reached is None else str(bootstrap_interval(reached))
            rows.append([title, name, cell, *_alike(arrays[f"{name}/{title}/correlation"])])
    rows.append(["the digit started from", "", "", *_alike(arrays["start/correlation"])])
    return Table(columns, rows)


def _alike(found: np.ndarray) -> list[object]:
    own, others = _own_and_others(found)
    return [str(mean_interval(own)), str(mean_interval(others)), f"{_nearest(found)} of {len(own)}"]


def _own_and_others(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    own = np.diag(found)
    return own, (found.sum(1) - own) / (len(found) - 1)


def _nearest(found: np.ndarray) -> int:
    return int((found.argmax(1) == np.arange(len(found))).sum())


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """A row for each class: its mean, then trained and untrained reconstructions."""
    arrays = outcome.arrays
    means = arrays["means"]
    trained = [f"trained/{title}" for title in (PROTOTYPE, *SEARCHES)]
    untrained = [f"untrained/{title}" for title in DRAWN_UNTRAINED]
    columns: list[list[np.ndarray | None]] = [list(means)]
    columns += [_pictures(arrays[name]) for name in trained]
    columns += [[None] * len(means), *(_pictures(arrays[name]) for name in untrained)]
    titles = ["mean\ntest digit", *map(_heading, trained), "", *map(_heading, untrained)]
    figure = plotting.image_grid(
        [list(row) for row in zip(*columns, strict=True)],
        column_titles=titles,
        row_titles=arrays["class_names"].tolist(),
        size=0.8,
    )
    return {"reconstructions": figure}


def _pictures(images: np.ndarray) -> list[np.ndarray | None]:
    """As they are, or, of signed ones, blue below 0 and red above, as in Figure 2."""
    if images.min() >= 0:
        return list(images)
    maps = images.mean(-1)
    return [plotting.heat(one, largest=float(np.abs(one).max()), signed=True) for one in maps]


def _heading(name: str) -> str:
    owner, title = name.split("/")
    control = "untrained:\n" if owner == "untrained" else ""
    return control + title.replace(", ", ",\n")


def caption(config: Config, outcome: Outcome) -> str:
    """State what probability is reached, and whether the images look like their class."""
    arrays, numbers = outcome.arrays, outcome.numbers
    titles = (PROTOTYPE, *SEARCHES)
    classes = len(arrays["means"])

    def own(name: str) -> float:
        return float(np.diag(arrays[f"{name}/correlation"]).mean())

    reached = "; ".join(
        f"{title} {arrays[f'trained/{title}/p'].mean():.2f} "
        f"({arrays[f'untrained/{title}/p'].mean():.2f})"
        for title in SEARCHES
    )
    alike = "; ".join(
        f"{title} {own(f'trained/{title}'):.2f} ({own(f'untrained/{title}'):.2f}), nearest "
        f"{_nearest(arrays[f'trained/{title}/correlation'])} "
        f"({_nearest(arrays[f'untrained/{title}/correlation'])})"
        for title in titles
    )
    above = [title for title in titles if numbers[f"{_DIFFERENCE}{title}"][1] > 0]
    digit = str(arrays["class_names"][config.digit])
    return (
        f"Images that maximise one of {classes} classes of a trained network, in {config.steps} "
        f"steps from noise or from a test digit {digit}, with total variation and distance from "
        f"black weighted {config.penalty:g} and shifts of up to {config.jitter} pixels where not "
        "said otherwise. Control, in brackets: an untrained network whose logits are multiplied by "
        f"{numbers['logits scaled by']:.1f}, to spread as far as the trained one's. p(class) "
        f"reached: {reached}. Correlation with the mean test digit of the class, and classes of "
        f"{classes} for which no other mean is nearer: {alike}. The start {digit} itself: "
        f"{own('start'):.2f}, nearest {_nearest(arrays['start/correlation'])}. The interval of the "
        "difference of the correlations, trained less untrained, over classes is above 0 for "
        f"{len(above)} of {len(titles)} columns."
    )


EXPERIMENT = Experiment(
    name="reconstructions",
    title="Images that maximise a class",
    regenerates="Figure 26",
    needs="nothing",
    duration="1 min",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    smoke={"epochs": 1, "steps": 2, "images_per_class": 8},
    full={"dataset": "mnist", "steps": 1024, "images_per_class": 5000, "test_images": 0},
)
