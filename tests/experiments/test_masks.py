"""Rows of tables of masks: of which network, and for which class."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.masks import MaskRow, controls
from fitb_jax import extremal


def test_a_control_row_asks_the_untrained_network_and_no_other() -> None:
    def logits_as_masks(logits_fn: Any, *inputs: Any, key: Any) -> Any:
        return logits_fn(inputs[0])[:, None, None]

    image = {"pixels": jnp.zeros((2, 2, 1)), "target": 0}
    trained, untrained = (lambda image, p=p: jnp.full(3, p) for p in (0.25, 0.75))
    for is_untrained, expected in ((False, 0.25), (True, 0.75)):
        row = MaskRow(logits_as_masks, is_untrained)
        masks = row.masks(trained, untrained, image, jnp.ones(3), key=jax.random.key(0))
        np.testing.assert_array_equal(masks, np.full((3, 1, 1), expected))
    rows = controls(extremal.InrConfig(steps=1)).values()
    assert [row.is_untrained for row in rows] == [False, False, True, False]


def test_a_row_of_a_random_class_asks_for_any_class_but_the_photographs() -> None:
    def trained(image: Any) -> Any:
        return jnp.zeros(4) * image.mean()

    image = {"pixels": jnp.zeros((2, 2, 1)), "target": jnp.asarray(2), "truth": jnp.zeros((2, 2))}
    rows = [*controls(extremal.InrConfig(steps=1)).values()]
    assert [row.is_of_random_class for row in rows] == [False, False, False, True]
    keys = jax.random.split(jax.random.key(0), 64)
    drawn = jax.vmap(lambda key: rows[-1].asked(trained, image, key=key)["target"])(keys)
    assert set(drawn.tolist()) == {0, 1, 3}
    assert rows[0].asked(trained, image, key=keys[0]) is image
