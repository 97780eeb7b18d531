import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fitb_jax import masks, models
from fitb_jax.models.training import _shift, _without_cell
from fitb_jax.types import LogitsFn
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


def test_a_cell_is_deleted_in_half_of_the_images() -> None:
    images = jnp.ones((400, 9, 8, 1))
    found = np.asarray(_without_cell(images, 4, key=jax.random.key(0)))[..., 0]
    cells = np.asarray(masks.grid_cells((9, 8), 4))
    deleted = [np.unique(cells[one == 0]) for one in found]
    assert {len(each) for each in deleted} == {0, 1}
    for each, one in zip(deleted, found, strict=True):
        np.testing.assert_array_equal(one == 0, np.isin(cells, each))
    assert 160 <= sum(map(len, deleted)) <= 240
    assert len(np.unique(np.concatenate(deleted))) == 16
    np.testing.assert_array_equal(_without_cell(images, 0, key=jax.random.key(0)), images)


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


def _accuracy(logits_fn: LogitsFn, images: jax.Array, labels: jax.Array) -> float:
    return float((models.predict(logits_fn, images) == labels).mean())


def _moved(
    logits_fn: LogitsFn, images: jax.Array, labels: jax.Array, norm: models.Norm, radius: float
) -> jax.Array:
    def loss(batch: jax.Array) -> jax.Array:
        logits = jax.vmap(logits_fn)(batch)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    return models.projected_gradient(loss, images, radius=radius, norm=norm)


def test_a_radius_of_0_is_plain_training_to_the_bit(bars) -> None:
    images, labels = map(jnp.asarray, bars)
    how = dataclasses.replace(TRAINING, robust_radius=0.0, robust_norm="linf", robust_steps=7)
    run = jax.jit(functools.partial(models.train, CLASSIFIER, how))
    found, plain = (each(images, labels, key=jax.random.key(0)) for each in (run, RUN))
    for a, b in zip(*map(jax.tree.leaves, (found, plain)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_robust_and_noisy_training_withstand_more(bars) -> None:
    images, labels = map(jnp.asarray, bars)
    plain = RUN(images, labels, key=jax.random.key(0)).logits_fn
    examples = _moved(plain, images, labels, "l2", 1.0)
    for changes in ({"robust_radius": 1.0}, {"noise": 0.3}):
        how = dataclasses.replace(TRAINING, epochs=30, **changes)
        trained = models.train(CLASSIFIER, how, images, labels, key=jax.random.key(0)).logits_fn
        assert _accuracy(trained, images, labels) > 0.9
        assert _accuracy(trained, examples, labels) > _accuracy(plain, examples, labels) + 0.1


def test_examples_stay_in_the_ball_and_among_images(bars) -> None:
    images, labels = map(jnp.asarray, bars)
    plain = RUN(images, labels, key=jax.random.key(0)).logits_fn
    for norm, radius, length in (
        ("l2", 0.7, lambda d: np.sqrt((d**2).sum((1, 2, 3)))),
        ("linf", 0.1, lambda d: np.abs(d).max((1, 2, 3))),
    ):
        moved = np.asarray(_moved(plain, images, labels, norm, radius))
        lengths = length(moved - np.asarray(images))
        assert moved.min() >= 0
        assert moved.max() <= 1
        assert lengths.max() <= radius * (1 + 1e-5)
        assert np.median(lengths) > 0.8 * radius


def test_the_worst_example_of_a_plane_is_known() -> None:
    images = jnp.full((2, 6, 6, 1), 0.5)
    slope = jax.random.normal(jax.random.key(0), (6, 6, 1))
    for norm, direction in (("l2", slope / jnp.linalg.norm(slope)), ("linf", jnp.sign(slope))):
        moved = models.projected_gradient(
            lambda x: 1e-25 * (x * slope[None]).sum(), images, radius=0.1, norm=norm
        )
        np.testing.assert_allclose(moved - images, jnp.stack([0.1 * direction] * 2), atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_images_of_the_host_are_trained_on_outside_of_a_program(bars) -> None:
    images, labels = (np.asarray(each) for each in bars)
    short = dataclasses.replace(TRAINING, epochs=1)
    trained = models.train(CLASSIFIER, short, images, labels, key=jax.random.key(0))
    assert np.isfinite(trained.losses).all()
