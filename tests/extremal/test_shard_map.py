"""Searches on several devices: each image has its own."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from fitb_jax import extremal, fill
from fitb_jax.types import Array, Image
from tests import problems

KEY = jax.random.key(0)
LOGITS_FN = problems.smooth_logits(shape=(6, 6, 1), classes=3)
IMAGES = jax.random.uniform(KEY, (2, 6, 6, 1))
NETWORK = extremal.NetworkConfig(frequencies=3, width=4, depth=2)
FEW = extremal.InrConfig(steps=2, grid=4, network=NETWORK)
AREAS = jnp.array([0.1, 0.3])
SEARCHES: dict[str, Callable[[Image], Any]] = {
    "fit_inr": lambda x: extremal.fit_inr(LOGITS_FN, x, 1, FEW, key=KEY).p_whole,
    "disjoint_masks": lambda x: extremal.disjoint_masks(LOGITS_FN, x, 1, AREAS, FEW, key=KEY).masks,
    "dense_masks": lambda x: extremal.dense_masks(
        LOGITS_FN, x, 1, AREAS, extremal.DenseConfig(steps=2, spacing=2, radius=3)
    ),
    "fit_igos": lambda x: (
        extremal.fit_igos(
            LOGITS_FN, x, 1, extremal.IgosConfig(grid=3, iterations=1, path_steps=2), key=KEY
        ).mask
    ),
    "iterated": lambda x: fill.iterated(LOGITS_FN, x, jnp.eye(6), 1, key=KEY, steps=2),
}


def _on_devices(search: Callable[[Image], Array], *, check_vma: bool) -> Array:
    mesh = jax.make_mesh((1,), ("devices",), axis_types=(AxisType.Auto,))
    over = PartitionSpec("devices")
    many = jax.shard_map(
        jax.vmap(search), mesh=mesh, in_specs=over, out_specs=over, check_vma=check_vma
    )
    return jax.jit(many)(IMAGES)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_that_would_add_up_devices_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"axes \['devices'\]: give jax.shard_map check_vma=False"):
        _on_devices(SEARCHES[name], check_vma=True)


def test_each_image_has_its_own_search() -> None:
    search = SEARCHES["dense_masks"]
    found = _on_devices(search, check_vma=False)
    np.testing.assert_allclose(found, jax.jit(jax.vmap(search))(IMAGES), atol=1e-6)
