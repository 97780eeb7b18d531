"""Average drop, increase and gain; single deletion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fitb_jax import evaluation
from tests import problems

SHAPE = (8, 8, 1)
IMAGE = jax.random.uniform(jax.random.key(0), SHAPE)
LOGITS_FN = problems.smooth_logits(shape=SHAPE, classes=3)
MAP = jax.random.normal(jax.random.key(1), SHAPE[:2])


def test_drop_increase_and_gain_are_those_of_the_definition() -> None:
    scaled = (MAP - MAP.min()) / (MAP.max() - MAP.min())
    for target in range(3):
        found = evaluation.average_drop(LOGITS_FN, IMAGE, MAP, target, background=0.3)
        p, o = (
            float(jax.nn.softmax(LOGITS_FN(x))[target])
            for x in (IMAGE, scaled[:, :, None] * IMAGE + (1 - scaled[:, :, None]) * 0.3)
        )
        expected = (max(0, p - o) / p, float(o > p), max(0, o - p) / (1 - p))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_map_without_a_lowest_place_has_no_drop() -> None:
    found = evaluation.average_drop(LOGITS_FN, IMAGE, jnp.ones(SHAPE[:2]), 0)
    assert np.isnan(found).all()


def test_what_a_linear_network_adds_is_what_a_deletion_takes() -> None:
    weights = jax.random.normal(jax.random.key(2), (*SHAPE, 3))
    adds = weights[:, :, 0, 1] * IMAGE[:, :, 0]

    def linear(image: jax.Array) -> jax.Array:
        return jnp.tensordot(image, weights, 3)

    for saliency, expected in ((adds, 1.0), (-adds, -1.0)):
        found = evaluation.single_deletion(linear, IMAGE, saliency, 1)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    cells = [
        [float(values[i : i + 2, j : j + 2].sum()) for i in range(0, 8, 2) for j in range(0, 8, 2)]
        for values in (adds, MAP)
    ]
    np.testing.assert_allclose(
        evaluation.single_deletion(linear, IMAGE, MAP, 1),
        stats.spearmanr(*cells).statistic,
        atol=1e-5,
    )


def test_cells_that_do_not_divide_the_image_cover_it() -> None:
    image = jnp.ones((7, 9, 1))

    def brightness(image: jax.Array) -> jax.Array:
        return jnp.stack([image.sum(), jnp.asarray(0.0)])

    sizes = jnp.ones((7, 9))
    np.testing.assert_allclose(
        evaluation.single_deletion(brightness, image, sizes, 0), 1, atol=1e-6
    )
    with pytest.raises(ValueError, match="cells must be at most"):
        evaluation.single_deletion(brightness, image, sizes, 0, cells=8)
