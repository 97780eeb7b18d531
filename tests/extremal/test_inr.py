"""The fitted masks find a known patch, have their areas, and are the same under vmap and jit."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax.extremal import (
    Inr,
    InrConfig,
    NetworkConfig,
    binarise,
    fit_inr,
    inr_masks,
    inr_saliency,
)
from fitb_jax.objectives import logit, margin
from fitb_jax.types import Array
from tests.extremal.toys import IMAGE, OTHER, PATCH, SHARE, SIDE, looks_at

LOGITS_FN = looks_at(PATCH)
NETWORK = NetworkConfig(bandwidth=0.5, frequencies=8, width=32, depth=2)
CONFIG = InrConfig(
    prior_gradients=0,
    boundary_weight=0.0,
    network=NETWORK,
    grid=SIDE,
    steps=60,
    learning_rate=0.02,
    tolerance=-1e9,
)
KEY = jax.random.key(0)
AREAS = jnp.asarray([0.05, SHARE, 0.4])


@jax.jit
def _fit(config: Any, key: Any, background: Any = 0.0, initial: Any = None) -> Inr:
    return fit_inr(LOGITS_FN, IMAGE, 1, config, key=key, background=background, initial=initial)


_masks = jax.jit(inr_masks, static_argnames="shape")


@pytest.fixture(scope="module")
def fitted() -> Inr:
    return _fit(CONFIG, KEY)


def _overlap(mask: Array, patch: Array = PATCH) -> float:
    """Intersection over union of the best pixels with the patch."""
    shown = binarise(mask, float(patch.mean()))
    return float((shown * patch).sum() / jnp.maximum(shown, patch).sum())


def test_the_mask_finds_the_patch(fitted: Inr) -> None:
    small, equal, large = _masks(fitted, AREAS, (SIDE, SIDE))
    assert _overlap(equal) > 0.6
    assert (small * PATCH).sum() > 0.9 * small.sum()
    assert (large * PATCH).sum() > 0.9 * PATCH.sum()


def test_the_saliency_ranks_the_patch_first(fitted: Inr) -> None:
    saliency = inr_saliency(fitted, (SIDE, SIDE), areas=8)
    assert _overlap(saliency) > 0.6
    row, column = np.unravel_index(np.argmax(saliency), (SIDE, SIDE))
    assert PATCH[row, column] == 1


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (50, 70), (224, 224)])
def test_areas_are_exact_at_every_resolution(fitted: Inr, shape: tuple[int, int]) -> None:
    masks = _masks(fitted, AREAS, shape)
    assert masks.shape == (3, *shape)
    np.testing.assert_allclose(np.asarray(masks, np.float64).mean((1, 2)), AREAS, atol=1e-5)


def test_masks_mean_the_same_at_every_resolution(fitted: Inr) -> None:
    coarse, fine = (_masks(fitted, AREAS, (side, side)) for side in (SIDE, 3 * SIDE))
    assert np.abs(fine[:, 1::3, 1::3] - coarse).mean() < 0.03


def test_what_is_not_available_ranks_last(fitted: Inr) -> None:
    available = jnp.ones((SIDE, SIDE)).at[:, : SIDE // 8].set(0)
    saliency = inr_saliency(fitted, (SIDE, SIDE), areas=4, available=available)
    assert (saliency[:, : SIDE // 8] == 0).all()
    assert (saliency[:, SIDE // 8 :] > 0).all()


def test_areas_that_are_not_available_are_refused(fitted: Inr) -> None:
    half = jnp.ones((SIDE, SIDE)).at[:, : SIDE // 2].set(0)
    with pytest.raises(ValueError, match=r"areas must be below the mean of available, 0\.5"):
        inr_masks(fitted, jnp.asarray([0.3, 0.6]), (SIDE, SIDE), available=half)
    with pytest.raises(ValueError, match="areas must be below the mean of available"):
        inr_saliency(fitted, (SIDE, SIDE), available=half)


def test_the_history_says_what_was_asked_and_what_came(fitted: Inr) -> None:
    history = fitted.history
    assert history.reward.shape == history.area.shape == (60, 4)
    np.testing.assert_allclose(history.mask_area, history.area, atol=1e-5)
    low, high = CONFIG.smallest_area, CONFIG.largest_area
    strata = np.floor((np.asarray(history.area) - low) / (high - low) * 4)
    np.testing.assert_array_equal(strata, np.tile(np.arange(4.0), (60, 1)))
    assert history.objective[-10:].mean() > history.objective[:10].mean()
    assert int(fitted.steps) == 60
    assert not fitted.converged


def test_areas_in_equal_ratios_are_stratified_on_a_logarithmic_scale() -> None:
    spaced = dataclasses.replace(CONFIG, steps=8, area_spacing="log")
    found = _fit(spaced, KEY).history
    low, high = spaced.smallest_area, spaced.largest_area
    strata = np.floor(np.log(np.asarray(found.area) / low) / np.log(high / low) * 4)
    np.testing.assert_array_equal(strata, np.tile(np.arange(4.0), (8, 1)))
    np.testing.assert_allclose(found.mask_area, found.area, atol=1e-5)


def test_a_fit_is_the_same_twice_and_another_with_another_key(fitted: Inr) -> None:
    again, other = _fit(CONFIG, KEY), _fit(CONFIG, jax.random.key(1))
    for one, two in zip(jax.tree.leaves(fitted.state), jax.tree.leaves(again.state), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (fitted.history.objective != other.history.objective).any()


def test_other_numbers_and_keys_do_not_compile_again(fitted: Inr) -> None:
    before = _fit._cache_size()
    changed = dataclasses.replace(
        CONFIG,
        learning_rate=0.01,
        softness_weight=2.0,
        network=dataclasses.replace(NETWORK, bandwidth=0.7),
    )
    _fit(changed, jax.random.key(5))
    assert _fit._cache_size() == before


def test_numbers_of_the_config_are_a_vmap() -> None:
    short = dataclasses.replace(CONFIG, steps=4)
    bandwidths = jnp.asarray([0.3, 0.6])
    rates = jnp.asarray([0.01, 0.02])
    softness_weight = jnp.asarray([0.0, 2.0])

    def fit(bandwidth: Array, rate: Array, softness_weight: Array, key: Any) -> Array:
        config = dataclasses.replace(
            short,
            network=dataclasses.replace(NETWORK, bandwidth=bandwidth),
            learning_rate=rate,
            softness_weight=softness_weight,
        )
        return fit_inr(LOGITS_FN, IMAGE, 1, config, key=key, background=0.0).history.objective

    keys = jax.random.split(KEY, 2)
    many = jax.jit(jax.vmap(fit))(bandwidths, rates, softness_weight, keys)
    one = jax.jit(fit)
    for i in range(2):
        alone = one(bandwidths[i], rates[i], softness_weight[i], keys[i])
        np.testing.assert_allclose(many[i], alone, rtol=1e-3, atol=1e-4)


@jax.jit
@jax.vmap
def _last_objective(numbers: dict[str, Array]) -> Array:
    others = {name: number for name, number in numbers.items() if name != "bandwidth"}
    network = dataclasses.replace(NETWORK, bandwidth=numbers["bandwidth"])
    config = dataclasses.replace(CONFIG, steps=4, network=network, **others)
    return fit_inr(LOGITS_FN, IMAGE, 1, config, key=KEY).history.objective[-1]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("bandwidth", [0.3, 0.6]),
        ("learning_rate", [0.01, 0.02]),
        ("softness_weight", [0.0, 2.0]),
        ("score_scale", [2.0, 8.0]),
        ("blur", [0.05, 0.4]),
        ("smallest_area", [0.02, 0.2]),
    ],
)
def test_each_number_of_the_config_changes_the_fit(name: str, numbers: list[float]) -> None:
    same = {"bandwidth": 0.5, "learning_rate": 0.01, "softness_weight": 1.0, "score_scale": 5.0}
    same |= {"blur": 0.1, "smallest_area": 0.02}
    # Of one type, strong or weak, so that all cases are one program.
    lanes = {key: np.full(2, number, np.float32) for key, number in same.items()}
    first, second = _last_objective({**lanes, name: np.asarray(numbers, np.float32)})
    assert abs(first - second) > 1e-4


def test_images_and_targets_are_a_vmap() -> None:
    short = dataclasses.replace(CONFIG, steps=4)
    images = jnp.stack([IMAGE, IMAGE[::-1]])
    targets = jnp.asarray([1, 0])

    def fit(image: Array, target: Array) -> Array:
        inr = fit_inr(LOGITS_FN, image, target, short, key=KEY, background="mean")
        return inr_masks(inr, AREAS, (SIDE, SIDE))

    many = jax.jit(jax.vmap(fit))(images, targets)
    one = jax.jit(fit)
    for i in range(2):
        np.testing.assert_allclose(many[i], one(images[i], targets[i]), atol=0.02)


def test_it_stops_when_nothing_grows_and_says_so() -> None:
    patient = dataclasses.replace(CONFIG, steps=60, patience=5, tolerance=1e3)
    inr = _fit(patient, KEY)
    assert int(inr.steps) == 10
    assert inr.converged
    assert np.isfinite(inr.history.objective[:10]).all()
    assert np.isnan(inr.history.objective[10:]).all()


def test_members_of_a_vmap_stop_on_their_own() -> None:
    patient = dataclasses.replace(CONFIG, patience=5)

    def fit(tolerance: Array) -> tuple[Array, Array, Array]:
        config = dataclasses.replace(patient, tolerance=tolerance)
        inr = fit_inr(LOGITS_FN, IMAGE, 1, config, key=KEY, background=0.0)
        return inr.steps, inr.converged, inr.history.objective

    steps, converged, objective = jax.jit(jax.vmap(fit))(jnp.asarray([1e3, -1e9]))
    np.testing.assert_array_equal(steps, [10, 60])
    np.testing.assert_array_equal(converged, [True, False])
    np.testing.assert_array_equal(np.isfinite(objective).sum(1), [10, 60])


def test_a_classifier_that_returns_nan_is_a_failure_and_not_a_fit() -> None:
    def broken(image: Array) -> Array:
        return LOGITS_FN(image) * jnp.nan

    inr = fit_inr(broken, IMAGE, 1, dataclasses.replace(CONFIG, steps=5), key=KEY)
    assert int(inr.steps) == 1
    assert not inr.converged
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(inr.state))


def test_a_warm_start_begins_where_the_other_fit_ended(fitted: Inr) -> None:
    short = dataclasses.replace(CONFIG, steps=60, learning_rate=1e-3)
    warm = _fit(short, jax.random.key(3), 0.0, fitted)
    by_state = _fit(short, jax.random.key(3), 0.0, fitted.state)
    cold = _fit(short, jax.random.key(3))
    np.testing.assert_array_equal(warm.history.objective, by_state.history.objective)
    end = fitted.history.objective[-10:].mean()
    assert abs(float(warm.history.objective[:10].mean() - end)) < 0.3
    assert warm.history.objective[0] > cold.history.objective[0] + 0.3


def test_a_network_of_another_form_is_no_start(fitted: Inr) -> None:
    other = dataclasses.replace(CONFIG, network=dataclasses.replace(NETWORK, activation="relu"))
    with pytest.raises(ValueError, match=r"initial must be of the network of config.*'relu'"):
        fit_inr(LOGITS_FN, IMAGE, 1, other, key=KEY, initial=fitted)


def test_penalties_do_not_need_their_areas_to_be_available() -> None:
    half = jnp.ones((SIDE, SIDE)).at[: SIDE // 2].set(0)
    short = dataclasses.replace(CONFIG, steps=1)
    with pytest.raises(ValueError, match=r"largest_area must be below the mean of available, 0\.5"):
        fit_inr(LOGITS_FN, IMAGE, 1, short, key=KEY, available=half)
    penalised = dataclasses.replace(short, area_form="penalty")
    inr = fit_inr(LOGITS_FN, IMAGE, 1, penalised, key=KEY, available=half)
    masks = inr_masks(inr, AREAS, (SIDE, SIDE), available=half)
    np.testing.assert_array_equal(masks[:, : SIDE // 2], 0)


def test_a_warm_fit_is_more_than_its_start() -> None:
    """One lucky first step must not be what is compared with for good."""
    start = _fit(dataclasses.replace(CONFIG, steps=10), KEY)
    short = dataclasses.replace(CONFIG, steps=40, learning_rate=0.01)

    def gained(key: Array) -> tuple[Array, Array]:
        warm = fit_inr(LOGITS_FN, IMAGE, 1, short, key=key, background=0.0, initial=start)
        moved = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), warm.state, start.state)
        return jnp.stack(jax.tree.leaves(moved)).max(), _merit(warm) - _merit(start)

    moved, better = jax.jit(jax.vmap(gained))(jax.random.split(jax.random.key(5), 8))
    assert (moved > 0).all()
    assert (better > 0).sum() >= 7


def _merit(inr: Inr) -> Array:
    """Mean objective at fixed areas."""
    areas = jnp.linspace(0.05, 0.4, 8)
    blends = inr_masks(inr, areas, (SIDE, SIDE))[..., None] * IMAGE[None]
    return jax.nn.log_softmax(jax.vmap(LOGITS_FN)(blends))[:, 1].mean()


def test_the_penalty_form_drives_areas_to_what_was_asked() -> None:
    config = dataclasses.replace(CONFIG, area_form="penalty", steps=200)
    inr = _fit(config, KEY)
    masks = _masks(inr, AREAS, (SIDE, SIDE))
    np.testing.assert_allclose(masks.mean((1, 2)), AREAS, atol=0.06)
    assert _overlap(masks[1]) > 0.4
    first, last = (np.abs(inr.history.mask_area - inr.history.area)[at].mean() for at in (0, -1))
    assert last < first / 3


@pytest.mark.parametrize(
    "changes",
    [
        {"variant": "delete", "objective": logit},
        {"variant": "dual", "objective": margin},
        {"network": dataclasses.replace(NETWORK, features="positional", bandwidth=1.5)},
        {
            "network": dataclasses.replace(NETWORK, features="siren", conditioning="film"),
            "learning_rate": 0.005,
        },
    ],
    ids=["delete", "dual", "positional", "siren"],
)
def test_other_settings_find_the_patch_too(changes: dict[str, Any]) -> None:
    inr = _fit(dataclasses.replace(CONFIG, **changes), KEY)
    assert _overlap(_masks(inr, AREAS, (SIDE, SIDE))[1]) > 0.5


def test_what_is_not_available_is_not_shown() -> None:
    logits_fn = looks_at(PATCH, OTHER)
    available = 1 - PATCH
    inr = jax.jit(
        lambda: fit_inr(logits_fn, IMAGE, 1, CONFIG, key=KEY, background=0.0, available=available)
    )()
    masks = inr_masks(inr, AREAS, (SIDE, SIDE), available=available)
    assert (masks * PATCH[None] == 0).all()
    np.testing.assert_allclose(masks.mean((1, 2)), AREAS, atol=1e-5)
    assert _overlap(masks[1], OTHER) > 0.5


def test_a_coarse_grid_serves_an_image_of_another_shape() -> None:
    image = IMAGE[:12]
    config = dataclasses.replace(CONFIG, grid=5, steps=3)
    inr = fit_inr(looks_at(PATCH[:12]), image, 1, config, key=KEY)
    np.testing.assert_allclose(inr.history.mask_area, inr.history.area, atol=1e-5)
