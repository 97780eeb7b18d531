"""The photographs and the pretrained network that the experiments on natural images share."""

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.core.experiment import Options
from fitb_jax import batching, data, models
from fitb_jax.types import LogitsFn

_READ_AT_ONCE = 64
"""Photographs, where only some of them are wanted: those after the last one are never read."""


@dataclasses.dataclass(frozen=True)
class PhotographOptions(Options):
    """Options of an experiment on photographs.

    Attributes:
        model: name of a pretrained network, see `models.load`.
        weights: its state dict, where it does not come with a package.
        count: photographs; 0 means all.
        chunk: photographs evaluated at once.
    """

    model: str = "efficientnet_lite0"
    weights: Path | None = None
    count: int = 0
    chunk: int = 2

    ZERO_ALLOWED = frozenset({"count"})


@dataclasses.dataclass(frozen=True)
class AreaOptions(PhotographOptions):
    """Options of an experiment on the masks of several areas.

    Attributes:
        areas: of the masks, ascending, as shares of the photograph.
    """

    areas: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)

    def __post_init__(self) -> None:
        """Refuse areas that no mask has, before anything is read or compiled."""
        super().__post_init__()
        ends = (0.0, *self.areas, 1.0)
        if not self.areas or not all(a < b for a, b in itertools.pairwise(ends)):
            raise ValueError(f"areas must ascend strictly within (0, 1), got {self.areas}")


class Explained(NamedTuple):
    """Photographs in memory, and the network that is explained on them.

    Attributes:
        pretrained: the network.
        untrained: the control: same architecture, freshly drawn weights.
        images: (n, size, size, 3).
        targets: (n,), the true class where it is known, else the predicted one.
        labels: (n,), the true class; the predicted one where several classes are annotated and it
            is, or is a kind of, one of them; negative where it is none, or nothing is annotated.
        predicted: (n,), the network's class.
        truths: (n, size, size), True on the objects of that class (their segmentation, or else the
            inside of their boxes); nowhere True where they are not known.
        ignored: (n, size, size), True where neither a hit nor a miss should count, see
            `data.ignored_mask`.
        classes: (n,), the annotated class that the truth is of, in the data set's own numbers; the
            target where there is none.
        difficult: (n,), whether its objects are small and something else is there, see
            `evaluation.aggregation.difficult_cases`.
        names: of the photographs.
        source: where they come from, as a sentence for people.
    """

    pretrained: models.Pretrained
    untrained: LogitsFn
    images: np.ndarray
    targets: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    truths: np.ndarray
    ignored: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray
    names: list[str]
    source: str

    @property
    def networks(self) -> dict[str, LogitsFn]:
        """What a point is given that compares the network with its control."""
        return {"trained": self.pretrained.logits_fn, "untrained": self.untrained}

    @property
    def cases(self) -> dict[str, np.ndarray]:
        """What a point is given that explains a photograph."""
        return {"pixels": self.images, "target": self.targets}

    @property
    def located(self) -> dict[str, np.ndarray]:
        """What a point is given that asks where the objects are."""
        return {**self.cases, "truth": self.truths, "ignored": self.ignored}

    def class_name(self, target: int) -> str:
        """The first of the names of a class."""
        return self.pretrained.class_names[int(target)].split(",")[0]


def pretrained(options: PhotographOptions) -> models.Pretrained:
    """The network."""
    return models.load(options.model, weights=options.weights)


def photographs(options: PhotographOptions, size: int) -> data.Photographs:
    """The photographs, not read yet."""
    found = data.photographs(
        options.photographs, data_dir=options.photo_dir, size=size, on_corrupt="skip"
    )
    return found[: options.count] if options.count else found


def explained(options: PhotographOptions) -> Explained:
    """Read the photographs, and predict the classes that are not known."""
    return next(explained_in_parts(options, sys.maxsize))


def explained_in_parts(options: PhotographOptions, part: int) -> Iterator[Explained]:
    """`explained`, with no more than some of the photographs in memory."""
    loaded = pretrained(options)
    found = photographs(options, loaded.size)
    net = _networks(options, loaded)
    indices = data.imagenet_indices(found.class_names)
    for start in range(0, len(found), part):
        read = list(found[start : start + part])
        if not read:  # corrupt files are left out
            continue
        images = np.stack([one.image for one in read])
        predicted = net.predict(images)
        cases = [
            data.find_explained_object(one, indices, int(seen))
            for one, seen in zip(read, predicted, strict=True)
        ]
        names = [one.name for one in read]
        yield _explained(net, images, predicted, cases, names, found.source)


class _Networks(NamedTuple):
    """What all parts share."""

    pretrained: models.Pretrained
    untrained: LogitsFn
    predict: Callable[[np.ndarray], np.ndarray]


def _networks(options: PhotographOptions, net: models.Pretrained) -> _Networks:
    most_likely = jax.jit(lambda images: jnp.argmax(jax.vmap(net.logits_fn)(images), axis=1))

    def predict(images: np.ndarray) -> np.ndarray:
        found = batching.stream(most_likely, images, chunk=options.chunk, progress=False)
        return np.asarray(found, np.int32)

    untrained = models.untrained(options.model, key=jax.random.key(options.seed)).logits_fn
    return _Networks(net, untrained, predict)


def recognised(options: PhotographOptions) -> Explained:
    """The labelled photographs that the network gives their true class."""
    kept: list[Explained] = []
    wanted = options.count or sys.maxsize
    for net in explained_in_parts(dataclasses.replace(options, count=0), _READ_AT_ONCE):
        is_right = (net.labels == data.UNLABELLED) | (net.labels == net.predicted)
        kept.append(select(net, np.flatnonzero(is_right)[:wanted]))
        wanted -= len(kept[-1].names)
        if not wanted:
            break
    if not any(net.names for net in kept):
        raise ValueError(
            f"photographs: {options.model} recognises none of {options.photographs}"
            + (f" in {options.photo_dir}" if options.photo_dir else "")
        )
    return join(kept)


def select(net: Explained, places: np.ndarray) -> Explained:
    """Some of the photographs."""
    arrays: dict[str, Any] = {name: getattr(net, name)[places] for name in _arrays(net)}
    return net._replace(names=[net.names[i] for i in places], **arrays)


def join(parts: list[Explained]) -> Explained:
    """All photographs of several parts, which share a network."""
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _arrays(parts[0])
    }
    return parts[0]._replace(names=[name for part in parts for name in part.names], **arrays)


def _arrays(net: Explained) -> list[str]:
    """Names of what has an entry for each photograph."""
    return [name for name, value in net._asdict().items() if isinstance(value, np.ndarray)]


def _explained(
    net: _Networks,
    images: np.ndarray,
    predicted: np.ndarray,
    cases: list[data.ExplainedObject],
    names: list[str],
    source: str,
) -> Explained:
    def every(name: str) -> np.ndarray:
        return np.stack([np.asarray(getattr(case, name)) for case in cases])

    labels, annotated = (every(name).astype(np.int32) for name in ("label", "annotated"))
    targets = np.where(labels < 0, predicted, labels).astype(np.int32)
    return Explained(
        pretrained=net.pretrained,
        untrained=net.untrained,
        images=images,
        targets=targets,
        labels=labels,
        predicted=predicted,
        truths=every("truth"),
        ignored=every("ignored"),
        classes=np.where(annotated < 0, targets, annotated),
        difficult=every("is_difficult"),
        names=names,
        source=source,
    )
