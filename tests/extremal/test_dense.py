"""The dense method against slow loops of its definition."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import masks
from fitb_jax.extremal import (
    TORCHRAY,
    DenseConfig,
    area_penalty,
    binarise,
    dense_masks,
    fit_dense,
    make_blend,
    smooth_maximum,
)
from fitb_jax.objectives import log_prob, prob
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Array
from tests.extremal.toys import IMAGE, PATCH, SHARE, SIDE, looks_at

LOGITS_FN = looks_at(PATCH)
CONFIG = DenseConfig(steps=3, spacing=3, radius=4, blur=0.25)
AREAS = jnp.asarray([SHARE, 0.4])


def _loop_maximum(
    values: np.ndarray, height: int, width: int, *, spacing: int, radius: int, margin: int
) -> np.ndarray:
    """Pixel by pixel, value by value; from `margin` pixels before the image on."""
    reach = 1 + int(np.ceil(radius / spacing))
    padding = reach + int(np.ceil(radius / spacing))
    found = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            row, column = i - margin, j - margin
            first = [(at + radius) // spacing - padding for at in (row, column)]
            terms = []
            for r in range(first[0], first[0] + 2 * reach + 1):
                for c in range(first[1], first[1] + 2 * reach + 1):
                    z = np.hypot(row - spacing * r, column - spacing * c) / radius
                    inside = 0 <= r < values.shape[0] and 0 <= c < values.shape[1]
                    value = values[r, c] if inside else 0.0
                    terms.append(np.exp(-2 * max(0.0, z - 0.5) ** 2) * value)
            weights = np.exp(20 * np.array(terms))
            found[i, j] = (weights * terms).sum() / weights.sum()
    return found


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("spacing", "radius"), [(3, 4), (2, 6), (1, 2), (7, 3), (5, 7)])
def test_smooth_maximum_is_that_of_a_loop(spacing: int, radius: int) -> None:
    shape = (10, 13)
    rows, columns = (-(-side // spacing) for side in shape)
    values = np.random.default_rng(0).uniform(size=(rows, columns))
    given = smooth_maximum(jnp.asarray(values), shape, spacing=spacing, radius=radius)
    assert given.shape == shape
    wanted = _loop_maximum(values, *shape, spacing=spacing, radius=radius, margin=0)
    np.testing.assert_allclose(given, wanted, rtol=1e-9)
    padded = smooth_maximum(jnp.asarray(values), shape, spacing=spacing, radius=radius, padded=True)
    assert min(np.subtract(padded.shape, shape)) >= radius
    wanted = _loop_maximum(values, *padded.shape, spacing=spacing, radius=radius, margin=radius)
    np.testing.assert_allclose(padded, wanted, rtol=1e-9)


def test_at_224_the_window_and_the_margins_are_those_of_the_reference() -> None:
    padded = jax.eval_shape(lambda: smooth_maximum(jnp.zeros((32, 32)), (224, 224), padded=True))
    assert padded.shape == (260, 260)
    assert smooth_maximum(jnp.ones((32, 32)), (224, 224)).min() > 0.9


def test_one_value_makes_a_disc_that_falls_off_smoothly() -> None:
    values = jnp.zeros((9, 9)).at[4, 4].set(1)
    mask = smooth_maximum(values, (27, 27), spacing=3, radius=6)
    np.testing.assert_allclose(mask[12, 12], 1, atol=1e-3)
    assert (np.diff(mask[12, 12:]) <= 1e-6).all()
    np.testing.assert_allclose(mask, mask.T, atol=1e-5)


@pytest.mark.usefixtures("x64")
def test_the_backward_pass_of_the_smooth_maximum_is_finite_differences() -> None:
    rng = np.random.default_rng(0)
    values, move = (jnp.asarray(rng.uniform(size=(4, 5))) for _ in range(2))
    weights = jnp.asarray(rng.normal(size=(10, 13)))

    def total(values: Array) -> Array:
        return (weights * smooth_maximum(values, (10, 13), spacing=3, radius=4)).sum()

    h = 1e-6
    wanted = (total(values + h * move) - total(values - h * move)) / (2 * h)
    np.testing.assert_allclose(jnp.vdot(jax.grad(total)(values), move), wanted, rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_a_value_grows_from_zeros_by_its_whole_slope() -> None:
    def total(value: Array) -> Array:
        return smooth_maximum(
            jnp.zeros((4, 5)).at[2, 2].set(value), (10, 13), spacing=3, radius=4
        ).sum()

    h = 1e-7
    wanted = (total(jnp.float64(h)) - total(jnp.float64(0))) / h
    np.testing.assert_allclose(jax.grad(total)(jnp.float64(0)), wanted, rtol=1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("variant", "padded"), [("preserve", True), ("delete", False), ("dual", False)]
)
def test_steps_are_those_of_the_definition(variant: Any, padded: bool) -> None:
    """Gradients by finite differences, the rest in NumPy."""
    image = jnp.asarray(IMAGE, jnp.float64)
    config = dataclasses.replace(CONFIG, variant=variant, padded_area=padded)
    blurred = gaussian_blur(image, sigma=0.25 * SIDE)

    def energy(values: Array, area: float, step: int) -> Array:
        whole = smooth_maximum(values, (SIDE, SIDE), spacing=3, radius=4, padded=True)
        mask = whole[4 : 4 + SIDE, 4 : 4 + SIDE]
        kept, deleted = (
            log_prob(LOGITS_FN(masks.apply(image, shown, blurred)), 1) for shown in (mask, 1 - mask)
        )
        reward = {"preserve": kept, "delete": -deleted, "dual": kept - deleted}[variant]
        share = area if padded else area * SIDE**2 / whole.size
        return reward - 300 * 1.0035**step * area_penalty(whole, share)

    gradient = jax.jit(jax.grad(energy), static_argnums=(1, 2))
    for area, given in zip(
        AREAS.tolist(), fit_dense(LOGITS_FN, image, 1, AREAS, config).values, strict=True
    ):
        values = np.ones((6, 6))
        direction = np.zeros((6, 6))
        for step in range(3):
            g = np.asarray(gradient(jnp.asarray(values), area, step))
            direction = g if step == 0 else 0.9 * direction + (1 - 0.9) * g
            values = np.clip(values + 0.01 * direction, 0, 1)
        np.testing.assert_allclose(given, values, atol=1e-9)


def test_masks_find_the_patch_at_about_their_areas() -> None:
    config = dataclasses.replace(
        CONFIG, steps=400, spacing=2, radius=3, penalty_weight=10.0, penalty_growth=1.01
    )
    found = jax.jit(lambda: fit_dense(LOGITS_FN, IMAGE, 1, AREAS, config, background=0.0))()
    np.testing.assert_allclose(found.masks.mean((1, 2)), AREAS, atol=0.08)
    shown = binarise(found.masks[0], SHARE)
    assert (shown * PATCH).sum() / jnp.maximum(shown, PATCH).sum() > 0.6
    assert (found.penalty[-1] < found.penalty[0] / 5).all()
    wanted = [prob(LOGITS_FN(seen), 1) for seen in (0 * IMAGE, IMAGE)]
    np.testing.assert_allclose([found.p_blank, found.p_whole], wanted, rtol=1e-5)


@pytest.mark.usefixtures("x64")
def test_torchray_rewards_logits_of_a_mirrored_pyramid() -> None:
    image = jnp.asarray(IMAGE, jnp.float64)
    config = dataclasses.replace(TORCHRAY, steps=2, spacing=3, radius=4)
    found = fit_dense(LOGITS_FN, image, 1, AREAS, config, background="pyramid")
    blend = make_blend(image, "pyramid")
    start = jnp.ones((6, 6))
    whole = smooth_maximum(start, (SIDE, SIDE), spacing=3, radius=4, padded=True)
    mirrored = blend(whole[4 : 4 + SIDE, 4 : 4 + SIDE])[:, ::-1]
    np.testing.assert_allclose(found.reward[0], LOGITS_FN(mirrored)[1], rtol=1e-9)


def test_free_masks_do_not_keep_to_the_border() -> None:
    """Half of a value's blob lies outside at the border, and must not be free there."""

    def blind(image: Array) -> Array:
        return 0 * image.sum() + jnp.zeros(2)

    config = dataclasses.replace(
        CONFIG, steps=200, spacing=2, radius=4, penalty_weight=30.0, penalty_growth=1.01
    )
    for mask in dense_masks(blind, IMAGE, 1, AREAS, config, background=0.0):
        border = jnp.concatenate([mask[:3].ravel(), mask[-3:].ravel(), mask[:, :3].ravel()])
        assert border.mean() < mask[5:-5, 5:-5].mean()


def test_padded_areas_come_out_larger() -> None:
    config = dataclasses.replace(CONFIG, steps=300, spacing=2, radius=3)
    areas = [
        float(
            jax.jit(
                lambda padded=padded: dense_masks(
                    LOGITS_FN,
                    IMAGE,
                    1,
                    AREAS[1:],
                    dataclasses.replace(config, padded_area=padded),
                )
            )().mean()
        )
        for padded in (False, True)
    ]
    assert areas[1] > 1.2 * areas[0]


def test_areas_together_are_areas_alone() -> None:
    together = dense_masks(LOGITS_FN, IMAGE, 1, AREAS, CONFIG)
    for index in range(2):
        alone = dense_masks(LOGITS_FN, IMAGE, 1, AREAS[index : index + 1], CONFIG)
        np.testing.assert_allclose(together[index], alone[0], atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_the_smooth_maximum_of_half_precision_is_that_of_single_precision(dtype: Any) -> None:
    values = jnp.ones((4, 4), dtype).at[1, 2].set(0.5)
    mask = smooth_maximum(values, (12, 12), spacing=3, radius=4)
    wanted = smooth_maximum(values.astype(jnp.float32), (12, 12), spacing=3, radius=4)
    np.testing.assert_array_equal(mask, wanted)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_coldest_smooth_maximum_allowed_has_finite_derivatives(value: float) -> None:
    def total(values: Array) -> Array:
        return smooth_maximum(
            values, (16, 16), spacing=1, radius=15, inverse_temperature=30.0
        ).sum()

    assert np.isfinite(jax.grad(total)(jnp.full((16, 16), value))).all()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_images_have_masks_of_single_precision(dtype: Any) -> None:
    short = dataclasses.replace(CONFIG, steps=3)
    given, wanted = (
        dense_masks(LOGITS_FN, image, 1, AREAS, short)
        for image in (IMAGE.astype(dtype), IMAGE.astype(dtype).astype(jnp.float32))
    )
    assert given.dtype == jnp.float32
    np.testing.assert_allclose(given, wanted, atol=0.02)


def test_images_and_numbers_are_a_vmap() -> None:
    def fit(image: Array, rate: Array) -> Array:
        config = dataclasses.replace(CONFIG, learning_rate=rate)
        return dense_masks(LOGITS_FN, image, 1, AREAS, config)

    images, rates = jnp.stack([IMAGE, IMAGE[::-1]]), jnp.asarray([0.01, 0.05])
    many = jax.jit(jax.vmap(fit))(images, rates)
    for index in range(2):
        np.testing.assert_allclose(many[index], fit(images[index], rates[index]), atol=1e-4)


def test_flipping_shows_every_other_step_the_mirror_image() -> None:
    config = dataclasses.replace(CONFIG, steps=2, flip=True)
    straight = fit_dense(LOGITS_FN, IMAGE, 1, AREAS, dataclasses.replace(config, flip=False))
    flipped = fit_dense(LOGITS_FN, IMAGE, 1, AREAS, config)
    mirror = looks_at(PATCH[:, ::-1])
    wanted = fit_dense(mirror, IMAGE, 1, AREAS, dataclasses.replace(config, flip=False))
    np.testing.assert_allclose(flipped.reward[0], wanted.reward[0], rtol=1e-5)
    assert np.abs(flipped.values - straight.values).max() > 0
