"""What a row of masks is judged by, against answers worked out by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.common import judges
from experiments.common.judges import JudgedOptions, judge_row
from experiments.common.masks import MaskRow

SIDE = 16
AREAS = jnp.array([0.25, 0.5])
PIXELS = jnp.zeros((SIDE, SIDE, 1)).at[:4].set(1.0)
TRUTH = jnp.zeros((SIDE, SIDE), bool).at[:4].set(True)
IMAGE: dict[str, Any] = {
    "pixels": PIXELS,
    "target": jnp.asarray(1),
    "truth": TRUTH,
    "ignored": jnp.zeros((SIDE, SIDE), bool),
}


def brightness(image: jax.Array) -> jax.Array:
    """Class 1 where an eighth of the image is white."""
    return jnp.stack([jnp.asarray(0.0), 100 * (image.mean() - 0.125)])


def never(image: jax.Array) -> jax.Array:
    return jnp.array([5.0, 0.0]) + 0 * image.mean()


def bright_pixels(
    logits_fn: Any, image: jax.Array, target: Any, areas: jax.Array, *, key: Any
) -> jax.Array:
    """The largest pixels come first, whatever the key."""
    del logits_fn, target, key
    places = jnp.linspace(0, 0.1, SIDE * SIDE).reshape(SIDE, SIDE)
    return jnp.broadcast_to(0.5 * image[:, :, 0] + places, (len(areas), SIDE, SIDE))


def random_pixels(
    logits_fn: Any, image: jax.Array, target: Any, areas: jax.Array, *, key: Any
) -> jax.Array:
    del logits_fn, target
    return jnp.broadcast_to(jax.random.uniform(key, image.shape[:2]), (len(areas), SIDE, SIDE))


def _judged(method: Any, **row: Any) -> dict[str, np.ndarray]:
    backgrounds = jnp.stack([jnp.zeros(PIXELS.shape), jnp.ones(PIXELS.shape)])
    found = judge_row(
        MaskRow(method, **row),
        IMAGE,
        AREAS,
        trained=brightness,
        untrained=never,
        judge=never,
        seen=backgrounds,
        held_out=backgrounds,
        tolerance=jnp.asarray(0.0),
        key=jax.random.key(0),
    )
    assert {*found} == {*judges.FIELDS}
    return {name: np.asarray(value) for name, value in found.items()}


def test_a_mask_of_the_object_is_on_it_and_found_again() -> None:
    found = _judged(bright_pixels)
    np.testing.assert_allclose(found["precision"], [1, 0.5])
    np.testing.assert_allclose(found["pointing"], 1)
    np.testing.assert_allclose(found["rank_accuracy"], 1)
    np.testing.assert_allclose(found["iou_keys"], 1)
    np.testing.assert_allclose(found["rank_keys"], 1, atol=1e-6)
    # Moved by half of the side the object is elsewhere, and its mask is moved back.
    np.testing.assert_allclose(found["iou_moved"][0], 1)
    np.testing.assert_array_equal(found["parts"], [1, 2])
    # A quarter in white keeps the class on black, and everything does on white.
    np.testing.assert_allclose(found["kept"], 1)
    # The other network never has the class.
    np.testing.assert_allclose(found["p_judge"], 1 / (1 + np.exp(5)), rtol=1e-3)
    np.testing.assert_array_equal(found["is_first"], 0)
    assert (found["p"] > 0.99).all()


def test_random_masks_are_as_chance_has_it() -> None:
    found = _judged(random_pixels)
    np.testing.assert_allclose(found["precision"], 0.25, atol=0.12)
    np.testing.assert_allclose(found["iou_keys"], AREAS / (2 - AREAS), atol=0.1)
    assert abs(found["rank_keys"]) < 0.2


def test_what_is_not_asked_is_not_known() -> None:
    found = _judged(bright_pixels, is_random=False, is_repeated=False)
    for name in ("iou_keys", "rank_keys", "iou_moved", "rank_moved"):
        assert np.isnan(found[name]).all(), name


def test_a_method_that_fits_each_area_alone_is_asked_for_the_judged_areas() -> None:
    asked: list[int] = []

    def noted(*arguments: Any, key: Any) -> jax.Array:
        asked.append(len(arguments[3]))
        return bright_pixels(*arguments, key=key)

    found = _judged(noted, is_random=False, is_repeated=False, is_swept=False)
    assert {*asked} == {len(AREAS)}
    # Its map is of the same masks.
    np.testing.assert_allclose(found["pointing"], 1)
    np.testing.assert_allclose(found["rank_accuracy"], 1)


def test_more_photographs_are_of_a_layout_and_a_folder() -> None:
    with pytest.raises(ValueError, match="also must be LAYOUT=DIR, got 'there'"):
        JudgedOptions(also="there")
