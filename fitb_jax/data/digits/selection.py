"""Choose or average labelled images in memory by their class."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from fitb_jax.data.digits.images import Images


def first_of_classes(images: Images, labels: Sequence[int]) -> Float[np.ndarray, "k h w c"]:
    """The first image of each of some classes.

    Args:
        images: with their labels.
        labels: of the classes.

    Returns:
        (classes, h, w, c) in [0, 1].

    Raises:
        ValueError: there is no image of a class.
    """
    known = sorted(set(images.labels.tolist()))
    if unknown := [label for label in labels if label not in known]:
        raise ValueError(f"labels must be among {known}, got {unknown}")
    return np.stack([images.images[images.labels == label][0] for label in labels])


def first_of_each_class(images: Images, count: int) -> Float[np.ndarray, "k n h w c"]:
    """The first images of every class, the same number of each.

    Args:
        images: with their labels.
        count: images of each class.

    Returns:
        (classes, count, h, w, c) in [0, 1].

    Raises:
        ValueError: a class has fewer images.
    """
    classes = range(len(images.class_names))
    of_class = [images.images[images.labels == label][:count] for label in classes]
    if (fewest := min(map(len, of_class))) < count:
        raise ValueError(
            f"count must be at most {fewest}, the images of the rarest class, got {count}"
        )
    return np.stack(of_class)


def of_other_classes(images: Images, count: int, *, seed: int) -> Float[np.ndarray, "k n h w c"]:
    """For each class, random images of the other classes.

    Args:
        images: with their labels.
        count: images for each class, without repetition.
        seed: of the random choice.

    Returns:
        (classes, count, h, w, c) in [0, 1].

    Raises:
        ValueError: there are fewer images of other classes.
    """
    rng = np.random.default_rng(seed)
    found = []
    for label in range(len(images.class_names)):
        others = np.flatnonzero(images.labels != label)
        if len(others) < count:
            raise ValueError(
                f"count must be at most {len(others)}, the images of other classes "
                f"than {label}, got {count}"
            )
        found.append(images.images[rng.choice(others, count, replace=False)])
    return np.stack(found)


def class_means(images: Images) -> Float[np.ndarray, "k h w c"]:
    """The mean image of every class.

    Args:
        images: with their labels.

    Returns:
        (classes, h, w, c) in [0, 1].

    Raises:
        ValueError: there is no image of a class.
    """
    classes = range(len(images.class_names))
    if absent := sorted(set(classes) - set(images.labels.tolist())):
        raise ValueError(f"images must hold every class, got none of {absent}")
    return np.stack([images.images[images.labels == label].mean(0) for label in classes])
