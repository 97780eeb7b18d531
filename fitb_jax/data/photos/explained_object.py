"""Choose which annotated class of a photograph is explained, and find its objects."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int32

from fitb_jax.data.photos.imagenet_kinds import imagenet_indices
from fitb_jax.data.photos.photograph import Photograph
from fitb_jax.data.photos.streaming import Photographs
from fitb_jax.data.photos.truth import ignored_mask, truth_mask
from fitb_jax.evaluation.aggregation import difficult_cases

UNLABELLED = -1
"""Label of a photograph whose class is not known."""

NOT_SEEN = -2
"""Label of a photograph whose annotated classes do not include the predicted one."""


class ExplainedObject(NamedTuple):
    """The class of a photograph that is explained, and its ground truth.

    Attributes:
        label: the ImageNet class that is explained, or `UNLABELLED`, or `NOT_SEEN`.
        annotated: the index of the same class in the data set.
        truth: (h, w), True on the objects of that class.
        ignored: (h, w), True where neither a hit nor a miss should count.
        is_difficult: see `evaluation.aggregation.difficult_cases`.
    """

    label: int
    annotated: int
    truth: Bool[np.ndarray, "h w"]
    ignored: Bool[np.ndarray, "h w"]
    is_difficult: bool


def unknown_object(shape: tuple[int, ...], *, label: int = UNLABELLED) -> ExplainedObject:
    """Make the `ExplainedObject` of a photograph whose object is not known.

    Args:
        shape: (height, width) of the photograph.
        label: the reason, `UNLABELLED` or `NOT_SEEN`.

    Returns:
        One whose masks are False everywhere.
    """
    nowhere = np.zeros(shape, bool)
    return ExplainedObject(label, label, nowhere, nowhere, False)


def find_explained_object(
    photograph: Photograph, indices: list[tuple[int, ...]], predicted: int
) -> ExplainedObject:
    """Choose which of the annotated classes is explained, and find its objects.

    The predicted class is explained if it is annotated. Otherwise the annotated class is, if there
    is only one and it is one class of ImageNet. Otherwise the object is unknown.

    Args:
        photograph: with its annotations.
        indices: the ImageNet classes of each class of the data set, see `imagenet_indices`.
        predicted: the ImageNet class that the network predicts.

    Returns:
        The class and its objects, by masks where there are any, else by boxes.
    """
    annotated = [int(label) for label in photograph.labels]
    seen = [label for label in annotated if predicted in indices[label]]
    if seen:
        label = predicted
    elif len(annotated) == 1 and len(indices[annotated[0]]) == 1:
        label, seen = indices[annotated[0]][0], annotated
    else:
        reason = NOT_SEEN if annotated else UNLABELLED
        return unknown_object(photograph.image.shape[:2], label=reason)
    has_masks = photograph.segmentation is not None or photograph.instances is not None
    kind: Literal["boxes", "masks"] = "masks" if has_masks else "boxes"
    truths = np.stack([truth_mask(photograph, each, kind=kind) for each in annotated])
    explained = annotated.index(seen[0])
    return ExplainedObject(
        label,
        seen[0],
        truths[explained],
        ignored_mask(photograph, seen[0], kind=kind),
        bool(difficult_cases(jnp.asarray(truths))[explained]),
    )


def imagenet_labels(
    photographs: Photographs, labels: list[Int32[np.ndarray, " k"]]
) -> Int32[np.ndarray, " n"]:
    """The ImageNet class of each photograph.

    Args:
        photographs: the data set, with its class names.
        labels: for each of n photographs, its labels in the data set.

    Returns:
        (n,), int32; `UNLABELLED` where a photograph has not exactly one label, or its label is not
        exactly one class of ImageNet.
    """
    indices = imagenet_indices(photographs.class_names)
    found = [indices[int(each[0])] if len(each) == 1 else () for each in labels]
    return np.array([each[0] if len(each) == 1 else UNLABELLED for each in found], np.int32)
