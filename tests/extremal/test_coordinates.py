"""Grids, features against direct formulas, and what conditioning and bandwidth do."""

import dataclasses
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fitb_jax import extremal
from fitb_jax.extremal import coordinates
from fitb_jax.extremal.coordinates import (
    Activation,
    Conditioning,
    Features,
    NetworkConfig,
    build,
    fourier_features,
    grid,
    positional_features,
)
from fitb_jax.types import Array

CONFIG = NetworkConfig(frequencies=5, width=16, depth=3)
KEY = jax.random.key(0)


def _network(**changes: object) -> coordinates.CoordinateMLP:
    return build(dataclasses.replace(CONFIG, **changes), key=KEY)


def test_grid_points_are_centres_of_pixels() -> None:
    points = grid((2, 4)).reshape(2, 4, 2)
    np.testing.assert_allclose(points[:, 0, 0], [-0.5, 0.5])
    np.testing.assert_allclose(points[0, :, 1], [-0.75, -0.25, 0.25, 0.75])


def test_a_grid_means_the_same_at_every_resolution() -> None:
    coarse, fine = grid((3, 5)).reshape(3, 5, 2), grid((9, 15)).reshape(9, 15, 2)
    np.testing.assert_allclose(fine[1::3, 1::3], coarse, atol=1e-6)


def test_fourier_features_are_those_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    positions, frequencies = rng.normal(size=(7, 2)), rng.normal(size=(5, 2))
    phases = 2 * np.pi * np.einsum("nd,fd->nf", positions, frequencies)
    wanted = np.concatenate([np.sin(phases), np.cos(phases)], axis=1)
    given = fourier_features(jnp.asarray(positions), jnp.asarray(frequencies))
    np.testing.assert_allclose(given, wanted, atol=1e-4)


def test_positional_features_are_those_of_the_paper() -> None:
    positions = np.random.default_rng(0).uniform(-1, 1, size=(7, 2))
    given = positional_features(jnp.asarray(positions), octaves=jnp.asarray([1.0, 1.0, 0.5]))
    wanted = [
        weight * wave(np.pi * 2**octave * positions[:, axis])
        for wave in (np.sin, np.cos)
        for axis in range(2)
        for octave, weight in enumerate((1, 1, 0.5))
    ]
    np.testing.assert_allclose(given, np.stack(wanted, axis=1), atol=1e-5)


@pytest.mark.parametrize("features", get_args(Features))
@pytest.mark.parametrize("conditioning", get_args(Conditioning))
def test_every_network_scores_every_position(features: str, conditioning: str) -> None:
    network = _network(features=features, conditioning=conditioning, outputs=2)
    scores = network(grid((4, 6)), jnp.asarray(0.2))
    assert scores.shape == (24, 2)
    assert np.isfinite(scores).all()
    assert np.std(scores[:, 0]) > 1e-3


@pytest.mark.parametrize("activation", get_args(Activation))
def test_activations_differ(activation: str) -> None:
    given = _network(activation=activation)(grid((4, 6)), jnp.asarray(0.2))
    others = [a for a in get_args(Activation) if a != activation]
    for other in others:
        wanted = _network(activation=other)(grid((4, 6)), jnp.asarray(0.2))
        assert np.abs(given - wanted).max() > 1e-3


@pytest.mark.parametrize("conditioning", get_args(Conditioning))
def test_gradients_reach_the_conditioning(conditioning: str) -> None:
    graph, state = nnx.split(_network(conditioning=conditioning))
    parameters, fixed = nnx.split_state(state, nnx.Param, ...)

    def total(parameters: nnx.State) -> Array:
        return (nnx.merge(graph, parameters, fixed)(grid((4, 6)), jnp.asarray(0.2)) ** 2).sum()

    gradient = jax.grad(total)(parameters)
    for leaf in jax.tree.leaves(gradient):
        assert np.abs(leaf).max() > 0


def test_concatenation_is_one_layer_on_features_and_area() -> None:
    network, area = _network(depth=1, activation="tanh"), jnp.asarray(0.3)
    positions = grid((4, 6))
    features = fourier_features(positions, network.frequencies[...])
    condition = jnp.broadcast_to(coordinates.area_features(area)[None], (24, 3))
    kernel = jnp.concatenate([network.first.kernel[...], network.area.kernel[...]])
    inputs = jnp.concatenate([features, condition], axis=1)
    wanted = network.last(jnp.tanh(inputs @ kernel + network.first.bias[...][None]))
    np.testing.assert_allclose(network(positions, area), wanted, atol=1e-5)


def test_film_starts_without_any_effect_of_the_area() -> None:
    network, positions = _network(conditioning="film"), grid((4, 6))
    few, many = (network(positions, jnp.asarray(area)) for area in (0.1, 0.7))
    np.testing.assert_allclose(few, many, atol=1e-6)


@pytest.mark.parametrize("features", get_args(Features))
def test_bandwidth_is_what_makes_scores_rough(features: str) -> None:
    def roughness(bandwidth: float) -> Array:
        scores = _network(features=features, bandwidth=bandwidth)(grid((32, 32)), jnp.asarray(0.2))
        return np.abs(np.diff(scores.reshape(32, 32), axis=0)).mean() / np.std(scores)

    assert roughness(2.0) > 1.5 * roughness(0.25)


@pytest.mark.parametrize("conditioning", get_args(Conditioning))
def test_octaves_that_are_faded_out_do_not_make_scores_smaller(conditioning: str) -> None:
    keys = jax.random.split(KEY, 40)

    def spread(octaves: int, key: Array) -> Array:
        config = dataclasses.replace(
            CONFIG,
            features="positional",
            frequencies=octaves,
            bandwidth=2.0,
            conditioning=conditioning,
        )
        return build(config, key=key)(grid((8, 8)), jnp.float32(0.2)).std()

    none_out, ten_out = (
        jax.jit(jax.vmap(lambda key, octaves=octaves: spread(octaves, key)))(keys).mean()
        for octaves in (2, 12)
    )
    assert abs(none_out / ten_out - 1) < 0.2


def test_bandwidths_are_a_vmap() -> None:
    def scores(bandwidth: Array) -> Array:
        network = build(dataclasses.replace(CONFIG, bandwidth=bandwidth), key=KEY)
        return network(grid((4, 6)), jnp.asarray(0.2))

    many = jax.jit(jax.vmap(scores))(jnp.asarray([0.3, 0.6]))
    np.testing.assert_allclose(many[1], scores(jnp.asarray(0.6)), atol=1e-5)
    np.testing.assert_allclose(
        many[0], _network(bandwidth=0.3)(grid((4, 6)), jnp.asarray(0.2)), atol=1e-5
    )


def test_initial_weights_are_those_of_a_fit_that_is_given_none() -> None:
    def logits_fn(image: jax.Array) -> jax.Array:
        return jnp.stack([image.mean(), image[0].mean()])

    image = jnp.linspace(0, 1, 48).reshape(4, 4, 3)
    config = extremal.InrConfig(prior_gradients=0, boundary_weight=0.0, steps=2)
    key = jax.random.key(5)
    cold = extremal.fit_inr(logits_fn, image, 0, config, key=key)
    start = coordinates.initial_weights(config.network, key=key)
    given = extremal.fit_inr(logits_fn, image, 0, config, key=key, initial=start)
    np.testing.assert_array_equal(cold.history.reward, given.history.reward)
