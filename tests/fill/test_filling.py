import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fitb_jax import fill, masks
from tests import problems

SETTINGS = settings(max_examples=40, deadline=None)
VALUES = st.floats(-2, 2, width=32, allow_subnormal=False)
UPDATES = hnp.arrays(np.float32, (4, 4, 2), elements=VALUES)
MASKS = hnp.arrays(np.float32, (4, 4), elements=st.sampled_from([0.0, 1.0]))
LEVELS = st.floats(0, 1, width=32, allow_subnormal=False)


def _hidden_sorted(update: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.sort(update[mask == 0].ravel())[::-1]


@SETTINGS
@given(update=UPDATES, mask=MASKS, quantile=LEVELS)
def test_quantile_keeps_the_strongest_positive_hidden_values(
    update: np.ndarray, mask: np.ndarray, quantile: float
) -> None:
    kept = np.asarray(fill.threshold(jnp.asarray(update), jnp.asarray(mask), quantile=quantile))
    strongest = _hidden_sorted(update, mask)
    most = int(np.round((np.float32(1) - np.float32(quantile)) * np.float32(strongest.size)))
    np.testing.assert_array_equal(np.unique(kept[kept != 0]), [1.0] if kept.any() else [])
    assert kept.sum() == (strongest[:most] > 0).sum()
    assert not kept[mask == 1].any()
    if kept.any():
        assert update[kept == 1].min() >= strongest[:most].min()


@SETTINGS
@given(update=UPDATES, mask=MASKS, minimum=LEVELS)
def test_minimum_keeps_what_reaches_it(
    update: np.ndarray, mask: np.ndarray, minimum: float
) -> None:
    kept = fill.threshold(jnp.asarray(update), jnp.asarray(mask), minimum=minimum)
    expected = (mask == 0)[:, :, None] & (update >= minimum) & (update > 0)
    np.testing.assert_array_equal(kept, expected.astype(np.float32))


@SETTINGS
@given(update=UPDATES, mask=MASKS, ink=st.floats(0, 40, width=32))
def test_ink_is_matched_to_half_a_value(update: np.ndarray, mask: np.ndarray, ink: float) -> None:
    kept = fill.threshold(jnp.asarray(update), jnp.asarray(mask), ink=ink, intensity=0.5)
    available = 0.5 * (_hidden_sorted(update, mask) > 0).sum()
    assert abs(float(kept.sum()) - min(ink, available)) <= 0.25 + 1e-4


@pytest.mark.parametrize("rule", [{"quantile": 0.5}, {"ink": 8.0}])
def test_ties_go_to_the_earlier_pixel_and_not_to_all(rule: dict[str, float]) -> None:
    update, mask = jnp.ones((4, 4, 1)), jnp.zeros((4, 4))
    kept = np.asarray(fill.threshold(update, mask, **rule)).ravel()
    np.testing.assert_array_equal(kept, [1] * 8 + [0] * 8)


def test_intensities() -> None:
    update = jnp.asarray([[[4.0], [1.0]], [[-3.0], [2.0]]])
    mask = jnp.asarray([[0.0, 0.0], [0.0, 1.0]])
    scaled = fill.threshold(update, mask, quantile=0.0, intensity="scaled")
    np.testing.assert_allclose(scaled[..., 0], [[1.0, 0.25], [0.0, 0.0]])
    constant = fill.threshold(update, mask, quantile=0.0, intensity=0.7)
    np.testing.assert_allclose(constant[..., 0], [[0.7, 0.7], [0.0, 0.0]])
    mean = jnp.asarray([[[0.1], [0.2]], [[0.3], [0.4]]])
    by_mean = fill.threshold(update, mask, quantile=0.0, intensity=mean)
    np.testing.assert_allclose(by_mean[..., 0], [[0.1, 0.2], [0.0, 0.0]])


def test_fill_keeps_visible_pixels_and_defaults_to_the_ink_of_a_digit() -> None:
    image = jax.random.uniform(jax.random.key(0), (10, 10, 1))
    mask = masks.random_patches((10, 10), 0.6, 1, key=jax.random.key(1))
    update = 0.1 + jax.random.uniform(jax.random.key(2), (10, 10, 1))
    filled = np.asarray(fill.fill(image, mask, update))
    visible = np.asarray(mask) == 1
    np.testing.assert_array_equal(filled[visible], np.asarray(image)[visible])
    assert filled[~visible].sum() == np.round((1 - fill.DEFAULT_QUANTILE) * 60)


@pytest.mark.parametrize("mode", ["parallel", "sequential"])
@pytest.mark.parametrize("order", ["first", "second"])
def test_progressive_equals_a_plain_loop(mode: str, order: str) -> None:
    logits_fn = problems.smooth_logits()
    image, _ = problems.image_and_mask(dtype=jnp.float32)
    parts = masks.partition((6, 6), 4, 1, key=jax.random.key(0))
    stages = fill.progressive(logits_fn, image, parts, 2, mode=mode, order=order)
    canvas = image
    for part, stage in zip(parts, stages, strict=True):
        seen = canvas if mode == "sequential" else image
        update = fill.resolve_order(order)(logits_fn, seen, part, 2)
        canvas = jnp.where(part[:, :, None] == 1, canvas, fill.fill(seen, part, update))
        np.testing.assert_allclose(stage, canvas, atol=1e-6)
    assert not np.allclose(stages[-1], image)


def test_parallel_does_not_depend_on_the_order_of_the_parts_and_sequential_does() -> None:
    logits_fn = problems.smooth_logits()
    image, _ = problems.image_and_mask(dtype=jnp.float32)
    parts = masks.partition((6, 6), 4, 1, key=jax.random.key(0))
    last = {
        (mode, reverse): fill.progressive(
            logits_fn, image, parts[::-1] if reverse else parts, 2, mode=mode
        )[-1]
        for mode in ("parallel", "sequential")
        for reverse in (False, True)
    }
    np.testing.assert_array_equal(last["parallel", False], last["parallel", True])
    assert not np.array_equal(last["sequential", False], last["sequential", True])


@SETTINGS
@given(update=UPDATES, mask=MASKS, size=st.sampled_from([0.01, 0.1, 0.2]))
def test_a_step_moves_the_blanks_by_its_size_and_nothing_else(
    update: np.ndarray, mask: np.ndarray, size: float
) -> None:
    image = np.full(update.shape, 0.25, np.float32)
    moved = np.asarray(
        fill.step(jnp.asarray(image), jnp.asarray(mask), jnp.asarray(update), size=size)
    )
    np.testing.assert_array_equal(moved[mask == 1], image[mask == 1])
    assert moved.min() >= 0
    if (np.abs(update[mask == 0]) > 1e-6).any():
        # On a black background what is not positive is clipped; on grey nothing of this size is.
        grey = np.asarray(
            fill.step(
                jnp.asarray(image),
                jnp.asarray(mask),
                jnp.asarray(update),
                size=size / 20,
                background=0.5,
            )
        )
        change = (grey - 0.5)[mask == 0]
        np.testing.assert_allclose(np.sqrt((change**2).mean()), size / 20, rtol=1e-3)
        correlation = (change * update[mask == 0]).sum()
        assert correlation > 0


def test_a_step_along_nothing_shows_the_background() -> None:
    image, mask = jnp.full((4, 4, 3), 0.2), jnp.zeros((4, 4))
    found = fill.step(image, mask, jnp.zeros((4, 4, 3)), background=jnp.array([0.1, 0.5, 0.9]))
    np.testing.assert_allclose(found, jnp.broadcast_to(jnp.array([0.1, 0.5, 0.9]), (4, 4, 3)))
    tiny = fill.step(image, mask, jnp.full((4, 4, 3), 1e-30), size=0.1, background=0.5)
    np.testing.assert_allclose(tiny, 0.6, rtol=1e-6)


def test_a_step_under_a_mask_between_zero_and_one_is_a_mixture() -> None:
    image, update = jnp.full((2, 2, 1), 0.2), jnp.ones((2, 2, 1))
    mask = jnp.array([[1.0, 0.75], [0.5, 0.0]])
    found = fill.step(image, mask, update, size=0.1, background=0.5)
    # The update is the same everywhere, so that its root mean square is its value.
    expected = mask * 0.2 + (1 - mask) * (0.5 + 0.1)
    np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-6)


def test_an_update_that_is_nan_paints_nothing_finite() -> None:
    """The update of a class that is not there, inside of `jax.jit`."""
    image, mask = problems.image_and_mask(dtype=jnp.float32)
    filled = jax.jit(fill.fill)(image, mask, jnp.full(image.shape, jnp.nan))
    assert np.isnan(np.asarray(filled)[np.asarray(mask) == 0]).all()
