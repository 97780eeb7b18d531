"""Layers of parameters in the order of use, and classifiers of shifted images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import Partial

from fitb_jax import attribution, models

IMAGE = jnp.asarray(np.random.default_rng(0).uniform(size=(8, 8, 1)), jnp.float32)


def small(activation: str = "relu", seed: int = 0) -> Partial:
    config = models.ClassifierConfig(
        activation=activation, widths=(3, 4), hidden=5, image_shape=(8, 8, 1), classes=3
    )
    return models.as_logits_fn(models.build(config, key=jax.random.key(seed)))


class OutOfOrder(nnx.Module):
    """Neither the alphabet nor the definition says what comes first."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.a = nnx.Linear(6, 3, rngs=rngs)
        self.parts = nnx.List([nnx.Linear(64, 6, rngs=rngs), nnx.Linear(6, 6, rngs=rngs)])
        self.unused = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        x = self.parts[0](images.reshape(len(images), -1))
        return self.a(self.parts[1](x))


def test_layers_are_in_the_order_of_use_whatever_their_names() -> None:
    logits_fn = models.as_logits_fn(OutOfOrder(rngs=nnx.Rngs(0)))
    assert models.parameter_layers(logits_fn, IMAGE).names == ("parts", "a")
    deep = models.parameter_layers(logits_fn, IMAGE, depth=2)
    assert deep.names == ("parts.0", "parts.1", "a")
    assert sorted(set(deep.of_leaves)) == ["a", "parts.0", "parts.1", "unused"]


def test_a_compiled_classifier_has_the_same_order() -> None:
    logits_fn = small()
    wanted = ("convolution1", "convolution2", "hidden", "logits")
    assert models.parameter_layers(logits_fn, IMAGE).names == wanted
    compiled = Partial(jax.jit(lambda inner, image: inner(image)), logits_fn)
    assert models.parameter_layers(compiled, IMAGE).names == wanted


def test_every_leaf_has_its_layer() -> None:
    logits_fn = small()
    found = models.parameter_layers(logits_fn, IMAGE)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(logits_fn)]
    for path, name in zip(paths, found.of_leaves, strict=True):
        assert name in path


def test_no_two_layers_of_a_fresh_network_have_the_same_draws() -> None:
    kernels = [leaf.ravel() for leaf in jax.tree.leaves(small(seed=3)) if leaf.ndim > 1]
    for i, a in enumerate(kernels):
        for b in kernels[:i]:
            size = min(a.size, b.size)
            assert abs(np.corrcoef(a[:size], b[:size])[0, 1]) < 0.9


def test_what_has_no_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="must have parameters"):
        models.parameter_layers(lambda image: image[0, :3, 0], IMAGE)


def test_a_shift_is_taken_off_of_layers_and_rules_as_well() -> None:
    logits_fn = small()
    shifted, moved = models.shift_input(logits_fn, 0.5), IMAGE + 0.5
    layers = jax.jit(lambda function, image: models.features_of(function)(image))
    plain, found = layers(logits_fn, IMAGE), layers(shifted, moved)
    for name, layer in plain.items():
        np.testing.assert_allclose(found[name], layer, atol=1e-5)
    rule = {"map_activations": models.map_activations}
    cam = {"features_of": models.features_of, "layer": "convolution2"}
    for method, options in (
        (attribution.guided_backpropagation, rule),
        (attribution.grad_cam, cam),
    ):
        run = jax.jit(functools.partial(method, **options))
        wanted = run(logits_fn, IMAGE, 1)
        assert np.abs(wanted).max() > 0
        np.testing.assert_allclose(run(shifted, moved, 1), wanted, atol=1e-5)


def test_a_colour_or_an_image_can_be_the_shift() -> None:
    logits_fn = small()
    run = jax.jit(lambda function, image: function(image))
    for shift in (jnp.asarray([0.25]), jnp.full((8, 8, 1), 0.25)):
        found = run(models.shift_input(logits_fn, shift), IMAGE + 0.25)
        np.testing.assert_allclose(found, run(logits_fn, IMAGE), atol=1e-5)


@pytest.mark.usefixtures("unchecked")
def test_a_shift_needs_a_classifier() -> None:
    with pytest.raises(TypeError, match="logits_fn must be callable"):
        models.shift_input(3, 0.5)


def test_a_classifier_sees_images_of_any_size_in_its_own() -> None:
    logits_fn = small()
    resized = models.at_size(logits_fn, 8)
    np.testing.assert_allclose(resized(IMAGE), logits_fn(IMAGE), atol=1e-6)
    # A constant stays one, whatever the shape.
    grey = np.full((5, 13, 1), 0.25, np.float32)
    wanted = logits_fn(jnp.full((8, 8, 1), 0.25))
    np.testing.assert_allclose(resized(jnp.asarray(grey)), wanted, atol=1e-5)
    assert jax.tree.structure(resized) == jax.tree.structure(models.at_size(logits_fn, 8))
    assert jax.tree.structure(resized) != jax.tree.structure(models.at_size(logits_fn, 9))


@pytest.mark.usefixtures("unchecked")
def test_a_size_is_a_number_of_pixels() -> None:
    with pytest.raises(TypeError, match="logits_fn must be callable"):
        models.at_size(3, 8)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        models.at_size(small(), 0)


def test_the_weights_of_the_logits_make_them_from_the_layer_before() -> None:
    network = small()
    layers = models.features_of(network)(IMAGE)
    before = [*layers.values()][[*layers].index("hidden")]
    weights = models.logit_weights(network, IMAGE)
    # The biases of a fresh network are 0.
    np.testing.assert_allclose(weights @ np.asarray(before), network(IMAGE), atol=1e-5)
    found = models.activations(network, IMAGE[None], "hidden")
    np.testing.assert_allclose(found[0], before, atol=1e-6)


def test_scaled_logits_predict_the_same() -> None:
    network = small()
    np.testing.assert_allclose(
        models.scale_logits(network, 3.0)(IMAGE), 3 * network(IMAGE), rtol=1e-6
    )
    with pytest.raises(ValueError, match="factor must lie in"):
        models.scale_logits(network, 0.0)


def test_a_changed_function_is_an_argument_of_a_program() -> None:
    def plain(image):
        return image.sum((0, 1))

    run = jax.jit(lambda logits_fn, image: logits_fn(image))
    np.testing.assert_allclose(run(models.shift_input(plain, 0.0), IMAGE), plain(IMAGE), rtol=1e-6)
    doubled = run(models.scale_logits(plain, 2.0), IMAGE)
    np.testing.assert_allclose(doubled, 2 * plain(IMAGE), rtol=1e-6)
