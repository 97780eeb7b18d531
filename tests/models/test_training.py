import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import models
from fitb_jax.models.training import _shift
from tests.models.conftest import CLASSIFIER, TRAINING

RUN = jax.jit(functools.partial(models.train, CLASSIFIER, TRAINING))


def test_training_learns(bars) -> None:
    images, labels = map(jnp.asarray, bars)
    trained = RUN(images, labels, key=jax.random.key(0))
    assert trained.losses.shape == (TRAINING.epochs,)
    assert trained.losses[-1] < 0.5 * trained.losses[0]
    assert (models.predict(trained.logits_fn, images) == labels).mean() > 0.95


def test_the_same_key_gives_the_same_bits_and_another_does_not(bars) -> None:
    images, labels = map(jnp.asarray, bars)
    one, again, other = (RUN(images, labels, key=jax.random.key(seed)) for seed in (0, 0, 1))
    for a, b, c in zip(*map(jax.tree.leaves, (one, again, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_a_vmap_over_keys_trains_many_networks(bars) -> None:
    images, labels = map(jnp.asarray, bars)
    keys = jax.random.split(jax.random.key(3), 2)
    short = dataclasses.replace(TRAINING, epochs=1)
    run = functools.partial(models.train, CLASSIFIER, short, images, labels)
    together = jax.jit(jax.vmap(lambda key: run(key=key)))(keys)
    for index in range(2):
        alone = run(key=keys[index])
        np.testing.assert_allclose(together.losses[index], alone.losses, rtol=1e-4)


def test_every_epoch_is_reported_once(bars) -> None:
    images, labels = map(jnp.asarray, bars)
    seen: list[float] = []
    run = jax.jit(
        functools.partial(
            models.train, CLASSIFIER, TRAINING, on_epoch=lambda loss: seen.append(float(loss))
        )
    )
    trained = run(images, labels, key=jax.random.key(0))
    jax.effects_barrier()
    np.testing.assert_allclose(sorted(seen), np.sort(trained.losses), rtol=1e-6)


def test_shifts_move_images_and_lose_nothing_inside() -> None:
    image = jnp.zeros((8, 8, 1)).at[3:5, 3:5].set(1.0)
    moved = np.asarray(_shift(jnp.stack([image] * 64), 2, key=jax.random.key(0)))
    np.testing.assert_array_equal(moved.sum((1, 2, 3)), 4)
    corners = {tuple(np.argwhere(one[:, :, 0])[0]) for one in moved}
    assert corners <= {(r, c) for r in range(1, 6) for c in range(1, 6)}
    assert len(corners) > 10
    unmoved = _shift(jnp.stack([image]), 0, key=jax.random.key(0))
    np.testing.assert_array_equal(unmoved[0], image)


def test_recipes_of_the_same_settings_are_equal_and_train(bars) -> None:
    images, labels = map(jnp.asarray, bars)
    short = dataclasses.replace(TRAINING, epochs=1)
    recipe = models.Recipe(CLASSIFIER, short)
    assert recipe == models.Recipe(CLASSIFIER, dataclasses.replace(TRAINING, epochs=1))
    assert recipe != models.Recipe(CLASSIFIER, TRAINING)
    key = jax.random.key(2)
    wanted = models.train(CLASSIFIER, short, images, labels, key=key).logits_fn
    found = recipe(images, labels, key=key)
    for a, b in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
        np.testing.assert_array_equal(a, b)
