"""Sufficient regions against the exact minimum, by brute force over every set of patches."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from fitb_jax import masks
from fitb_jax.extremal import (
    CONTROLS,
    InrConfig,
    NetworkConfig,
    SufficientRegion,
    certify,
    certify_stability,
    control_backgrounds,
    nearest_neighbours,
    regions,
    sufficient_region,
)
from fitb_jax.types import Array, LogitsFn
from tests.extremal import toys

GRID, PATCH, ROUNDS = 4, 2, 8
SIDE = GRID * PATCH
_RNG = np.random.default_rng(3)
IMAGE = jnp.asarray(_RNG.uniform(size=(SIDE, SIDE, 1)), jnp.float32)
BACKGROUNDS = jnp.asarray(_RNG.uniform(size=(12, SIDE, SIDE, 1)), jnp.float32)
FRESH = jnp.asarray(_RNG.uniform(size=(40, SIDE, SIDE, 1)), jnp.float32)
CANDIDATES = jnp.asarray(_RNG.uniform(size=(3, SIDE, SIDE)), jnp.float32)


def _patches(*places: tuple[int, int]) -> np.ndarray:
    grid = np.zeros((GRID, GRID), bool)
    for place in places:
        grid[place] = True
    return grid


CORNER = _patches((0, 0), (0, 1), (1, 0))
ROW = _patches((3, 1), (3, 2))
FAR = _patches((0, 0), (3, 3))


class _Network(NamedTuple):
    """Class 1 gains by what is shown, and a random softplus network is added; either may be off.

    One form for every classifier here, so that all of them are arguments of one compiled program.
    """

    shown: Array  # (2, h, w), class 1 where every pixel of one of these sets is the image's
    weight: Array
    bias: Array
    first: Array
    second: Array


def _logits(network: _Network, image: Array) -> Array:
    off = (network.shown[..., None] * ((image - IMAGE) ** 2)[None]).sum((1, 2, 3))
    gain = network.weight * (1e-4 - off.min()) * jnp.asarray([0.0, 1.0, 0.0])
    return network.bias + gain + jax.nn.softplus(image.ravel() @ network.first) @ network.second


def _shows(one: np.ndarray, other: np.ndarray | None = None) -> LogitsFn:
    """Class 1 where every pixel of one of these sets of patches is that of the image."""
    sets = [one, one if other is None else other]
    shown = [masks.from_patches(jnp.asarray(each), (SIDE, SIDE), PATCH) for each in sets]
    first, second = jnp.zeros((SIDE**2, 16)), jnp.zeros((16, 3))
    bias = jnp.asarray([0.0, 0.0, -1.0])
    network = _Network(jnp.stack(shown), jnp.ones(()), bias, first, second)
    return jax.tree_util.Partial(_logits, network)


def _random(seed: int) -> LogitsFn:
    """A small random network of three classes."""
    rng = np.random.default_rng(seed)
    first = jnp.asarray(rng.normal(size=(SIDE**2, 16)) / SIDE * 3, jnp.float32)
    second = jnp.asarray(rng.normal(size=(16, 3)), jnp.float32)
    nothing = jnp.zeros((2, SIDE, SIDE)), jnp.zeros(()), jnp.zeros(3)
    return jax.tree_util.Partial(_logits, _Network(*nothing, first, second))


KNOWN = {
    "a patch": _shows(CORNER),
    "either of two": _shows(CORNER, ROW),
    "two far apart": _shows(FAR),
}
EVERY = ((np.arange(2 ** (GRID * GRID))[:, None] >> np.arange(GRID * GRID)) & 1 == 1).reshape(
    -1, GRID, GRID
)


@functools.cache
def _connected() -> np.ndarray:
    return np.array([ndimage.label(each)[1] <= 1 for each in EVERY])


@jax.jit
def _shares(logits_fn: LogitsFn, target: Array, grids: Array) -> Array:
    """Of the backgrounds, for each set of patches."""

    def one(grid: Array) -> Array:
        mask = masks.from_patches(grid, (SIDE, SIDE), PATCH)
        seen = jax.vmap(lambda b: masks.apply(IMAGE, mask, b))(BACKGROUNDS)
        return (jnp.argmax(jax.vmap(logits_fn)(seen), axis=1) == target).mean()

    return jax.lax.map(one, grids, batch_size=1024)


def _smallest(logits_fn: LogitsFn, target: int, required: float) -> tuple[int, int]:
    """Patches of the smallest connected set that is enough, and of the smallest, of all."""
    shares = _shares(logits_fn, jnp.int32(target), jnp.asarray(EVERY))
    is_enough, sizes = np.asarray(shares) >= required - 1e-6, EVERY.sum((1, 2))
    return int(sizes[is_enough & _connected()].min()), int(sizes[is_enough].min())


_search = jax.jit(functools.partial(sufficient_region, patch=PATCH, rounds=ROUNDS, chunk=16))
_certify = jax.jit(certify)


def _find(logits_fn: LogitsFn, target: int = 1, seed: int = 0, **options: Any) -> SufficientRegion:
    given = {"fresh": FRESH, "candidates": CANDIDATES, "required": 1.0, **options}
    image = given.pop("image", IMAGE)
    key = jax.random.key(seed)
    return _search(logits_fn, image, jnp.int32(target), BACKGROUNDS, key=key, **given)


def _area(patches: int) -> float:
    return patches / GRID**2


@pytest.mark.parametrize("name", KNOWN)
def test_the_smallest_region_is_that_of_brute_force(name: str) -> None:
    found = _find(KNOWN[name])
    connected, alone = _smallest(KNOWN[name], 1, 1.0)
    assert found.found
    assert found.minimal
    np.testing.assert_allclose(found.area, _area(connected))
    if name != "either of two":  # whose smallest set may lie elsewhere
        np.testing.assert_allclose(found.unconnected.mean(), _area(alone))
    assert ndimage.label(found.region)[1] == 1
    np.testing.assert_allclose(found.certificate.estimate, 1.0)


def test_connectivity_says_what_it_cost() -> None:
    """Opposite corners of 4 x 4: two patches decide, and a shortest way between them has seven."""
    found = _find(KNOWN["two far apart"])
    np.testing.assert_allclose([found.area, found.connectivity_cost], [7 / 16, 5 / 16])
    pixels = masks.from_patches(jnp.asarray(FAR), (SIDE, SIDE), PATCH)
    np.testing.assert_array_equal(found.unconnected, pixels)
    one = _find(KNOWN["a patch"])
    np.testing.assert_allclose(one.connectivity_cost, 0)


@pytest.mark.parametrize("seed", range(3))
def test_regions_of_random_networks(seed: int) -> None:
    """Against brute force: never below the minimum, at most 2 of 16 above, minimal by patch."""
    logits_fn = _random(seed)
    target = int(jnp.argmax(logits_fn(IMAGE)))
    required = 0.75
    found = _find(logits_fn, target, seed, required=required)
    smallest, _ = _smallest(logits_fn, target, required)
    patches = round(float(found.area) * GRID**2)
    assert smallest <= patches <= smallest + 2
    region = np.asarray(found.region[::PATCH, ::PATCH]) == 1
    for place in zip(*np.nonzero(region), strict=True):
        rest = region.copy()
        rest[place] = False
        without = found.share_without[PATCH * place[0], PATCH * place[1]]
        if ndimage.label(rest)[1] > 1:
            assert np.isnan(without)
            continue
        mask = masks.from_patches(jnp.asarray(rest), (SIDE, SIDE), PATCH)
        share = _certify(logits_fn, IMAGE, jnp.int32(target), mask, BACKGROUNDS).estimate
        np.testing.assert_allclose(without, share, rtol=1e-6)
        assert share < required


@pytest.mark.parametrize("target", [-1, 99])
def test_a_class_that_is_not_there_has_no_certificate(target: int) -> None:
    # 0 would say that it is never kept. Under `jit` no check sees the class.
    logits_fn = _random(0)
    found = _find(logits_fn, target, required=0.5)
    assert np.isnan(jnp.stack(found.certificate)).all()
    assert not found.found
    share = _certify(logits_fn, IMAGE, jnp.int32(target), jnp.ones((SIDE, SIDE)), BACKGROUNDS)
    assert np.isnan(jnp.stack(share)).all()


def test_a_key_decides_everything() -> None:
    logits_fn = _random(0)
    first, again = (_find(logits_fn, 0, required=0.5) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_a_batch_is_each_of_its_images() -> None:
    """Loops of a batch run on until its last member is done."""
    logits_fn = KNOWN["either of two"]

    def find(image: Array, required: Array) -> SufficientRegion:
        return _find(logits_fn, 1, 1, image=image, required=required)

    images = jnp.stack([IMAGE, IMAGE.at[:2, :2].set(0), 0 * IMAGE])
    required = jnp.asarray([1.0, 0.5, 0.5])
    together = jax.vmap(find)(images, required)
    for i in range(3):
        alone = find(images[i], required[i])
        member = jax.tree.map(lambda leaf, i=i: leaf[i], together)
        jax.tree.map(np.testing.assert_array_equal, member, alone)
    assert together.found.tolist() == [True, True, False]
    assert not together.minimal[2]


def test_nothing_is_enough_where_the_backgrounds_are_of_the_class() -> None:
    found = _find(_shows(_patches()))
    assert float(found.area) == 0
    assert found.minimal
    assert float(found.certificate.estimate) == 1


def test_fresh_backgrounds_have_no_part_in_the_search() -> None:
    logits_fn = _random(1)
    target = int(jnp.argmax(logits_fn(IMAGE)))
    one = _find(logits_fn, target, required=0.6)
    other = _find(logits_fn, target, required=0.6, fresh=1 - FRESH)
    np.testing.assert_array_equal(one.region, other.region)
    assert float(one.certificate.estimate) != float(other.certificate.estimate)
    for found, fresh in ((one, FRESH), (other, 1 - FRESH)):
        direct = _certify(logits_fn, IMAGE, jnp.int32(target), one.region, fresh)
        jax.tree.map(np.testing.assert_array_equal, direct, found.certificate)


def test_calls_are_counted() -> None:
    """A class that only the whole image keeps: every number of tests is known."""
    found = _find(_shows(np.ones((GRID, GRID), bool)))
    removable = GRID**2  # without any patch of a square the rest is in one piece
    searches = 1 + ROUNDS + 1  # the first one, the rounds, and the one that may fall apart
    tests = (len(CANDIDATES) + 1) + searches * (1 + removable)
    assert float(found.area) == 1
    assert int(found.calls) == tests * len(BACKGROUNDS) + len(FRESH)
    assert int(found.gradient_calls) == 0


def test_a_share_of_less_than_one_background_is_one() -> None:
    """A class that nothing keeps: without a background kept nothing is found."""

    def logits_fn(image: Array) -> Array:
        return jnp.stack([jnp.ones(()), image.mean() - 2])

    found = _find(jax.tree_util.Partial(logits_fn), required=1e-5)
    assert not found.found
    assert not found.minimal


def test_candidates_are_fitted_where_none_are_given() -> None:
    config = InrConfig(
        prior_gradients=0,
        boundary_weight=0.0,
        network=NetworkConfig(frequencies=8, width=16, depth=2),
        grid=16,
        steps=40,
        tolerance=-1e9,
    )
    rng = np.random.default_rng(0)
    others = jnp.asarray(rng.uniform(0, 0.4, size=(24, *toys.IMAGE.shape)), jnp.float32)
    logits_fn = toys.looks_at(toys.PATCH)

    @jax.jit
    def find(key: Array) -> SufficientRegion:
        return sufficient_region(
            logits_fn,
            toys.IMAGE,
            1,
            others,
            key=key,
            patch=2,
            config=config,
            background=0.0,
            required=1.0,
        )

    found = find(jax.random.key(0))
    assert found.found
    assert found.minimal
    assert float((found.region * toys.PATCH).sum()) >= 0.75 * float(found.region.sum())
    assert float(found.area) < toys.SHARE
    assert int(found.gradient_calls) == 40 * config.areas_per_step
    assert int(found.trials) == 12  # by default a half is kept from the search


def test_fits_of_both_sides_take_twice_as_many_gradients() -> None:
    network = NetworkConfig(frequencies=4, width=8, depth=1)

    def gradient_calls(variant: Any) -> int:
        config = InrConfig(
            prior_gradients=0,
            boundary_weight=0.0,
            network=network,
            variant=variant,
            grid=GRID,
            steps=3,
            areas_per_step=2,
            tolerance=-1e9,
        )
        found = sufficient_region(
            _shows(CORNER),
            IMAGE,
            1,
            BACKGROUNDS,
            key=jax.random.key(0),
            fresh=FRESH,
            patch=PATCH,
            rounds=0,
            config=config,
            background=0.0,
        )
        return int(found.gradient_calls)

    assert gradient_calls("preserve") == 3 * 2
    assert gradient_calls("dual") == 2 * 3 * 2


@pytest.mark.usefixtures("unchecked")
def test_a_class_is_not_kept_where_logits_are_nan() -> None:
    def logits_fn(image: Array) -> Array:
        return jnp.full(3, jnp.nan) * image.mean()

    certificate = certify(logits_fn, IMAGE, 0, jnp.ones((SIDE, SIDE)), FRESH)
    assert float(certificate.estimate) == 0


def test_patches_and_components_of_masks() -> None:
    @jax.jit
    def look(mask: Array) -> dict[str, Array]:
        found = regions.from_mask(mask, 2)
        nothing = jnp.zeros_like(found)
        return {
            "found": found,
            "means": regions.patch_means(mask, 2),
            "largest": regions.largest_component(found),
            "largest of nothing": regions.largest_component(nothing),
            "connected": jnp.stack([regions.is_connected(each) for each in (found, nothing)]),
            "around": regions.outer_border(nothing.at[0, 1].set(True)),
        }

    seen = look(jnp.zeros((5, 7)).at[:2, :2].set(1).at[4, 2:7].set(1))  # 9 of 35: 3 of 12 patches
    assert np.argwhere(seen["found"]).tolist() == [[0, 0], [2, 1], [2, 2]]
    np.testing.assert_allclose(seen["means"][2], [0, 1, 1, 1])
    assert np.argwhere(seen["largest"]).tolist() == [[2, 1], [2, 2]]
    assert not seen["largest of nothing"].any()
    assert seen["connected"].tolist() == [False, True]
    assert np.argwhere(seen["around"]).tolist() == [[0, 0], [0, 2], [1, 1]]


def test_controls_are_backgrounds_without_an_image() -> None:
    found = jax.jit(control_backgrounds)(IMAGE)
    assert found.shape == (len(CONTROLS), *IMAGE.shape)
    np.testing.assert_allclose(found[1], IMAGE.mean(), rtol=1e-6)
    assert not found[2].any()
    assert float(found[0].std()) < float(IMAGE.std())


def test_nearest_images_agree_on_the_region_alone() -> None:
    region = np.kron(ROW, np.ones((PATCH, PATCH), np.float32))
    inside, others, image = region[None, :, :, None], np.asarray(BACKGROUNDS), np.asarray(IMAGE)
    agreeing = others * (1 - inside) + inside * image[None]
    images = np.concatenate([agreeing[:3] + 0.1 * inside, others, agreeing[:2]])
    labels = jnp.asarray([1, 1, 0, *[0] * 10, 1, 0, 1, 0])
    find = jax.jit(functools.partial(nearest_neighbours, count=5))
    found = find(IMAGE, 1, jnp.asarray(region), jnp.asarray(images), labels)
    np.testing.assert_array_equal(found.indices, [15, 16, 0, 1, 2])
    np.testing.assert_allclose(found.distances, [0, 0, 0.1, 0.1, 0.1], atol=1e-6)
    np.testing.assert_allclose([found.share, found.base_share], [3 / 5, 4 / 17])
    everything = find(IMAGE, 1, jnp.zeros((SIDE, SIDE)), jnp.asarray(images), labels)
    np.testing.assert_array_equal(everything.distances, np.zeros(5))


def test_stability_is_the_share_of_all_enlargements() -> None:
    # Class 1 is lost as soon as the patch at the lower right is shown.
    lost = np.zeros((4, 4), bool)
    lost[3, 3] = True
    hidden = masks.from_patches(jnp.asarray(lost, jnp.float32), (8, 8), 2)

    def logits_fn(image: Array) -> Array:
        return jnp.stack([(image[:, :, 0] * hidden).sum(), jnp.asarray(0.5)])

    image, region = jnp.ones((8, 8, 1)), jnp.zeros((8, 8)).at[:2, :2].set(1)
    found = certify_stability(
        logits_fn,
        image,
        1,
        region,
        key=jax.random.key(0),
        radii=(0, 1, 2, 15),
        patch=2,
        samples=2000,
        background=0.0,
    )
    # Of the sets of at most r of 15 patches, those without one of them.
    sets = [sum(math.comb(15, k) for k in range(r + 1)) for r in (0, 1, 2, 15)]
    without = [sum(math.comb(14, k) for k in range(r + 1)) for r in (0, 1, 2, 15)]
    exact = np.divide(without, sets)
    assert exact[0] == found.estimate[0] == 1
    np.testing.assert_allclose(found.estimate, exact, atol=0.04)
    assert (found.low <= found.estimate).all()
    assert (found.estimate <= found.high).all()


def test_no_enlargement_is_the_region_itself_off_the_grid_too() -> None:
    # Most of the first patch is shown; the class is lost where all of it is.
    region = jnp.zeros((8, 8)).at[:2, :2].set(1).at[1, 1].set(0)

    def logits_fn(image: Array) -> Array:
        return jnp.stack([image[:2, :2].sum(), jnp.asarray(3.5)])

    found = certify_stability(
        logits_fn,
        jnp.ones((8, 8, 1)),
        1,
        region,
        key=jax.random.key(0),
        radii=(0, 15),
        patch=2,
        samples=20,
        background=0.0,
    )
    np.testing.assert_array_equal(found.estimate, [1, 1])
