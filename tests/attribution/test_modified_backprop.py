"""Deconvnet and guided backpropagation of a network small enough to do by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from fitb_jax import attribution, models
from fitb_jax.models.architectures.activations import relu, relu6

SHAPE = (3, 4, 2)
RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.normal(size=(24, 9)), RNG.normal(size=(9, 8))
LAST = RNG.normal(size=(8, 3))
IMAGE = jnp.asarray(RNG.uniform(size=SHAPE), jnp.float32)


def _map_activations(logits_fn: Partial, rule):
    def apply(weights, image):
        activation, x = rule(jax.nn.relu), image.ravel()
        for weight in weights[:-1]:
            x = activation(x @ weight)
        return x @ weights[-1]

    return Partial(apply, *logits_fn.args)


LOGITS_FN = _map_activations(
    Partial(lambda: None, [jnp.asarray(w, jnp.float32) for w in (FIRST, SECOND, LAST)]),
    lambda activation: activation,
)


@pytest.mark.parametrize("target", range(3))
@pytest.mark.parametrize("name", ["deconvnet", "guided_backpropagation"])
def test_maps_are_the_backward_pass_written_out(name: str, target: int) -> None:
    x = np.asarray(IMAGE, float).ravel()
    first = x @ FIRST
    second = np.maximum(first, 0) @ SECOND
    is_guided = name == "guided_backpropagation"
    back = np.maximum(LAST[:, target], 0) * ((second > 0) if is_guided else 1)
    back = np.maximum(SECOND @ back, 0) * ((first > 0) if is_guided else 1)
    wanted = np.abs(FIRST @ back).reshape(SHAPE).sum(-1)
    found = getattr(attribution, name)(LOGITS_FN, IMAGE, target, map_activations=_map_activations)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize("rule", [attribution.DeconvnetActivation, attribution.GuidedActivation])
@pytest.mark.parametrize("activation", [jax.nn.relu, relu, relu6])
def test_rules_change_the_derivative_only(rule, activation) -> None:
    x = jnp.asarray([-1.0, 0.5, 2.0, 7.0])
    changed = rule(activation)
    np.testing.assert_array_equal(changed(x), activation(x))
    assert changed == rule(activation), "equal rules are recognised by jax.jit"
    cotangent = jnp.asarray([1.0, -1.0, 2.0, 3.0])
    (found,) = jax.vjp(changed, x)[1](cotangent)
    is_active = np.asarray(jax.vmap(jax.grad(activation))(x))
    mask = is_active if rule is attribution.GuidedActivation else 1
    np.testing.assert_array_equal(found, np.maximum(cotangent, 0) * mask)


@pytest.mark.parametrize("name", ["deconvnet", "guided_backpropagation"])
def test_networks_of_the_package_are_rebuilt(name: str) -> None:
    config = models.ClassifierConfig(
        activation="relu", widths=(4, 5), hidden=6, image_shape=(8, 8, 1), classes=3
    )
    module = models.build(config, key=jax.random.key(0))
    image = jax.random.uniform(jax.random.key(1), (8, 8, 1))
    logits_fn = models.as_logits_fn(module)
    before = attribution.gradient_magnitude(logits_fn, image, 1)
    found = attribution.__dict__[name](logits_fn, image, 1, map_activations=models.map_activations)
    assert np.abs(found - before).max() > 1e-3
    np.testing.assert_array_equal(attribution.gradient_magnitude(logits_fn, image, 1), before)
