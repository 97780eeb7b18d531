import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax.models.architectures import activations
from fitb_jax.models.architectures.convolutions import depthwise

_EDGES = jnp.array([-1.0, -0.0, 0.0, 1e-30, 0.5, 5.9, 6.0, 7.0])
_WEIGHTS = jnp.arange(1.0, 9.0)
_PAIRS = [(activations.relu6, jax.nn.relu6), (activations.relu, jax.nn.relu)]


def _cubed(activation, x):
    return jnp.sum(_WEIGHTS * activation(x) ** 3)


@pytest.mark.parametrize(("ours", "library"), _PAIRS)
def test_values_and_gradients_are_those_of_the_library(ours, library):
    np.testing.assert_array_equal(ours(_EDGES), library(_EDGES))
    for first in (_EDGES, -_EDGES, _EDGES[::-1]):  # the stored units begin with either value
        gradient = jax.jit(jax.grad(_cubed, argnums=1), static_argnums=0)
        np.testing.assert_allclose(gradient(ours, first), gradient(library, first), rtol=1e-6)


@pytest.mark.parametrize(("ours", "library"), _PAIRS)
def test_second_derivatives_are_those_of_the_library(ours, library):
    def product(activation, x):
        return jax.jvp(jax.grad(lambda z: _cubed(activation, z)), (x,), (_WEIGHTS,))[1]

    jitted = jax.jit(product, static_argnums=0)
    np.testing.assert_allclose(jitted(ours, _EDGES), jitted(library, _EDGES), rtol=1e-6)
    np.testing.assert_allclose(
        jax.hessian(lambda x: _cubed(ours, x))(_EDGES).diagonal(),
        jax.hessian(lambda x: _cubed(library, x))(_EDGES).diagonal(),
        rtol=1e-6,
    )


def test_the_gradient_maps_over_a_batch():
    batch = jnp.stack([_EDGES, -_EDGES, _EDGES[::-1]])
    gradient = jax.grad(lambda x: _cubed(activations.relu6, x))
    together = jax.jit(jax.vmap(gradient))(batch)
    np.testing.assert_allclose(together, jnp.stack([gradient(x) for x in batch]), rtol=1e-6)


def test_the_backward_pass_keeps_bytes_and_not_the_layer_before():
    if jax.default_backend() != "cpu":
        pytest.skip("XLA decides this way on CPUs only")

    kernels = jnp.full((8, 5, 5, 16), 0.1)

    def network(activation, x):
        for kernel in kernels:
            x = activation(depthwise(x, kernel, stride=1) + 0.1)
        return x.sum()

    def temporary(activation):
        gradient = jax.jit(jax.grad(lambda x: network(activation, x)))
        compiled = gradient.lower(jnp.ones((64, 64, 16))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(activations.relu6) < 0.7 * temporary(jax.nn.relu6)
