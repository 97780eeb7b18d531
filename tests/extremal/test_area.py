"""Exact areas for any scores, with derivatives; the sorted penalty and binary masks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitb_jax.extremal import area_penalty, binarise, exact_area, softness_penalty
from fitb_jax.extremal.area import boundary_penalty
from fitb_jax.types import Array

SHAPE = (14, 18)
_exact_area = jax.jit(exact_area)


def _scores(kind: str, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=SHAPE)
    ticks = np.indices(SHAPE).sum(0)
    kinds = {
        "normal": normal,
        "constant": np.zeros(SHAPE),
        "large constant": np.full(SHAPE, 1e4),
        "halves": np.where(ticks % 2, 1e4, -1e4),
        "three values": rng.choice([-1e4, 0.0, 1e4], size=SHAPE),
        "large": 1e4 * normal,
        "offset": 1e4 + normal,
        "one pixel": np.where(ticks == 0, 1e4, -1e4),
        "one far pixel": np.where(ticks == 0, 1e10, 0),
        "one farther pixel": np.where(ticks == 0, 1e14, 0),
        "far pixels": 1e18 * np.where(ticks < 3, -1, ticks > 20),
        "small": 1e-6 * normal,
    }
    return jnp.asarray(kinds[kind], jnp.float32)


KINDS = [
    "normal",
    "constant",
    "large constant",
    "halves",
    "three values",
    "large",
    "offset",
    "one pixel",
    "one far pixel",
    "one farther pixel",
    "far pixels",
    "small",
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_is_the_area_whatever_the_scores(kind: str) -> None:
    areas = jnp.asarray([0.01, 0.0437, 0.1, 0.25, 0.4999, 0.5, 0.5001, 0.75, 0.9, 0.99])
    masks = jax.jit(jax.vmap(exact_area, in_axes=(None, 0)))(_scores(kind), areas)
    means = np.asarray(masks, np.float64).mean((1, 2))
    np.testing.assert_allclose(means, areas, atol=1e-5)
    assert ((masks >= 0) & (masks <= 1)).all()


@pytest.mark.parametrize("kind", ["normal", "constant", "halves", "large"])
def test_the_mean_is_the_area_at_full_resolution(kind: str) -> None:
    pixels = jnp.resize(_scores(kind), (224, 224))
    areas = jnp.asarray([0.01, 0.3, 0.5, 0.99])
    masks = jax.jit(jax.vmap(exact_area, in_axes=(None, 0)))(pixels, areas)
    means = np.asarray(masks, np.float64).mean((1, 2))
    np.testing.assert_allclose(means, areas, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    exponent=st.floats(-6, 4),
    offset=st.floats(-1e4, 1e4),
    area=st.floats(0.01, 0.99),
)
def test_the_mean_is_the_area_of_random_scores(
    seed: int, exponent: float, offset: float, area: float
) -> None:
    normal = np.random.default_rng(seed).standard_t(2, size=SHAPE)
    scores = jnp.asarray(np.clip(10**exponent * normal + offset, -1e4, 1e4), jnp.float32)
    mean = np.asarray(_exact_area(scores, area), np.float64).mean()
    assert abs(mean - area) <= 1e-5


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_masks_in_half_precision_are_those_in_single_precision_rounded(dtype: Any) -> None:
    scores = jnp.resize(_scores("normal"), (64, 64)).at[0, :2].set(jnp.asarray([-6e4, 6e4]))
    rounded = scores.astype(dtype)
    mask = exact_area(rounded, 0.3, available=jnp.ones((64, 64), dtype))
    assert mask.dtype == dtype
    wanted = exact_area(rounded.astype(jnp.float32), 0.3).astype(dtype)
    np.testing.assert_array_equal(mask, wanted)


def test_constant_scores_show_everything_a_little() -> None:
    np.testing.assert_allclose(exact_area(jnp.full(SHAPE, 7.0), 0.3), 0.3, rtol=1e-6)


def test_order_is_kept_and_offsets_do_not_matter() -> None:
    scores = _scores("normal")
    mask = _exact_area(scores, 0.2)
    order = np.argsort(scores, axis=None)
    assert (np.diff(np.asarray(mask).ravel()[order]) >= 0).all()
    np.testing.assert_allclose(_exact_area(scores + 8, 0.2), mask, atol=1e-5)


def test_masks_of_one_score_are_nested() -> None:
    scores = _scores("normal")
    masks = [_exact_area(scores, area) for area in (0.1, 0.2, 0.6)]
    assert (masks[0] < masks[1]).all()
    assert (masks[1] < masks[2]).all()


def test_what_is_not_available_stays_blank() -> None:
    available = jnp.linspace(0, 1, SHAPE[1])[None] * jnp.ones(SHAPE)
    available = available.at[:, :4].set(0)
    mask = exact_area(_scores("normal"), 0.3, available=available)
    assert (mask <= available).all()
    np.testing.assert_allclose(np.asarray(mask, np.float64).mean(), 0.3, atol=1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0])
def test_derivatives_are_finite_differences(scale: float) -> None:
    rng = np.random.default_rng(0)
    scores, weights, direction = (jnp.asarray(rng.normal(size=SHAPE)) for _ in range(3))
    available = jnp.asarray(rng.uniform(0.5, 1, size=SHAPE))

    def value(scores: Array, area: Array, available: Array) -> Array:
        return (weights * exact_area(scale * scores, area, available=available) ** 2).sum()

    at = (scores, jnp.asarray(0.3), available)
    by_scores, by_area, by_available = jax.grad(value, argnums=(0, 1, 2))(*at)
    h = 1e-6 / scale

    def slope(move: tuple) -> Array:
        ahead = value(*(a + h * m for a, m in zip(at, move, strict=True)))
        behind = value(*(a - h * m for a, m in zip(at, move, strict=True)))
        return (ahead - behind) / (2 * h)

    still = jnp.zeros(SHAPE)
    wanted = [slope((direction, 0.0, still)), slope((still, 1.0, still))]
    wanted.append(slope((still, 0.0, direction)))
    given = [jnp.vdot(by_scores, direction), by_area, jnp.vdot(by_available, direction)]
    np.testing.assert_allclose(given, wanted, rtol=1e-6)
    along = jax.jvp(value, at, (direction, jnp.zeros(()), still))[1]
    np.testing.assert_allclose(along, wanted[0], rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_second_derivatives_are_finite_differences() -> None:
    rng = np.random.default_rng(1)
    scores, weights, direction = (jnp.asarray(rng.normal(size=SHAPE)) for _ in range(3))
    gradient = jax.grad(lambda s: (weights * exact_area(s, 0.4) ** 2).sum())
    product = jax.jvp(gradient, (scores,), (direction,))[1]
    h = 1e-5
    wanted = (gradient(scores + h * direction) - gradient(scores - h * direction)) / (2 * h)
    np.testing.assert_allclose(product, wanted, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("magnitude", [30.0, 60.0, 100.0])
def test_second_derivatives_of_saturated_masks_are_finite(magnitude: float) -> None:
    scores = magnitude * jnp.where(np.indices((8, 8)).sum(0) % 2, 1.0, -1.0)
    gradient = jax.grad(lambda s: (exact_area(s, 0.5) ** 2).sum())
    product = jax.jvp(gradient, (scores,), (_scores("normal")[:8, :8],))[1]
    np.testing.assert_allclose(product, 0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_and_do_not_move_the_area(kind: str) -> None:
    scores = _scores(kind)
    gradient = jax.grad(lambda s: (exact_area(s, 0.25) ** 2).sum())(scores)
    assert np.isfinite(gradient).all()
    moves = jax.grad(lambda s: exact_area(s, 0.25).mean())(scores)
    np.testing.assert_allclose(moves, 0, atol=1e-6)


def test_vmap_and_jit_change_nothing() -> None:
    scores = jnp.stack([_scores("normal", seed) for seed in range(3)])
    areas = jnp.asarray([0.1, 0.5, 0.9])

    def value_and_slope(scores: Array, area: Array) -> tuple[Array, Array]:
        return jax.value_and_grad(lambda s: (exact_area(s, area) ** 2).sum())(scores)

    mapped = jax.jit(jax.vmap(value_and_slope))(scores, areas)
    looped = [value_and_slope(*each) for each in zip(scores, areas, strict=True)]
    for one, many in zip(zip(*looped, strict=True), mapped, strict=True):
        np.testing.assert_allclose(jnp.stack(one), many, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("area", [0.0, 0.1, 1 / 3, 0.5, 1.0])
def test_penalty_is_that_of_the_sorted_mask(area: float) -> None:
    mask = jnp.asarray(np.random.default_rng(0).uniform(size=SHAPE), jnp.float32)
    blanks = int(mask.size * (1 - area))
    wanted = np.arange(mask.size) >= blanks
    squares = (np.sort(np.asarray(mask).ravel()) - wanted) ** 2
    np.testing.assert_allclose(area_penalty(mask, area), squares.mean(), rtol=1e-5)


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(
        st.one_of(st.sampled_from([-0.0, 0.0, 1e-40, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32)),
        min_size=12,
        max_size=12,
    ),
    area=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)
def test_penalty_sorts_any_values(values: list[float], area: float) -> None:
    for dtype in (np.float32, np.float64):
        mask = np.asarray(values, dtype)
        wanted = np.arange(mask.size) >= mask.size * (1 - area)
        squares = (np.sort(mask) - wanted) ** 2
        with jax.enable_x64(dtype is np.float64):
            found = area_penalty(jnp.asarray(mask.reshape(3, 4)), area)
        np.testing.assert_allclose(found, squares.mean(), rtol=1e-5, atol=1e-7)


def test_penalty_of_a_binary_mask_is_how_far_its_area_is_off() -> None:
    mask = jnp.zeros(100).at[:30].set(1).reshape(10, 10)
    np.testing.assert_allclose(area_penalty(mask, 0.3), 0, atol=1e-7)
    np.testing.assert_allclose(area_penalty(mask, 0.45), 0.15, rtol=1e-6)


def test_penalty_pulls_each_pixel_to_its_side() -> None:
    mask = jnp.asarray(np.random.default_rng(0).uniform(0.1, 0.9, size=SHAPE), jnp.float32)
    gradient = jax.grad(area_penalty)(mask, 0.25)
    is_shown = np.asarray(binarise(mask, 0.25)) == 1
    np.testing.assert_allclose(gradient, 2 * (np.asarray(mask) - is_shown) / mask.size, rtol=1e-4)


@pytest.mark.parametrize("area", [0.0, 0.3, 1.0])
def test_penalty_of_ties_is_that_of_the_sorted_mask_and_favours_no_pixel(area: float) -> None:
    mask = jnp.asarray(np.random.default_rng(0).choice([0.0, 0.5, 1.0], size=(10, 10)), jnp.float32)
    for each in (mask, jnp.ones((10, 10))):
        wanted = np.arange(100) >= int(100 * (1 - area) + 0.01)
        squares = (np.sort(np.asarray(each).ravel()) - wanted) ** 2
        value, gradient = jax.value_and_grad(area_penalty)(each, area)
        np.testing.assert_allclose(value, squares.mean(), rtol=1e-5, atol=1e-7)
        for level in np.unique(each):
            assert np.ptp(gradient[each == level]) == 0


@pytest.mark.parametrize("area", [0.0, 0.123, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["normal", "constant", "three values"])
def test_binary_masks_show_the_best_pixels_and_as_many_as_asked(kind: str, area: float) -> None:
    scores = _scores(kind)
    for key in (None, jax.random.key(1)):
        mask = np.asarray(binarise(scores, area, key=key))
        assert set(np.unique(mask)) <= {0.0, 1.0}
        assert mask.sum() == round(area * scores.size)
        shown, blank = np.asarray(scores)[mask == 1], np.asarray(scores)[mask == 0]
        if shown.size and blank.size:
            assert shown.min() >= blank.max()


def test_ties_go_in_reading_order_or_by_key() -> None:
    ties = jnp.zeros((3, 4))
    np.testing.assert_array_equal(binarise(ties, 0.25).ravel(), [1] * 3 + [0] * 9)
    first, second = (binarise(ties, 0.5, key=jax.random.key(k)) for k in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(first, binarise(ties, 0.5, key=jax.random.key(0)))


def test_softness_is_0_for_binary_and_1_for_constant_masks() -> None:
    binary = binarise(_scores("normal"), 0.3)
    np.testing.assert_allclose(softness_penalty(binary), 0, atol=1e-6)
    np.testing.assert_allclose(softness_penalty(jnp.full(SHAPE, 0.2)), 1, rtol=1e-5)
    for empty in (jnp.zeros(SHAPE), jnp.ones(SHAPE)):
        np.testing.assert_allclose(softness_penalty(empty), 0, atol=1e-6)


def test_the_boundary_of_discs_grows_with_the_root_of_their_number() -> None:
    rows, columns = jnp.indices((96, 96))

    def disc(row: int, column: int, radius: int) -> Array:
        return ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2).astype(jnp.float32)

    np.testing.assert_allclose(boundary_penalty(disc(48, 48, 20)), 1, atol=0.06)
    four = sum(disc(row, column, 10) for row in (24, 72) for column in (24, 72))
    np.testing.assert_allclose(boundary_penalty(four), 2, atol=0.15)
    np.testing.assert_allclose(boundary_penalty(jnp.full((8, 8), 0.3)), 0, atol=1e-6)
    assert jnp.isfinite(jax.grad(boundary_penalty)(jnp.zeros((4, 4)))).all()


def test_the_penalty_of_an_exact_mask_is_nothing_in_half_precision() -> None:
    mask = (jnp.arange(784) < 79).reshape(28, 28).astype(jnp.bfloat16)
    assert area_penalty(mask, 0.1) == 0
