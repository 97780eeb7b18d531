"""Class activation maps of a small network, from its two halves written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import attribution, models, objectives

CONFIG = models.ClassifierConfig(
    activation="softplus", widths=(4, 5), hidden=6, image_shape=(12, 8, 1), classes=3
)
MODULE = models.build(CONFIG, key=jax.random.key(0))
LOGITS_FN = models.as_logits_fn(MODULE)
IMAGE = jax.random.uniform(jax.random.key(1), (12, 8, 1))
LAYERS = {name: layer[0] for name, layer in MODULE.features(IMAGE[None]).items()}


def _tail(layer: str, values: jax.Array) -> jax.Array:
    """Logits from a layer on."""
    if layer == "convolution1":
        values = MODULE.activation(MODULE.convolution2(values[None]))[0]
    hidden = MODULE.activation(MODULE.hidden(values.reshape(1, -1)))
    return MODULE.logits(hidden)[0]


def _upsampled(values: np.ndarray) -> np.ndarray:
    """Bilinear, pixels as areas: by hand, along one axis after the other."""
    for axis, size in enumerate((12, 8)):
        count = values.shape[axis]
        places = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
        values = np.apply_along_axis(
            lambda line, at=places: np.interp(at, np.arange(len(line)), line), axis, values
        )
    return values


@pytest.mark.parametrize("layer", ["convolution1", "convolution2"])
@pytest.mark.parametrize("objective", [objectives.logit, objectives.log_prob])
def test_maps_are_those_of_the_network_cut_in_two(layer: str, objective) -> None:
    values = LAYERS[layer]
    gradient = np.asarray(jax.grad(lambda v: objective(_tail(layer, v), 2))(values))
    arguments = {"features_of": models.features_of, "layer": layer, "objective": objective}
    cam = (values * gradient.mean((0, 1))[None, None]).sum(-1)
    found = attribution.grad_cam(LOGITS_FN, IMAGE, 2, **arguments)
    np.testing.assert_allclose(found, _upsampled(np.maximum(cam, 0)), atol=1e-5)
    fine = (values * np.maximum(gradient, 0)).sum(-1)
    found = attribution.layer_cam(LOGITS_FN, IMAGE, 2, **arguments)
    np.testing.assert_allclose(found, _upsampled(np.maximum(fine, 0)), atol=1e-5)
    assert np.asarray(found).max() > 0


def test_maps_follow_new_parameters() -> None:
    """A sanity check randomises the classifier: its layers have to be those of the new one."""
    other = models.as_logits_fn(models.build(CONFIG, key=jax.random.key(9)))
    first, second = (
        attribution.layer_cam(
            logits_fn, IMAGE, 2, features_of=models.features_of, layer="convolution2"
        )
        for logits_fn in (LOGITS_FN, other)
    )
    assert np.abs(first - second).max() > 1e-3


def test_the_layer_is_of_the_image() -> None:
    activations, gradient = attribution.layer_gradient(
        LOGITS_FN, IMAGE, jnp.asarray(1), features_of=models.features_of, layer="convolution1"
    )
    np.testing.assert_allclose(activations, LAYERS["convolution1"], atol=1e-6)
    assert gradient.shape == activations.shape == (6, 4, 4)
