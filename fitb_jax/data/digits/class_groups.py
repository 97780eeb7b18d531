"""Groups of images of one class, such as those whose explanations should be alike."""

import numpy as np
from jaxtyping import Float, Int

from fitb_jax.data.digits.images import Images


def class_groups(
    images: Images, *, groups: int, together: int
) -> tuple[Float[np.ndarray, "g t h w c"], Int[np.ndarray, " g"]]:
    """Put the first images of each class into disjoint groups.

    Args:
        images: with their labels.
        groups: number of groups of each class.
        together: number of images of a group.

    Returns:
        Images, (g, together, h, w, c), and the label of each group, int32 (g,), class after class.
        Here g is `groups` times the number of classes.

    Raises:
        ValueError: a class of too few images.
    """
    pixels, labels = [], []
    for label in range(len(images.class_names)):
        found = images.images[images.labels == label][: groups * together]
        if len(found) < groups * together:
            raise ValueError(
                f"groups must leave {together} images each, got {groups} of the {len(found)} "
                f"images of class {label}"
            )
        pixels.append(found.reshape(groups, together, *found.shape[1:]))
        labels.append(np.full(groups, label, np.int32))
    return np.concatenate(pixels), np.concatenate(labels)
