"""Which binary masks of an image are the same one? Intersection over union, and groups by it."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform


def pairwise_iou(
    first: Bool[np.ndarray, "s a h w"], second: Bool[np.ndarray, "t a h w"]
) -> Float[np.ndarray, "a s t"]:
    """Intersection over union of every mask of one set with every mask of another.

    Args:
        first: (s, a, h, w), s sets of masks of a areas.
        second: (t, a, h, w), of the same areas and shape.

    Returns:
        In [0, 1], (a, s, t); nan for two masks that are empty.

    Raises:
        ValueError: masks that are not boolean, or of other areas or shapes.
    """
    if first.dtype != bool or second.dtype != bool or first.shape[1:] != second.shape[1:]:
        raise ValueError(
            "first and second must be boolean masks of the same areas and shape, got "
            f"{first.dtype} {first.shape} and {second.dtype} {second.shape}"
        )
    ours, theirs = (
        masks.swapaxes(0, 1).reshape(*masks.shape[1::-1], -1) for masks in (first, second)
    )
    common = ours.astype(np.float32) @ theirs.astype(np.float32).swapaxes(1, 2)
    sizes = ours.sum(2)[:, :, None] + theirs.sum(2)[:, None, :]
    return common / (sizes - common)


def iou_with_others(masks: Bool[np.ndarray, "n s a h w"]) -> Float[np.ndarray, "n a"]:
    """Mean intersection over union with the masks of other images: what chance gives.

    Args:
        masks: (n, s, a, h, w), of n images s sets of masks of a areas.

    Returns:
        Of each image and area, (n, a); nan where there is one image.
    """
    found = np.full(masks.shape[:3:2], np.nan)
    for at, own in enumerate(masks):
        others = [pairwise_iou(own, other) for other in np.delete(masks, at, axis=0)]
        if others:
            found[at] = np.mean(others, axis=(0, 2, 3))
    return found


def tree(iou: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "m 4"]:
    """Masks joined step by step into one group: average linkage of `1 - iou`.

    Args:
        iou: (n, n) of n >= 2 masks, as of `pairwise_iou`.

    Returns:
        The n - 1 joins, as `scipy.cluster.hierarchy.linkage` says them.
    """
    distance = 1 - (iou + iou.T) / 2
    np.fill_diagonal(distance, 0)
    joins: np.ndarray = hierarchy.linkage(squareform(distance, checks=False), "average")
    return joins


def groups(
    iou: Float[np.ndarray, "n n"], *, same: float
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Groups of masks whose mean intersection over union exceeds a number.

    Args:
        iou: (n, n) of n >= 2 masks, as of `pairwise_iou`.
        same: two groups are one where their mean intersection over union exceeds this.

    Returns:
        The group of each mask, (n,), 0 the largest; and the masks in the order of the leaves of
        the `tree`, (n,).
    """
    joins = tree(iou)
    labels = hierarchy.fcluster(joins, 1 - same, "distance")
    _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    by_size = np.argsort(-sizes, kind="stable")
    return np.argsort(by_size)[group], hierarchy.leaves_list(joins)
