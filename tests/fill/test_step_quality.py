import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import fill, masks
from tests import problems

LOGITS_FN = problems.smooth_logits()
IMAGE, MASK = problems.image_and_mask(dtype=jnp.float32)
SIZES = jnp.array([0.02, 0.1])


def test_probabilities_and_ranks_are_those_of_the_images() -> None:
    update = fill.first_order(LOGITS_FN, IMAGE, MASK, 1, background=0.5)
    found = fill.step_scores(LOGITS_FN, IMAGE, MASK, 1, update, sizes=SIZES, background=0.5)
    filled = [fill.step(IMAGE, MASK, update, size=size, background=0.5) for size in SIZES]
    logits = jnp.stack([LOGITS_FN(one) for one in filled])
    np.testing.assert_allclose(found.probability_filled, jax.nn.softmax(logits)[:, 1], rtol=1e-5)
    np.testing.assert_array_equal(found.rank_filled, 1 + (logits > logits[:, 1:2]).sum(1))
    masked = masks.apply(IMAGE, MASK, 0.5)
    for name, image in (("whole", IMAGE), ("masked", masked)):
        p = jax.nn.softmax(LOGITS_FN(image))[1]
        np.testing.assert_allclose(getattr(found, f"probability_{name}"), p, rtol=1e-5)


def test_the_hidden_truth_correlates_fully_and_noise_is_fine() -> None:
    truth = fill.step_scores(LOGITS_FN, IMAGE, MASK, 1, IMAGE - 0.5, sizes=SIZES, background=0.5)
    np.testing.assert_allclose([truth.correlation, truth.coarse_correlation], 1, atol=1e-5)
    noise = jax.random.normal(jax.random.key(0), IMAGE.shape)
    even = jnp.ones_like(IMAGE)
    fine, flat = (
        fill.step_scores(LOGITS_FN, IMAGE, jnp.zeros_like(MASK), 1, update, sizes=SIZES)
        for update in (noise, even)
    )
    assert fine.fine_energy > 0.6
    np.testing.assert_allclose(flat.fine_energy, 0, atol=1e-5)
