"""The photographs and the pretrained network that the experiments on natural images share."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.experiment import Options
from fitb_jax import batching, data, models
from fitb_jax.types import LogitsFn

UNLABELLED = -1


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
        labels: (n,), the true class, `UNLABELLED` where it is not known.
        predicted: (n,), the network's class.
        truths: (n, size, size), True on the objects of the true class (their segmentation, or else
            the inside of their boxes); nowhere True where they are not known.
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
    names: list[str]
    source: str

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
    read = list(found)
    labels = class_indices(found, net, [one.labels for one in read])
    images = np.stack([one.image for one in read])
    truths = np.stack([_truth(one) for one in read])
    names = [one.name for one in read]
    return _explained(options, net, images, labels, truths, names, found.source)


def recognised(options: PhotographOptions) -> Explained:
    """The labelled photographs that the network gives their true class.

    Args:
        options: which; `count` is how many of them.

    Returns:
        As `explained`; photographs without a label are explained for the class predicted.

    Raises:
        ValueError: there is none.
        FileNotFoundError: the photographs or the weights are not there.
    """
    net = explained(dataclasses.replace(options, count=0))
    is_right = (net.labels == UNLABELLED) | (net.labels == net.predicted)
    kept = np.flatnonzero(is_right)[: options.count or None]
    if not kept.size:
        raise ValueError(f"photographs: {options.model} recognises none of {net.source}")
    arrays = ("images", "targets", "labels", "predicted", "truths")
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
    unknown = np.zeros(image.shape[:3], bool)
    label = np.array([UNLABELLED])
    return _explained(options, net, image, label, unknown, [path.stem], str(path.name))


def _truth(photograph: data.Photograph) -> np.ndarray:
    """Where the class is, if the photograph has one label."""
    if len(photograph.labels) != 1:
        return np.zeros(photograph.image.shape[:2], bool)
    has_masks = photograph.segmentation is not None or photograph.instances is not None
    label = int(photograph.labels[0])
    return data.truth_mask(photograph, label, kind="masks" if has_masks else "boxes")


def _explained(
    options: PhotographOptions,
    net: models.Pretrained,
    images: np.ndarray,
    labels: np.ndarray,
    truths: np.ndarray,
    names: list[str],
    source: str,
) -> Explained:
    predicted = batching.stream(
        jax.jit(lambda images: jnp.argmax(jax.vmap(net.logits_fn)(images), axis=1)),
        images,
        chunk=options.chunk,
        progress=False,
    )
    return Explained(
        pretrained=net,
        untrained=models.untrained(options.model, key=jax.random.key(options.seed)).logits_fn,
        images=images,
        targets=np.where(labels == UNLABELLED, predicted, labels).astype(np.int32),
        labels=labels,
        predicted=np.asarray(predicted, np.int32),
        truths=truths,
        names=names,
        source=source,
    )


def class_indices(
    photographs: data.Photographs, net: models.Pretrained, labels: list[np.ndarray]
) -> np.ndarray:
    """The network's class of each photograph.

    Args:
        photographs: whose classes the labels are.
        net: the network.
        labels: of each photograph.

    Returns:
        (n,), int32; `UNLABELLED` where there is not one label, or none that the network knows by
        its name or WordNet id.
    """
    place = {name: index for index, name in enumerate(net.class_names)}
    place |= {wordnet_id: index for index, wordnet_id in enumerate(net.wordnet_ids)}
    index_of = [place.get(name, UNLABELLED) for name in photographs.class_names]
    return np.array(
        [index_of[int(each[0])] if len(each) == 1 else UNLABELLED for each in labels], np.int32
    )
