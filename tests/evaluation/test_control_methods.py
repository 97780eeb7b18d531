"""Controls that ask no network, and those of a method by its own maps."""

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import attribution
from fitb_jax.evaluation import control_maps, control_methods
from fitb_jax.saliency import as_saliency

WEIGHTS = jax.random.normal(jax.random.key(0), (5, 6, 6))
IMAGE = jax.random.uniform(jax.random.key(1), (6, 6, 1))
KEY = jax.random.key(2)
METHOD = as_saliency(attribution.gradient_magnitude)


def logits_fn(image: jax.Array) -> jax.Array:
    return jnp.einsum("kij,ijc->k", WEIGHTS, jnp.sin(image))


def test_controls_ask_no_network() -> None:
    expected = (
        control_maps.random_map((6, 6), key=KEY),
        control_maps.centre_point((6, 6)),
        control_maps.sobel_edges(IMAGE),
    )
    for control, saliency in zip(control_methods.CONTROLS.values(), expected, strict=True):
        np.testing.assert_array_equal(
            control(lambda image: image[0, 0], IMAGE, 0, key=KEY), saliency
        )


def test_a_blurred_map_is_the_methods_own() -> None:
    control = as_saliency(control_methods.blurred_control, sharp=METHOD, blur=0.25)
    sharp = METHOD(logits_fn, IMAGE, 1, key=KEY)
    np.testing.assert_allclose(
        control(logits_fn, IMAGE, 1, key=KEY), control_maps.blurred_map(sharp, sigma=1.5)
    )


def test_a_map_of_a_random_class_is_of_any_class_but_the_target() -> None:
    control = as_saliency(control_methods.random_class_control, explained=METHOD)
    of_class = [METHOD(logits_fn, IMAGE, target, key=KEY) for target in range(5)]
    for target in (0, 3):
        maps = [control(logits_fn, IMAGE, target, key=jax.random.key(seed)) for seed in range(40)]
        seen = {[bool((one == each).all()) for each in of_class].index(True) for one in maps}
        assert seen == set(range(5)) - {target}
