"""Every public function refuses bad arguments by name, before anything is compiled."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fitb_jax import (
    batching,
    derivatives,
    extremal,
    fill,
    masks,
    models,
    objectives,
    plotting,
    smoothing,
)
from fitb_jax.models.classifiers import Convolution
from tests import problems

pytestmark = pytest.mark.usefixtures("unchecked")

KEY = jax.random.key(0)
LOGITS_FN = problems.smooth_logits()
IMAGE, MASK = problems.image_and_mask(dtype=jnp.float32)
IMAGES, TARGETS = problems.images_and_targets(4)
MASKS = jnp.stack([MASK, 1 - MASK])
UPDATE = IMAGE - 0.5
CLASSIFIER = models.ClassifierConfig(image_shape=(6, 6, 1), classes=3)
TRAINING = models.TrainingConfig(epochs=1, batch=2)
NETWORK = extremal.NetworkConfig(frequencies=3, width=4, depth=2)
INR = extremal.InrConfig(network=NETWORK, grid=3, steps=2)
DENSE = extremal.DenseConfig(steps=2, spacing=2, radius=2)
IGOS = extremal.IgosConfig(grid=3, iterations=2, path_steps=2)
AREAS = jnp.array([0.2, 0.4])


EXPLAINED = {"logits_fn": LOGITS_FN, "image": IMAGE, "target": 0}


def _call(function: Callable, **changes: Any) -> Callable[[], Any]:
    """The function with good arguments of its kind, except for the changes."""
    defaults: dict[Callable, dict[str, Any]] = {
        fill.threshold: {"update": UPDATE, "mask": MASK},
        fill.fill: {"image": IMAGE, "mask": MASK, "update": UPDATE},
        fill.progressive: {
            "logits_fn": LOGITS_FN,
            "image": IMAGE,
            "masks": MASKS,
            "target": 0,
        },
        fill.expected_update: {
            "logits_fn": LOGITS_FN,
            "images": IMAGES,
            "targets": TARGETS,
            "masks": MASKS,
        },
        fill.fidelity: {
            "logits_fn": LOGITS_FN,
            "image": IMAGE,
            "mask": MASK,
            "target": 0,
            "update": UPDATE,
        },
        fill.inpaint: {"image": IMAGE, "mask": MASK},
        fill.iterated: {**EXPLAINED, "mask": MASK, "key": KEY, "steps": 2},
        fill.first_order_all_classes: {"logits_fn": LOGITS_FN, "image": IMAGE, "mask": MASK},
        fill.step: {"image": IMAGE, "mask": MASK, "update": UPDATE},
        fill.nearest_prototype: {"image": IMAGE, "prototypes": IMAGES},
        masks.apply: {"image": IMAGE, "mask": MASK},
        masks.random_patches: {"shape": (6, 6), "ratio": 0.5, "patch": 2, "key": KEY},
        masks.partition: {"shape": (6, 6), "parts": 3, "patch": 2, "key": KEY},
        masks.checkerboard: {"shape": (6, 6), "patch": 2},
        extremal.exact_area: {"scores": UPDATE[:, :, 0], "area": 0.3},
        extremal.joint_exact_areas: {"scores": jnp.stack([UPDATE[:, :, 0]] * 2), "areas": AREAS},
        extremal.area_penalty: {"mask": MASK, "area": 0.3},
        extremal.softness_penalty: {"mask": MASK},
        extremal.binarise: {"scores": UPDATE[:, :, 0], "area": 0.3},
        extremal.pairwise_overlap: {"masks": MASKS},
        smoothing.gaussian_blur: {"image": IMAGE, "sigma": 1.0},
        extremal.blur_pyramid: {"image": IMAGE, "sigma": 1.0},
        extremal.mean_colour: {"image": IMAGE},
        extremal.blend_pyramid: {"pyramid": IMAGES, "mask": MASK},
        extremal.make_blend: {"image": IMAGE},
        extremal.fit_inr: {**EXPLAINED, "config": INR, "key": KEY},
        extremal.dense_masks: {**EXPLAINED, "config": DENSE, "areas": AREAS},
        extremal.fit_igos: {**EXPLAINED, "config": IGOS, "key": KEY},
        extremal.smooth_maximum: {"values": jnp.ones((2, 3)), "shape": (10, 20)},
        extremal.disjoint_masks: {**EXPLAINED, "config": INR, "areas": AREAS, "key": KEY},
        extremal.reptile_init: {
            "logits_fn": LOGITS_FN,
            "images": IMAGES,
            "targets": TARGETS,
            "config": INR,
            "key": KEY,
            "rounds": 1,
        },
        models.train: {
            "classifier": CLASSIFIER,
            "training": TRAINING,
            "images": IMAGES,
            "labels": TARGETS,
            "key": KEY,
        },
    }
    update = {"logits_fn": LOGITS_FN, "image": IMAGE, "mask": MASK, "target": 0}
    return functools.partial(function, **{**defaults.get(function, update), **changes})


def _train(**changes: Any) -> Callable[[], Any]:
    return lambda: _call(models.train, training=dataclasses.replace(TRAINING, **changes))()


def _inr(**changes: Any) -> Callable[[], Any]:
    return lambda: _call(extremal.fit_inr, config=dataclasses.replace(INR, **changes))()


def _network(**changes: Any) -> Callable[[], Any]:
    return lambda: _inr(network=dataclasses.replace(NETWORK, **changes))()


def _dense(**changes: Any) -> Callable[[], Any]:
    return lambda: _call(extremal.dense_masks, config=dataclasses.replace(DENSE, **changes))()


def _igos(**changes: Any) -> Callable[[], Any]:
    return lambda: _call(extremal.fit_igos, config=dataclasses.replace(IGOS, **changes))()


def _build(**changes: Any) -> Callable[[], Any]:
    return lambda: models.build(dataclasses.replace(CLASSIFIER, **changes), key=KEY)


TAKES_IMAGE = [
    fill.first_order,
    fill.second_order,
    fill.second_order_with_diagnostics,
    fill.first_order_all_classes,
    fill.progressive,
    fill.fidelity,
    fill.fill,
    fill.nearest_prototype,
    extremal.fit_inr,
    extremal.fit_igos,
    extremal.dense_masks,
    extremal.disjoint_masks,
    smoothing.gaussian_blur,
    extremal.blur_pyramid,
    extremal.mean_colour,
    extremal.make_blend,
]
OF_AREAS = [extremal.dense_masks, extremal.disjoint_masks]
EXTREMAL = [extremal.fit_inr, extremal.fit_igos, *OF_AREAS]
TAKES_MASK = [
    *TAKES_IMAGE[:4],
    fill.fidelity,
    fill.fill,
    fill.step,
    fill.threshold,
    masks.apply,
]
TAKES_MASK += [extremal.blend_pyramid, fill.inpaint, fill.iterated]
TAKES_TARGET = [*TAKES_IMAGE[:3], fill.progressive, fill.iterated, fill.fidelity, *EXTREMAL]
TAKES_LOGITS_FN = [*TAKES_IMAGE[:6], fill.iterated, *EXTREMAL]
TAKES_IMAGE += [fill.inpaint, fill.iterated]

NAN = jnp.full_like(IMAGE, jnp.nan)


@functools.cache
def _fitted() -> extremal.Inr:
    """A good fit, once for all cases."""
    return jax.jit(_call(extremal.fit_inr))()


CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    *((_call(f, image=IMAGE[:, :, 0]), ValueError, r"image must have shape \(h, w, c\), got \(6, 6\): give image\[\.\.\., None\]") for f in TAKES_IMAGE),
    *((_call(f, image=IMAGE[None]), ValueError, r"image must have shape \(h, w, c\), .*: take one, such as image\[0\]") for f in TAKES_IMAGE),
    *((_call(f, image=(255 * IMAGE).astype(jnp.uint8)), TypeError, r"image must be .* floating.* uint8 .*: give image / 255") for f in TAKES_IMAGE),
    *((_call(f, image=255 * IMAGE), ValueError, r"image must have values in \[0, 1\] .*: divide bytes by 255") for f in TAKES_IMAGE),
    *((_call(f, image=NAN), ValueError, "image must be finite") for f in TAKES_IMAGE),
    *((_call(f, image=IMAGE[:0]), ValueError, "image must have shape .* none of them 0") for f in TAKES_IMAGE),
    *((_call(f, mask=MASK[:4]), ValueError, r"mask must match .* \(6, 6\), got \(4, 6\)") for f in TAKES_MASK),
    *((_call(f, mask=MASK[:, :, None]), ValueError, r"mask must have shape \(h, w\), got \(6, 6, 1\): give mask\[\.\.\., 0\]") for f in TAKES_MASK),
    *((_call(f, mask=MASK + 1), ValueError, r"mask must lie in \[0, 1\]") for f in TAKES_MASK),
    *((_call(f, mask=MASK * jnp.nan), ValueError, "mask must be finite") for f in TAKES_MASK),
    *((_call(f, mask=MASK == 1), TypeError, "mask must be .* floating") for f in TAKES_MASK),
    *((_call(f, mask=MASKS), ValueError, r"mask must have shape \(h, w\)") for f in TAKES_MASK),
    *((_call(f, target=3), ValueError, r"target must lie in \[0, 3\), got 3") for f in TAKES_TARGET),
    *((_call(f, target=-1), ValueError, r"target must lie in \[0, 3\), got -1") for f in TAKES_TARGET),
    *((_call(f, target=1.0), TypeError, "target must be an integer") for f in TAKES_TARGET),
    *((_call(f, target=TARGETS), ValueError, r"target must have shape \(\)") for f in TAKES_TARGET),
    *((_call(f, logits_fn=3), TypeError, "logits_fn must be callable") for f in TAKES_LOGITS_FN),
    *((_call(f, logits_fn=lambda x: LOGITS_FN(x)[None]), ValueError, r"logits_fn must map .* logits \(k,\)") for f in TAKES_LOGITS_FN),
    *((_call(f, background=jnp.zeros(5)), ValueError, "background must be a number") for f in (*TAKES_LOGITS_FN[:4], fill.fidelity, masks.apply, *EXTREMAL, extremal.make_blend)),
    *((_call(f, background=np.nan), ValueError, "background must be finite") for f in (*TAKES_LOGITS_FN[:4], masks.apply)),
    (_call(fill.second_order, method="secant"), ValueError, r"method must be one of \['curvature'.*'secant'"),
    (_call(fill.second_order, damping=1.0), ValueError, r"damping must lie in \(1, inf\], got 1"),
    (_call(fill.second_order, damping=np.nan), ValueError, "damping must lie in"),
    (_call(fill.second_order, damping=jnp.ones(2)), ValueError, "damping must be a scalar"),
    (_call(fill.second_order, steps=0), ValueError, "steps must be at least 1, got 0"),
    (_call(fill.second_order, steps=2.5), TypeError, "steps must be an integer"),
    (_call(fill.iterated, key=0), TypeError, "key must be one random key"),
    (_call(fill.iterated, steps=0), ValueError, "steps must be at least 1, got 0"),
    (_call(fill.iterated, shift=-1), ValueError, "shift must be at least 0, got -1"),
    (_call(fill.iterated, newton_every=-1), ValueError, "newton_every must be at least 0, got -1"),
    (_call(fill.iterated, learning_rate=0.0), ValueError, r"learning_rate must lie in \(0, inf\], got 0"),
    (_call(fill.iterated, noise=-0.1), ValueError, r"noise must lie in \[0, inf\], got -0.1"),
    (_call(fill.iterated, total_variation=np.nan), ValueError, "total_variation must lie in"),
    (_call(fill.iterated, parametrisation="wavelets"), ValueError, r"parametrisation must be one of \['fourier', 'pixels'\]"),
    (_call(fill.iterated, start="blur"), ValueError, r"start must be one of \['inpainted', 'mean'\], got 'blur'"),
    (_call(fill.iterated, start=jnp.zeros(5)), ValueError, "start must be a number, one value per channel"),
    (_call(fill.inpaint, sigma=-1), ValueError, r"sigma must lie in \[0, inf\], got -1"),
    (_train(noise=-0.1), ValueError, r"noise must lie in \[0, inf\], got -0.1"),
    (_train(robust_norm="l1"), ValueError, r"robust_norm must be one of \['l2', 'linf'\], got 'l1'"),
    (_train(robust_radius=-1.0), ValueError, r"robust_radius must lie in \[0, inf\], got -1"),
    (_train(robust_steps=0), ValueError, "robust_steps must be at least 1, got 0"),
    (_call(fill.first_order_all_classes, chunk=0), ValueError, "chunk must be at least 1"),
    (lambda: Convolution(1, 1, kernel=5, stride=2, rngs=nnx.Rngs(0)), ValueError, "kernel must be a multiple of stride 2, got 5"),
    (_call(fill.threshold), ValueError, "exactly one of quantile, minimum and ink"),
    (_call(fill.threshold, quantile=0.5, ink=3), ValueError, "exactly one of quantile"),
    (_call(fill.threshold, quantile=1.5), ValueError, r"quantile must lie in \[0, 1\]"),
    (_call(fill.threshold, minimum=-1), ValueError, r"minimum must lie in \[0, inf\]"),
    (_call(fill.threshold, ink=np.inf), ValueError, "ink must lie in"),
    (_call(fill.threshold, ink=1, intensity="bright"), ValueError, "intensity must be one of"),
    (_call(fill.threshold, ink=1, intensity=-0.5), ValueError, "intensity must be at least 0"),
    (_call(fill.threshold, ink=1, intensity=jnp.ones(3)), ValueError, "intensity must be a number"),
    (_call(fill.threshold, update=NAN, ink=1), ValueError, "update must be finite"),
    (_call(fill.fill, update=UPDATE[:4]), ValueError, "update must have the shape of image"),
    (_call(fill.fidelity, update=UPDATE[:4]), ValueError, "update must have the shape of image"),
    (_call(fill.progressive, mode="both"), ValueError, r"mode must be one of \['parallel'"),
    (_call(fill.progressive, order="third"), ValueError, r"order must be one of \['first', 'second'\]"),
    (_call(fill.progressive, masks=MASK), ValueError, r"masks must have shape \(parts, h, w\)"),
    (_call(fill.expected_update, images=IMAGE), ValueError, r"images must have shape \(n, h, w, c\)"),
    (_call(fill.expected_update, images=IMAGES[:0]), ValueError, "images must have shape"),
    (_call(fill.expected_update, targets=TARGETS[:2]), ValueError, r"targets must have shape \(4,\)"),
    (_call(fill.expected_update, targets=TARGETS + 3), ValueError, r"targets must lie in \[0, 3\)"),
    (_call(fill.expected_update, masks=MASK), ValueError, r"masks must have shape \(m, h, w\)"),
    (_call(fill.expected_update, masks=MASKS[None]), ValueError, "masks must have one set for each of the 4"),
    (_call(fill.expected_update, chunk=0), ValueError, "chunk must be at least 1"),
    (_call(fill.expected_update, tolerance=-1), ValueError, "tolerance must lie in"),
    (_call(fill.expected_update, order="zeroth"), ValueError, "order must be one of"),
    (_call(fill.nearest_prototype, prototypes=IMAGES[:, :4]), ValueError, "prototypes must have shape"),
    (_call(masks.random_patches, ratio=1.1), ValueError, r"ratio must lie in \[0, 1\], got 1.1"),
    (_call(masks.random_patches, ratio=np.nan), ValueError, "ratio must lie in"),
    (_call(masks.random_patches, patch=7), ValueError, "patch must be at most .* 6, got 7"),
    (_call(masks.random_patches, patch=0), ValueError, "patch must be at least 1"),
    (_call(masks.random_patches, patch=1.5), TypeError, "patch must be an integer"),
    (_call(masks.random_patches, shape=(6, 6, 1)), ValueError, r"shape must be \(height, width\)"),
    (_call(masks.random_patches, shape=(0, 6)), ValueError, "height must be at least 1"),
    (_call(masks.partition, parts=10), ValueError, "parts must be at most the 9 patches"),
    (_call(masks.partition, parts=0), ValueError, "parts must be at least 1"),
    (_call(masks.partition, patch=7), ValueError, "patch must be at most"),
    (_call(masks.checkerboard, phase=2), ValueError, "phase must be 0 or 1"),
    (lambda: batching.chunked_vmap(jnp.sin, chunk=0), ValueError, "chunk must be at least 1"),
    (lambda: batching.chunked_sum(jnp.sin, chunk=0), ValueError, "chunk must be at least 1"),
    (lambda: batching.stream(jnp.sin, np.ones(3), chunk=-1), ValueError, "chunk must be at least 1"),
    (lambda: batching.stream(jnp.add, np.ones(3), np.ones(2), chunk=1), ValueError, "one common leading axis"),
    (lambda: batching.stream(jnp.sin, np.ones(0), chunk=1), ValueError, "one common leading axis"),
    (lambda: models.as_logits_fn("resnet"), TypeError, "model must be a Flax NNX module"),
    (lambda: models.stack([]), ValueError, "logits_fns must hold at least one"),
    (lambda: models.stack([jax.tree_util.Partial(jnp.sin), jax.tree_util.Partial(jnp.cos)]), ValueError, "one structure"),
    (_build(architecture="rnn"), ValueError, "architecture must be one of"),
    (_build(activation="tanh"), ValueError, "activation must be one of"),
    (_build(hidden=0), ValueError, "size of the classifier must be at least 1"),
    (_build(deviation=0.0), ValueError, "deviation must lie in"),
    (_build(mean=np.nan), ValueError, "mean must lie in"),
    (_build(widths=(4,)), ValueError, "widths must hold 2 sizes"),
    (lambda: models.predict(LOGITS_FN, IMAGE), ValueError, r"images must have shape \(n, h, w, c\)"),
    (lambda: masks.complement(MASK + 1), ValueError, r"mask must lie in \[0, 1\]"),
    (lambda: objectives.margin(jnp.ones(1), 0), ValueError, "at least 2 classes"),
    (lambda: derivatives.lanczos(lambda v: v, MASK, steps=0), ValueError, "steps must be at least 1"),
    (lambda: fill.hidden_correlation(IMAGE, UPDATE[:4], MASK), ValueError, "b must have the shape of a"),
    (lambda: batching.stream(jnp.sin, np.float32(1), chunk=1), ValueError, "one common leading axis"),
    (_build(classes=1), ValueError, "classes must be at least 2"),
    (_train(batch=5), ValueError, "batch must be at most the number of images 4"),
    (_train(epochs=0), ValueError, "epochs must be at least 1"),
    (_train(learning_rate=0.0), ValueError, "learning_rate must lie in"),
    (_train(weight_decay=-1.0), ValueError, "weight_decay must lie in"),
    (_train(shift=-1), ValueError, "shift must be at least 0"),
    (_call(models.train, labels=TARGETS + 5), ValueError, r"labels must lie in \[0, 3\)"),
    (_call(models.train, labels=TARGETS[:1]), ValueError, r"labels must have shape \(4,\)"),
    (_call(models.train, images=IMAGES[:, :4]), ValueError, "images must have the classifier's shape"),
    (_call(models.train, images=255 * IMAGES), ValueError, "images must have values in"),
    (lambda: models.restore(Path("nowhere"), {}), FileNotFoundError, "no checkpoint at nowhere"),
    (lambda: plotting.as_rgb(np.ones((4, 4))), ValueError, "image must have shape"),
    *((_call(f, background="fog"), ValueError, r"background must be one of \['blur'") for f in (*EXTREMAL, extremal.make_blend, extremal.reptile_init)),
    *((_call(f, area=a), ValueError, r"area must lie in \(0, 1\)") for f in (extremal.exact_area,) for a in (0.0, 1.0, -0.1, np.nan)),
    *((_call(f, area=1.5), ValueError, r"area must lie in \[0, 1\], got 1.5") for f in (extremal.binarise, extremal.area_penalty)),
    *((_call(f, scores=UPDATE), ValueError, r"scores must have shape \(h, w\)") for f in (extremal.exact_area, extremal.binarise)),
    *((_call(f, scores=NAN[:, :, 0]), ValueError, "scores must be finite") for f in (extremal.exact_area, extremal.binarise)),
    *((_call(f, mask=MASK * 2), ValueError, r"mask must lie in \[0, 1\]") for f in (extremal.area_penalty, extremal.softness_penalty)),
    *((_call(f, areas=jnp.array([0.2, 1.0])), ValueError, "areas must lie in") for f in OF_AREAS),
    *((_call(f, areas=jnp.array(0.2)), ValueError, "areas must have shape") for f in OF_AREAS),
    (_call(extremal.exact_area, available=MASK[:4]), ValueError, "available must match"),
    (_call(extremal.exact_area, area=0.5, available=0.5 * jnp.ones_like(MASK)), ValueError, "area must be below the mean of available, 0.5"),
    (_call(extremal.joint_exact_areas, areas=jnp.array([0.5, 0.5])), ValueError, "areas must be positive and add up to less than 1"),
    (_call(extremal.disjoint_masks, areas=jnp.array([0.5, 0.6])), ValueError, "areas must add up to less than 1"),
    (_call(extremal.disjoint_masks, method="greedy"), ValueError, r"method must be one of \['iterative', 'joint'\]"),
    (_call(extremal.pairwise_overlap, masks=MASK), ValueError, r"masks must have shape \(k, h, w\)"),
    (_call(smoothing.gaussian_blur, sigma=-1), ValueError, r"sigma must lie in \[0, inf\], got -1"),
    (_call(extremal.blur_pyramid, levels=1), ValueError, "levels must be at least 2, got 1"),
    (_call(extremal.make_blend, blur=-0.1), ValueError, "blur must lie in"),
    (_call(extremal.blend_pyramid, pyramid=IMAGE), ValueError, r"pyramid must have shape \(levels, h, w, c\)"),
    (_call(extremal.fit_inr, available=MASK[:4]), ValueError, "available must match"),
    (_call(extremal.fit_inr, initial={"wrong": MASK}), ValueError, "initial must be of the network of config"),
    (_inr(area_form="soft"), ValueError, r"area_form must be one of \['exact', 'penalty'\]"),
    (_inr(area_spacing="sqrt"), ValueError, r"area_spacing must be one of \['linear', 'log'\]"),
    (_inr(variant="keep"), ValueError, "variant must be one of"),
    (_inr(grid=0), ValueError, "grid must be at least 1"),
    (_inr(steps=0), ValueError, "steps must be at least 1"),
    (_inr(chunk=0), ValueError, "chunk must be at least 1, got 0"),
    (_inr(areas_per_step=1.5), TypeError, "areas_per_step must be an integer"),
    (_inr(smallest_area=0.0), ValueError, r"smallest_area must lie in \(0, 1\)"),
    (_inr(smallest_area=0.5, largest_area=0.4), ValueError, "smallest_area must be at most largest_area"),
    (_inr(learning_rate=0.0), ValueError, "learning_rate must lie in"),
    (_inr(softness_weight=-1.0), ValueError, "softness_weight must lie in"),
    (_inr(tolerance=np.nan), ValueError, "tolerance must lie in"),
    (_network(features="fourrier"), ValueError, r"features must be one of \['fourier'"),
    (_network(conditioning="add"), ValueError, "conditioning must be one of"),
    (_network(activation="step"), ValueError, "activation must be one of"),
    (_network(width=0), ValueError, "width must be at least 1"),
    (_network(bandwidth=0.0), ValueError, "bandwidth must lie in"),
    (_dense(variant="keep"), ValueError, "variant must be one of"),
    (_dense(chunk=0), ValueError, "chunk must be at least 1, got 0"),
    (_dense(spacing=0), ValueError, "spacing must be at least 1"),
    (_dense(inverse_temperature=31.0), ValueError, r"inverse_temperature must lie in \(0, 30\], got 31"),
    (_call(extremal.smooth_maximum, inverse_temperature=0.0), ValueError, r"inverse_temperature must lie in \(0, 30\], got 0"),
    (_call(extremal.smooth_maximum, shape=(20, 20)), ValueError, r"values must be one for every 7 pixels of \(20, 20\), \(3, 3\), got \(2, 3\)"),
    (_call(extremal.smooth_maximum, values=jnp.ones((2, 3), int)), TypeError, "values must be an array of floating"),
    (_dense(momentum=1.5), ValueError, r"momentum must lie in \[0, 1\], got 1.5"),
    (_igos(variant="igos++"), ValueError, r"variant must be one of \['igos', 'igos_plus_plus'\], got 'igos\+\+'"),
    (_igos(step_rule="armijo"), ValueError, "step_rule must be one of"),
    (_igos(path_steps=0), ValueError, "path_steps must be at least 1"),
    (_igos(shrinkage=1.0), ValueError, r"shrinkage must lie in \(0, 0.99\], got 1"),
    (_igos(noise=-0.1), ValueError, "noise must lie in"),
    (_call(extremal.reptile_init, images=IMAGE), ValueError, r"images must have shape \(n, h, w, c\)"),
    (_call(extremal.reptile_init, images_per_round=5), ValueError, "images_per_round must be at most the 4 images, got 5"),
    (_call(extremal.reptile_init, rate=0.0), ValueError, r"rate must lie in \(0, 1\]"),
    (lambda: extremal.inr_masks(_fitted(), jnp.array([0.0]), (4, 4)), ValueError, "areas must lie in"),
    (lambda: extremal.inr_masks(_fitted(), AREAS, (4,)), ValueError, "shape must be"),
    (lambda: extremal.inr_saliency(_fitted(), (4, 4), areas=0), ValueError, "areas must be at least 1"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), CASES)
def test_bad_arguments_are_refused_by_name(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


GOOD = [*TAKES_LOGITS_FN, fill.expected_update, masks.random_patches, masks.partition]


GOOD_EXTREMAL = [
    extremal.exact_area,
    extremal.joint_exact_areas,
    extremal.area_penalty,
    extremal.binarise,
]


@pytest.mark.parametrize(
    "function", [*GOOD, *GOOD_EXTREMAL, masks.checkerboard, masks.apply, models.train]
)
def test_the_arguments_left_unchanged_are_good(function: Callable) -> None:
    assert all(np.isfinite(leaf).any() for leaf in jax.tree.leaves(jax.jit(_call(function))()))


def test_nothing_is_compiled_before_the_refusal() -> None:
    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "compile" in name else None
    )
    try:
        for function in (fill.first_order, fill.second_order, fill.progressive):
            with pytest.raises(ValueError, match="target must lie in"):
                _call(function, target=99)()
        assert not [name for name in compiled if "backend_compile" in name]
        jax.jit(lambda x: x * 1.2345)(IMAGE)
        assert [name for name in compiled if "backend_compile" in name], "the listener hears"
    finally:
        jax.monitoring.clear_event_listeners()
