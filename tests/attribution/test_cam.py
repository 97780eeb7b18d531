"""Class activation maps of a small network, from its two halves written out."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fitb_jax import attribution, models, objectives
from fitb_jax.models.architectures import vit

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


def _upsampled(values: np.ndarray, shape: tuple[int, int] = (12, 8)) -> np.ndarray:
    """Bilinear, pixels as areas: by hand, along one axis after the other."""
    for axis, size in enumerate(shape):
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


def _transformer(depth: int = 2) -> tuple[Any, jax.Array]:
    config = vit.ViTConfig(size=12, patch=4, depth=depth, width=8, heads=2, hidden=8, classes=3)
    module = vit.ViT(config, rngs=nnx.Rngs(0))
    return models.as_logits_fn(module), jax.random.uniform(jax.random.key(0), (12, 12, 3))


def test_layers_that_do_not_reach_the_logits_are_refused_with_those_that_do() -> None:
    logits_fn, image = _transformer()
    explain = jax.jit(attribution.grad_cam, static_argnames=("features_of", "layer", "objective"))
    at = partial(explain, logits_fn, image, 1, features_of=models.features_of)
    reach = "block1, block1.norm1, block2.norm1, patches"
    with pytest.raises(ValueError, match=rf"looks at 'block2', .*: those that do are {reach}"):
        at(layer="block2")
    assert models.last_spatial_layer(logits_fn, image.shape) == "block2.norm1"
    assert at(layer="block2.norm1").max() > 0


def test_attention_rollout_is_the_product_of_half_attentions() -> None:
    logits_fn, image = _transformer()
    features_fn = models.features_of(logits_fn)
    layers = features_fn(image)
    flow = np.eye(10)
    for name in ("block1.attention", "block2.attention"):
        np.testing.assert_allclose(layers[name].sum(-1), 1, rtol=1e-5)
        flow = (np.asarray(layers[name]) + np.eye(10)) / 2 @ flow
    found = attribution.attention_rollout(logits_fn, image, 0, features_of=models.features_of)
    np.testing.assert_allclose(found, _upsampled(flow[0, 1:].reshape(3, 3), (12, 12)), atol=1e-6)
    # The layer is the mean over heads, and what is added to it goes to each of them.
    seen = features_fn(image, {"block1.attention": jnp.full((10, 10), 0.1)})
    np.testing.assert_allclose(seen["block1.attention"], layers["block1.attention"] + 0.1)
    assert np.abs(seen["logits"] - layers["logits"]).max() > 1e-3
    with pytest.raises(ValueError, match=r"layers must be given: of .*convolution1.* grad_cam"):
        attribution.attention_rollout(LOGITS_FN, IMAGE, 0, features_of=models.features_of)
    with pytest.raises(ValueError, match=r"class token and a square .* got \[\(3, 3, 8\)\]"):
        attribution.attention_rollout(
            logits_fn, image, 0, features_of=models.features_of, layers=["patches"]
        )


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
