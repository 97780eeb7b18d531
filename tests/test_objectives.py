import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from fitb_jax import objectives

LOGITS = jnp.asarray([1.0, -2.0, 3.0, 2.5])


@pytest.mark.parametrize("target", range(4))
def test_values(target: int) -> None:
    values = np.asarray(LOGITS)
    others = np.delete(values, target)
    assert objectives.logit(LOGITS, target) == values[target]
    np.testing.assert_allclose(
        objectives.log_prob(LOGITS, target), log_softmax(values)[target], rtol=1e-6
    )
    np.testing.assert_allclose(
        objectives.prob(LOGITS, target), np.exp(log_softmax(values)[target]), rtol=1e-6
    )
    np.testing.assert_allclose(objectives.margin(LOGITS, target), values[target] - others.max())


def test_the_margin_is_positive_only_for_the_prediction() -> None:
    margins = jax.vmap(objectives.margin, in_axes=(None, 0))(LOGITS, jnp.arange(4))
    np.testing.assert_array_equal(margins > 0, np.arange(4) == 2)


def test_log_prob_survives_extreme_logits() -> None:
    extreme = jnp.asarray([1e4, -1e4, 0.0])
    gradient = jax.grad(objectives.log_prob)(extreme, 1)
    np.testing.assert_allclose(gradient, [-1.0, 1.0, 0.0], atol=1e-6)


def test_the_blank_has_the_class_where_it_has_half_of_what_is_above_chance() -> None:
    whole = jnp.array([0.8, 0.8, 1.0, 1.0])
    blank = jnp.array([0.39, 0.41, 0.74, 0.76])
    found = objectives.blank_has_class(blank, whole)
    np.testing.assert_array_equal(found, [False, True, True, True])
    chance = objectives.chance_of(objectives.prob, 2)
    found = objectives.blank_has_class(blank, whole, chance=chance)
    np.testing.assert_array_equal(found, [False, False, False, True])
    assert not objectives.blank_has_class(0.3, 0.05, chance=chance), "which is below a guess"
    guess = float(np.float32(1 / 3))
    assert guess > 1 / 3
    assert not objectives.blank_has_class(guess, 0.2, chance=1 / 3)
    assert objectives.chance_of(objectives.sigmoid_prob, 2) == 0
