import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fitb_jax import evaluation

SHAPE = (10, 10)
CONSISTENCY = jax.jit(evaluation.area_consistency, static_argnames="connectivity")
AREAS = jnp.asarray([0.1, 0.2, 0.4, 0.9])


def _rows(areas: jax.Array) -> jax.Array:
    """Nested and calibrated masks: the first rows."""
    rows = (jnp.arange(10)[None, :] + 0.5) / 10 < areas[:, None]
    return jnp.broadcast_to(rows[:, :, None], (areas.size, *SHAPE)).astype(jnp.float32)


def test_a_perfect_family() -> None:
    found = CONSISTENCY(_rows(AREAS), AREAS)
    np.testing.assert_allclose(found.calibration, np.zeros(4), atol=1e-6)
    np.testing.assert_allclose(found.nestedness, np.zeros(3))
    np.testing.assert_allclose(found.continuity, np.ones(3), rtol=1e-5)
    np.testing.assert_allclose(found.softness, np.zeros(4))
    np.testing.assert_allclose(found.total_variation, np.full(4, 0.1), rtol=1e-6)
    np.testing.assert_array_equal(found.components, np.ones(4))


def test_a_mask_that_jumps_to_the_other_side() -> None:
    masks = _rows(AREAS).at[1].set(_rows(AREAS)[1, ::-1])
    found = CONSISTENCY(masks, AREAS)
    # Rows 0, then 8 and 9, then 0 to 3, then 0 to 8.
    np.testing.assert_allclose(found.nestedness, [0.1, 0.2, 0.0], atol=1e-6)
    np.testing.assert_allclose(found.continuity, [0.3 / 0.1, 0.6 / 0.2, 1.0], rtol=1e-5)
    np.testing.assert_allclose(found.calibration, np.zeros(4), atol=1e-6)


def test_soft_masks_and_wrong_areas() -> None:
    masks = jnp.full((2, *SHAPE), 0.5)
    areas = jnp.asarray([0.25, 0.75])
    np.testing.assert_allclose(evaluation.calibration(masks, areas), [0.25, 0.25])
    np.testing.assert_allclose(evaluation.softness(masks[0]), 1.0)
    np.testing.assert_allclose(evaluation.continuity(masks, areas), [0.0])
    np.testing.assert_allclose(evaluation.nestedness(masks), [0.0])


def test_scattered_masks_have_many_components() -> None:
    scattered, touching = jnp.zeros(SHAPE).at[::2, ::2].set(1.0), jnp.eye(10)
    masks = jnp.stack([touching, scattered, jnp.ones(SHAPE), jnp.ones(SHAPE)])
    for connectivity, numbers in ((4, [10, 25, 1, 1]), (8, [1, 25, 1, 1])):
        found = CONSISTENCY(masks, AREAS, connectivity=connectivity)
        np.testing.assert_array_equal(found.components, numbers)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_nested_and_calibrated_masks_have_continuity_one(seed: int) -> None:
    scores = np.random.default_rng(seed).permutation(100).reshape(SHAPE) / 100
    masks = jnp.asarray(scores[None] < np.asarray(AREAS)[:, None, None] - 1e-6, jnp.float32)
    found = CONSISTENCY(masks, AREAS)
    np.testing.assert_allclose(found.nestedness, np.zeros(3), atol=1e-7)
    np.testing.assert_allclose(found.continuity, np.ones(3), rtol=1e-4)


def test_a_batch_of_families_is_each_of_them() -> None:
    masks = jnp.asarray(np.random.default_rng(0).uniform(size=(3, 4, *SHAPE)), jnp.float32)
    together = jax.vmap(evaluation.area_consistency, in_axes=(0, None))(masks, AREAS)
    for i in range(3):
        alone = CONSISTENCY(masks[i], AREAS)
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_allclose(a, b[i], rtol=1e-5, atol=1e-7)
