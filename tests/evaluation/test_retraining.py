"""Remove and retrain, on a problem in which known pixels decide the class."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from fitb_jax import evaluation

SHAPE = (6, 6)
COUNT = 240
KEY = jax.random.key(0)
DECIDING = np.zeros(SHAPE, bool)
DECIDING[1:4, 2:4] = True
FRACTION = DECIDING.mean()


def examples(seed: int) -> tuple[jax.Array, jax.Array]:
    """Noise, with the class written into the deciding pixels alone."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, COUNT)
    images = rng.uniform(size=(COUNT, *SHAPE, 1))
    images[:, DECIDING] = 0.5 * images[:, DECIDING] + 0.5 * labels[:, None, None]
    return jnp.asarray(images, jnp.float32), jnp.asarray(labels, jnp.int32)


def mapped(saliency: np.ndarray, seed: int) -> evaluation.ExplainedImages:
    maps = jnp.broadcast_to(jnp.asarray(saliency, jnp.float32), (COUNT, *SHAPE))
    return evaluation.ExplainedImages(*examples(seed), maps)


def to_class_mean(means: jax.Array, image: jax.Array) -> jax.Array:
    return -((image[None] - means) ** 2).sum((1, 2, 3))


def train(images: jax.Array, labels: jax.Array, *, key: jax.Array) -> Partial:
    """The nearest class mean."""
    is_one = labels.astype(images.dtype)[:, None, None, None]
    means = [(weight * images).sum(0) / weight.sum() for weight in (1 - is_one, is_one)]
    return Partial(to_class_mean, jnp.stack(means))


@functools.cache
def jitted(order: str):
    return jax.jit(functools.partial(evaluation.retrained_accuracy, train, order=order))


def accuracy(saliency: np.ndarray, fraction: float, order: str = "most") -> float:
    return float(
        jitted(order)(mapped(saliency, 0), mapped(saliency, 1), jnp.float32(fraction), key=KEY)
    )


ORACLE, ANTI = 1.0 * DECIDING, 1.0 * ~DECIDING


def test_without_the_deciding_pixels_accuracy_is_chance() -> None:
    assert accuracy(ORACLE, 0.0) > 0.98
    assert abs(accuracy(ORACLE, FRACTION) - 0.5) < 4 * np.sqrt(0.25 / COUNT)


def test_without_any_other_pixel_accuracy_stays() -> None:
    assert accuracy(ANTI, 1 - FRACTION) > 0.98
    assert abs(accuracy(ANTI, 1.0) - 0.5) < 0.1, "nothing is left"


def test_keep_and_retrain_is_the_other_order() -> None:
    assert accuracy(ORACLE, 1 - FRACTION, order="least") > 0.98
    assert abs(accuracy(ANTI, FRACTION, order="least") - 0.5) < 4 * np.sqrt(0.25 / COUNT)


def test_fractions_and_seeds_vmap() -> None:
    train_set, test_set = mapped(ORACLE, 0), mapped(ORACLE, 1)
    keys, fractions = jax.random.split(KEY, 2), jnp.asarray([0.0, FRACTION], jnp.float32)
    run = functools.partial(evaluation.retrained_accuracy, train, train_set, test_set)
    many = jax.jit(
        jax.vmap(lambda f: jax.vmap(lambda key: run(f, key=key))(keys))  # fractions x seeds
    )(fractions)
    assert many.shape == (2, 2)
    for i, fraction in enumerate(fractions):
        for j, key in enumerate(keys):
            one = jitted("most")(train_set, test_set, fraction, key=key)
            np.testing.assert_allclose(many[i, j], one, atol=1e-6)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 1.0])
def test_exactly_so_many_pixels_are_removed_and_the_top_ones(fraction: float) -> None:
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(0.1, 1, size=(*SHAPE, 3)), jnp.float32)
    saliency = jnp.asarray(rng.permutation(36).reshape(SHAPE), jnp.float32)
    colour = jnp.asarray([2.0, 3.0, 4.0])
    found = evaluation.retraining.remove(image, saliency, fraction, key=KEY, background=colour)
    is_top = np.asarray(saliency) >= 36 - round(36 * fraction)
    wanted = np.where(is_top[:, :, None], np.asarray(colour)[None, None], np.asarray(image))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_of_equal_pixels_the_key_decides() -> None:
    image, flat = jnp.ones((*SHAPE, 1)), jnp.zeros(SHAPE)
    keys = jax.random.split(KEY, 200)
    removed = jax.vmap(lambda key: 1 - evaluation.retraining.remove(image, flat, 0.5, key=key))(
        keys
    )
    np.testing.assert_array_equal(removed.sum((1, 2, 3)), np.full(200, 18.0))
    assert np.abs(np.asarray(removed.mean(0)) - 0.5).max() < 0.2, "no place is preferred"


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"fraction": 1.5}, ValueError, r"fraction must lie in \[0, 1\]"),
        ({"train_fn": 3}, TypeError, "train_fn must be callable"),
        ({"order": "first"}, ValueError, "order must be one of"),
        ({"background": jnp.zeros(5)}, ValueError, "background must be a number"),
        (
            {"train": mapped(ORACLE, 0)._replace(saliency=jnp.zeros((COUNT, 6, 5)))},
            ValueError,
            r"train.saliency must have the images' shape \(240, 6, 6\)",
        ),
        (
            {"test": mapped(ORACLE, 0)._replace(labels=jnp.zeros(3, jnp.int32))},
            ValueError,
            r"test.labels must have shape \(240,\), got \(3,\)",
        ),
        (
            {"train": mapped(ORACLE, 0)._replace(labels=jnp.zeros(COUNT))},
            TypeError,
            "train.labels must be integers, got float32",
        ),
        (
            {
                "test": mapped(ORACLE, 0)._replace(
                    images=jnp.zeros((COUNT, 5, 6, 1)), saliency=jnp.zeros((COUNT, 5, 6))
                )
            },
            ValueError,
            r"test.images must have the shape of train.images, \(6, 6, 1\), got \(5, 6, 1\)",
        ),
        (
            {"test": mapped(ORACLE, 0)._replace(images=jnp.zeros((COUNT, 6, 6)))},
            ValueError,
            "test.images must have shape",
        ),
    ],
)
def test_bad_arguments_are_refused_by_name(change, error: type[Exception], message: str) -> None:
    good = {"train_fn": train, "train": mapped(ORACLE, 0), "test": mapped(ORACLE, 1)}
    arguments = {**good, "fraction": 0.5, "key": KEY, **change}
    with pytest.raises(error, match=message):
        evaluation.retrained_accuracy(**arguments)
