"""Classifiers of Equinox and Keras: evaluated, left as they were, their parameters arguments."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import fill, models

ROOT = Path(__file__).parents[2]
SHAPE = (6, 6, 1)
IMAGES = jax.random.uniform(jax.random.key(0), (3, *SHAPE))
MASK = jnp.ones(SHAPE[:2]).at[1:4, 2:5].set(0.0)

equinox = pytest.importorskip("equinox", reason="Equinox is no dependency of the package")


class _Network(equinox.Module):
    """One image (h, w, c) in; dropout and batch normalisation are what evaluation must change."""

    convolution: equinox.nn.Conv2d
    norm: equinox.nn.BatchNorm
    dropout: equinox.nn.Dropout
    linear: equinox.nn.Linear

    def __init__(self, *, key: jax.Array) -> None:
        first, second = jax.random.split(key)
        self.convolution = equinox.nn.Conv2d(1, 4, 3, padding=1, key=first)
        self.norm = equinox.nn.BatchNorm(4, axis_name="batch", mode="ema")
        self.dropout = equinox.nn.Dropout(0.5)
        self.linear = equinox.nn.Linear(4 * 36, 3, key=second)

    def __call__(
        self, image: jax.Array, state: Any, key: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        x, state = self.norm(self.convolution(image.transpose(2, 0, 1)), state)
        return self.linear(self.dropout(jnp.tanh(x).ravel(), key=key)), state


class _Plain(equinox.Module):
    """A module without state."""

    layers: equinox.nn.MLP
    dropout: equinox.nn.Dropout

    def __init__(self, *, key: jax.Array) -> None:
        self.layers = equinox.nn.MLP(36, 3, 8, 1, activation=jnp.tanh, key=key)
        self.dropout = equinox.nn.Dropout(0.5)

    def __call__(self, image: jax.Array, key: jax.Array | None = None) -> jax.Array:
        return self.layers(self.dropout(image.ravel(), key=key))


def _equinox_pair(seed: int) -> tuple[Any, Any]:
    """A network that has seen a few images, so that its statistics are its own."""
    network, state = equinox.nn.make_with_state(_Network)(key=jax.random.key(seed))
    keys = jax.random.split(jax.random.key(7), 3)
    batched = jax.vmap(network, axis_name="batch", in_axes=(0, None, 0), out_axes=(0, None))
    return network, batched(IMAGES, state, keys)[1]


@pytest.fixture(scope="module")
def keras() -> Iterator[Any]:
    # Keras itself adds biases of lower rank.
    with pytest.MonkeyPatch.context() as patch, jax.numpy_rank_promotion("allow"):
        patch.setenv("KERAS_BACKEND", "jax")
        yield pytest.importorskip("keras", reason="Keras is no dependency of the package")


def _keras_model(keras: Any, seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(4, 3, activation="tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    model(IMAGES, training=True)  # its statistics are its own
    return model


def _keras_weights(model: Any) -> list[np.ndarray]:
    """`get_weights` of Keras meets a deprecation of NumPy's."""
    return [np.asarray(variable.value) for variable in model.weights]


def _assert_explains(make: Callable[[int], Any], expected: Callable[[int], Any]) -> None:
    """The logits are right, derivatives exist, and parameters are arguments: jitted and vmapped."""
    members = [make(seed) for seed in range(2)]
    traces = 0

    @jax.jit
    def apply(logits_fn: Any, images: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return jax.vmap(logits_fn)(images)

    for seed, member in enumerate(members):
        np.testing.assert_allclose(apply(member, IMAGES), expected(seed), atol=1e-5)
    assert traces == 1
    assert not np.allclose(expected(0), expected(1))
    together = jax.vmap(apply, in_axes=(0, None))(models.stack(members), IMAGES)
    np.testing.assert_allclose(together, [expected(0), expected(1)], atol=1e-5)
    update = jax.jit(fill.second_order)(members[0], IMAGES[0], MASK, 1)
    assert 0 < np.abs(update[1:4, 2:5]).max() < np.inf
    assert (update[:1] == 0).all()


def test_equinox_module() -> None:
    def make(seed: int) -> Any:
        return models.as_logits_fn(_Plain(key=jax.random.key(seed)))

    def expected(seed: int) -> Any:
        layers = _Plain(key=jax.random.key(seed)).layers
        return jax.vmap(lambda image: layers(image.ravel()))(IMAGES)

    _assert_explains(make, expected)


def test_equinox_module_with_state() -> None:
    pairs = [_equinox_pair(seed) for seed in range(2)]

    def expected(seed: int) -> Any:
        network, state = pairs[seed]
        evaluated = equinox.nn.inference_mode(network)
        return jax.vmap(lambda image: evaluated(image, state)[0])(IMAGES)

    _assert_explains(lambda seed: models.as_logits_fn(pairs[seed]), expected)


def test_equinox_module_is_left_as_it_was() -> None:
    network, state = _equinox_pair(0)
    before = [np.asarray(leaf) for leaf in jax.tree.leaves((network, state))]
    models.as_logits_fn((network, state))(IMAGES[0])
    assert not network.dropout.inference
    for leaf, other in zip(before, jax.tree.leaves((network, state)), strict=True):
        np.testing.assert_array_equal(leaf, other)


def test_a_pair_that_is_none_of_equinox_is_refused() -> None:
    with pytest.raises(TypeError, match=r"an Equinox module .*got a tuple of 2"):
        models.as_logits_fn((_Plain(key=jax.random.key(0)), 3))


def test_keras_model(keras: Any) -> None:
    model = _keras_model(keras, 0)
    weights = [_keras_weights(_keras_model(keras, seed)) for seed in range(2)]

    def make(seed: int) -> Any:
        model.set_weights(weights[seed])
        return models.as_logits_fn(model)

    def expected(seed: int) -> Any:
        model.set_weights(weights[seed])
        return np.asarray(model(IMAGES, training=False))

    _assert_explains(make, expected)


def test_keras_model_is_left_as_it_was(keras: Any) -> None:
    model = _keras_model(keras, 0)
    before = _keras_weights(model)
    logits_fn = models.as_logits_fn(model)
    jax.grad(lambda image: logits_fn(image)[0])(IMAGES[0])
    for one, other in zip(before, _keras_weights(model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_keras_on_another_backend_or_without_weights(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbuilt = keras.Sequential([keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="without weights yet"):
        models.as_logits_fn(unbuilt)
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(ValueError, match=r"the backend 'tensorflow'.* KERAS_BACKEND=jax"):
        models.as_logits_fn(_keras_model(keras, 0))


def test_neither_is_imported_by_the_package() -> None:
    code = (
        "import sys; from fitb_jax import models; models.as_logits_fn(lambda images: images); "
        "print([m for m in ('equinox', 'keras', 'huggingface_hub', 'torch') if m in sys.modules])"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert printed.strip() == "[]"
