import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import fill, masks
from tests import problems

LOGITS_FN = problems.smooth_logits()
IMAGE, MASK = problems.image_and_mask(dtype=jnp.float32)


def test_a_perfect_update_correlates_fully_and_its_negative_inversely() -> None:
    for sign in (1.0, -1.0):
        found = fill.fidelity(LOGITS_FN, IMAGE, MASK, 1, sign * (2 * IMAGE + 3))
        np.testing.assert_allclose(found.correlation, sign, atol=1e-5)


def test_correlation_is_numpys_on_the_hidden_pixels() -> None:
    update = jax.random.normal(jax.random.key(0), IMAGE.shape)
    hidden = np.asarray(MASK) == 0
    expected = np.corrcoef(np.asarray(update)[hidden, 0], np.asarray(IMAGE)[hidden, 0])[0, 1]
    np.testing.assert_allclose(fill.hidden_correlation(update, IMAGE, MASK), expected, atol=1e-6)


def test_nothing_to_predict_is_nan() -> None:
    # The mean of 0.1 is not quite 0.1 in floating point.
    flat = jnp.where(MASK[:, :, None] == 1, IMAGE, 0.1)
    assert np.isnan(fill.hidden_correlation(IMAGE, flat, MASK))
    assert np.isnan(fill.hidden_correlation(flat, IMAGE, MASK))
    assert np.isnan(fill.hidden_correlation(IMAGE, IMAGE, jnp.ones_like(MASK)))


def test_predictions_are_those_of_the_judge() -> None:
    update = fill.first_order(problems.smooth_logits(seed=9), IMAGE, MASK, 1)
    found = fill.fidelity(LOGITS_FN, IMAGE, MASK, 1, update, background=0.4)
    seen = {
        "whole": IMAGE,
        "masked": masks.apply(IMAGE, MASK, 0.4),
        "filled": fill.fill(IMAGE, MASK, update),
    }
    for name, image in seen.items():
        p = jax.nn.softmax(LOGITS_FN(image))
        np.testing.assert_allclose(getattr(found, f"probability_{name}"), p[1], rtol=1e-5)
        assert getattr(found, f"correct_{name}") == float(p.argmax() == 1)


def test_the_fill_rule_is_the_callers() -> None:
    found = fill.fidelity(
        LOGITS_FN, IMAGE, MASK, 1, IMAGE, fill_fn=lambda image, mask, update: update
    )
    np.testing.assert_allclose(found.probability_filled, found.probability_whole, rtol=1e-6)


def test_photographs_in_half_precision_have_more_values_than_it_counts_to() -> None:
    keys = jax.random.split(jax.random.key(0))
    shape = (160, 160, 3)
    a, b = (jax.random.uniform(key, shape).astype(jnp.float16) for key in keys)
    found = fill.hidden_correlation(a, b, jnp.zeros(shape[:2], jnp.float16))
    assert found.dtype == jnp.float32
    wide = (a.astype(jnp.float32), b.astype(jnp.float32), jnp.zeros(shape[:2]))
    np.testing.assert_allclose(found, fill.hidden_correlation(*wide), atol=1e-6)
    assert abs(found) < 0.05
