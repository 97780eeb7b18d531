"""Gradient maps against loops over their draws and nodes, in float64 where it matters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import attribution, objectives
from tests import problems

KEY = jax.random.key(5)
SHAPE = (4, 5, 2)
SMOOTH = problems.smooth_logits(shape=SHAPE)
IMAGE = jnp.asarray(np.random.default_rng(0).uniform(size=SHAPE), jnp.float32)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["smoothgrad", "smoothgrad_squared", "vargrad"])
def test_maps_over_noise_are_those_of_a_loop(name: str) -> None:
    image = jnp.asarray(IMAGE, jnp.float64)
    scale = 0.2 * (image.max() - image.min())
    gradient_fn = jax.grad(lambda x: objectives.log_prob(SMOOTH(x), 1))
    gradients = np.stack(
        [
            gradient_fn(image + scale * jax.random.normal(key, image.shape, image.dtype))
            for key in jax.random.split(KEY, 6)
        ]
    )
    wanted = {
        "smoothgrad": np.abs(gradients.mean(0)),
        "smoothgrad_squared": (gradients**2).mean(0),
        "vargrad": gradients.var(0, ddof=1),
    }[name]
    found = getattr(attribution, name)(
        SMOOTH, image, 1, key=KEY, draws=6, noise=0.2, objective=objectives.log_prob, chunk=4
    )
    np.testing.assert_allclose(found, wanted.sum(-1), rtol=1e-10)


def test_without_noise_smoothgrad_is_the_gradient() -> None:
    plain = attribution.gradient_magnitude(SMOOTH, IMAGE, 2)
    smooth = attribution.smoothgrad(SMOOTH, IMAGE, 2, key=KEY, draws=3, noise=0)
    np.testing.assert_allclose(smooth, plain, rtol=1e-5)
    np.testing.assert_array_equal(
        attribution.vargrad(SMOOTH, IMAGE, 2, key=KEY, draws=3, noise=0), 0 * plain
    )


def test_the_variance_does_not_cancel_beside_a_large_gradient() -> None:
    """Mean of squares minus square of mean would be all rounding here."""

    def logits_fn(image: jax.Array) -> jax.Array:
        return jnp.stack([1e4 * image.sum() + 0.05 * (image**2).sum()])

    found = attribution.vargrad(logits_fn, IMAGE, 0, key=KEY, draws=400, noise=0.5)
    # The gradient is 1e4 + 0.1 x: its variance is 0.01 of the noise's, for each of two colours.
    noise = 0.5 * float(IMAGE.max() - IMAGE.min())
    np.testing.assert_allclose(found.mean(), 2 * 0.01 * noise**2, rtol=0.1)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_the_path_integral_is_exact_for_polynomials(nodes: int) -> None:
    """Gradients of degree 2 nodes - 1 along the path, and not one degree more."""
    image = jnp.asarray(IMAGE, jnp.float64)

    def power(degree: int):
        return lambda x: jnp.stack([(x**degree).sum()])

    for degree, is_exact in ((2 * nodes, True), (2 * nodes + 1, False)):
        found = attribution.integrated_gradients_with_diagnostics(
            power(degree), image, 0, baseline=0.1, nodes=nodes
        )
        assert (float(found.completeness_error) < 1e-12) == is_exact
        error = np.abs(found.attribution - (image**degree - 0.1**degree)).max()
        assert (error < 1e-12) == is_exact


def test_the_completeness_error_is_what_it_says() -> None:
    found = attribution.integrated_gradients_with_diagnostics(
        SMOOTH, IMAGE, 1, baseline=jnp.asarray([0.0, 0.5]), nodes=2
    )
    start = jnp.broadcast_to(jnp.asarray([0.0, 0.5]), SHAPE)
    difference = SMOOTH(IMAGE)[1] - SMOOTH(start)[1]
    np.testing.assert_allclose(found.difference, difference, rtol=1e-5)
    np.testing.assert_allclose(
        found.completeness_error, abs(found.saliency.sum() - difference), atol=1e-6
    )
    np.testing.assert_allclose(found.saliency, found.attribution.sum(-1), rtol=1e-6)
    finer = attribution.integrated_gradients_with_diagnostics(SMOOTH, IMAGE, 1, nodes=16)
    assert finer.completeness_error < 1e-5


def test_input_x_gradient_is_complete_without_biases() -> None:
    image, _ = problems.image_and_mask(dtype=jnp.float32)
    for target in range(3):
        found = attribution.input_x_gradient(problems.relu_logits(), image, target)
        np.testing.assert_allclose(
            found.sum(), problems.relu_logits()(image)[target], rtol=1e-4, atol=1e-4
        )
