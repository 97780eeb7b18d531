"""Binary masks that share the pixels among them."""

import jax.numpy as jnp
import numpy as np

from experiments.extremal.extremal_disjoint import binarise_apart


def test_binary_masks_have_their_areas_and_do_not_overlap() -> None:
    first = jnp.linspace(0, 1, 20).reshape(4, 5)
    masks = jnp.stack([first, first, 1 - first])
    areas = jnp.array([0.2, 0.3, 0.5])
    found = binarise_apart(masks, areas)
    np.testing.assert_array_equal(found.sum((1, 2)), [4, 6, 10])
    np.testing.assert_array_equal(found.sum(0), np.ones((4, 5)))
    # The second wants what the first has, and takes the next best.
    np.testing.assert_array_equal(found[1].ravel().nonzero()[0], np.arange(10, 16))
