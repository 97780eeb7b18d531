import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import evaluation
from fitb_jax.evaluation.stability import maps_of_networks, pooled_signal_to_noise

SHAPE = (16, 14)
AGREEMENT = jax.jit(evaluation.agreement)
BETWEEN = jax.jit(evaluation.agreement_between)
MEAN_MAP = jax.jit(evaluation.mean_map)


def _maps(count: int = 4, seed: int = 0) -> jax.Array:
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(count, *SHAPE)), jnp.float32)


def test_agreement_is_the_mean_over_pairs_of_the_measures_of_two_maps() -> None:
    shared = np.random.default_rng(1).normal(size=(1, *SHAPE))
    # Rounded, so that there are ties.
    maps = jnp.round(2 * (_maps() + jnp.asarray(shared, jnp.float32))) / 2
    measures = {
        "spearman": evaluation.spearman,
        "spearman_magnitude": lambda a, b: evaluation.spearman(a, b, absolute=True),
        "top_k_iou": lambda a, b: evaluation.top_k_iou(a, b, area=0.1),
        "ssim": evaluation.ssim,
    }
    found = AGREEMENT(maps)
    for name, measure in measures.items():
        pair = jax.jit(measure)
        values = [pair(a, b) for a, b in itertools.combinations(maps, 2)]
        np.testing.assert_allclose(getattr(found, name), np.mean(values), rtol=1e-4, err_msg=name)


def test_equal_maps_agree_fully_whatever_their_scale() -> None:
    one = _maps(1)[0]
    found = AGREEMENT(jnp.stack([one, 3 * one, 0.01 * one, one]))
    np.testing.assert_allclose(found, 1, rtol=1e-3)


def test_magnitudes_do_not_ask_for_the_sign() -> None:
    one = _maps(1)[0]
    found = AGREEMENT(jnp.stack([one, -one, one, -one]))
    np.testing.assert_allclose(found.spearman_magnitude, 1, rtol=1e-5)
    # Of 6 pairs 2 are equal and 4 are opposite.
    np.testing.assert_allclose(found.spearman, -1 / 3, rtol=1e-5)


def test_independent_maps_do_not_agree() -> None:
    found = [AGREEMENT(_maps(seed=seed)) for seed in range(20)]
    pairs = 20 * 6
    reach = 4 / np.sqrt(pairs * np.prod(SHAPE))
    for name in ("spearman", "spearman_magnitude"):
        assert abs(np.mean([getattr(one, name) for one in found])) < reach
    # Two random regions of 22 of 224 pixels share 22 * 22 / 224 of them.
    shared = 22 * 22 / 224
    expected = shared / (44 - shared)
    np.testing.assert_allclose(np.mean([one.top_k_iou for one in found]), expected, atol=0.01)


@pytest.mark.parametrize("overlap", [0, 7, 22])
def test_known_overlaps_of_the_top_pixels(overlap: int) -> None:
    first, second = np.zeros(SHAPE[0] * SHAPE[1], np.float32), np.zeros(224, np.float32)
    first[:22] = second[22 - overlap : 44 - overlap] = 1
    # Three maps: two equal ones and another.
    maps = jnp.stack([jnp.asarray(x.reshape(SHAPE)) for x in (first, first, second)])
    part = overlap / (44 - overlap)
    np.testing.assert_allclose(AGREEMENT(maps).top_k_iou, (1 + 2 * part) / 3, rtol=1e-5)
    np.testing.assert_allclose(BETWEEN(maps[:2], maps[2:]).top_k_iou, part, rtol=1e-5)


def test_the_order_of_the_networks_does_not_matter() -> None:
    maps = _maps() + _maps(1, seed=5)
    order = jnp.asarray([2, 0, 3, 1])
    np.testing.assert_allclose(AGREEMENT(maps), AGREEMENT(maps[order]), rtol=1e-5)
    for before, after in zip(MEAN_MAP(maps), MEAN_MAP(maps[order]), strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(BETWEEN(maps, maps[:1]), BETWEEN(maps[:1], maps), rtol=1e-5)


def test_pairs_are_where_they_belong() -> None:
    maps = _maps() + _maps(1, seed=5)
    every = jax.jit(evaluation.pairwise_agreement)(maps[:2], maps)
    assert every.spearman.shape == (2, 4)
    expected = evaluation.spearman(maps[1], maps[2])
    np.testing.assert_allclose(every.spearman[1, 2], expected, rtol=1e-5)
    np.testing.assert_allclose(np.diagonal(every.ssim), 1, rtol=1e-5)


def test_a_constant_map_has_no_rank_correlation() -> None:
    found = AGREEMENT(_maps().at[0].set(2.0))
    assert np.isnan([found.spearman, found.spearman_magnitude]).all()
    assert np.isfinite([found.top_k_iou, found.ssim]).all()


def test_the_signal_is_the_mean_correlation_of_all_pairs() -> None:
    maps = _maps() + 2 * _maps(1, seed=5)
    found = MEAN_MAP(maps)
    pearson = np.corrcoef(np.asarray(maps, np.float64).reshape(4, -1))
    mean = pearson[np.triu_indices(4, 1)].mean()
    np.testing.assert_allclose(found.signal, mean, rtol=1e-4)
    np.testing.assert_allclose(found.noise, 1 - mean, rtol=1e-4)
    np.testing.assert_allclose(found.signal_to_noise, 4 * mean / (1 - mean), rtol=1e-3)


def test_signal_and_noise_of_constructed_maps_are_found() -> None:
    """Four maps: a shared one of variance 1, and noise of variance 1/4 each, over many draws."""
    ratios, signals = [], []
    for seed in range(30):
        found = MEAN_MAP(_maps(1, seed=1000 + seed) + 0.5 * _maps(seed=seed))
        signals.append(found.signal)
        ratios.append(found.signal_to_noise)
    np.testing.assert_allclose(np.mean(signals), 0.8, atol=0.01)
    np.testing.assert_allclose(np.median(ratios), 4 * 0.8 / 0.2, rtol=0.05)


def test_the_signal_of_independent_maps_is_unbiased() -> None:
    signals = [MEAN_MAP(_maps(seed=seed)).signal for seed in range(40)]
    assert abs(np.mean(signals)) < 4 / np.sqrt(40 * 6 * 224)
    assert np.min(signals) < 0 < np.max(signals)


def test_two_opposite_maps_have_no_mean() -> None:
    one = _maps(1)
    found = MEAN_MAP(jnp.concatenate([one, -one]))
    np.testing.assert_allclose(found.mean, 0, atol=1e-6)
    np.testing.assert_allclose(found.signal, -1, rtol=1e-5)
    np.testing.assert_allclose(found.noise, 2, rtol=1e-5)
    # Of a pair (z, -z) the unbiased variance is 2 z^2, and the mean's error |z|.
    scaled = (one[0] - one[0].mean()) / one[0].std()
    np.testing.assert_allclose(found.error, jnp.abs(scaled), rtol=1e-3, atol=1e-5)


def test_units_of_the_maps_do_not_matter_to_their_mean() -> None:
    maps = _maps() + _maps(1, seed=5)
    scales = jnp.asarray([1e-12, 1.0, 10.0, 1e12])[:, None, None]
    for before, after in zip(MEAN_MAP(maps), MEAN_MAP(scales * (maps + 2)), strict=True):
        np.testing.assert_allclose(before, after, rtol=2e-3, atol=2e-5)


def test_equal_maps_have_no_noise_and_constant_ones_no_signal_either() -> None:
    one = _maps(1)
    assert MEAN_MAP(jnp.concatenate([one] * 4)).signal_to_noise > 1e6
    constant = MEAN_MAP(jnp.ones((4, *SHAPE)))
    assert constant.signal == constant.noise == 0
    assert np.isnan(constant.signal_to_noise)


def test_a_batch_is_each_of_its_cases() -> None:
    batch = jnp.stack([_maps(seed=seed) + _maps(1, seed=9) for seed in range(3)])
    together = jax.vmap(evaluation.agreement)(batch)
    for i in range(3):
        np.testing.assert_allclose([x[i] for x in together], AGREEMENT(batch[i]), rtol=1e-4)


BAD = [
    (lambda m: evaluation.agreement(m[:1]), "maps must hold at least 2 maps, got 1"),
    (lambda m: evaluation.mean_map(m[:1]), "maps must hold at least 2 maps, got 1"),
    (lambda m: evaluation.agreement(m[:, :5]), "maps must be of at least 11 x 11 pixels"),
    (lambda m: evaluation.agreement(m.at[0, 0, 0].set(jnp.nan)), "maps must be finite"),
    (lambda m: evaluation.mean_map(m[0]), r"maps must have shape \(n, h, w\)"),
    (lambda m: evaluation.agreement(m, area=0.0), r"area must lie in \(0, 1\]"),
    (lambda m: evaluation.agreement_between(m, m[:, 1:]), "second must have maps of the shape"),
    (lambda m: evaluation.pairwise_agreement(m[:0], m), r"first must have shape \(n, h, w\)"),
    (lambda m: evaluation.mean_map(m > 0), "maps must be an array of floating point"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
@pytest.mark.usefixtures("unchecked")
def test_bad_maps_are_refused(call, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call(_maps())


def test_signal_to_noise_pools_before_it_divides() -> None:
    signal = np.array([0.8, 0.4, 0.6])
    assert np.isinf(pooled_signal_to_noise(signal, np.zeros(3), networks=5).estimate)
    ratio = pooled_signal_to_noise(signal, np.array([0.2, 0.6, 0.4]), networks=5)
    np.testing.assert_allclose(ratio.estimate, 5 * 1.8 / 1.2)
    assert ratio.low < ratio.estimate < ratio.high


def test_every_network_and_the_first_again_explain_with_keys_of_their_own() -> None:
    networks = jax.tree_util.Partial(lambda bias, image: bias + image.sum(), jnp.arange(3.0))
    images = jnp.zeros((2, 4, 4, 1))

    def method(logits_fn, image, target, *, key):
        draw = jax.random.uniform(key)
        return jnp.full(image.shape[:2], logits_fn(image) + target) + draw

    found = maps_of_networks(method, networks, images, jnp.int32(10), key=jax.random.key(0))
    assert found.shape == (4, 2, 4, 4)
    np.testing.assert_array_equal(jnp.floor(found[:, 0, 0, 0]), [10, 11, 12, 10])
    assert len(np.unique(found)) == 8
