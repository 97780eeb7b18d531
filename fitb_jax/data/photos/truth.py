"""Where a class is in a photograph, as localisation metrics need it."""

from typing import Literal

import numpy as np
from jaxtyping import Bool

from fitb_jax import checks
from fitb_jax.data.photos.photograph import IGNORED, Photograph

Kind = Literal["boxes", "masks"]


def truth_mask(
    photograph: Photograph, label: int, *, kind: Kind = "boxes", difficult: bool = False
) -> Bool[np.ndarray, "size size"]:
    """The pixels of one class.

    Args:
        photograph: with boxes or masks.
        label: the class.
        kind: "boxes" takes the union of the boxes; a pixel is in a box when its centre is. "masks"
            takes the segmentation, or the union of the instances where there is none.
        difficult: whether objects flagged difficult count as well. A segmentation does not know
            which these are, so that this changes nothing there.

    Returns:
        (size, size), True inside. Pixels that `ignored_mask` names are False. All are False where
        the class is absent or outside of the crop: a localisation metric is then not defined.

    Raises:
        ValueError: an unknown kind, or masks of a photograph that has none.
    """
    _check(photograph, kind)
    if kind == "masks" and photograph.segmentation is not None:
        return photograph.segmentation == label
    wanted = photograph.box_labels == label
    return _union(photograph, wanted if difficult else wanted & ~photograph.difficult, kind)


def ignored_mask(
    photograph: Photograph, label: int, *, kind: Kind = "boxes"
) -> Bool[np.ndarray, "size size"]:
    """The pixels at which neither a hit nor a miss of one class should be counted.

    Args:
        photograph: with boxes or masks.
        label: the class.
        kind: "boxes": in difficult boxes of the class and in no other of its boxes. "masks": those
            that the segmentation leaves undecided (255 in VOC, 1000 in ImageNet-S), or, with
            instances, in crowds of the class (COCO's `iscrowd`) and in no other of its instances.

    Returns:
        (size, size), True where the truth is undecided; never where
        `truth_mask(..., difficult=False)` is True.

    Raises:
        ValueError: an unknown kind, or masks of a photograph that has none.
    """
    _check(photograph, kind)
    if kind == "masks" and photograph.segmentation is not None:
        return photograph.segmentation == IGNORED
    flagged = _union(photograph, (photograph.box_labels == label) & photograph.difficult, kind)
    return flagged & ~truth_mask(photograph, label, kind=kind)


def _union(
    photograph: Photograph, which: Bool[np.ndarray, " n"], kind: Kind
) -> Bool[np.ndarray, "size size"]:
    size = photograph.crop.size
    if kind == "masks":
        assert photograph.instances is not None
        return photograph.instances[which].any(0)
    inside = np.zeros((size, size), bool)
    centres = np.arange(size) + 0.5
    for x0, y0, x1, y1 in photograph.boxes[which]:
        rows, columns = (centres >= y0) & (centres < y1), (centres >= x0) & (centres < x1)
        inside |= rows[:, None] & columns[None, :]
    return inside


def _check(photograph: Photograph, kind: str) -> None:
    checks.check_choice("kind", kind, ("boxes", "masks"))
    if kind == "masks" and photograph.segmentation is None and photograph.instances is None:
        raise ValueError(f"kind must be 'boxes' for {photograph.name}, which has no masks")
