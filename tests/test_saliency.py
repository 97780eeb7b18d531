"""One signature for every explanation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import attribution, extremal, fill, masks, saliency
from fitb_jax.types import Array, SaliencyFn
from tests import problems

KEY = jax.random.key(4)
SMOOTH = problems.smooth_logits()
IMAGE, _ = problems.image_and_mask(dtype=jnp.float32)
FILL = functools.partial(saliency.fill_saliency, patch=2, draws=6, ratio=0.5)


def test_a_method_gets_the_key_only_if_it_takes_one() -> None:
    plain = saliency.as_saliency(attribution.gradient_magnitude)
    noisy = saliency.as_saliency(attribution.smoothgrad, draws=3)
    assert isinstance(plain, SaliencyFn)
    np.testing.assert_array_equal(
        plain(SMOOTH, IMAGE, 1, key=KEY), attribution.gradient_magnitude(SMOOTH, IMAGE, 1)
    )
    np.testing.assert_array_equal(
        noisy(SMOOTH, IMAGE, 1, key=KEY),
        attribution.smoothgrad(SMOOTH, IMAGE, 1, key=KEY, draws=3),
    )


def test_equal_ones_are_not_traced_again() -> None:
    traces = 0

    @functools.partial(jax.jit, static_argnums=0)
    def explain(method: SaliencyFn, key: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return method(SMOOTH, IMAGE, 1, key=key)

    for draws in (3, 3, 4):
        explain(saliency.as_saliency(attribution.smoothgrad, draws=draws, noise=0.1), KEY)
    assert traces == 2


@pytest.mark.parametrize("background", [0.5, jnp.full(IMAGE.shape[2], 0.5)])
def test_it_can_be_jitted_as_it_is(background: float | Array) -> None:
    method = saliency.as_saliency(attribution.occlusion, window=3, stride=3, background=background)
    network = jax.tree_util.Partial(SMOOTH)
    np.testing.assert_allclose(
        jax.jit(method)(network, IMAGE, 1, key=KEY), method(network, IMAGE, 1, key=KEY), rtol=1e-4
    )


@pytest.mark.parametrize("order", ["first", "second"])
def test_fill_saliency_is_a_mean_over_the_masks_that_hid_a_pixel(order: str) -> None:
    found = FILL(SMOOTH, IMAGE, 2, key=KEY, order=order, chunk=4)
    total, times = np.zeros((6, 6)), np.zeros((6, 6))
    for key in jax.random.split(KEY, 6):
        mask = masks.random_patches((6, 6), 0.5, 2, key=key)
        update = fill.resolve_order(order)(SMOOTH, IMAGE, mask, 2)
        total += np.asarray((1 - mask) * jnp.abs(update).sum(-1))
        times += np.asarray(1 - mask)
    wanted = np.divide(total, times, out=np.zeros((6, 6)), where=times > 0)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_what_is_never_hidden_is_zero() -> None:
    np.testing.assert_array_equal(
        FILL(SMOOTH, IMAGE, 0, key=KEY, ratio=0.0), np.zeros((6, 6), np.float32)
    )


@pytest.mark.usefixtures("unchecked")
def test_the_start_of_a_fit_that_failed_is_no_explanation() -> None:
    def logits_fn(image: Array) -> Array:
        return jnp.full(3, jnp.nan) * image.mean()

    config = extremal.InrConfig(grid=4, steps=3, network=extremal.NetworkConfig(width=4, depth=1))
    igos = extremal.IgosConfig(grid=4, iterations=2, path_steps=2)
    for explain in (
        lambda x: saliency.extremal_saliency(logits_fn, x, 0, key=KEY, config=config),
        lambda x: saliency.igos_saliency(logits_fn, x, 0, key=KEY, config=igos),
    ):
        assert np.isnan(jax.jit(explain)(IMAGE)).all()


def test_fill_saliency_vmaps() -> None:
    images = jnp.stack([IMAGE, 1 - IMAGE])
    keys = jax.random.split(KEY, 2)
    many = jax.vmap(lambda image, key: FILL(SMOOTH, image, 1, key=key))(images, keys)
    for index in range(2):
        one = FILL(SMOOTH, images[index], 1, key=keys[index])
        np.testing.assert_allclose(many[index], one, atol=1e-5)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: saliency.as_saliency(attribution.gradient_magnitude, draws=3),
            TypeError,
            "gradient_magnitude: .*'draws'",
        ),
        (
            lambda: saliency.as_saliency(attribution.grad_cam, layer="head"),
            TypeError,
            "grad_cam: .*'features_of'",
        ),
        (
            lambda: saliency.as_saliency(attribution.smoothgrad, key=KEY),
            TypeError,
            "key must be given when the map is made",
        ),
        (lambda: FILL(SMOOTH, IMAGE, 0, key=KEY, draws=0), ValueError, "draws must be at least 1"),
        (lambda: FILL(SMOOTH, IMAGE, 0, key=KEY, patch=7), ValueError, "patch must be at most"),
        (lambda: FILL(SMOOTH, IMAGE, 0, key=KEY, ratio=2.0), ValueError, "ratio must lie in"),
        (
            lambda: FILL(SMOOTH, IMAGE, 0, key=KEY, order="third"),
            ValueError,
            "order must be one of",
        ),
        (lambda: FILL(SMOOTH, IMAGE, 3, key=KEY), ValueError, r"target must lie in \[0, 3\)"),
        (lambda: FILL(SMOOTH, IMAGE[None], 0, key=KEY), ValueError, "image must have shape"),
    ],
)
def test_bad_arguments_are_refused_by_name(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_many_images_are_explained_for_the_class_that_is_predicted() -> None:
    def logits_fn(image: Array) -> Array:
        return jnp.stack([image[0].sum(), image[1].sum()])

    def drawn(logits_fn, image, target, *, key):
        return target + jax.random.uniform(key, image.shape[:2])

    images = np.random.default_rng(0).uniform(size=(5, 4, 4, 1)).astype(np.float32)
    key = jax.random.key(3)
    found = saliency.explain_predicted(drawn, logits_fn, images, key=key, chunk=2)
    for at, image in enumerate(images):
        target = int(image[1].sum() > image[0].sum())
        wanted = drawn(logits_fn, image, target, key=jax.random.fold_in(key, at))
        np.testing.assert_allclose(found[at], wanted, rtol=1e-6)


def test_other_weights_are_no_other_program() -> None:
    traces = 0

    def logits_fn(weights: Array, image: Array) -> Array:
        return image.sum() * weights

    def method(logits_fn, image, target, *, key):
        nonlocal traces
        traces += 1
        return image[..., 0] * logits_fn(image)[target]

    images = np.ones((2, 4, 4, 1), np.float32)
    found = [
        saliency.explain_predicted(
            method, jax.tree_util.Partial(logits_fn, jnp.arange(3.0) * by), images, key=KEY
        )
        for by in (1, 2)
    ]
    np.testing.assert_array_equal(2 * found[0], found[1])
    assert traces == 1


def test_an_image_that_no_mask_changes_has_a_constant_map() -> None:
    grey = jnp.full((8, 8, 1), 0.5)
    logits_fn = problems.smooth_logits(shape=(8, 8, 1), classes=3)
    network = extremal.NetworkConfig(frequencies=3, width=4, depth=2)
    inr = extremal.InrConfig(network=network, grid=4, steps=3)
    dense = extremal.DenseConfig(steps=3, spacing=2, radius=3)
    igos = extremal.IgosConfig(grid=4, iterations=2, path_steps=2)
    shown = {"window": 2, "stride": 2, "background": 0.5}
    covered = {"draws": 8, "cells": 2, "background": 0.5, "normalise": "covariance"}
    areas = jnp.array([0.2, 0.3])
    maps = {
        "extremal": lambda x: saliency.extremal_saliency(logits_fn, x, 1, key=KEY, config=inr),
        "dense": lambda x: saliency.dense_saliency(logits_fn, x, 1, config=dense),
        "igos++": lambda x: saliency.igos_saliency(logits_fn, x, 1, key=KEY, config=igos),
        "rise": lambda x: attribution.rise(logits_fn, x, 1, key=KEY, **covered),
        "occlusion": lambda x: attribution.occlusion(logits_fn, x, 1, **shown),
        "disjoint": lambda x: extremal.disjoint_masks(
            logits_fn, x, 1, areas, inr, key=KEY, method="joint"
        ).masks[0],
    }
    for name, explain in maps.items():
        assert np.ptp(jax.jit(explain)(grey)) < 1e-5, name
