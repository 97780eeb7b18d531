"""Every metric refuses bad arguments by name, before anything is compiled."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import components, evaluation
from tests import problems

pytestmark = pytest.mark.usefixtures("unchecked")

SHAPE = (12, 12, 3)
KEY = jax.random.key(0)
LOGITS_FN = problems.smooth_logits(shape=SHAPE)
IMAGE, MASK = problems.image_and_mask(shape=SHAPE, dtype=jnp.float32)
SALIENCY = IMAGE[:, :, 0] - 0.5
TRUTH = MASK == 1
MASKS, AREAS = jnp.stack([0 * MASK, MASK]), jnp.asarray([0.1, 0.5])
BOXES = jnp.asarray([[0.0, 0.0, 4.0, 5.0]])
NAN = SALIENCY.at[3, 3].set(jnp.nan)


def _call(function: Callable, **changes: Any) -> Callable[[], Any]:
    """The function with good arguments of its kind, except for the changes."""
    of_classifier = {"logits_fn": LOGITS_FN, "image": IMAGE, "target": 0, "key": KEY}
    of_truth = {"saliency": SALIENCY, "truth": TRUTH}
    pair = {"a": SALIENCY, "b": -SALIENCY}
    defaults: dict[Callable, dict[str, Any]] = {
        **dict.fromkeys(TAKES_TRUTH, of_truth),
        **dict.fromkeys(TAKES_PAIR, pair),
        **{f: {**of_classifier, "saliency": SALIENCY} for f in TAKES_CLASSIFIER},
        **{f: {"saliency": SALIENCY} for f in TAKES_SALIENCY},
        evaluation.infidelity: {**of_classifier, "attribution": IMAGE - 0.5, "samples": 2},
        evaluation.iou_curve: {**of_truth, "areas": AREAS},
        evaluation.precision: {"mask": MASK, "truth": TRUTH},
        evaluation.hog_correlation: {**pair, "pixels_per_cell": 4},
        evaluation.map_similarity.hog: {"saliency": SALIENCY, "pixels_per_cell": 4},
        evaluation.localisation.squared_distance: {"truth": TRUTH},
        components.connected_components: {"region": TRUTH},
        evaluation.count_components: {"mask": MASK},
        evaluation.softness: {"mask": MASK},
        evaluation.calibration: {"masks": MASKS, "areas": AREAS},
        evaluation.continuity: {"masks": MASKS, "areas": AREAS},
        evaluation.area_consistency: {"masks": MASKS, "areas": AREAS},
        evaluation.nestedness: {"masks": MASKS},
        evaluation.ranking.ranks: {"saliency": SALIENCY, "key": KEY},
        evaluation.ranking.top_weights: {"saliency": SALIENCY, "area": 0.5},
        evaluation.ranking.top_count_weights: {"saliency": SALIENCY, "count": 3},
        evaluation.faithfulness.rise_blur: {"image": IMAGE},
        evaluation.remove_and_debias.impute: {"image": IMAGE, "mask": MASK, "key": KEY},
        evaluation.max_sensitivity: {"explain_fn": jnp.sin, "image": IMAGE, "key": KEY},
        evaluation.robustness.gaussian_noise: {"image": IMAGE, "key": KEY},
        evaluation.robustness.remove_square: {"image": IMAGE, "key": KEY},
        evaluation.aggregation.fill_boxes: {"boxes": BOXES, "shape": (6, 7)},
        evaluation.aggregation.difficult_cases: {"truths": jnp.stack([TRUTH, ~TRUTH])},
        evaluation.summarise: {"scores": [1.0, 0.0]},
        evaluation.control_maps.centre_point: {"shape": (6, 7)},
        evaluation.control_maps.centred_disc: {"shape": (6, 7), "area": 0.5},
        evaluation.control_maps.random_map: {"shape": (6, 7), "key": KEY},
        evaluation.control_maps.random_smooth: {"shape": (6, 7), "key": KEY},
        evaluation.control_maps.sobel_edges: {"image": IMAGE},
        evaluation.controls: {"image": IMAGE, "key": KEY},
        evaluation.control_maps.blurred_map: {"saliency": SALIENCY, "sigma": 1.0},
        evaluation.localisation.leave_out: {"saliency": SALIENCY, "ignored": TRUTH},
    }
    return functools.partial(function, **{**defaults[function], **changes})


TAKES_TRUTH = [
    evaluation.pointing_game,
    evaluation.energy_pointing_game,
    evaluation.relevance_mass,
    evaluation.relevance_rank,
    evaluation.iou_curve,
]
TAKES_PAIR = [
    evaluation.spearman,
    evaluation.ssim,
    evaluation.hog_correlation,
    evaluation.top_k_iou,
]
TAKES_CLASSIFIER = [evaluation.insertion, evaluation.deletion, evaluation.road]
ASKS_CLASSIFIER = [*TAKES_CLASSIFIER, evaluation.infidelity]
TAKES_SALIENCY = [
    evaluation.gini,
    evaluation.entropy,
    evaluation.total_variation,
    evaluation.map_similarity.unit_range,
]
ALL_SALIENCY = [
    *TAKES_TRUTH,
    *TAKES_CLASSIFIER,
    *TAKES_SALIENCY,
    evaluation.map_similarity.hog,
    evaluation.ranking.ranks,
    evaluation.ranking.top_weights,
    evaluation.ranking.top_count_weights,
    evaluation.control_maps.blurred_map,
    evaluation.localisation.leave_out,
]
TAKES_MASKS = [evaluation.calibration, evaluation.continuity, evaluation.area_consistency]
TAKES_IMAGE = [
    *ASKS_CLASSIFIER,
    evaluation.remove_and_debias.impute,
    evaluation.faithfulness.rise_blur,
    evaluation.max_sensitivity,
    evaluation.control_maps.sobel_edges,
    evaluation.controls,
]
TAKES_SHAPE = [
    evaluation.control_maps.centre_point,
    evaluation.control_maps.centred_disc,
    evaluation.control_maps.random_map,
    evaluation.control_maps.random_smooth,
    evaluation.aggregation.fill_boxes,
]
TAKES_CHUNK = [*ASKS_CLASSIFIER, evaluation.max_sensitivity]

CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    *((_call(f, saliency=NAN), ValueError, "saliency must be finite") for f in ALL_SALIENCY),
    *((_call(f, saliency=IMAGE), ValueError, r"saliency must have shape \(h, w\)") for f in ALL_SALIENCY),
    *((_call(f, saliency=TRUTH), TypeError, "saliency must be .* floating.* bool") for f in ALL_SALIENCY),
    *((_call(f, saliency=SALIENCY[:0]), ValueError, "saliency must have shape .* none of them 0") for f in ALL_SALIENCY),
    *((_call(f, truth=MASK), TypeError, "truth must be a boolean array, got float32") for f in TAKES_TRUTH),
    *((_call(f, truth=TRUTH[:4]), ValueError, r"truth must have the map's shape \(12, 12\), got \(4, 12\)") for f in TAKES_TRUTH),
    *((_call(f, truth=TRUTH[None]), ValueError, r"truth must have shape \(h, w\)") for f in TAKES_TRUTH),
    *((_call(f, truth=True), TypeError, "truth must be a boolean array") for f in TAKES_TRUTH),
    *((_call(f, saliency=SALIENCY[:4]), ValueError, r"saliency must match the image's .* got \(4, 12\)") for f in TAKES_CLASSIFIER),
    *((_call(f, a=NAN), ValueError, "a must be finite") for f in TAKES_PAIR),
    *((_call(f, b=NAN), ValueError, "b must be finite") for f in TAKES_PAIR),
    *((_call(f, b=IMAGE), ValueError, r"b must have shape \(h, w\)") for f in TAKES_PAIR),
    *((_call(f, b=SALIENCY[:11]), ValueError, r"b must have the shape of a, \(12, 12\)") for f in TAKES_PAIR),
    *((_call(f, image=IMAGE[:, :, 0]), ValueError, r"image must have shape \(h, w, c\)") for f in TAKES_IMAGE),
    *((_call(f, image=(255 * IMAGE).astype(jnp.uint8)), TypeError, "image must be .* floating.* uint8") for f in TAKES_IMAGE),
    *((_call(f, image=255 * IMAGE), ValueError, r"image must have values in \[0, 1\]") for f in TAKES_IMAGE),
    *((_call(f, target=3), ValueError, r"target must lie in \[0, 3\), got 3") for f in ASKS_CLASSIFIER),
    *((_call(f, target=1.0), TypeError, "target must be an integer") for f in ASKS_CLASSIFIER),
    *((_call(f, logits_fn=3), TypeError, "logits_fn must be callable") for f in ASKS_CLASSIFIER),
    *((_call(f, chunk=0), ValueError, "chunk must be at least 1, got 0") for f in TAKES_CHUNK),
    *((_call(f, step=0), ValueError, "step must be at least 1") for f in TAKES_CLASSIFIER[:2]),
    *((_call(f, step=2.5), TypeError, "step must be an integer") for f in TAKES_CLASSIFIER[:2]),
    *((_call(f, background=jnp.zeros(5)), ValueError, "background must be a number") for f in (*TAKES_CLASSIFIER[:2], evaluation.robustness.remove_square)),
    *((_call(f, masks=MASK), ValueError, r"masks must have shape \(a, h, w\)") for f in (*TAKES_MASKS, evaluation.nestedness)),
    *((_call(f, masks=MASKS + 1), ValueError, r"masks must lie in \[0, 1\]") for f in (*TAKES_MASKS, evaluation.nestedness)),
    *((_call(f, areas=AREAS[::-1]), ValueError, "areas must ascend strictly") for f in (*TAKES_MASKS, evaluation.iou_curve)),
    *((_call(f, areas=AREAS * 3), ValueError, r"areas must ascend strictly within \[0, 1\]") for f in (*TAKES_MASKS, evaluation.iou_curve)),
    *((_call(f, areas=jnp.asarray([0.1, 0.2, 0.3])), ValueError, "areas must have one entry for each of the 2 masks") for f in TAKES_MASKS),
    *((_call(f, shape=(6, 7, 3)), ValueError, r"shape must be \(height, width\)") for f in TAKES_SHAPE),
    *((_call(f, shape=(0, 7)), ValueError, "height must be at least 1") for f in TAKES_SHAPE),
    (_call(evaluation.pointing_game, tolerance=-1), ValueError, r"tolerance must lie in \[0, inf\]"),
    (_call(evaluation.iou_curve, areas=AREAS[:1]), ValueError, "areas must hold at least 2"),
    (_call(evaluation.iou_curve, areas=0.5), TypeError, "areas must be an array"),
    (_call(evaluation.precision, mask=SALIENCY), ValueError, r"mask must lie in \[0, 1\]"),
    (_call(evaluation.precision, area=1.5), ValueError, r"area must lie in \[0, 1\], got 1.5"),
    (_call(evaluation.ranking.top_weights, area=-0.1), ValueError, r"area must lie in \[0, 1\]"),
    (_call(evaluation.ranking.top_count_weights, count=145), ValueError, r"count must lie in \[0, 144\]"),
    (_call(evaluation.nestedness, masks=MASKS[:1]), ValueError, "masks must be at least 2, got 1"),
    (_call(evaluation.softness, mask=MASK + 1), ValueError, r"mask must lie in \[0, 1\]"),
    (_call(components.connected_components, region=MASK), TypeError, "region must be a boolean"),
    (_call(components.connected_components, connectivity=6), ValueError, r"connectivity must be one of \(4, 8\), got 6"),
    (_call(evaluation.count_components, threshold=np.nan), ValueError, "threshold must lie in"),
    (_call(evaluation.localisation.leave_out, ignored=MASK), TypeError, "ignored must be a boolean"),
    (_call(evaluation.localisation.leave_out, ignored=TRUTH[:-1]), ValueError, "ignored must have the map's shape"),
    (_call(evaluation.localisation.squared_distance, truth=MASK), TypeError, "truth must be a boolean"),
    (_call(evaluation.ssim, a=SALIENCY[:10], b=SALIENCY[:10]), ValueError, "a must be at least 11 x 11"),
    (_call(evaluation.ssim, value_range=0.0), ValueError, r"value_range must lie in \(0, inf\]"),
    (_call(evaluation.map_similarity.hog, pixels_per_cell=3), ValueError, "pixels_per_cell must be even, got 3"),
    (_call(evaluation.map_similarity.hog, pixels_per_cell=6), ValueError, "pixels_per_cell must fit 3 cells into"),
    (_call(evaluation.top_k_iou, area=0.0), ValueError, r"area must lie in \(0, 1\]"),
    (_call(evaluation.faithfulness.rise_blur, kernel=10), ValueError, "kernel must be odd, got 10"),
    (_call(evaluation.faithfulness.rise_blur, sigma=0.0), ValueError, r"sigma must lie in \(0, inf\]"),
    (_call(evaluation.faithfulness.rise_blur, outside=jnp.zeros(5)), ValueError, "outside must be a number"),
    (_call(evaluation.road, fractions=jnp.asarray([0.5, 1.0])), ValueError, "fractions must leave at least one pixel"),
    (_call(evaluation.road, fractions=AREAS[::-1]), ValueError, "fractions must ascend strictly"),
    (_call(evaluation.road, noise=-1.0), ValueError, r"noise must lie in \[0, inf\]"),
    (_call(evaluation.remove_and_debias.impute, mask=MASK[:4]), ValueError, "mask must match the image"),
    (_call(evaluation.remove_and_debias.impute, tolerance=0.0), ValueError, r"tolerance must lie in \(0, inf\]"),
    (_call(evaluation.remove_and_debias.impute, steps=0), ValueError, "steps must be at least 1"),
    (_call(evaluation.infidelity, attribution=NAN), ValueError, "attribution must be finite"),
    (_call(evaluation.infidelity, attribution=SALIENCY[:4]), ValueError, "attribution must have the image's shape"),
    (_call(evaluation.infidelity, attribution=IMAGE[:, :, :1]), ValueError, "attribution must have the image's shape"),
    (_call(evaluation.infidelity, samples=0), ValueError, "samples must be at least 1"),
    (_call(evaluation.max_sensitivity, explain_fn=3), TypeError, "explain_fn must be callable"),
    (_call(evaluation.max_sensitivity, radius=0.0), ValueError, r"radius must lie in \(0, inf\]"),
    (_call(evaluation.max_sensitivity, samples=0), ValueError, "samples must be at least 1"),
    (_call(evaluation.robustness.gaussian_noise, deviation=-1.0), ValueError, "deviation must lie in"),
    (_call(evaluation.robustness.remove_square, side=13), ValueError, "side must be at most .* 12, got 13"),
    (_call(evaluation.aggregation.fill_boxes, boxes=BOXES[:, :3]), ValueError, r"boxes must have shape \(n, 4\)"),
    (_call(evaluation.aggregation.fill_boxes, is_counted=jnp.ones(2, bool)), ValueError, "is_counted must have one entry for each of the 1 boxes"),
    (_call(evaluation.aggregation.fill_boxes, is_counted=jnp.ones(1)), TypeError, "is_counted must be a boolean"),
    (_call(evaluation.aggregation.difficult_cases, truths=TRUTH), ValueError, r"truths must have shape \(k, h, w\)"),
    (_call(evaluation.aggregation.difficult_cases, largest_area=2.0), ValueError, "largest_area must lie in"),
    (_call(evaluation.summarise, images=[1]), ValueError, "images must be a vector with one entry per case"),
    (_call(evaluation.summarise, classes=[[1, 2]]), ValueError, "classes must be a vector"),
    (_call(evaluation.summarise, scores=[np.inf]), ValueError, "scores must be finite, or nan"),
    (_call(evaluation.summarise, scores=1.0), ValueError, "scores must be a vector"),
    (_call(evaluation.control_maps.centred_disc, area=2.0), ValueError, r"area must lie in \[0, 1\]"),
    (_call(evaluation.control_maps.random_smooth, smoothness=-1.0), ValueError, "smoothness must lie in"),
    (_call(evaluation.control_maps.blurred_map, sigma=-1.0), ValueError, "sigma must lie in"),
    (_call(evaluation.controls, area=-1.0), ValueError, "area must lie in"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), CASES)
def test_bad_arguments_are_refused_by_name(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


GOOD = {
    *(f for f in (*ALL_SALIENCY, *TAKES_PAIR, *TAKES_MASKS, *TAKES_IMAGE, *TAKES_SHAPE)),
    *(evaluation.precision, evaluation.softness, evaluation.nestedness, evaluation.summarise),
    *(
        components.connected_components,
        evaluation.count_components,
        evaluation.aggregation.difficult_cases,
    ),
    *(
        evaluation.localisation.squared_distance,
        evaluation.robustness.gaussian_noise,
        evaluation.robustness.remove_square,
    ),
}


@pytest.mark.parametrize("function", sorted(GOOD, key=lambda f: f.__name__))
def test_the_arguments_left_unchanged_are_good(function: Callable) -> None:
    """Traced and not compiled: the checks see the arguments, which are known."""
    assert jax.tree.leaves(jax.eval_shape(_call(function)))


def test_nothing_is_compiled_before_the_refusal() -> None:
    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    try:
        for function in (*TAKES_TRUTH, *TAKES_CLASSIFIER):
            with pytest.raises(ValueError, match="saliency must be finite"):
                _call(function, saliency=NAN)()
        assert not compiled
        jax.jit(lambda x: x * 1.2345)(SALIENCY)
        assert compiled, "the listener hears"
    finally:
        jax.monitoring.clear_event_listeners()
