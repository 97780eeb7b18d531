"""Controls of a method by its own maps."""

import jax
import jax.numpy as jnp

from experiments import localised, methods
from fitb_jax import attribution, models
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


def test_rows_of_a_random_class_and_of_no_training_are_of_the_method_they_name() -> None:
    rows = localised.rows(models.untrained("efficientnet_lite0", key=jax.random.key(0)))
    for name in ("gradient", "Grad-CAM", "occlusion", methods.OURS[2]):
        method = rows[name].saliency_fn
        assert rows[f"{name}{methods.UNTRAINED}"] == localised.Row(method, is_untrained=True)
        assert rows[f"{name}{methods.RANDOM_CLASS}"] == localised.Row(
            methods.of_random_class(method)
        )
