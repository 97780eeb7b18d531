"""Reconstructions of classifiers whose best image is known."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import attribution, objectives
from fitb_jax.attribution import ReconstructionConfig
from tests import problems
from tests.attribution import methods

KEY = jax.random.key(0)
LOGITS_FN, WEIGHTS = methods.linear()
PIXELS = ReconstructionConfig(parametrisation="pixels", steps=200, learning_rate=0.05)
START = attribution.noise_image(methods.SHAPE, key=KEY)


@functools.cache
def _compiled(config: ReconstructionConfig):
    return jax.jit(
        lambda image, target, key: attribution.reconstruct(
            LOGITS_FN, image, target, config, key=key
        )
    )


@pytest.mark.parametrize("start", [START, methods.image()])
def test_a_linear_class_is_white_where_its_weights_are_positive(start: jax.Array) -> None:
    found = _compiled(PIXELS)(start, 1, KEY)
    np.testing.assert_allclose(found.image, WEIGHTS[1] > 0, atol=1e-5)
    np.testing.assert_allclose(found.objective, LOGITS_FN(found.image)[1], rtol=1e-5)
    np.testing.assert_allclose(found.history[0], LOGITS_FN(start)[1], rtol=1e-5)
    assert found.history.shape == (200,)


def test_l2_finds_its_closed_form() -> None:
    """Of w.x - l2 mean((x - centre)^2): centre + n w / (2 l2), clipped."""
    config = dataclasses.replace(PIXELS, l2=200.0, centre=0.3, learning_rate=0.01, steps=300)
    found = _compiled(config)(START, 2, KEY)
    wanted = np.clip(0.3 + WEIGHTS[2].size * WEIGHTS[2] / 400, 0, 1)
    np.testing.assert_allclose(found.image, wanted, atol=2e-3)


def test_an_endless_total_variation_leaves_one_colour_a_channel() -> None:
    config = dataclasses.replace(PIXELS, total_variation=1e5, learning_rate=1e-3, steps=400)
    found = _compiled(config)(START, 0, KEY)
    plain = _compiled(PIXELS)(START, 0, KEY)
    assert found.image.std((0, 1)).max() < 0.02 < plain.image.std((0, 1)).min()


def test_the_spectrum_starts_at_the_image_and_stays_in_range() -> None:
    config = ReconstructionConfig(steps=1, learning_rate=1e-9)
    image = methods.image()
    found = _compiled(config)(image, 0, KEY)
    np.testing.assert_allclose(found.image, jnp.clip(image, 1e-3, 1 - 1e-3), atol=1e-4)
    far = _compiled(ReconstructionConfig(steps=100))(image, 0, KEY)
    assert 0 <= far.image.min() < far.image.max() <= 1
    assert far.objective > found.objective + 1


def test_the_spectrum_prefers_low_frequencies() -> None:
    """One step of equal size on each coefficient of white noise: amplitudes fall as 1 / f."""
    shape = (32, 32, 1)
    weights = jax.random.normal(KEY, shape)
    config = ReconstructionConfig(steps=1, learning_rate=1e-3)
    start = jnp.full(shape, 0.5)
    found = attribution.reconstruct(
        lambda image: (weights * image).sum()[None], start, 0, config, key=KEY
    )
    change = np.abs(np.fft.fft2(np.asarray(found.image - start)[:, :, 0]))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32)))
    inside = (frequency > 0) & (frequency < 0.5)
    slope = np.polyfit(np.log(frequency[inside]), np.log(change[inside]), 1)[0]
    assert -1.2 < slope < -0.8


def test_jitter_shifts_what_is_looked_at() -> None:
    """A class that wants one pixel white gets all the pixels that are shifted onto it."""

    def logits_fn(image: jax.Array) -> jax.Array:
        return image[4:5, 4, 0]

    start = jnp.zeros((9, 9, 1))
    config = dataclasses.replace(PIXELS, jitter=2, steps=300)
    found = attribution.reconstruct(logits_fn, start, 0, config, key=KEY)
    inside = np.zeros((9, 9), bool)
    inside[2:7, 2:7] = True
    assert (np.asarray(found.image[:, :, 0] > 0) == inside).all()


def test_many_classes_at_once_are_those_explaining() -> None:
    config = ReconstructionConfig(steps=10, jitter=1, total_variation=0.1)
    keys = jax.random.split(KEY, 3)
    many = jax.vmap(_compiled(config), in_axes=(None, 0, 0))(START, jnp.arange(3), keys)
    for target in range(3):
        one = _compiled(config)(START, target, keys[target])
        np.testing.assert_allclose(many.image[target], one.image, atol=1e-5)


def test_the_log_probability_lowers_the_other_classes() -> None:
    found = attribution.reconstruct(
        LOGITS_FN, START, 1, PIXELS, key=KEY, objective=objectives.log_prob
    )
    assert found.objective > -1e-3
    np.testing.assert_allclose(
        found.objective, objectives.log_prob(LOGITS_FN(found.image), 1), atol=1e-6
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"parametrisation": "wavelet"}, ValueError, "parametrisation must be one of"),
        ({"steps": 0}, ValueError, "steps must be at least 1"),
        ({"jitter": -1}, ValueError, "jitter must be at least 0"),
        ({"jitter": 0.5}, TypeError, "jitter must be an integer"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must lie in"),
        ({"total_variation": -1.0}, ValueError, "total_variation must lie in"),
        ({"l2": np.nan}, ValueError, "l2 must lie in"),
        ({"centre": 1.5}, ValueError, "centre must lie in"),
    ],
)
def test_bad_settings_are_refused_by_name(
    changes: dict, error: type[Exception], message: str
) -> None:
    config = dataclasses.replace(PIXELS, **changes)
    with pytest.raises(error, match=message):
        attribution.reconstruct(LOGITS_FN, START, 0, config, key=KEY)


@pytest.mark.usefixtures("unchecked")
def test_bad_starts_are_refused_by_name() -> None:
    smooth = problems.smooth_logits(shape=methods.SHAPE)
    with pytest.raises(ValueError, match="image must be finite"):
        attribution.reconstruct(smooth, START * jnp.nan, 0, PIXELS, key=KEY)
    with pytest.raises(ValueError, match=r"target must lie in \[0, 3\), got 3"):
        attribution.reconstruct(smooth, START, 3, PIXELS, key=KEY)
    with pytest.raises(ValueError, match=r"shape must be \(height, width, channels\)"):
        attribution.noise_image((4, 4), key=KEY)
    with pytest.raises(ValueError, match="deviation must lie in"):
        attribution.noise_image((4, 4, 1), deviation=-1.0, key=KEY)


def test_every_class_has_its_image_and_probability() -> None:
    logits_fn = problems.smooth_logits(shape=methods.SHAPE)
    config = dataclasses.replace(PIXELS, steps=3, jitter=1)
    images, p = attribution.reconstruct_classes(logits_fn, START, config, key=KEY)
    keys = jax.random.split(KEY, len(images))
    for target, image in enumerate(images):
        one = attribution.reconstruct(logits_fn, START, target, config, key=keys[target]).image
        np.testing.assert_allclose(image, one, atol=1e-5)
        np.testing.assert_allclose(p[target], jax.nn.softmax(logits_fn(one))[target], atol=1e-5)


def test_a_start_of_half_precision_is_searched_in_single() -> None:
    start = jnp.full((6, 6, 1), 0.5, jnp.float16)
    config = attribution.ReconstructionConfig(steps=3)
    found = attribution.reconstruct(
        problems.smooth_logits(shape=(6, 6, 1)), start, 1, config, key=jax.random.key(0)
    )
    assert found.image.dtype == jnp.float32
    assert np.isfinite(found.history).all()
