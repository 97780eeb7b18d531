"""The maps of several networks for images of one class, and how they agree: points of a grid."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fitb_jax import ablation, evaluation
from fitb_jax.types import Array, Key, LogitsFn, SaliencyFn

MEASURES = {
    "spearman": "Spearman",
    "spearman_magnitude": "Spearman of magnitudes",
    "top_k_iou": "IoU of the top 10 %",
    "ssim": "SSIM",
}

FIELDS = {
    "networks": ablation.Field(
        ("pairing", "measure"), meaning="one image, pairs of networks", nan_is_answer=True
    ),
    "images": ablation.Field(
        ("architecture", "measure"), meaning="one network, images of one class", nan_is_answer=True
    ),
    "draws": ablation.Field(
        ("architecture", "measure"), meaning="one network and image, other keys", nan_is_answer=True
    ),
    "signal": ablation.Field(
        ("architecture",), meaning="what the networks' maps share", nan_is_answer=True
    ),
    "noise": ablation.Field(
        ("architecture",), meaning="variance of a network's map about it", nan_is_answer=True
    ),
    "maps": ablation.Field(
        ("network", "row", "column"), meaning="first image and architecture, each network"
    ),
}


def point(
    *,
    method: tuple[tuple[str, SaliencyFn | None], ...],
    state: Mapping[str, LogitsFn],
    group: Mapping[str, jax.Array],
    key: Key,
) -> dict[str, jax.Array]:
    """The agreement of one method's maps, for images of one class.

    Every map has a key of its own: a method that draws is judged with its draws, as somebody else
    with another network would make them.

    Args:
        method: architecture and method, for each; None where it does not apply.
        state: the networks of each architecture, stacked.
        group: `pixels` (images, h, w, c) and their `label`.
        key: random key.

    Returns:
        The fields, means over the images; nan where a method does not apply.
    """
    found = [_of_architecture(at, one, state, group, key) for at, one in enumerate(method)]
    maps = [maps for _, maps in found if maps is not None]
    between = (
        _mean(jax.vmap(evaluation.agreement_between, in_axes=1)(*maps))
        if len(maps) == 2
        else jnp.full(len(MEASURES), jnp.nan)
    )
    fields = jax.tree.map(lambda *each: jnp.stack(each), *(fields for fields, _ in found))
    networks = jnp.concatenate([fields["networks"], between[None]])
    return {**fields, "networks": networks, "maps": maps[0][:, 0]}


def explain(
    saliency_fn: SaliencyFn, networks: LogitsFn, group: Mapping[str, jax.Array], *, key: Key
) -> Array:
    """Maps of every network, and of the first one again with other keys.

    Args:
        saliency_fn: the method.
        networks: stacked.
        group: `pixels` and `label`.
        key: of which every map gets another.

    Returns:
        (networks + 1, images, h, w).
    """
    pixels = group["pixels"]
    again = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf[:1]]), networks)
    count = jax.tree.leaves(again)[0].shape[0]

    def of_network(case: tuple[LogitsFn, Key]) -> Array:
        network, keys = case
        return jax.vmap(lambda image, k: saliency_fn(network, image, group["label"], key=k))(
            pixels, keys
        )

    # One network after the other: a product with one matrix for all images is the faster one.
    return jax.lax.map(of_network, (again, jax.random.split(key, (count, len(pixels)))))


def _of_architecture(
    at: int,
    method: tuple[str, SaliencyFn | None],
    state: Mapping[str, LogitsFn],
    group: Mapping[str, jax.Array],
    key: Key,
) -> tuple[dict[str, Any], Array | None]:
    name, saliency_fn = method
    if saliency_fn is None:
        nothing = jnp.full(len(MEASURES), jnp.nan)
        fields = dict.fromkeys(("networks", "images", "draws"), nothing)
        return {**fields, "signal": nothing[0], "noise": nothing[0]}, None
    every = explain(saliency_fn, state[name], group, key=jax.random.fold_in(key, at))
    maps = every[:-1]
    shared = jax.vmap(evaluation.mean_map, in_axes=1)(maps)
    fields = {
        "networks": _mean(jax.vmap(evaluation.agreement, in_axes=1)(maps)),
        "images": _mean(jax.vmap(evaluation.agreement)(maps)),
        "draws": _mean(jax.vmap(evaluation.agreement, in_axes=1)(jnp.stack([every[0], every[-1]]))),
        "signal": shared.signal.mean(),
        "noise": shared.noise.mean(),
    }
    return fields, maps


def _mean(found: evaluation.stability.Agreement) -> Array:
    """Of each measure over images or networks."""
    return jnp.stack([getattr(found, name).mean() for name in MEASURES])
