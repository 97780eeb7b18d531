"""The points of `stability` on methods whose agreement is known, and what it says of numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from experiments.evaluation.stability import (
    FIELDS,
    MEASURES,
    Config,
    point,
    tables,
)

SIDE, NETWORKS, IMAGES = 12, 3, 2
RNG = np.random.default_rng(0)
WEIGHTS = jnp.asarray(RNG.normal(size=(NETWORKS, SIDE, SIDE)), jnp.float32)
GROUP = {
    "pixels": jnp.asarray(RNG.uniform(size=(IMAGES, SIDE, SIDE, 1)), jnp.float32),
    "label": jnp.int32(1),
}


def _logits(weights: jax.Array, image: jax.Array) -> jax.Array:
    return jnp.stack([(weights * image[:, :, 0]).sum(), image.sum()])


NETS = jax.tree_util.Partial(_logits, WEIGHTS)


def _of_image(logits_fn, image, target, *, key):
    return image[:, :, 0]


def _of_network(logits_fn, image, target, *, key):
    return logits_fn.args[0]


def _of_key(logits_fn, image, target, *, key):
    return jax.random.normal(key, (SIDE, SIDE))


@functools.cache
def _point(method, second=None) -> dict[str, np.ndarray]:
    found = jax.jit(point, static_argnames="method")(
        method=(("cnn", method), ("mlp", second)),
        state={"cnn": NETS, "mlp": NETS},
        group=GROUP,
        key=jax.random.key(0),
    )
    return {name: np.asarray(value) for name, value in found.items()}


def test_a_method_that_sees_the_image_alone_agrees_across_networks_only() -> None:
    found = _point(_of_image)
    np.testing.assert_allclose(found["networks"][0], 1, rtol=1e-5)
    np.testing.assert_allclose(found["draws"][0], 1, rtol=1e-5)
    assert (found["images"][0] < 0.4).all()
    np.testing.assert_allclose([found["signal"][0], found["noise"][0]], [1, 0], atol=1e-5)
    np.testing.assert_array_equal(found["maps"], [GROUP["pixels"][0, :, :, 0]] * NETWORKS)


def test_a_method_that_sees_the_network_alone_is_at_its_floor() -> None:
    found = _point(_of_network)
    np.testing.assert_allclose(found["images"][0], 1, rtol=1e-5)
    np.testing.assert_allclose(found["draws"][0], 1, rtol=1e-5)
    assert (found["networks"][0] < 0.4).all()
    np.testing.assert_array_equal(found["maps"], WEIGHTS)


def test_a_method_that_only_draws_agrees_with_nothing_not_even_itself() -> None:
    found = _point(_of_key)
    for field in ("networks", "images", "draws"):
        assert (np.abs(found[field][0][:2]) < 0.3).all(), field
    assert len(np.unique(found["maps"])) == found["maps"].size, "a key for every map"


def test_architectures_are_compared_with_each_other() -> None:
    found = _point(_of_network, _of_network)
    np.testing.assert_allclose(found["networks"][0], found["networks"][1], rtol=1e-5)
    # Of 9 pairs of the same three networks, 3 are equal.
    expected = (3 + 6 * found["networks"][0]) / 9
    np.testing.assert_allclose(found["networks"][2], expected, rtol=1e-4)


def test_an_architecture_without_the_method_has_no_numbers() -> None:
    found = _point(_of_image)
    for field in ("networks", "images", "draws"):
        assert np.isnan(found[field][1:]).all()
    assert set(found) == set(FIELDS)
    assert found["networks"].shape == (3, len(MEASURES))


def _found(architectures: list[str], groups: int) -> xr.Dataset:
    """Results of two methods, drawn at random."""
    dims = {
        "method": ["gradient", "RISE"],
        "state": ["trained", "untrained"],
        "group": [*range(groups)],
        "architecture": architectures,
        "pairing": [*architectures, "between"],
        "measure": [*MEASURES],
    }
    of = {
        "networks": ("method", "state", "group", "pairing", "measure"),
        "images": ("method", "state", "group", "architecture", "measure"),
        "draws": ("method", "state", "group", "architecture", "measure"),
        "signal": ("method", "state", "group", "architecture"),
        "noise": ("method", "state", "group", "architecture"),
    }
    values = {
        name: (each, RNG.uniform(size=[len(dims[dim]) for dim in each]))
        for name, each in of.items()
    }
    return xr.Dataset(values, dims)


@pytest.mark.parametrize("count", [1, 2])
def test_the_table_has_a_cell_for_every_column(count: int) -> None:
    architectures = ["cnn", "mlp"][:count]
    found = _found(architectures, 4)
    config = Config(architectures=tuple(architectures), networks=5)
    table = tables(config, found)["stability"]
    assert list(table.index) == ["gradient", "RISE"]
    assert not table.isna().any(axis=None)
    of_rise = found.sel({"method": "RISE", "measure": "spearman"})
    own, floor, untrained = (
        of_rise[name].sel({"state": state, place: "cnn"}).values
        for name, state, place in (
            ("networks", "trained", "pairing"),
            ("images", "trained", "architecture"),
            ("networks", "untrained", "pairing"),
        )
    )
    row = table.loc["RISE"]
    np.testing.assert_allclose(row["cnn: Spearman"].estimate, own.mean())
    np.testing.assert_allclose(row["above the floor"].estimate, (own - floor).mean())
    np.testing.assert_allclose(row["untrained"].estimate, untrained.mean())
