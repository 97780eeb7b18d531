import itertools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fitb_jax import evaluation

SHAPE = (4, 5)
TOP_COUNT = jax.jit(evaluation.ranking.top_count_weights)
RANKS = jax.jit(lambda saliency, key: evaluation.ranking.ranks(saliency, key=key))
FEW_VALUES = st.lists(st.sampled_from([-2.0, 0.0, 0.5, 3.0]), min_size=20, max_size=20)


def _map(values: list[float]) -> jax.Array:
    return jnp.asarray(values, jnp.float32).reshape(SHAPE)


@given(values=FEW_VALUES, count=st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_top_weights_are_the_mean_over_random_orders(values: list[float], count: int) -> None:
    saliency = _map(values)
    weights = np.asarray(TOP_COUNT(saliency, float(count)))
    flat = np.asarray(values)
    last = np.sort(flat)[::-1][count - 1] if count else np.inf
    expected = np.where(flat > last, 1.0, 0.0)
    tied = flat == last
    expected[tied] = (count - (flat > last).sum()) / max(tied.sum(), 1)
    np.testing.assert_allclose(weights.ravel(), expected, atol=1e-6)
    np.testing.assert_allclose(weights.sum(), count, atol=1e-5)


def test_top_weights_average_hard_choices() -> None:
    saliency = jnp.zeros(SHAPE).at[0, 0].set(1.0).at[1, :3].set(0.5)
    hard = []
    for pair in itertools.combinations(range(3), 2):
        chosen = np.zeros(SHAPE)
        chosen[0, 0] = 1
        chosen[1, list(pair)] = 1
        hard.append(chosen)
    found = evaluation.ranking.top_count_weights(saliency, 3)
    np.testing.assert_allclose(found, np.mean(hard, axis=0), atol=1e-6)
    np.testing.assert_allclose(evaluation.ranking.top_weights(saliency, 3 / 20), found)


def test_all_and_nothing() -> None:
    saliency = _map(list(np.arange(20.0)))
    np.testing.assert_array_equal(evaluation.ranking.top_weights(saliency, 1.0), np.ones(SHAPE))
    np.testing.assert_array_equal(evaluation.ranking.top_weights(saliency, 0.0), np.zeros(SHAPE))


def test_a_nan_that_cannot_be_refused_is_not_hidden() -> None:
    saliency = jnp.zeros(SHAPE).at[2, 2].set(jnp.nan)
    found = jax.jit(lambda s: evaluation.ranking.top_weights(s, 0.1))(saliency)
    assert np.isnan(found).all()


@given(values=FEW_VALUES, seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_ranks_descend_and_are_all_different(values: list[float], seed: int) -> None:
    found = np.asarray(RANKS(_map(values), jax.random.key(seed))).ravel()
    assert sorted(found) == list(range(20))
    in_order = np.asarray(values)[np.argsort(found)]
    assert (np.diff(in_order) <= 0).all()


def test_ties_are_broken_by_the_key_evenly() -> None:
    saliency = jnp.zeros(SHAPE)
    keys = jax.random.split(jax.random.key(0), 2000)
    first = jax.vmap(lambda key: evaluation.ranking.ranks(saliency, key=key))(keys)
    mean = np.asarray(first).mean(0)
    # Each place has mean 9.5 and standard deviation 5.8; 5 standard errors of 2000 draws.
    np.testing.assert_allclose(mean, 9.5, atol=5 * 5.8 / np.sqrt(2000))
