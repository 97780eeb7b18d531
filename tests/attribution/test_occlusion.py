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


def test_several_backgrounds_are_averaged_and_leave_nothing_silent_but_what_is_alike() -> None:
    shown = jnp.stack([jnp.zeros(SHAPE), IMAGE, jnp.ones(SHAPE)])
    mean = attribution.mean_occlusion(SMOOTH, IMAGE, 1, shown, window=3, stride=2)
    each = [
        attribution.occlusion(SMOOTH, IMAGE, 1, window=3, stride=2, background=b) for b in shown
    ]
    np.testing.assert_allclose(mean, sum(each) / 3, atol=1e-6)
    assert attribution.silent_share(SMOOTH, IMAGE, 1, shown, window=3) == 0
    assert attribution.silent_share(SMOOTH, IMAGE, 1, IMAGE[None], window=3) == 1
    half = IMAGE.at[:3].set(0.5)[None]
    share = attribution.silent_share(SMOOTH, IMAGE, 1, half, window=3)
    np.testing.assert_allclose(share, 2 / 3, atol=1e-6)  # two of three rows of windows


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("of", [attribution.mean_occlusion, attribution.silent_share])
def test_backgrounds_are_images_of_the_same_shape(of) -> None:
    for wrong in (255 * IMAGE[None], IMAGE[None, :5]):
        with pytest.raises(ValueError, match="backgrounds"):
            of(SMOOTH, IMAGE, 1, wrong, window=3)
