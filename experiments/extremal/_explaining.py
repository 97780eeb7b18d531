"""Photographs that are explained one after the other: what several experiments share."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from experiments.common.photographs import Explained
from fitb_jax import extremal
from fitb_jax.types import Array, Float, Image, LogitsFn, Target

MASK = ("row", "column")
PIXELS = (*MASK, "channel")
DIMS = {
    "masks": ("area", *MASK),
    "seen": ("area", *PIXELS),
    "p_soft": ("area",),
    "p_binary": ("area",),
}
"""Of what experiments find in a photograph, where they do not say otherwise."""


def explain(
    net: Explained,
    find: Callable[..., Mapping[str, Array]],
    *more: Any,
    dims: Mapping[str, tuple[str, ...]],
    progress: bool,
    coords: Mapping[str, Any],
) -> xr.Dataset:
    """What a compiled function finds in every photograph, labelled by their names.

    `find` is given the network, an image, its target and of `more`, which has an entry for each
    photograph. `dims` are those besides `image`, where `DIMS` does not say them.
    """
    found = []
    for each in tqdm([*zip(net.images, net.targets, *more, strict=True)], disable=not progress):
        one = find(net.pretrained.logits_fn, *map(jnp.asarray, each))
        found.append(jax.tree.map(np.asarray, one))
    every = {**DIMS, **dims}
    variables = {
        name: (("image", *every.get(name, ())), np.stack([one[name] for one in found]))
        for name in found[0]
    }
    return xr.Dataset(variables, {"image": net.names, **coords})


def photographs_of(net: Explained) -> dict[str, Any]:
    """Variables of a dataset: the photographs, and the classes that are explained."""
    return {
        "pixels": (("image", *PIXELS), net.images),
        "target": ("image", net.targets),
        "class_name": ("image", [net.class_name(target) for target in net.targets]),
    }


def each(found: xr.Dataset) -> list[xr.Dataset]:
    """The results of each photograph."""
    return [found.isel(image=place) for place in range(found.sizes["image"])]


def probabilities(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    masks: Float[Array, "a h w"],
    binary: Float[Array, "a h w"],
) -> dict[str, Array]:
    """p(target) of what is seen through soft and binary masks, of the whole, of its blur alone."""
    ends = jnp.stack([jnp.ones(masks.shape[1:]), jnp.zeros(masks.shape[1:])])
    every = jnp.concatenate([masks, binary, ends])
    p = extremal.probabilities_through(logits_fn, image, target, every)
    soft, hard, (whole, blank) = jnp.split(p, [len(masks), 2 * len(masks)])
    return {"p_soft": soft, "p_binary": hard, "p_whole": whole, "p_blank": blank}
