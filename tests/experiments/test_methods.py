"""The list of methods that tables choose from, and controls of a method by its own maps."""

import jax
import jax.numpy as jnp
import pytest

from experiments.common import methods
from fitb_jax import attribution
from fitb_jax.saliency import as_saliency

WEIGHTS = jax.random.normal(jax.random.key(0), (5, 6, 6))
IMAGE = jax.random.uniform(jax.random.key(1), (6, 6, 1))


def logits_fn(image: jax.Array) -> jax.Array:
    return jnp.einsum("kij,ijc->k", WEIGHTS, jnp.sin(image))


def test_a_map_of_a_random_class_is_of_any_class_but_the_target() -> None:
    method = as_saliency(attribution.gradient_magnitude)
    control = methods.of_random_class(method)
    of_class = [method(logits_fn, IMAGE, target, key=jax.random.key(2)) for target in range(5)]
    for target in (0, 3):
        maps = [control(logits_fn, IMAGE, target, key=jax.random.key(seed)) for seed in range(40)]
        seen = {[bool((one == each).all()) for each in of_class].index(True) for one in maps}
        assert seen == set(range(5)) - {target}


def test_methods_are_chosen_by_name_in_their_order() -> None:
    every = methods.small_methods()
    assert [*methods.chosen(every, ())] == [*every]
    assert [*methods.chosen(every, ("RISE", "gradient"))] == ["gradient", "RISE"]
    with pytest.raises(ValueError, match="methods must be among"):
        methods.chosen(every, ("Rise",))


def test_lists_of_methods_hold_ours_and_can_be_told_apart() -> None:
    every = methods.small_methods()
    assert set(methods.OURS) <= set(every)
    assert set(methods.CONTROLS) == set(methods.controls())
    assert "Grad-CAM" not in methods.small_methods("mlp")
    assert every == methods.small_methods(), "or jax.jit would trace them again"
    assert len({hash(method) for method in every.values()}) == len(every)
