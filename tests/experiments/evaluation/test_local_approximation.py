"""Where the lines of `local_approximation` start and end, and what its points say of a plane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.evaluation.local_approximation import (
    FIELDS,
    Removal,
    Update,
    noise,
    perturbations,
    point,
)
from fitb_jax import fill, masks
from tests import problems

SHAPE = (8, 8, 1)
IMAGE, _ = problems.image_and_mask(shape=SHAPE, dtype=jnp.float32)
LOGITS_FN = problems.smooth_logits(shape=SHAPE)
COLOUR, KEY = jnp.asarray([0.25]), jax.random.key(0)


def _map(logits_fn, image, target, *, key):
    return image[:, :, 0]


@pytest.mark.parametrize("order", ["first", "second", "true", "random"])
def test_updates_start_at_the_masked_image_and_move_hidden_pixels_by_at_most_one(
    order: str,
) -> None:
    start, direction = Update(order)(LOGITS_FN, IMAGE, 1, COLOUR, key=KEY)
    hidden = np.asarray(direction != 0)
    assert (start[hidden] == 0).all()
    np.testing.assert_array_equal(start[~hidden], IMAGE[~hidden])
    assert hidden.sum() == 32
    np.testing.assert_allclose(np.abs(direction).max(), 1, rtol=1e-6)


def test_the_true_fill_points_to_the_image_and_the_newton_step_is_newtons() -> None:
    start, direction = Update("true", is_scaled=False)(LOGITS_FN, IMAGE, 1, COLOUR, key=KEY)
    np.testing.assert_allclose(start + direction, IMAGE)
    start, step = Update("second", is_scaled=False)(LOGITS_FN, IMAGE, 1, COLOUR, key=KEY)
    mask = masks.random_patches((8, 8), 0.5, 4, key=jax.random.split(KEY)[0]).astype(jnp.float32)
    np.testing.assert_allclose(step, fill.second_order(LOGITS_FN, IMAGE, mask, 1), rtol=1e-5)


def test_a_removal_gives_the_top_pixels_the_colour() -> None:
    start, direction = Removal(_map, share=0.25)(LOGITS_FN, IMAGE, 1, COLOUR, key=KEY)
    np.testing.assert_array_equal(start, IMAGE)
    brightest = np.argsort(np.asarray(IMAGE).ravel())[-16:]
    expected = np.asarray(IMAGE).ravel().copy()
    expected[brightest] = 0.25
    np.testing.assert_allclose((start + direction).ravel(), expected, rtol=1e-6)


def test_noise_has_smoothgrads_size() -> None:
    ramp = jnp.linspace(0, 0.5, 10_000).reshape(100, 100, 1)
    _, direction = noise(LOGITS_FN, ramp, 0, COLOUR, key=KEY)
    np.testing.assert_allclose(direction.std(), 0.15 * 0.5, rtol=0.03)


def test_the_points_of_linear_logits() -> None:
    """The logit is its plane to the end; its log-probability is not."""
    weights = np.random.default_rng(4).normal(size=(3, 64))
    found = jax.jit(point, static_argnames="perturbation")(
        perturbation=Update("first"),
        image={"pixels": IMAGE, "label": jnp.int32(1)},
        network=jax.tree_util.Partial(lambda w, x: w @ x.ravel(), jnp.asarray(weights, "float32")),
        colour=COLOUR,
        steps=jnp.asarray([0.1, 0.5, 1.0]),
        tolerance=jnp.float32(0.1),
        key=KEY,
    )
    assert set(found) == set(FIELDS)
    np.testing.assert_array_equal(found["radius"][1], [1, 1])
    assert found["radius"][0, 0] < 1
    assert (found["change"][:, -1] > 0).all(), "uphill"


def test_every_method_has_its_removal() -> None:
    names = perturbations("cnn", 0.2)
    assert sum(name.startswith("removal: ") for name in names) == 17
    assert perturbations("cnn", 0.2) == names
