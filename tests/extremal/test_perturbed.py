"""What a fit sees: moved, with noise, on other backgrounds, or nothing of it."""

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import extremal
from fitb_jax.extremal.perturbed import perturbed

SIDE = 8
IMAGE = jax.random.uniform(jax.random.key(0), (SIDE, SIDE, 1), minval=0.2, maxval=0.6)
BLEND = extremal.make_blend(IMAGE, 0.0)
HALF = (jnp.indices((SIDE, SIDE))[0] < 4).astype(jnp.float32)
KEYS = jax.random.split(jax.random.key(1), 32)


def test_nothing_asked_is_the_blend_itself() -> None:
    assert perturbed(BLEND, IMAGE, key=KEYS[0]) is BLEND


def test_a_view_is_moved_by_at_most_the_shift_and_repeats_the_border() -> None:
    views = np.asarray(jax.vmap(lambda key: perturbed(BLEND, IMAGE, key=key, shift=1)(HALF))(KEYS))
    padded = np.pad(np.asarray(BLEND(HALF)), ((1, 1), (1, 1), (0, 0)), mode="edge")
    possible = [
        padded[row : row + SIDE, column : column + SIDE] for row in range(3) for column in range(3)
    ]
    found = {
        next(i for i, one in enumerate(possible) if np.array_equal(view, one)) for view in views
    }
    assert len(found) > 5


def test_noise_has_its_deviation_and_no_mean() -> None:
    views = jax.vmap(lambda key: perturbed(BLEND, IMAGE, key=key, noise=0.05)(HALF))(KEYS)
    difference = np.asarray(views) - np.asarray(BLEND(HALF))
    np.testing.assert_allclose(difference.std(), 0.05, rtol=0.1)
    np.testing.assert_allclose(difference.mean(), 0, atol=0.005)


def test_backgrounds_take_turns_with_the_blends_own() -> None:
    backgrounds = jnp.stack([jnp.full(IMAGE.shape, level) for level in (0.7, 0.9)])
    views = jax.vmap(lambda key: perturbed(BLEND, IMAGE, key=key, backgrounds=backgrounds)(HALF))(
        KEYS
    )
    np.testing.assert_array_equal(views[:, :4], jnp.broadcast_to(IMAGE[:4], views[:, :4].shape))
    levels, counts = np.unique(np.asarray(views[:, 4:]), return_counts=True)
    np.testing.assert_allclose(levels, [0, 0.7, 0.9], atol=1e-6)
    assert counts.min() > 3 * SIDE * 4
