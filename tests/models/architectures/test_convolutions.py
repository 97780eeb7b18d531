from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax.models.architectures import convolutions

pytestmark = pytest.mark.usefixtures("x64")
CASES = [(7, 6, 3, 1), (7, 6, 3, 2), (8, 8, 5, 1), (9, 8, 5, 2), (3, 3, 5, 2)]


def _data(height: int, width: int, kernel: int) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(height)
    return jnp.asarray(rng.normal(size=(height, width, 4))), jnp.asarray(
        rng.normal(size=(kernel, kernel, 4))
    )


def _library(stride: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x[None], kernel[:, :, None], (stride, stride), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=4,
        )[0]  # fmt: skip

    return convolve


@pytest.mark.parametrize(("height", "width", "size", "stride"), CASES)
def test_depthwise_and_its_derivatives_are_the_library_s(
    height: int, width: int, size: int, stride: int
) -> None:
    x, kernel = _data(height, width, size)

    def ours(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return convolutions.depthwise(x, kernel, stride=stride)

    found, expected = [], []
    for values, convolve in ((found, ours), (expected, _library(stride))):

        def loss(x: jax.Array, kernel: jax.Array, convolve: Callable = convolve) -> jax.Array:
            return jnp.sum(jnp.tanh(convolve(x, kernel)) ** 2)

        values.append(convolve(x, kernel))
        values += jax.grad(loss, argnums=(0, 1))(x, kernel)
        gradient = jax.grad(loss)
        values.append(jax.jvp(lambda x, g=gradient: g(x, kernel), (x,), (jnp.cos(x),))[1])
        values.append(jax.vmap(gradient, in_axes=(0, None))(jnp.stack([x, 2 * x]), kernel))
        kernels = jnp.stack([kernel, kernel + 1, -kernel])
        values.append(jax.vmap(gradient, in_axes=(None, 0))(x, kernels))
        values.append(jax.vmap(gradient, in_axes=(1, 0))(jnp.stack([x, 2 * x, x], 1), kernels))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("spread", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [((1, 2), (0, 1)), ((-1, 3), (2, -1))])
def test_the_forms_of_the_platforms_agree(
    padding: tuple[tuple[int, int], tuple[int, int]], stride: int, spread: int
) -> None:
    x, kernel = _data(7, 6, 3)
    x = jnp.stack([x, 2 * x])
    static = {"padding": padding, "stride": stride, "spread": spread}
    ours = convolutions._shifted(x, kernel, **static)
    np.testing.assert_allclose(ours, convolutions._grouped(x, kernel, **static), atol=1e-12)
    y = jnp.cos(ours)
    np.testing.assert_allclose(
        convolutions._shifted_kernel(x, y, size=(3, 3), **static),
        convolutions._grouped_kernel(x, y, size=(3, 3), **static),
        atol=1e-12,
    )


def test_each_platform_gets_its_form() -> None:
    x, kernel = _data(7, 6, 3)

    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.sum(jnp.tanh(convolutions.depthwise(x, kernel, stride=2)))

    traced = jax.jit(jax.grad(loss, argnums=(0, 1))).trace(x, kernel)
    convolved = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text().count("convolution(")
        for platform in ("cpu", "cuda", "tpu")
    }
    # Forward, by the features and by the kernel.
    assert convolved == {"cpu": 0, "cuda": 3, "tpu": 3}


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 1), (3, 2)])
def test_dense_is_the_library_s(size: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    x, kernel = (
        jnp.asarray(rng.normal(size=(6, 5, 4))),
        jnp.asarray(rng.normal(size=(size, size, 4, 3))),
    )
    expected = jax.lax.conv_general_dilated(
        x[None], kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )[0]
    np.testing.assert_allclose(convolutions.dense(x, kernel, stride=stride), expected, atol=1e-12)
