from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from fitb_jax import evaluation
from tests import problems

SHAPE = (6, 8, 3)
KEY = jax.random.key(0)
LOGITS_FN = problems.smooth_logits(shape=SHAPE)
IMAGE, _ = problems.image_and_mask(shape=SHAPE, dtype=jnp.float32)
SALIENCY = jax.random.normal(jax.random.key(1), SHAPE[:2])
CURVES = {"insertion": evaluation.insertion, "deletion": evaluation.deletion}


def _counting_logits(image: jax.Array) -> jax.Array:
    """The probability of class 0 is the mean of the image."""
    share = jnp.clip(image.mean(), 1e-6, 1 - 1e-6)
    return jnp.stack([jnp.log(share), jnp.log1p(-share)])


def _slow_curve(name: str, step: int, background: float, target: int) -> tuple[list, list]:
    """As RISE does it: pixels are replaced one step after the other."""
    order = np.argsort(-np.asarray(SALIENCY).ravel())
    image = np.asarray(IMAGE).reshape(-1, SHAPE[2])
    blank = np.full_like(image, background)
    now, finish = (image, blank) if name == "deletion" else (blank, image)
    now = now.copy()
    fractions, probabilities = [], []
    for start in range(0, order.size + step, step):
        logits = LOGITS_FN(jnp.asarray(now.reshape(SHAPE)))
        fractions.append(min(start, order.size) / order.size)
        probabilities.append(float(jax.nn.softmax(logits)[target]))
        now[order[start : start + step]] = finish[order[start : start + step]]
    return fractions, probabilities


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("step", [7, 8])
def test_curves_are_those_of_a_slow_loop(name: str, step: int) -> None:
    fractions, probabilities = _slow_curve(name, step, 0.25, target=1)
    found = CURVES[name](
        LOGITS_FN, IMAGE, SALIENCY, 1, key=KEY, background=0.25, step=step, chunk=3
    )
    np.testing.assert_allclose(found.fractions, fractions, rtol=1e-6)
    np.testing.assert_allclose(found.probabilities, probabilities, rtol=1e-4)
    expected = np.trapezoid(probabilities, fractions)
    np.testing.assert_allclose(found.area_under_curve, expected, rtol=1e-4)


def test_the_default_step_is_a_row() -> None:
    found = evaluation.deletion(LOGITS_FN, IMAGE, SALIENCY, 1, key=KEY)
    np.testing.assert_allclose(found.fractions, np.arange(7) / 6, rtol=1e-6)


def test_whole_and_empty_images_are_the_ends() -> None:
    whole = jax.nn.softmax(LOGITS_FN(IMAGE))
    inserted = evaluation.insertion(LOGITS_FN, IMAGE, SALIENCY, 1, key=KEY)
    deleted = evaluation.deletion(LOGITS_FN, IMAGE, SALIENCY, 1, key=KEY)
    blurred = jax.nn.softmax(LOGITS_FN(evaluation.faithfulness.rise_blur(IMAGE)))
    np.testing.assert_allclose(inserted.probabilities[0], blurred[1], rtol=1e-5)
    np.testing.assert_allclose(inserted.probabilities[-1], whole[1], rtol=1e-5)
    np.testing.assert_allclose(deleted.probabilities[0], whole[1], rtol=1e-5)
    assert float(inserted.corrects[-1]) == float(whole.argmax() == 1)


def test_logits_that_are_not_numbers_are_not_right() -> None:
    """`argmax` takes the first NaN for the largest: class 0 would always be right."""

    def broken(image: jax.Array) -> jax.Array:
        return jnp.full(3, jnp.nan) * image.mean()

    found = evaluation.deletion(broken, jnp.ones((4, 6, 1)), jnp.zeros((4, 6)), 0, key=KEY)
    assert np.isnan(found.probabilities).all()
    assert np.isnan(found.corrects).all()


def test_a_mean_falls_by_what_is_deleted() -> None:
    image = jnp.ones((4, 6, 1))
    found = evaluation.deletion(_counting_logits, image, jnp.zeros((4, 6)), 0, key=KEY, step=6)
    np.testing.assert_allclose(found.probabilities, [1, 0.75, 0.5, 0.25, 0], atol=1e-5)
    np.testing.assert_allclose(found.area_under_curve, 0.5, atol=1e-5)
    np.testing.assert_array_equal(found.corrects[jnp.asarray([0, 1, 3, 4])], [1, 1, 0, 0])


def test_ties_do_not_remove_the_whole_image() -> None:
    """A peer thresholds by value: every pixel of a constant region goes in one step."""
    image = jnp.ones((4, 6, 1))
    two_levels = jnp.zeros((4, 6)).at[0].set(1.0)
    found = evaluation.deletion(_counting_logits, image, two_levels, 0, key=KEY, step=3)
    np.testing.assert_allclose(found.probabilities, np.linspace(1, 0, 9), atol=1e-5)


def test_ties_are_broken_by_the_key() -> None:
    def area(key: jax.Array, saliency: jax.Array) -> jax.Array:
        curve = evaluation.deletion(LOGITS_FN, IMAGE, saliency, 1, key=key, step=4)
        return curve.area_under_curve

    keys = jax.random.split(KEY, 20)
    constant = jax.vmap(area, in_axes=(0, None))(keys, jnp.ones(SHAPE[:2]))
    assert len(np.unique(constant)) == 20
    distinct = jax.vmap(area, in_axes=(0, None))(keys, SALIENCY)
    np.testing.assert_allclose(distinct, distinct[0], rtol=1e-6)


@pytest.mark.parametrize("name", CURVES)
def test_scores_do_not_depend_on_the_batch_size(name: str) -> None:
    found = [
        CURVES[name](LOGITS_FN, IMAGE, SALIENCY, 1, key=KEY, step=5, chunk=chunk)
        for chunk in (1, 4, 100)
    ]
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)


def _part_logits(image: jax.Array) -> jax.Array:
    """Class 0 needs the first row and nothing else."""
    seen = 20 * image[0].mean() - 10
    return jnp.stack([seen, jnp.zeros_like(seen)])


def test_oracle_and_anti_oracle() -> None:
    image = jnp.ones((6, 8, 1))
    oracle = jnp.zeros((6, 8)).at[0].set(1.0)

    def area(function: Callable, saliency: jax.Array) -> float:
        curve = function(_part_logits, image, saliency, 0, key=KEY, background=0.0)
        return float(curve.area_under_curve)

    # The first of six steps changes everything, or the last does.
    assert area(evaluation.insertion, oracle) == pytest.approx(11 / 12, abs=1e-3)
    assert area(evaluation.insertion, -oracle) == pytest.approx(1 / 12, abs=1e-3)
    assert area(evaluation.deletion, oracle) == pytest.approx(1 / 12, abs=1e-3)
    assert area(evaluation.deletion, -oracle) == pytest.approx(11 / 12, abs=1e-3)


def test_one_compiled_program_serves_every_image_map_and_class() -> None:
    traces = []

    def logits_fn(image: jax.Array) -> jax.Array:
        traces.append(image.shape)
        return LOGITS_FN(image)

    @jax.jit
    def area(image: jax.Array, saliency: jax.Array, target: jax.Array) -> jax.Array:
        return evaluation.deletion(logits_fn, image, saliency, target, key=KEY).area_under_curve

    first = area(IMAGE, SALIENCY, jnp.asarray(1))
    count = len(traces)
    second = area(1 - IMAGE, -SALIENCY, jnp.asarray(2))
    assert len(traces) == count
    assert float(first) != float(second)


def test_the_blur_is_rises() -> None:
    """Dense convolution with the blurred point of RISE's code, zero around the image."""
    image, _ = problems.image_and_mask(shape=(20, 17, 3), dtype=jnp.float32)
    point = np.zeros((11, 11))
    point[5, 5] = 1
    kernel = ndimage.gaussian_filter(point, 5)
    expected = np.stack(
        [ndimage.convolve(np.asarray(image[:, :, c]), kernel, mode="constant") for c in range(3)],
        axis=-1,
    )
    np.testing.assert_allclose(evaluation.faithfulness.rise_blur(image), expected, atol=1e-6)


def test_what_lies_around_the_image_bleeds_in() -> None:
    colour = jnp.asarray([0.2, 0.5, 0.7])
    image = jnp.broadcast_to(colour, (20, 17, 3))
    blurred = evaluation.faithfulness.rise_blur(image, outside=colour)
    np.testing.assert_allclose(blurred, image, rtol=1e-6)
    assert float(evaluation.faithfulness.rise_blur(image)[0, 0, 0]) < 0.1


def test_the_kernel_must_have_a_centre() -> None:
    with pytest.raises(ValueError, match="kernel must be odd, got 10"):
        evaluation.faithfulness.rise_blur(IMAGE, kernel=10)
