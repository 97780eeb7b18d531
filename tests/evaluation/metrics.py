"""Every metric of a map under one signature, for the tests that all of them have to pass."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import evaluation
from tests import problems

SHAPE = (24, 18)
AREA = 0.25
AREAS = jnp.asarray([0.25, 0.5, 0.75])
REFERENCE = jnp.asarray(np.random.default_rng(9).normal(size=SHAPE), jnp.float32)
CLASSIFIERS = {c: problems.smooth_logits(shape=(*SHAPE, c)) for c in (1, 3)}


class Case(NamedTuple):
    """What a metric may look at."""

    saliency: jax.Array
    truth: jax.Array
    image: jax.Array
    target: jax.Array
    key: jax.Array


class Metric(NamedTuple):
    """A metric and what it promises.

    Attributes:
        score: of one case, a scalar.
        needs_truth: nan without.
        needs_image: asks the classifier.
        needs_reference: compares with another map, `REFERENCE`.
        by_rank: only the order of the pixels matters.
        of_constant: score of a constant positive map, from the share of the truth; None: no
            closed form.
    """

    score: Callable[[Case], jax.Array]
    needs_truth: bool = False
    needs_image: bool = False
    needs_reference: bool = False
    by_rank: bool = False
    of_constant: Callable[[float], float] | None = None


def _iou_of_constant(share: float) -> float:
    areas = np.asarray(AREAS)
    iou = areas * share / (areas + share - areas * share)
    return np.trapezoid(iou, areas) / 0.5


def _faithfulness(function: Callable) -> Callable[[Case], jax.Array]:
    def score(case: Case) -> jax.Array:
        logits_fn = CLASSIFIERS[case.image.shape[-1]]
        curve = function(
            logits_fn, case.image, case.saliency, case.target, key=case.key, step=100, chunk=3
        )
        return curve.area_under_curve

    return score


def _road(case: Case) -> jax.Array:
    logits_fn = CLASSIFIERS[case.image.shape[-1]]
    fractions = jnp.asarray([0.2, 0.5])
    found = evaluation.road(
        logits_fn, case.image, case.saliency, case.target, key=case.key, fractions=fractions
    )
    return found.score


def _infidelity(case: Case) -> jax.Array:
    logits_fn = CLASSIFIERS[case.image.shape[-1]]
    return evaluation.infidelity(
        logits_fn, case.image, case.saliency, case.target, key=case.key, samples=8
    ).infidelity


def _average_drop(case: Case) -> jax.Array:
    logits_fn = CLASSIFIERS[case.image.shape[-1]]
    found = evaluation.average_drop(
        logits_fn, case.image, case.saliency, case.target, background=0.5
    )
    return found.drop + found.gain


def _single_deletion(case: Case) -> jax.Array:
    logits_fn = CLASSIFIERS[case.image.shape[-1]]
    return evaluation.single_deletion(logits_fn, case.image, case.saliency, case.target)


def _same(share: float) -> float:
    return share


METRICS = {
    "pointing_game": Metric(
        lambda c: evaluation.pointing_game(c.saliency, c.truth, tolerance=0),
        needs_truth=True,
        by_rank=True,
        of_constant=_same,
    ),
    "energy_pointing_game": Metric(
        lambda c: evaluation.energy_pointing_game(c.saliency, c.truth),
        needs_truth=True,
        of_constant=_same,
    ),
    "relevance_mass": Metric(
        lambda c: evaluation.relevance_mass(c.saliency, c.truth),
        needs_truth=True,
        of_constant=_same,
    ),
    "relevance_rank": Metric(
        lambda c: evaluation.relevance_rank(c.saliency, c.truth),
        needs_truth=True,
        by_rank=True,
        of_constant=_same,
    ),
    "precision": Metric(
        lambda c: evaluation.precision(c.saliency / 20 + 0.5, c.truth, area=AREA),
        needs_truth=True,
        by_rank=True,
        of_constant=_same,
    ),
    "iou_curve": Metric(
        lambda c: evaluation.iou_curve(c.saliency, c.truth, AREAS).area_under_curve,
        needs_truth=True,
        by_rank=True,
        of_constant=_iou_of_constant,
    ),
    "gini": Metric(lambda c: evaluation.gini(c.saliency), of_constant=lambda _: 0.0),
    "entropy": Metric(
        lambda c: evaluation.entropy(c.saliency), of_constant=lambda _: float(np.log(24 * 18))
    ),
    "total_variation": Metric(
        lambda c: evaluation.total_variation(c.saliency), of_constant=lambda _: 0.0
    ),
    "count_components": Metric(
        lambda c: evaluation.count_components(c.saliency), of_constant=lambda _: 1.0
    ),
    "spearman": Metric(
        lambda c: evaluation.spearman(c.saliency, REFERENCE),
        needs_reference=True,
        by_rank=True,
        of_constant=lambda _: np.nan,
    ),
    "ssim": Metric(lambda c: evaluation.ssim(c.saliency, REFERENCE), needs_reference=True),
    "hog_correlation": Metric(
        lambda c: evaluation.hog_correlation(c.saliency, REFERENCE, pixels_per_cell=6),
        needs_reference=True,
        of_constant=lambda _: np.nan,
    ),
    "top_k_iou": Metric(
        lambda c: evaluation.top_k_iou(c.saliency, REFERENCE, area=AREA),
        needs_reference=True,
        by_rank=True,
        of_constant=lambda _: AREA / (2 - AREA),
    ),
    "insertion": Metric(_faithfulness(evaluation.insertion), needs_image=True, by_rank=True),
    "deletion": Metric(_faithfulness(evaluation.deletion), needs_image=True, by_rank=True),
    "road": Metric(_road, needs_image=True, by_rank=True),
    "infidelity": Metric(_infidelity, needs_image=True),
    "average_drop": Metric(_average_drop, needs_image=True),
    "single_deletion": Metric(_single_deletion, needs_image=True),
}

BATCHED = {name: jax.jit(jax.vmap(metric.score)) for name, metric in METRICS.items()}
"""One compiled program each, for batches of `COUNT` cases."""

COUNT = 4


def cases(seed: int = 0, channels: int = 3) -> Case:
    """A batch of signed maps without ties, with objects, random images, and keys."""
    rng = np.random.default_rng(seed)
    return Case(
        saliency=jnp.asarray(rng.normal(size=(COUNT, *SHAPE)), jnp.float32),
        truth=jnp.asarray(rng.uniform(size=(COUNT, *SHAPE)) < 0.3),
        image=jnp.asarray(rng.uniform(size=(COUNT, *SHAPE, channels)), jnp.float32),
        target=jnp.asarray(rng.integers(0, 3, size=COUNT), jnp.int32),
        key=jax.random.split(jax.random.key(seed), COUNT),
    )


def repeated(case: Case, at: int = 0) -> Case:
    """A batch of one case, again and again."""
    return jax.tree.map(lambda leaf: jnp.stack([leaf[at]] * COUNT), case)
