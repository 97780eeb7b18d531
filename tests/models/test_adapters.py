import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from fitb_jax import fill, models

CONFIG = models.ClassifierConfig(
    architecture="mlp", widths=(4, 5), image_shape=(6, 6, 1), classes=3
)
IMAGES = jax.random.uniform(jax.random.key(0), (3, 6, 6, 1))


class _Dropout(nnx.Module):
    def __init__(self) -> None:
        self.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
        self.linear = nnx.Linear(36, 3, rngs=nnx.Rngs(0))

    def __call__(self, images: jax.Array) -> jax.Array:
        return self.linear(self.dropout(images.reshape(len(images), -1)))


class _Linen(linen.Module):
    @linen.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        return linen.Dense(3)(images.reshape(len(images), -1))


def _assert_equals(logits_fn, expected) -> None:
    np.testing.assert_allclose(jax.vmap(logits_fn)(IMAGES), expected, atol=1e-6)
    update = fill.first_order(logits_fn, IMAGES[0], jnp.zeros((6, 6)), 1)
    assert np.abs(update).max() > 0


def test_nnx_module() -> None:
    module = models.build(CONFIG, key=jax.random.key(1))
    _assert_equals(models.as_logits_fn(module), module(IMAGES))


def test_nnx_module_is_evaluated_and_left_as_it_was() -> None:
    module = _Dropout()
    module.train()
    logits_fn = models.as_logits_fn(module)
    _assert_equals(logits_fn, module.linear(IMAGES.reshape(3, -1)))
    assert not module.dropout.deterministic


def test_linen_pair() -> None:
    module = _Linen()
    variables = module.init(jax.random.key(0), IMAGES)
    _assert_equals(models.as_logits_fn((module, variables)), module.apply(variables, IMAGES))


def test_a_linen_module_without_its_variables_is_refused() -> None:
    with pytest.raises(TypeError, match=r"\(module, variables\), got the Flax Linen module _Linen"):
        models.as_logits_fn(_Linen())


def test_batched_callable() -> None:
    def apply(images: jax.Array) -> jax.Array:
        assert images.ndim == 4
        return jnp.stack([images.sum((1, 2, 3)), -3 * images.sum((1, 2, 3))], 1)

    _assert_equals(models.as_logits_fn(apply), apply(IMAGES))


@pytest.mark.parametrize("kind", ["nnx", "linen"])
def test_new_parameters_do_not_retrace(kind: str) -> None:
    module = _Linen()

    def make(seed: int):
        if kind == "linen":
            return models.as_logits_fn((module, module.init(jax.random.key(seed), IMAGES)))
        return models.as_logits_fn(models.build(CONFIG, key=jax.random.key(seed)))

    traces = 0

    @jax.jit
    def apply(logits_fn, image):
        nonlocal traces
        traces += 1
        return logits_fn(image)

    results = [np.asarray(apply(make(seed), IMAGES[0])) for seed in range(3)]
    assert traces == 1
    assert not np.allclose(results[0], results[1])


def test_an_ensemble_is_a_vmap() -> None:
    members = [
        models.as_logits_fn(models.build(CONFIG, key=jax.random.key(seed))) for seed in range(3)
    ]
    apply = jax.vmap(lambda logits_fn, image: logits_fn(image), in_axes=(0, None))
    expected = jnp.stack([member(IMAGES[0]) for member in members])
    np.testing.assert_allclose(apply(models.stack(members), IMAGES[0]), expected, atol=1e-6)
