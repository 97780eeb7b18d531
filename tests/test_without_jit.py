"""A caller who does not jit, as in a notebook, waits for compilation at the first call only."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from fitb_jax import components, derivatives, extremal
from fitb_jax.evaluation import intervals, localisation, map_similarity
from fitb_jax.extremal import area, dense


def _values(seed: int) -> jax.Array:
    return jax.random.uniform(jax.random.key(seed), (28, 28))


def _symmetric(seed: int) -> jax.Array:
    values = _values(seed)[:4, :4]
    return values + values.T


CALLS: dict[str, Callable[[int], object]] = {
    "exact_area": lambda seed: extremal.exact_area(_values(seed), 0.1 * seed),
    "area_penalty": lambda seed: area.area_penalty(_values(seed), 0.1 * seed),
    "joint_exact_areas": lambda seed: extremal.joint_exact_areas(
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
