"""Networks with random layers, for the sanity checks: pure functions of trees of parameters."""

from collections.abc import Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fitb_jax import checks


def randomise(
    trained: Any, fresh: Any, layer_of_leaves: Sequence[str], chosen: Collection[str]
) -> Any:
    """A network with some of its layers replaced by freshly drawn ones.

    Args:
        trained: pytree of parameters, such as a `Partial`.
        fresh: the same architecture with weights from each layer's own initialiser.
        layer_of_leaves: name of the layer of each leaf, in the order of `jax.tree.leaves`.
        chosen: names of the layers to replace.

    Returns:
        The network, of the structure of `trained`.

    Raises:
        ValueError: structures or shapes that differ, or a name that is not there.
    """
    _check_networks(trained, fresh, layer_of_leaves)
    for name in chosen:
        checks.check_choice("chosen", name, set(layer_of_leaves))
    names = jax.tree.unflatten(jax.tree.structure(trained), layer_of_leaves)
    return jax.tree.map(
        lambda old, new, name: new if name in chosen else old, trained, fresh, names
    )


def cascading_randomisation(
    trained: Any, fresh: Any, layers: Sequence[str], layer_of_leaves: Sequence[str]
) -> Any:
    """Networks with more and more random layers, from the logits down to the input.

    Args:
        trained: pytree of parameters.
        fresh: as in `randomise`.
        layers: names of the layers from the input to the logits.
        layer_of_leaves: as in `randomise`.

    Returns:
        The networks, stacked along a leading axis of `len(layers)`: the first has random logits,
        the last no trained layer among `layers`.

    Raises:
        ValueError: as `randomise`; no layers.

    Source: Adebayo et al. 2018, section 3 (cascading randomization).
    """
    down = _from_the_logits(layers)
    return _stacked(
        [
            randomise(trained, fresh, layer_of_leaves, down[: count + 1])
            for count in range(len(down))
        ]
    )


def independent_randomisation(
    trained: Any, fresh: Any, layers: Sequence[str], layer_of_leaves: Sequence[str]
) -> Any:
    """Networks with one random layer each, from the logits down to the input.

    Args:
        trained: pytree of parameters.
        fresh: as in `randomise`.
        layers: names of the layers from the input to the logits.
        layer_of_leaves: as in `randomise`.

    Returns:
        The networks, stacked along a leading axis of `len(layers)`.

    Raises:
        ValueError: as `randomise`; no layers.

    Source: Adebayo et al. 2018, section 3 (independent randomization).
    """
    down = _from_the_logits(layers)
    return _stacked([randomise(trained, fresh, layer_of_leaves, [name]) for name in down])


def _from_the_logits(layers: Sequence[str]) -> list[str]:
    if not layers:
        raise ValueError("layers must name at least one layer, got none")
    return list(layers)[::-1]


def _stacked(networks: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)


def _check_networks(trained: Any, fresh: Any, layer_of_leaves: Sequence[str]) -> None:
    if len({jax.tree.structure(tree) for tree in (trained, fresh)}) > 1:
        raise ValueError("fresh must have the structure of trained")
    shapes = [[jnp.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (trained, fresh)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"fresh must have the shapes of trained, {shapes[0]}, got {shapes[1]}")
    if len(layer_of_leaves) != len(shapes[0]):
        raise ValueError(
            f"layer_of_leaves must have one name for each of {len(shapes[0])} leaves, "
            f"got {len(layer_of_leaves)}"
        )
