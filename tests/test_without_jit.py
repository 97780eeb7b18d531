"""A caller who does not jit, as in a notebook, waits for compilation at the first call only."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from fitb_jax import components, derivatives, extremal
from fitb_jax.evaluation import intervals, localisation, map_similarity
from fitb_jax.extremal import area, dense
from tests import problems


def _values(seed: int) -> jax.Array:
    return jax.random.uniform(jax.random.key(seed), (28, 28))


def _symmetric(seed: int) -> jax.Array:
    values = _values(seed)[:4, :4]
    return values + values.T


@functools.cache
def _fitted() -> extremal.Inr:
    network = extremal.NetworkConfig(width=8, depth=1)
    config = extremal.InrConfig(grid=6, steps=2, areas_per_step=2, network=network)
    logits_fn = problems.smooth_logits(shape=(8, 8, 1))
    fit = jax.jit(lambda image, key: extremal.fit_inr(logits_fn, image, 1, config, key=key))
    return fit(_values(0)[:8, :8, None], jax.random.key(0))


CALLS: dict[str, Callable[[int], object]] = {
    "exact_area": lambda seed: extremal.exact_area(_values(seed), 0.1 * seed),
    "area_penalty": lambda seed: area.area_penalty(_values(seed), 0.1 * seed),
    "joint_exact_areas": lambda seed: extremal.joint_exact_areas(
        jnp.stack([_values(seed), _values(seed + 2)]), jnp.asarray([0.1 * seed, 0.2])
    ),
    "inr_masks": lambda seed: extremal.inr_masks(
        _fitted(), jnp.asarray([0.1 * seed, 0.3]), (28, 28)
    ),
    "inr_saliency": lambda seed: extremal.inr_saliency(_fitted(), (28, 28)),
    "binarise_apart": lambda seed: extremal.binarise_apart(
        jnp.stack([_values(seed), _values(seed + 2)]), jnp.asarray([0.1 * seed, 0.2])
    ),
    "smooth_maximum": lambda seed: dense.smooth_maximum(_values(seed)[:4, :4], (28, 28)),
    "connected_components": lambda seed: components.connected_components(_values(seed) > 0.5),
    "squared_distance": lambda seed: localisation.squared_distance(_values(seed) > 0.9),
    "clopper_pearson": lambda seed: intervals.clopper_pearson(seed, 9),
    "spearman": lambda seed: map_similarity.spearman(_values(seed), _values(seed + 2)),
    "ssim": lambda seed: map_similarity.ssim(_values(seed), _values(seed + 2)),
    "eigh": lambda seed: derivatives._eigh(_symmetric(seed)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_second_call_compiles_nothing(name: str) -> None:
    compiled: list[str] = []
    CALLS[name](1)
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, fun_name="", **__: (
            compiled.append(fun_name) if "backend_compile" in event else None
        )
    )
    try:
        CALLS[name](2)
        assert not compiled
        jax.jit(lambda x: x * 1.2345)(1.0)
        assert compiled, "the listener hears"
    finally:
        jax.monitoring.clear_event_listeners()
