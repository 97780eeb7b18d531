"""Sufficient regions against the exact minimum, by brute force over every set of patches."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from fitb_jax import masks
from fitb_jax.extremal import (
    CONTROLS,
    InrConfig,
    NetworkConfig,
    SufficientRegion,
    certify,
    clopper_pearson,
    control_backgrounds,
    nearest_on_region,
    regions,
    sufficient_region,
)
from fitb_jax.types import Array
from tests import problems
from tests.extremal import toys

GRID, PATCH = 4, 2
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


def _shows(*alternatives: np.ndarray) -> Callable:
    """Class 1 where every pixel of one of these sets of patches is that of the image."""
    shown = [masks.from_patches(jnp.asarray(each), (SIDE, SIDE), PATCH) for each in alternatives]

    def logits_fn(image: Array) -> Array:
        off = [(mask[:, :, None] * (image - IMAGE) ** 2).sum() for mask in shown]
        return jnp.stack([jnp.asarray(0.0), 1e-4 - jnp.min(jnp.stack(off))])

    return logits_fn


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


def _smallest(logits_fn: Callable, target: int, required: float, connected: bool) -> int:
    """Patches of the smallest set that is enough, of all that there are."""

    @jax.jit
    def share(grids: Array) -> Array:
        def one(grid: Array) -> Array:
            mask = masks.from_patches(grid, (SIDE, SIDE), PATCH)
            seen = jax.vmap(lambda b: masks.apply(IMAGE, mask, b))(BACKGROUNDS)
            return (jnp.argmax(jax.vmap(logits_fn)(seen), axis=1) == target).mean()

        return jax.lax.map(one, grids, batch_size=1024)

    is_enough = np.asarray(share(jnp.asarray(EVERY))) >= required - 1e-6
    allowed = is_enough & _connected() if connected else is_enough
    return int(EVERY.sum((1, 2))[allowed].min())


def _find(logits_fn: Callable, target: int = 1, seed: int = 0, **options: Any) -> SufficientRegion:
    """Jitted once for each classifier: its arrays are arguments, which XLA cannot fold."""
    given = {"fresh": FRESH, "candidates": CANDIDATES, "required": 1.0, **options}
    search = _jitted(logits_fn, given.pop("rounds", 8))
    return search(IMAGE, target, BACKGROUNDS, key=jax.random.key(seed), **given)


@functools.cache
def _jitted(logits_fn: Callable, rounds: int) -> Callable:
    return jax.jit(
        functools.partial(sufficient_region, logits_fn, patch=PATCH, rounds=rounds, chunk=16)
    )


def _area(patches: int) -> float:
    return patches / GRID**2


@pytest.mark.parametrize("name", KNOWN)
def test_the_smallest_region_is_that_of_brute_force(name: str) -> None:
    found = _find(KNOWN[name])
    assert found.found
    assert found.minimal
    np.testing.assert_allclose(found.area, _area(_smallest(KNOWN[name], 1, 1.0, True)))
    alone = _smallest(KNOWN[name], 1, 1.0, False)
    if name != "either of two":  # whose smallest set may lie elsewhere
        np.testing.assert_allclose(found.unconnected.mean(), _area(alone))
    assert ndimage.label(found.region)[1] == 1
    np.testing.assert_allclose(found.certificate.share, 1.0)


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
    logits_fn = problems.smooth_logits(seed, shape=IMAGE.shape)
    target = int(jnp.argmax(logits_fn(IMAGE)))
    required = 0.75
    found = _find(logits_fn, target, seed, required=required)
    smallest = _smallest(logits_fn, target, required, True)
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
        share = certify(logits_fn, IMAGE, target, mask, BACKGROUNDS).share
        np.testing.assert_allclose(without, share, rtol=1e-6)
        assert share < required


def test_a_key_decides_everything() -> None:
    logits_fn = problems.smooth_logits(0, shape=IMAGE.shape)
    first, again = (_find(logits_fn, 0, required=0.5, fresh=None) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert int(first.certificate.trials) == len(BACKGROUNDS) // 2


def test_a_batch_is_each_of_its_images() -> None:
    """Loops of a batch run on until its last member is done."""

    def find(image: Array, required: Array) -> SufficientRegion:
        arrays = {"fresh": FRESH, "candidates": CANDIDATES, "required": required}
        key = jax.random.key(1)
        return _jitted(KNOWN["either of two"], 8)(image, 1, BACKGROUNDS, key=key, **arrays)

    images = jnp.stack([IMAGE, IMAGE.at[:2, :2].set(0), 0 * IMAGE])
    required = jnp.asarray([1.0, 0.5, 0.5])
    together = jax.jit(jax.vmap(find))(images, required)
    one = jax.jit(find)
    for i in range(3):
        alone = one(images[i], required[i])
        member = jax.tree.map(lambda leaf, i=i: leaf[i], together)
        jax.tree.map(np.testing.assert_array_equal, member, alone)
    assert together.found.tolist() == [True, True, False]
    assert not together.minimal[2]


def test_nothing_is_enough_where_the_backgrounds_are_of_the_class() -> None:
    found = _find(problems.constant_logits, 2)
    assert float(found.area) == 0
    assert found.minimal
    assert float(found.certificate.share) == 1


def test_fresh_backgrounds_have_no_part_in_the_search() -> None:
    logits_fn = problems.smooth_logits(1, shape=IMAGE.shape)
    one = _find(logits_fn, 1, required=0.6)
    other = _find(logits_fn, 1, required=0.6, fresh=FRESH[::-1][:20])
    np.testing.assert_array_equal(one.region, other.region)
    direct = certify(logits_fn, IMAGE, 1, one.region, FRESH)
    jax.tree.map(np.testing.assert_array_equal, direct, one.certificate)
    assert int(one.calls) - int(other.calls) == 20


def test_calls_are_counted() -> None:
    """A class that only the whole image keeps: every number of tests is known."""
    found = _find(_shows(np.ones((GRID, GRID), bool)), required=1.0, rounds=2)
    removable = GRID**2  # without any patch of a square the rest is in one piece
    tests = (len(CANDIDATES) + 1) + 4 * (1 + removable)  # first search, two rounds, alone
    assert float(found.area) == 1
    assert int(found.calls) == tests * len(BACKGROUNDS) + len(FRESH)
    assert int(found.gradient_calls) == 0


def test_candidates_are_fitted_where_none_are_given() -> None:
    config = InrConfig(
        network=NetworkConfig(frequencies=8, width=16, depth=2), grid=16, steps=40, tolerance=-1e9
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


@pytest.mark.parametrize(("trials", "confidence"), [(1, 0.95), (12, 0.8), (100, 0.95), (400, 0.99)])
def test_intervals_are_scipys(trials: int, confidence: float) -> None:
    successes = np.arange(trials + 1)
    one = functools.partial(clopper_pearson, trials=trials, confidence=confidence)
    found = jax.jit(jax.vmap(one))(jnp.asarray(successes))
    wanted = [stats.binomtest(k, trials).proportion_ci(confidence, "exact") for k in successes]
    np.testing.assert_allclose(found.low, [each.low for each in wanted], atol=2e-5)
    np.testing.assert_allclose(found.high, [each.high for each in wanted], atol=2e-5)
    np.testing.assert_allclose(found.share, successes / trials, rtol=1e-6)


def test_patches_and_components_of_masks() -> None:
    mask = jnp.zeros((5, 7)).at[:2, :2].set(1).at[4, 2:7].set(1)
    found = regions.from_mask(mask, 2)  # 9 of 35 pixels: 3 of 12 patches
    assert np.argwhere(found).tolist() == [[0, 0], [2, 1], [2, 2]]
    np.testing.assert_allclose(regions.patch_means(mask, 2)[2], [0, 1, 1, 1])
    assert np.argwhere(regions.largest_component(found)).tolist() == [[2, 1], [2, 2]]
    nothing = jnp.zeros_like(found)
    assert not regions.largest_component(nothing).any()
    assert not regions.is_connected(found)
    assert regions.is_connected(nothing)
    around = regions.outer_border(nothing.at[0, 1].set(True))
    assert np.argwhere(around).tolist() == [[0, 0], [0, 2], [1, 1]]


def test_controls_are_backgrounds_without_an_image() -> None:
    found = control_backgrounds(IMAGE)
    assert found.shape == (len(CONTROLS), *IMAGE.shape)
    np.testing.assert_allclose(found[1], IMAGE.mean(), rtol=1e-6)
    assert not found[2].any()
    assert float(found[0].std()) < float(IMAGE.std())


def test_nearest_images_agree_on_the_region_alone() -> None:
    region = masks.from_patches(jnp.asarray(ROW), (SIDE, SIDE), PATCH)
    inside = region[None, :, :, None]
    agreeing = BACKGROUNDS * (1 - inside) + inside * IMAGE[None]
    images = jnp.concatenate([agreeing[:3] + 0.1 * inside, BACKGROUNDS, agreeing[:2]])
    labels = jnp.asarray([1, 1, 0, *[0] * 10, 1, 0, 1, 0])
    found = nearest_on_region(IMAGE, 1, region, images, labels, count=5)
    np.testing.assert_array_equal(found.indices, [15, 16, 0, 1, 2])
    np.testing.assert_allclose(found.distances, [0, 0, 0.1, 0.1, 0.1], atol=1e-6)
    np.testing.assert_allclose([found.share, found.base_share], [3 / 5, 4 / 17])
    everything = nearest_on_region(IMAGE, 1, 0 * region, images, labels, count=17)
    np.testing.assert_array_equal(everything.distances, np.zeros(17))
