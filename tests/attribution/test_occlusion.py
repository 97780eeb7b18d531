"""Occlusion against a loop over windows and pixels."""

import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import attribution, objectives
from tests import problems

SHAPE = (7, 9, 2)
SMOOTH = problems.smooth_logits(shape=SHAPE)
IMAGE = jnp.asarray(np.random.default_rng(0).uniform(size=SHAPE), jnp.float32)


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (4, 4), (7, 5), (3, 3)])
@pytest.mark.parametrize("background", [0.0, "colour", "image"])
def test_it_is_the_mean_drop_of_the_windows_that_cover_a_pixel(
    window: int, stride: int, background: float | str
) -> None:
    given = {"colour": jnp.asarray([0.2, 0.7]), "image": 1 - IMAGE}.get(background, background)
    shown = np.broadcast_to(given, SHAPE)
    whole = objectives.log_prob(SMOOTH(IMAGE), 1)
    total, times = np.zeros(SHAPE[:2]), np.zeros(SHAPE[:2])
    for top in range(0, SHAPE[0] - window + stride, stride):
        for left in range(0, SHAPE[1] - window + stride, stride):
            place = (slice(top, top + window), slice(left, left + window))
            covered = np.array(IMAGE)
            covered[place] = shown[place]
            total[place] += whole - objectives.log_prob(SMOOTH(jnp.asarray(covered)), 1)
            times[place] += 1
    assert times.min() >= 1
    found = attribution.occlusion(
        SMOOTH,
        IMAGE,
        1,
        window=window,
        stride=stride,
        background=given,
        objective=objectives.log_prob,
    )
    np.testing.assert_allclose(found, total / times, atol=1e-5)


def test_black_windows_say_nothing_about_black_pixels() -> None:
    image = IMAGE.at[:3, :3].set(0.0)
    black = attribution.occlusion(SMOOTH, image, 0, window=3, stride=3)
    grey = attribution.occlusion(SMOOTH, image, 0, window=3, stride=3, background=0.5)
    np.testing.assert_allclose(black[:3, :3], 0, atol=1e-6)
    assert np.abs(grey[:3, :3]).min() > 1e-3
