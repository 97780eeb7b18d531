"""What every metric has to do with hard maps; see `tests/evaluation/metrics.py`."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.evaluation import metrics
from tests.evaluation.metrics import BATCHED, COUNT, METRICS, REFERENCE

WITH_TRUTH = [name for name, metric in METRICS.items() if metric.needs_truth]
WITH_IMAGE = [name for name, metric in METRICS.items() if metric.needs_image]
BY_RANK = [name for name, metric in METRICS.items() if metric.by_rank]
OF_CONSTANT = [name for name, metric in METRICS.items() if metric.of_constant is not None]
OF_MAPS = [name for name in METRICS if name not in WITH_IMAGE]
CASES = metrics.cases()


@pytest.mark.parametrize("name", METRICS)
def test_a_batch_is_each_of_its_cases(name: str) -> None:
    together = BATCHED[name](CASES)
    assert together.shape == (COUNT,)
    assert jnp.issubdtype(together.dtype, jnp.floating)
    assert np.isfinite(together).all()
    assert len(np.unique(together)) > 1, "the cases differ"
    one = jax.jit(METRICS[name].score)
    alone = [one(jax.tree.map(lambda leaf, i=i: leaf[i], CASES)) for i in range(COUNT)]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_the_order_of_a_batch_does_not_matter(name: str) -> None:
    order = jnp.asarray([2, 0, 3, 1])
    mixed = BATCHED[name](jax.tree.map(lambda leaf: leaf[order], CASES))
    np.testing.assert_allclose(mixed, BATCHED[name](CASES)[order], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_an_empty_truth_is_nan_and_leaves_the_others_alone(name: str) -> None:
    emptied = CASES._replace(truth=CASES.truth.at[1].set(False))
    found, whole = BATCHED[name](emptied), BATCHED[name](CASES)
    assert np.isnan(found[1])
    np.testing.assert_array_equal(np.delete(found, 1), np.delete(whole, 1))


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_a_truth_of_everything_is_the_best_there_is(name: str) -> None:
    full = metrics.repeated(CASES)._replace(truth=jnp.ones_like(CASES.truth))
    # The overlap of a part with the whole is its area: the mean over the areas is 1/2.
    expected = 0.5 if name == "iou_curve" else 1.0
    np.testing.assert_allclose(BATCHED[name](full), np.full(COUNT, expected), rtol=1e-5)


@pytest.mark.parametrize("name", OF_CONSTANT)
def test_a_constant_map_has_its_closed_form(name: str) -> None:
    flat = CASES._replace(saliency=jnp.full_like(CASES.saliency, 0.7))
    of_constant = METRICS[name].of_constant
    assert of_constant is not None
    expected = [of_constant(float(truth.mean())) for truth in CASES.truth]
    np.testing.assert_allclose(BATCHED[name](flat), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_a_constant_map_of_zeros_is_no_error(name: str) -> None:
    flat = CASES._replace(saliency=jnp.zeros_like(CASES.saliency))
    found = BATCHED[name](flat)
    is_undefined = name in (
        "gini",
        "entropy",
        "spearman",
        "hog_correlation",
        "average_drop",
        "single_deletion",
    )
    assert np.isnan(found).all() if is_undefined else np.isfinite(found).all()


@pytest.mark.parametrize("name", BY_RANK)
def test_monotone_transforms_change_nothing(name: str) -> None:
    same = metrics.repeated(CASES)
    s = same.saliency[0]
    transformed = jnp.stack([s, jnp.exp(s), 5 * s - 100, s**3])
    found = BATCHED[name](same._replace(saliency=transformed))
    np.testing.assert_allclose(found, np.full(COUNT, found[0]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OF_MAPS)
def test_no_corner_of_the_image_is_preferred(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties in reading order would favour the top, and turning the image would show it."""
    levels = jnp.round(CASES.saliency)
    tied = CASES._replace(saliency=levels)
    turned = tied._replace(saliency=levels[:, ::-1, ::-1], truth=CASES.truth[:, ::-1, ::-1])
    found = BATCHED[name](tied)
    score = BATCHED[name]
    if METRICS[name].needs_reference:
        # It is turned, too, and traced anew.
        monkeypatch.setattr(metrics, "REFERENCE", REFERENCE[::-1, ::-1])
        score = jax.jit(jax.vmap(lambda case: METRICS[name].score(case)))
    np.testing.assert_allclose(found, score(turned), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted({*WITH_IMAGE} & {*BY_RANK}))
def test_ties_of_the_whole_map_follow_the_key(name: str) -> None:
    same = metrics.repeated(CASES)
    flat = same._replace(saliency=jnp.zeros_like(same.saliency))
    np.testing.assert_allclose(BATCHED[name](flat), np.full(COUNT, BATCHED[name](flat)[0]))
    keyed = flat._replace(key=CASES.key)
    assert len(np.unique(BATCHED[name](keyed))) == COUNT


@pytest.mark.parametrize("name", METRICS)
def test_known_nan_is_refused(name: str) -> None:
    case = jax.tree.map(lambda leaf: leaf[0], CASES)
    for bad in (jnp.nan, jnp.inf):
        spoilt = case._replace(saliency=case.saliency.at[3, 4].set(bad))
        with pytest.raises(ValueError, match="must be finite, got NaN or infinity"):
            METRICS[name].score(spoilt)


@pytest.mark.parametrize("name", METRICS)
def test_nan_that_cannot_be_seen_gives_nan_and_leaves_the_others_alone(name: str) -> None:
    spoilt = CASES._replace(saliency=CASES.saliency.at[2, 3, 4].set(jnp.nan))
    found, whole = BATCHED[name](spoilt), BATCHED[name](CASES)
    assert np.isnan(found[2])
    np.testing.assert_allclose(np.delete(found, 2), np.delete(whole, 2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.usefixtures("unchecked")
def test_a_map_with_channels_is_refused(name: str) -> None:
    """A peer fails on RGB, another broadcasts it without a word."""
    case = jax.tree.map(lambda leaf: leaf[0], CASES)
    for channels in (1, 2):
        coloured = jnp.stack([case.saliency] * channels, axis=-1)
        with pytest.raises(ValueError, match="must have"):
            METRICS[name].score(case._replace(saliency=coloured))


@pytest.mark.parametrize("name", WITH_IMAGE)
def test_grey_images_are_scored_as_well(name: str) -> None:
    found = BATCHED[name](metrics.cases(channels=1))
    assert np.isfinite(found).all()
    assert len(np.unique(found)) == COUNT


def test_every_metric_of_a_map_is_here() -> None:
    from fitb_jax import evaluation

    no_metrics = {
        # Of families of masks, of scores, of methods and of networks: tested by themselves.
        *("area_consistency", "calibration", "continuity", "softness", "nestedness"),
        *("summarise", "bootstrap_interval", "clopper_pearson", "mean_interval"),
        *("proportion_interval", "max_sensitivity", "controls", "retrained_accuracy"),
        *("cascading_randomisation", "independent_randomisation", "compare", "compare_methods"),
        *("input_shift_case", "join_cases", "network_cases", "random_logit_case"),
        *("random_other_class", "similarity", "local_models", "local_radius"),
        *("scoreboard", "score_table"),
        *("agreement", "agreement_between", "mean_map", "pairwise_agreement"),
    }
    functions = {
        name
        for name, value in vars(evaluation).items()
        if inspect.isfunction(value) and value.__module__.startswith("fitb_jax.evaluation")
    }
    assert functions - no_metrics == set(METRICS)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", METRICS)
def test_half_precision_is_scored_as_the_same_numbers_are(name: str, dtype: str) -> None:
    # Sums of such maps are beyond the largest number of float16.
    saliency = (CASES.saliency * 1000).astype(dtype)
    half = CASES._replace(saliency=saliency, image=CASES.image.astype(dtype))
    single = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == dtype else leaf, half
    )
    found = BATCHED[name](half)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, BATCHED[name](single), rtol=0.01, atol=0.003)
