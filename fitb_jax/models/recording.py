"""How networks show their layers by name, and let something be added to them."""

from collections.abc import Callable, Mapping

from fitb_jax.types import Array


def recorder(
    perturbations: Mapping[str, Array] | None = None,
) -> tuple[dict[str, Array], Callable[[str, Array], Array]]:
    """An empty collection of layers, and what puts a layer into it.

    Args:
        perturbations: by the name of a layer, what is added to it.

    Returns:
        The collection, and `keep(name, layer) -> layer`, perturbed if it is to be: what the network
        goes on with.
    """
    layers: dict[str, Array] = {}
    added = perturbations or {}

    def keep(name: str, layer: Array) -> Array:
        layers[name] = layer + added[name].astype(layer.dtype) if name in added else layer
        return layers[name]

    return layers, keep
