"""A photograph with its annotations, and the crop of both to the square that a classifier sees."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32
from PIL import Image as Pictures

from fitb_jax import cropping
from fitb_jax.cropping import Crop
from fitb_jax.data.corrupt import CorruptFileError

NO_CLASS = -1
"""In a segmentation: background, or something that is none of the classes."""

IGNORED = -2
"""In a segmentation: left undecided by the annotators (255 in VOC, 1000 in ImageNet-S)."""


class Photograph(NamedTuple):
    """A square photograph with its ground truth, all through the same crop.

    Attributes:
        image: (size, size, 3), float32 in [0, 1].
        labels: (k,), classes in the whole photograph, sorted, each once; indices into
            `class_names`. One of them may have nothing on the square.
        boxes: (n, 4), of the objects on the square, (x0, y0, x1, y1) in its pixels; pixel j is
            [j, j + 1).
        box_labels: (n,), class of each box.
        difficult: (n,), whether a benchmark leaves the object out: VOC's `difficult`, COCO's
            `iscrowd`.
        segmentation: (size, size), class of each pixel, `NO_CLASS` or `IGNORED`; None without one.
        instances: (n, size, size), mask of each box's object; None without them.
        name: unique in its data set.
        crop: which part of the file the square is; see `cropping.uncrop` for the way back.
    """

    image: Float32[np.ndarray, "size size 3"]
    labels: Int32[np.ndarray, " k"]
    boxes: Float32[np.ndarray, "n 4"]
    box_labels: Int32[np.ndarray, " n"]
    difficult: Bool[np.ndarray, " n"]
    segmentation: Int32[np.ndarray, "size size"] | None
    instances: Bool[np.ndarray, "n size size"] | None
    name: str
    crop: Crop


class Objects(NamedTuple):
    """What an annotation lists, in the pixels of the file.

    Attributes:
        labels: classes in the photograph, sorted, each once.
        boxes: (x0, y0, x1, y1); pixel j is [j, j + 1).
        box_labels: class of each box.
        difficult: whether a benchmark leaves the object out.
    """

    labels: Int32[np.ndarray, " k"]
    boxes: Float64[np.ndarray, "n 4"]
    box_labels: Int32[np.ndarray, " n"]
    difficult: Bool[np.ndarray, " n"]


class Annotated(NamedTuple):
    """A photograph as a reader finds it, in the pixels of the file.

    Attributes:
        picture: of mode RGB.
        objects: labels and boxes.
        segmentation: class of each pixel, `NO_CLASS` or `IGNORED`.
        instances: a mask for each box, made one at a time.
    """

    picture: Pictures.Image
    objects: Objects
    segmentation: Int32[np.ndarray, "height width"] | None = None
    instances: Iterable[Bool[np.ndarray, "height width"]] | None = None


def whole(labels: Sequence[int]) -> Objects:
    """Make the objects of an annotation that has labels and no boxes.

    Args:
        labels: classes in the photograph.

    Returns:
        The labels, sorted and each once, without boxes.
    """
    none = np.zeros(0, np.int32)
    return Objects(_sorted(labels), np.zeros((0, 4)), none, none.astype(bool))


def listed(
    path: Path,
    labels: Sequence[int],
    boxes: Sequence[Sequence[float]],
    difficult: Sequence[bool] | None = None,
) -> Objects:
    """Make the objects of an annotation from labelled boxes, and check the boxes.

    Args:
        path: the annotation they come from.
        labels: class of each box.
        boxes: (x0, y0, x1, y1) of each, as edges in pixels of the file.
        difficult: whether a benchmark leaves each of them out; by default none.

    Returns:
        The objects as arrays.

    Raises:
        CorruptFileError: a box that is not four finite numbers in order.
    """
    for box in boxes:
        if len(box) != 4 or not np.isfinite(box).all() or box[0] > box[2] or box[1] > box[3]:
            raise CorruptFileError(
                path, found=f"the box {tuple(box)}", expected="finite left, top, right, bottom"
            )
    return Objects(
        _sorted(labels),
        np.asarray(boxes, np.float64).reshape(-1, 4),
        np.asarray(labels, np.int32),
        np.zeros(len(boxes), bool) if difficult is None else np.asarray(difficult, bool),
    )


def to_square(annotated: Annotated, name: str, *, size: int, fraction: float) -> Photograph:
    """Crop a photograph and everything on it.

    Args:
        annotated: in the pixels of the file.
        name: of the photograph.
        size: side of the square in pixels.
        fraction: side of the crop over the shorter side of the file.

    Returns:
        The square. Objects outside of it are left out.

    Raises:
        ValueError: a mask of another size than the picture.
    """
    picture, objects, segmentation, instances = annotated
    crop = cropping.centre_crop(picture.width, picture.height, size=size, fraction=fraction)
    boxes, kept = cropping.crop_boxes(objects.boxes, crop)
    return Photograph(
        image=cropping.crop_picture(picture, crop),
        labels=objects.labels,
        boxes=boxes,
        box_labels=objects.box_labels[kept],
        difficult=objects.difficult[kept],
        segmentation=None if segmentation is None else cropping.crop_classes(segmentation, crop),
        instances=None if instances is None else _crop_instances(instances, kept, crop),
        name=name,
        crop=crop,
    )


def _crop_instances(
    instances: Iterable[Bool[np.ndarray, "height width"]], kept: Bool[np.ndarray, " n"], crop: Crop
) -> Bool[np.ndarray, "m size size"]:
    masks = zip(instances, kept, strict=True)
    cropped = [cropping.crop_classes(mask, crop) for mask, keep in masks if keep]
    return np.stack(cropped) if cropped else np.zeros((0, crop.size, crop.size), bool)


def _sorted(labels: Sequence[int]) -> Int32[np.ndarray, " k"]:
    return np.unique(np.asarray(labels, np.int32))
