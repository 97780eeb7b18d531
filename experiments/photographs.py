"""The photographs and the pretrained network that the experiments on natural images share."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.class_maps import imagenet_indices
from experiments.experiment import Options
from fitb_jax import batching, data, evaluation, models
from fitb_jax.types import LogitsFn

UNLABELLED = -1
"""The label of a photograph of which nothing is known."""

_NOT_SEEN = -2
"""That of one whose annotated classes are not the one that the network predicts."""


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
            `evaluation.difficult_cases`.
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
    """The network.

    Args:
        options: which.

    Returns:
        The network.

    Raises:
        ValueError, FileNotFoundError: there is none of that name, or no weights.
    """
    return models.load(options.model, weights=options.weights)


def photographs(options: PhotographOptions, size: int) -> data.Photographs:
    """The photographs, not read yet.

    Args:
        options: which.
        size: side of the square in pixels.

    Returns:
        As many as asked for.

    Raises:
        ValueError, FileNotFoundError: they are not there.
    """
    found = data.photographs(
        options.photographs, data_dir=options.photo_dir, size=size, on_corrupt="skip"
    )
    return found[: options.count] if options.count else found


def explained(options: PhotographOptions) -> Explained:
    """Read the photographs, and predict the classes that are not known.

    Args:
        options: which.

    Returns:
        Everything an experiment explains.

    Raises:
        ValueError, FileNotFoundError: the photographs or the weights are not there.
    """
    net = pretrained(options)
    found = photographs(options, net.size)
    return _explain_all(options, net, found, list(found))


def explained_in_parts(options: PhotographOptions, part: int) -> Iterator[Explained]:
    """`explained`, with no more than some of the photographs in memory.

    Args:
        options: which.
        part: photographs at once.

    Yields:
        The photographs in their order, part by part.

    Raises:
        ValueError, FileNotFoundError: the photographs or the weights are not there.
    """
    net = pretrained(options)
    found = photographs(options, net.size)
    for start in range(0, len(found), part):
        read = list(found[start : start + part])
        if read:  # corrupt files are left out
            yield _explain_all(options, net, found, read)


def _explain_all(
    options: PhotographOptions,
    net: models.Pretrained,
    found: data.Photographs,
    read: list[data.Photograph],
) -> Explained:
    images = np.stack([one.image for one in read])
    predicted = _predicted(options, net, images)
    indices = imagenet_indices(found.class_names)
    cases = [_case(one, indices, int(seen)) for one, seen in zip(read, predicted, strict=True)]
    names = [one.name for one in read]
    return _explained(options, net, images, predicted, cases, names, found.source)


def recognised(options: PhotographOptions) -> Explained:
    """The labelled photographs that the network gives their true class.

    Args:
        options: which; `count` is how many of them.

    Returns:
        As `explained`; photographs of which nothing is known are explained for the class predicted.

    Raises:
        ValueError: there is none.
        FileNotFoundError: the photographs or the weights are not there.
    """
    net = explained(dataclasses.replace(options, count=0))
    is_right = (net.labels == UNLABELLED) | (net.labels == net.predicted)
    kept = np.flatnonzero(is_right)[: options.count or None]
    if not kept.size:
        raise ValueError(f"photographs: {options.model} recognises none of {net.source}")
    arrays = (name for name, value in net._asdict().items() if isinstance(value, np.ndarray))
    return net._replace(
        names=[net.names[i] for i in kept], **{name: getattr(net, name)[kept] for name in arrays}
    )


def one_photograph(options: PhotographOptions, path: Path) -> Explained:
    """A photograph of the user's.

    Args:
        options: which network.
        path: of the file.

    Returns:
        As `explained`, for the predicted class.

    Raises:
        OSError: there is no such file, or it is no image.
        ValueError, FileNotFoundError: the weights are not there.
    """
    net = pretrained(options)
    image = np.asarray(net.preprocess(path))[None]
    unknown = np.zeros(image.shape[1:3], bool)
    case = _Case(UNLABELLED, UNLABELLED, unknown, unknown, False)
    predicted = _predicted(options, net, image)
    return _explained(options, net, image, predicted, [case], [path.stem], str(path.name))


class _Case(NamedTuple):
    label: int
    annotated: int
    truth: np.ndarray
    ignored: np.ndarray
    is_difficult: bool


def _case(photograph: data.Photograph, indices: list[tuple[int, ...]], predicted: int) -> _Case:
    """Which of the annotated classes is explained, and where it is."""
    annotated = [int(label) for label in photograph.labels]
    seen = [label for label in annotated if predicted in indices[label]]
    unknown = np.zeros(photograph.image.shape[:2], bool)
    if seen:
        label = predicted
    elif len(annotated) == 1 and len(indices[annotated[0]]) == 1:
        label, seen = indices[annotated[0]][0], annotated
    else:
        nothing = _NOT_SEEN if annotated else UNLABELLED
        return _Case(nothing, nothing, unknown, unknown, False)
    has_masks = photograph.segmentation is not None or photograph.instances is not None
    kind: Literal["boxes", "masks"] = "masks" if has_masks else "boxes"
    truths = np.stack([data.truth_mask(photograph, each, kind=kind) for each in annotated])
    explained = annotated.index(seen[0])
    return _Case(
        label,
        seen[0],
        truths[explained],
        data.ignored_mask(photograph, seen[0], kind=kind),
        bool(evaluation.difficult_cases(jnp.asarray(truths))[explained]),
    )


def _predicted(
    options: PhotographOptions, net: models.Pretrained, images: np.ndarray
) -> np.ndarray:
    found = batching.stream(
        jax.jit(lambda images: jnp.argmax(jax.vmap(net.logits_fn)(images), axis=1)),
        images,
        chunk=options.chunk,
        progress=False,
    )
    return np.asarray(found, np.int32)


def _explained(
    options: PhotographOptions,
    net: models.Pretrained,
    images: np.ndarray,
    predicted: np.ndarray,
    cases: list[_Case],
    names: list[str],
    source: str,
) -> Explained:
    labels, annotated = (
        np.array([getattr(case, name) for case in cases], np.int32)
        for name in ("label", "annotated")
    )
    targets = np.where(labels < 0, predicted, labels).astype(np.int32)
    return Explained(
        pretrained=net,
        untrained=models.untrained(options.model, key=jax.random.key(options.seed)).logits_fn,
        images=images,
        targets=targets,
        labels=labels,
        predicted=predicted,
        truths=np.stack([case.truth for case in cases]),
        ignored=np.stack([case.ignored for case in cases]),
        classes=np.where(annotated < 0, targets, annotated),
        difficult=np.array([case.is_difficult for case in cases]),
        names=names,
        source=source,
    )


def class_indices(photographs: data.Photographs, labels: list[np.ndarray]) -> np.ndarray:
    """The ImageNet class of each photograph.

    Args:
        photographs: whose classes the labels are.
        labels: of each photograph.

    Returns:
        (n,), int32; `UNLABELLED` where there is not one label, or none that is one class of
        ImageNet.
    """
    indices = imagenet_indices(photographs.class_names)
    found = [indices[int(each[0])] if len(each) == 1 else () for each in labels]
    return np.array([each[0] if len(each) == 1 else UNLABELLED for each in found], np.int32)
