"""Which of the annotated classes of a photograph is explained, and where its objects are."""

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
"""The label of a photograph of which nothing is known."""

NOT_SEEN = -2
"""That of one whose annotated classes are not the one that the network predicts."""


class ExplainedObject(NamedTuple):
    """What is known of the class of a photograph that is explained.

    Attributes:
        label: the ImageNet class that is explained, or `UNLABELLED`, or `NOT_SEEN`.
        annotated: the same in the data set's own numbers.
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
    """That of a photograph whose object is not known.

    Args:
        shape: (height, width).
        label: why.

    Returns:
        One that is nowhere.
    """
    nowhere = np.zeros(shape, bool)
    return ExplainedObject(label, label, nowhere, nowhere, False)


def find_explained_object(
    photograph: Photograph, indices: list[tuple[int, ...]], predicted: int
) -> ExplainedObject:
    """Which of the annotated classes is explained, and where it is.

    Args:
        photograph: with its annotations.
        indices: the ImageNet classes of each class of the data set, see `imagenet_indices`.
        predicted: the network's class: where it is annotated, it is explained.

    Returns:
        That class and its objects.
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
        photographs: whose classes the labels are.
        labels: of each photograph.

    Returns:
        (n,), int32; `UNLABELLED` where there is not one label, or none that is one class of
        ImageNet.
    """
    indices = imagenet_indices(photographs.class_names)
    found = [indices[int(each[0])] if len(each) == 1 else () for each in labels]
    return np.array([each[0] if len(each) == 1 else UNLABELLED for each in found], np.int32)
