import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import fill
from tests import problems

IMAGE, MASK = problems.image_and_mask(dtype=jnp.float32)


def test_a_blank_is_the_weighted_mean_of_what_is_visible() -> None:
    found = np.asarray(fill.inpaint(IMAGE, MASK, sigma=1.5))
    rows, columns = np.indices(MASK.shape)
    visible, image = np.asarray(MASK), np.asarray(IMAGE)
    for row, column in np.argwhere(visible == 0):
        squares = (rows - row) ** 2 + (columns - column) ** 2
        # Rescaled at the edges row by row and column by column, which cancels in the quotient.
        weights = visible * np.exp(-squares / (2 * 1.5**2))
        expected = (weights[:, :, None] * image).sum((0, 1)) / weights.sum()
        np.testing.assert_allclose(found[row, column], expected, rtol=1e-4)
    np.testing.assert_array_equal(found[visible == 1], image[visible == 1])


def test_out_of_reach_is_the_mean_of_what_is_visible_and_nothing_visible_is_grey() -> None:
    one = jnp.zeros((6, 6)).at[0, 0].set(1.0)
    np.testing.assert_allclose(fill.inpaint(IMAGE, one, sigma=0.1), IMAGE[0, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(fill.inpaint(IMAGE, 0 * MASK), jnp.full_like(IMAGE, 0.5))


def test_a_constant_stays_and_half_precision_follows() -> None:
    flat = jnp.full((6, 6, 3), 0.3)
    np.testing.assert_allclose(fill.inpaint(flat, MASK), flat, rtol=1e-6)
    half = fill.inpaint(IMAGE.astype(jnp.bfloat16), MASK)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), fill.inpaint(IMAGE, MASK), atol=0.01)
    assert jax.eval_shape(fill.inpaint, IMAGE, MASK).shape == IMAGE.shape
