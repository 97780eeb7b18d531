import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fitb_jax import models
from fitb_jax.models.classifiers import Convolution

KEY = jax.random.key(0)


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 1), (6, 2), (1, 1), (3, 3)])
def test_convolution_is_flax_convolution(kernel: int, stride: int, side: int) -> None:
    ours = Convolution(2, 3, kernel=kernel, stride=stride, rngs=nnx.Rngs(0))
    theirs = nnx.Conv(2, 3, (kernel, kernel), strides=stride, rngs=nnx.Rngs(1))
    theirs.kernel[...] = ours.kernel()
    theirs.bias[...] = ours.linear.bias[...]
    images = jax.random.normal(KEY, (2, side, side + 1, 2))
    np.testing.assert_allclose(ours(images), theirs(images), atol=1e-5)


@pytest.mark.parametrize("architecture", ["cnn", "mlp"])
@pytest.mark.parametrize("activation", ["gelu", "softplus", "relu"])
def test_smooth_networks_have_curvature_and_relu_has_none(
    architecture: str, activation: str
) -> None:
    config = models.ClassifierConfig(
        architecture=architecture,
        activation=activation,
        widths=(16, 12),
        hidden=5,
        image_shape=(7, 6, 3),
        classes=4,
    )
    logits_fn = models.as_logits_fn(models.build(config, key=KEY))
    image = jax.random.uniform(KEY, (7, 6, 3))
    assert logits_fn(image).shape == (4,)
    direction = jax.random.normal(KEY, image.shape)
    gradient = jax.grad(lambda z: logits_fn(z)[0])
    curvature = jax.jvp(gradient, (image,), (direction,))[1]
    assert np.abs(gradient(image)).max() > 0
    assert (np.abs(curvature).max() > 1e-6) == (activation != "relu")


def test_cnn_gradients_show_no_checkerboard() -> None:
    """Every inner pixel is seen by equally many outputs of a convolution with these kernels."""
    layer = Convolution(1, 1, kernel=4, stride=2, rngs=nnx.Rngs(0))
    layer.linear.kernel[...] = jnp.ones_like(layer.linear.kernel[...])
    gradient = jax.grad(lambda images: layer(images).sum())(jnp.zeros((1, 12, 12, 1)))
    inner = np.asarray(gradient)[0, 2:-2, 2:-2]
    assert np.ptp(inner) == 0
    assert inner.max() > 0
