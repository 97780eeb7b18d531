"""The layers of Linen, Equinox and Keras models by name, against their two halves written out."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from fitb_jax import attribution, models

SHAPE = (6, 4, 1)
IMAGE = jax.random.uniform(jax.random.key(0), SHAPE)


def _assert_layers(logits_fn: Any, layer: str, tail: Any, last: str) -> None:
    """Of the first convolution, and what the model makes of it perturbed."""
    features_fn = models.features_of(logits_fn)
    traces = 0

    @jax.jit
    def both(features_fn: Any, image: jax.Array, added: Any) -> Any:
        nonlocal traces
        traces += 1
        return features_fn(image), features_fn(image, {layer: added})

    added = jax.random.normal(jax.random.key(1), (6, 4, 2))
    layers, perturbed = both(features_fn, IMAGE, added)
    both(models.features_of(logits_fn), IMAGE, added)
    assert traces == 1
    np.testing.assert_allclose(layers["logits"], logits_fn(IMAGE), atol=1e-6)
    np.testing.assert_allclose(layers["logits"], tail(layers[layer]), atol=1e-5)
    np.testing.assert_allclose(perturbed[layer], layers[layer] + added, atol=1e-6)
    np.testing.assert_allclose(perturbed["logits"], tail(layers[layer] + added), atol=1e-5)
    assert np.abs(perturbed["logits"] - layers["logits"]).max() > 1e-2
    assert models.last_spatial_layer(logits_fn, SHAPE) == last
    gradient = np.asarray(jax.grad(lambda values: tail(values)[1])(layers[layer]))
    _, found = attribution.layer_gradient(
        logits_fn, IMAGE, 1, features_of=models.features_of, layer=layer
    )
    np.testing.assert_allclose(found, gradient, atol=1e-5)


class _Block(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return linen.tanh(linen.Conv(2, (3, 3))(x))


class _Linen(linen.Module):
    @linen.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = _Block()(images)
        norm = linen.LayerNorm(name="norm")
        x = norm(norm(x))
        return linen.Dense(3, name="head")(x.mean((1, 2)))


def test_layers_of_linen() -> None:
    module = _Linen()
    variables = module.init(jax.random.key(0), IMAGE[None])
    logits_fn = models.as_logits_fn((module, variables))

    def tail(values: jax.Array) -> jax.Array:
        parameters = variables["params"]
        norm = linen.LayerNorm().bind({"params": parameters["norm"]})
        x = norm(norm(linen.tanh(values))).mean((0, 1))
        return linen.Dense(3).apply({"params": parameters["head"]}, x)

    _assert_layers(logits_fn, "_Block_0.Conv_0", tail, "norm:2")
    names = ["_Block_0.Conv_0", "_Block_0", "norm", "norm:2", "head", "logits"]
    assert list(models.features_of(logits_fn)(IMAGE)) == names


def test_layers_of_equinox() -> None:
    equinox = pytest.importorskip("equinox", reason="Equinox is no dependency of the package")

    class Network(equinox.Module):
        layers: list
        norm: equinox.nn.BatchNorm
        head: equinox.nn.Linear

        def __init__(self) -> None:
            self.layers = [
                equinox.nn.Conv2d(1, 2, 3, padding=1, key=jax.random.key(0)),
                jnp.tanh,
                equinox.nn.MLP(2, 2, 3, 1, key=jax.random.key(2)),
            ]
            self.norm = equinox.nn.BatchNorm(2, axis_name="batch", mode="ema")
            self.head = equinox.nn.Linear(2, 3, key=jax.random.key(1))

        def __call__(self, image: jax.Array, state: Any) -> Any:
            x = self.layers[1](self.layers[0](image.transpose(2, 0, 1)))
            x, state = self.norm(x, state)
            # Within the model's own `vmap` a layer cannot be shown.
            x = jax.vmap(self.layers[2])(x.reshape(2, -1).T).mean(0)
            return self.head(x), state

    network, state = equinox.nn.make_with_state(Network)()
    logits_fn = models.as_logits_fn((network, state))

    def tail(values: jax.Array) -> jax.Array:
        evaluated = equinox.nn.inference_mode(network)
        x, _ = evaluated.norm(jnp.tanh(values).transpose(2, 0, 1), state)
        return evaluated.head(jax.vmap(evaluated.layers[2])(x.reshape(2, -1).T).mean(0))

    _assert_layers(logits_fn, "layers.0", tail, "norm")
    names = ["layers.0", "norm", "head", "logits"]
    assert list(models.features_of(logits_fn)(IMAGE)) == names
    assert type(network.layers[0]) is equinox.nn.Conv2d


@pytest.fixture(scope="module")
def keras() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, jax.numpy_rank_promotion("allow"):
        patch.setenv("KERAS_BACKEND", "jax")
        yield pytest.importorskip("keras", reason="Keras is no dependency of the package")


def test_layers_of_keras(keras: Any) -> None:
    inputs = keras.Input(SHAPE)
    convolution = keras.layers.Conv2D(2, 3, padding="same", name="first")
    x = keras.layers.Activation("tanh", name="tanh")(convolution(inputs))
    x = keras.layers.Dropout(0.5, name="dropout")(x) + x
    head = keras.layers.Dense(3, name="head")
    model = keras.Model(inputs, head(keras.layers.GlobalAveragePooling2D(name="pooled")(x)))
    logits_fn = models.as_logits_fn(model)

    def tail(values: jax.Array) -> jax.Array:
        return 2 * jnp.tanh(values).mean((0, 1)) @ head.kernel.value + head.bias.value

    _assert_layers(logits_fn, "first", tail, "add")
    # Of another class, and with a layer that is called as the result is.
    layers = [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3, name="logits")]
    found = models.as_logits_fn(keras.Sequential(layers))
    features_fn = models.features_of(found)
    assert [*features_fn(IMAGE)][1:] == ["logits"]
    added = features_fn(IMAGE, {"logits": jnp.ones(3)})["logits"]
    np.testing.assert_allclose(added, found(IMAGE) + 1, rtol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_layers_that_cannot_be_told_apart(keras: Any) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = keras.layers.Dense(3)

        def call(self, images: Any) -> Any:
            return self.head(images.reshape(len(images), -1))

    own = Own()
    own(IMAGE[None])
    with pytest.raises(TypeError, match=r"layers of Own cannot be told apart.* functional or seq"):
        models.features_of(models.as_logits_fn(own))
