from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import evaluation
from tests import problems

SHAPE = (7, 9, 3)
KEY = jax.random.key(0)
LOGITS_FN = problems.smooth_logits(shape=SHAPE)
IMAGE, MASK = problems.image_and_mask(shape=SHAPE, dtype=jnp.float32)
SALIENCY = jax.random.normal(jax.random.key(1), SHAPE[:2])
IMPUTE = jax.jit(evaluation.remove_and_debias.impute)
ROAD = {
    chunk: jax.jit(partial(evaluation.road, LOGITS_FN, chunk=chunk, tolerance=1e-6))
    for chunk in (4, 14)
}
NOISELESS = jax.jit(
    lambda image, mask: evaluation.remove_and_debias.impute(image, mask, key=KEY, noise=0.0)
)
HOLE = jnp.ones(SHAPE[:2]).at[1:6, 2:8].set(0)


def _dense_imputation(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Every removed pixel is the weighted mean of the neighbours there are, by a dense solve."""
    height, width, _ = image.shape
    size = height * width
    matrix, right = np.eye(size), np.zeros((size, image.shape[2]))
    for row in range(height):
        for column in range(width):
            at = row * width + column
            if mask[row, column] == 1:
                right[at] = image[row, column]
                continue
            weights = {
                (row + i) * width + column + j: 1 / 6 if 0 in (i, j) else 1 / 12
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
                if (i, j) != (0, 0) and 0 <= row + i < height and 0 <= column + j < width
            }
            for neighbour, weight in weights.items():
                matrix[at, neighbour] -= weight / sum(weights.values())
    return np.linalg.solve(matrix, right).reshape(image.shape)


@pytest.mark.parametrize("mask", [MASK, HOLE, 1 - HOLE, jnp.ones(SHAPE[:2]).at[3, 3].set(0)])
def test_imputation_is_a_dense_solve(mask: jax.Array) -> None:
    found = NOISELESS(IMAGE, mask)
    expected = _dense_imputation(np.asarray(IMAGE, np.float64), np.asarray(mask))
    np.testing.assert_allclose(found.image, expected, atol=1e-4)
    assert float(found.residual) < 3e-5


def test_one_kept_pixel_fills_the_image() -> None:
    mask = jnp.zeros(SHAPE[:2]).at[2, 5].set(1)
    found = NOISELESS(IMAGE, mask)
    expected = np.broadcast_to(np.asarray(IMAGE)[2, 5], SHAPE)
    np.testing.assert_allclose(found.image, expected, atol=1e-5)


def test_a_plane_is_continued_exactly() -> None:
    """Weights that are symmetric in both directions keep linear functions."""
    rows, columns = jnp.meshgrid(jnp.linspace(0, 1, 7), jnp.linspace(0, 0.5, 9), indexing="ij")
    plane = jnp.stack([rows, columns, rows + columns], axis=-1)
    found = NOISELESS(plane, HOLE)
    np.testing.assert_allclose(found.image, plane, atol=1e-4)


def test_kept_pixels_stay_and_removed_ones_are_noisy() -> None:
    def grain(key: jax.Array) -> jax.Array:
        return IMPUTE(IMAGE, HOLE, key=key).image

    images = np.asarray(jax.vmap(grain)(jax.random.split(KEY, 300)))
    kept = np.asarray(HOLE) == 1
    np.testing.assert_array_equal(
        images[:, kept], np.broadcast_to(np.asarray(IMAGE)[kept], images[:, kept].shape)
    )
    deviations = images[:, ~kept].std(0, ddof=1)
    # 300 draws: the deviation is known to 4 %; 5 standard errors.
    np.testing.assert_allclose(deviations, 0.01, rtol=0.2)
    mean = np.asarray(NOISELESS(IMAGE, HOLE).image)[~kept]
    np.testing.assert_allclose(images[:, ~kept].mean(0), mean, atol=5 * 0.01 / np.sqrt(300))


def test_nothing_and_everything_removed() -> None:
    whole = NOISELESS(IMAGE, jnp.ones(SHAPE[:2]))
    np.testing.assert_array_equal(whole.image, IMAGE)
    assert float(whole.residual) == 0
    nothing = NOISELESS(IMAGE, jnp.zeros(SHAPE[:2]))
    assert np.isnan(nothing.image).all()
    assert np.isnan(nothing.residual)


def test_too_few_steps_are_reported() -> None:
    found = jax.jit(partial(evaluation.remove_and_debias.impute, steps=1))(IMAGE, HOLE, key=KEY)
    assert float(found.residual) > 0.01


def test_images_of_a_batch_are_solved_each_for_itself() -> None:
    images = jnp.stack([IMAGE, 1 - IMAGE, jnp.full(SHAPE, 0.5)])
    masks = jnp.stack([HOLE, MASK, HOLE])
    together = jax.vmap(NOISELESS)(images, masks)
    for i in range(3):
        alone = NOISELESS(images[i], masks[i])
        np.testing.assert_allclose(together.image[i], alone.image, atol=1e-4)


def test_road_removes_from_both_ends() -> None:
    found = ROAD[4](IMAGE, SALIENCY, 1, key=KEY, noise=0.0)
    order = np.argsort(-np.asarray(SALIENCY).ravel())
    for i, fraction in enumerate((0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)):
        count = round(fraction * order.size)
        for removed, probabilities, corrects in (
            (order[:count], found.most_first, found.most_first_corrects),
            (order[::-1][:count], found.least_first, found.least_first_corrects),
        ):
            mask = np.ones(order.size)
            mask[removed] = 0
            image = _dense_imputation(np.asarray(IMAGE, np.float64), mask.reshape(SALIENCY.shape))
            expected = jax.nn.softmax(LOGITS_FN(jnp.asarray(image, jnp.float32)))
            np.testing.assert_allclose(probabilities[i], expected[1], rtol=1e-3)
            assert float(corrects[i]) == float(expected.argmax() == 1)
    expected_score = (np.asarray(found.least_first) - np.asarray(found.most_first)).mean() / 2
    np.testing.assert_allclose(found.score, expected_score, rtol=1e-5)


def test_scores_do_not_depend_on_the_batch_size() -> None:
    few, all_at_once = (ROAD[chunk](IMAGE, SALIENCY, 1, key=KEY, noise=0.01) for chunk in (4, 14))
    np.testing.assert_allclose(few.most_first, all_at_once.most_first, rtol=1e-4)
    np.testing.assert_allclose(few.least_first, all_at_once.least_first, rtol=1e-4)


def _part_logits(image: jax.Array) -> jax.Array:
    """Class 0 is what the bright first rows say."""
    seen = 40 * image[:2].mean() - 20
    return jnp.stack([seen, jnp.zeros_like(seen)])


def test_oracle_and_anti_oracle() -> None:
    image = jnp.zeros((8, 9, 1)).at[:2].set(1.0)
    oracle = jnp.zeros((8, 9)).at[:2].set(1.0)
    fractions = jnp.asarray([0.25, 0.5])

    @jax.jit
    def score(saliency: jax.Array) -> jax.Array:
        found = evaluation.road(_part_logits, image, saliency, 0, key=KEY, fractions=fractions)
        return found.score

    assert float(score(oracle)) == pytest.approx(0.5, abs=1e-2)
    assert float(score(-oracle)) == pytest.approx(-0.5, abs=1e-2)


def test_a_constant_map_scores_chance() -> None:
    keys = jax.random.split(KEY, 100)

    def score(key: jax.Array) -> jax.Array:
        return ROAD[14](IMAGE, jnp.zeros(SHAPE[:2]), 1, key=key, noise=0.01).score

    scores = np.asarray(jax.vmap(score)(keys))
    assert abs(scores.mean()) < 4 * scores.std() / 10
    assert scores.std() > 0
