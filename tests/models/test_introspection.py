"""Layers that can be perturbed, and networks rebuilt with other activations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import heads, models
from fitb_jax.models.architectures import resnet, vgg, vit
from fitb_jax.models.architectures.efficientnet import EfficientNetLite

IMAGE = jax.random.uniform(jax.random.key(0), (32, 32, 3))
SMALL = models.ClassifierConfig(
    activation="relu", widths=(4, 5), hidden=6, image_shape=(32, 32, 3), classes=3
)


def _small(architecture: str) -> models.ClassifierConfig:
    return models.ClassifierConfig(
        architecture=architecture, widths=(4, 5), hidden=6, image_shape=(32, 32, 3), classes=3
    )


def _network(name: str):
    rngs = nnx_rngs()
    if name in ("cnn", "mlp"):
        return models.as_logits_fn(models.build(_small(name), key=jax.random.key(1)))
    if name == "lite":
        network = EfficientNetLite(0.25, 0.25, 32)
        return jax.tree_util.Partial(network, network.initial(key=jax.random.key(1)))
    module = {
        "resnet": lambda: resnet.ResNet(
            resnet.ResNetConfig(blocks=(1, 1, 1, 1), width=4, bottleneck=False, classes=3),
            rngs=rngs,
        ),
        "vgg": lambda: vgg.VGG(
            vgg.VGGConfig(blocks=((4,), (5,)), hidden=6, side=2, classes=3), rngs=rngs
        ),
        "vit": lambda: vit.ViT(
            vit.ViTConfig(size=32, patch=16, width=8, depth=2, heads=2, hidden=8, classes=3),
            rngs=rngs,
        ),
    }[name]()
    return models.as_logits_fn(module)


def nnx_rngs():
    from flax import nnx

    return nnx.Rngs(0)


NAMES = ("cnn", "mlp", "lite", "resnet", "vgg", "vit")


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_those_of_the_classifier_and_can_be_perturbed(name: str) -> None:
    logits_fn = _network(name)
    features_fn = models.features_of(logits_fn)
    layers = jax.jit(features_fn)(IMAGE)
    np.testing.assert_allclose(layers["logits"], jax.jit(logits_fn)(IMAGE), atol=1e-5)
    added = {
        layer: 0.1 * jax.random.normal(jax.random.key(2), value.shape)
        for layer, value in layers.items()
    }

    @jax.jit
    def perturbed_in_turn(features_fn, image, added):
        def perturbed(scales):
            return features_fn(
                image,
                {each: scale * added[each] for each, scale in zip(added, scales, strict=True)},
            )

        return jax.vmap(perturbed)(jnp.eye(len(added)))

    names: list[str] = []  # in order: dicts leave compiled functions sorted by name
    jax.eval_shape(lambda image: names.extend(features_fn(image)), IMAGE)
    every = perturbed_in_turn(features_fn, IMAGE, added)
    # As `added` has lost its order within the program, too.
    for place, layer in enumerate(sorted(added)):
        found = {name: values[place] for name, values in every.items()}
        at = names.index(layer)
        np.testing.assert_allclose(found[layer], layers[layer] + added[layer], atol=1e-5)
        for before in names[:at]:
            np.testing.assert_allclose(found[before], layers[before], atol=1e-5)
        is_seen = not (name == "vit" and layer == "block2")  # its patches are not looked at
        changed = np.abs(found["logits"] - layers["logits"]).max() > 1e-6
        assert changed == is_seen, layer


def test_new_parameters_give_new_layers_without_a_retrace() -> None:
    traces = 0

    @jax.jit
    def hidden(logits_fn, image):
        nonlocal traces
        traces += 1
        return models.features_of(logits_fn)(image)["hidden"]

    found = [
        hidden(models.as_logits_fn(models.build(SMALL, key=jax.random.key(seed))), IMAGE)
        for seed in range(2)
    ]
    assert traces == 1
    assert np.abs(found[0] - found[1]).max() > 0


@pytest.mark.parametrize("name", ["cnn", "mlp", "lite", "resnet", "vgg"])
def test_activations_are_replaced_and_the_classifier_is_left(name: str) -> None:
    logits_fn = _network(name)
    before = logits_fn(IMAGE)
    silent = models.map_activations(logits_fn, lambda activation: jnp.zeros_like)
    assert np.abs(jax.grad(lambda x: silent(x)[0])(IMAGE)).max() == 0
    same = models.map_activations(logits_fn, lambda activation: activation)
    np.testing.assert_array_equal(same(IMAGE), before)
    np.testing.assert_array_equal(logits_fn(IMAGE), before)


def test_layers_of_a_classifier_with_a_head_lead_to_its_logits() -> None:
    logits_fn = heads.with_head(_network("mlp"), "multi_label_probabilities")
    features_fn = models.features_of(logits_fn)
    layers = features_fn(IMAGE)
    np.testing.assert_allclose(layers["logits"], logits_fn(IMAGE), rtol=1e-6)
    first = {"hidden1": jnp.ones_like(layers["hidden1"])}
    both, one = features_fn(IMAGE, {**first, "logits": jnp.ones(3)}), features_fn(IMAGE, first)
    np.testing.assert_allclose(both["logits"], one["logits"] + 1, rtol=1e-6)
    assert not np.array_equal(one["logits"], layers["logits"])


@pytest.mark.usefixtures("unchecked")
def test_other_classifiers_are_refused_by_name() -> None:
    plain = jax.tree_util.Partial(jnp.dot, jnp.ones((1000, 3)))
    for function in (models.features_of, lambda f: models.map_activations(f, lambda a: a)):
        for classifier in (plain, jnp.dot, models.as_logits_fn(jnp.dot)):
            with pytest.raises(TypeError, match=r"logits_fn must come from .*; got \w+$") as raised:
                function(classifier)
            assert len(str(raised.value)) < 400
    with pytest.raises(ValueError, match="no part of ViT has an attribute `activation`"):
        models.map_activations(_network("vit"), lambda activation: activation)


def test_the_last_layer_with_places_is_the_last_that_is_computed() -> None:
    """JAX sorts the names of what it returns: the last of them is the stem."""
    pretrained = models.untrained("efficientnet_lite0", key=jax.random.key(0))
    assert models.last_spatial_layer(pretrained.logits_fn, (224, 224, 3)) == "head"
    shape = SMALL.image_shape
    resnet = models.untrained("resnet18", key=jax.random.key(0))
    assert models.last_spatial_layer(resnet.logits_fn, (64, 64, 3)) == "layer4"
    for architecture, last in (("cnn", "convolution2"), ("mlp", None)):
        network = models.build(_small(architecture), key=jax.random.key(0))
        assert models.last_spatial_layer(models.as_logits_fn(network), shape) == last
