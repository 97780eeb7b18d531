"""E[dx] of every class of a labelled data set."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from fitb_jax import data, fill, masks
from fitb_jax.types import LogitsFn


def class_prototypes(
    logits_fn: LogitsFn,
    images: data.Images,
    *,
    images_per_class: int,
    parts: int,
    patch: int,
    seed: int,
    order: fill.Order = "first",
    chunk: int = 100,
    tolerance: float | None = None,
    progress: bool = False,
) -> fill.Prototype:
    """E[dx] of every class; every image is seen with each part of its own partition blank once.

    Args:
        logits_fn: the classifier.
        images: with their labels.
        images_per_class: the first of each class.
        parts: masks of one partition.
        patch: side of a patch in pixels.
        seed: of the partitions.
        order: of the update.
        chunk: images evaluated at once.
        tolerance: stop a class when the largest standard error falls below this.
        progress: show a progress bar.

    Returns:
        The prototypes, with the classes as first axis, in the host's memory.
    """
    expected = jax.jit(
        functools.partial(fill.expected_update, order=order, chunk=chunk, tolerance=tolerance)
    )
    draw = functools.partial(masks.partition, images.images.shape[1:3], parts, patch)
    found = []
    labels = range(len(images.class_names))
    for label in tqdm(labels, desc="E[dx]", disable=not progress):
        own = jnp.asarray(images.images[images.labels == label][:images_per_class])
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), label), len(own))
        seen = jax.vmap(lambda key: draw(key=key))(keys)
        found.append(expected(logits_fn, own, jnp.full(len(own), label, jnp.int32), seen))
    return jax.tree.map(lambda *maps: np.stack(maps), *found)
