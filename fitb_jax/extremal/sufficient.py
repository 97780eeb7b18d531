"""The smallest connected region that is enough: images that share it keep the class.

Everything outside of the region is replaced by other images. A search on some of them finds the
region, and others, which had no part in it, say how often it keeps the class.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import checks, masks
from fitb_jax.evaluation.intervals import Interval, check_confidence, clopper_pearson
from fitb_jax.extremal.background import BLUR, BackgroundName, check_background, mean_colour
from fitb_jax.extremal.certificate import check_backgrounds, kept_count, of_a_class
from fitb_jax.extremal.config import InrConfig, check_config
from fitb_jax.extremal.inr import fit_inr, inr_masks
from fitb_jax.extremal.regions import (
    PATCHES,
    KeptFn,
    Pruned,
    Region,
    from_mask,
    largest_component,
    outer_border,
    patch_means,
    prune,
)
from fitb_jax.objectives import check_predicts, prob
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import (
    Array,
    Background,
    Bool,
    Float,
    Image,
    Int,
    Key,
    LogitsFn,
    Mask,
    Number,
    Objective,
    Scalar,
    Target,
)

CONTROLS = ("blur", "mean", "zero")
"""Backgrounds that are no image, in the order of `control_backgrounds`."""

_MANY = 2**30
"""More than there are patches or backgrounds."""


class SufficientRegion(NamedTuple):
    """A connected region of an image that keeps its class, and how far that can be relied on.

    Attributes:
        region: (h, w), 1 inside, 0 outside.
        area: share of the image that the region covers.
        found: whether the required share was reached on the backgrounds of the search. Where it was
            not, the region is the best that was found, and it is not sufficient.
        search_share: share of the backgrounds of the search that keep the class.
        certificate: share of fresh backgrounds that keep the class, with its interval. The search
            has not seen these backgrounds.
        trials: number of fresh backgrounds.
        minimal: whether the required share is lost by taking any single patch that does not break
            the region into pieces.
        share_without: (h, w), share of the backgrounds of the search that keep the class when this
            patch alone goes; nan outside of the region and where the rest would fall apart.
        unconnected: (h, w), what is left of the region when it may fall apart; 1 inside.
        connectivity_cost: area of the region less that of `unconnected`: at least so much of the
            region is only there to connect the rest.
        calls: number of images that were classified, those of the certificate included.
        gradient_calls: number of images whose gradient was taken, to fit candidates.
    """

    region: Mask
    area: Scalar
    found: Bool[Array, ""]
    search_share: Scalar
    certificate: Interval
    trials: Int[Array, ""]
    minimal: Bool[Array, ""]
    share_without: Float[Array, "h w"]
    unconnected: Mask
    connectivity_cost: Scalar
    calls: Int[Array, ""]
    gradient_calls: Int[Array, ""]


class _Search(NamedTuple):
    best: Pruned
    unconnected: Region
    tests: Int[Array, ""]


def sufficient_region(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    backgrounds: Float[Array, "b h w c"],
    *,
    key: Key,
    fresh: Float[Array, "f h w c"] | None = None,
    required: Number = 0.9,
    patch: int | None = None,
    rounds: int = 4,
    candidates: Float[Array, "a h w"] | None = None,
    areas: int = 12,
    config: InrConfig | None = None,
    background: BackgroundName | Background = "blur",
    confidence: Number = 0.95,
    objective: Objective = prob,
    chunk: int = 64,
) -> SufficientRegion:
    """The smallest connected set of pixels such that images that share them keep the class.

    The search has two stages. The first makes candidates: the whole image, and the largest
    connected part of the extremal mask of each area, in patches. The second starts from the
    smallest sufficient candidate. It takes patches away one at a time, while the class is kept and
    the region is in one piece, until none can go. Each further round grows the region by a random
    half of the patches around it, and prunes it again in another order. It keeps the smaller
    region. The answer is minimal, see `SufficientRegion.minimal`, but need not be the smallest of
    all.

    Pure: jit it as a whole, `vmap` it over images, targets and keys.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to be kept, in [0, k).
        backgrounds: (b, h, w, c), what is seen outside of the region: other images, or some of
            `control_backgrounds`. Where they may be of the target's class, the empty region may be
            enough.
        key: random key of the split, the fit and the search.
        fresh: (f, h, w, c), other backgrounds, for the certificate. By default a random half of
            `backgrounds` is held out from the search for it.
        required: share of the backgrounds of the search that must keep the class, in (0, 1]. An
            array argument.
        patch: side in pixels of the square patches that come and go; by default 14 of them lie
            along the longer side.
        rounds: how often the region is grown and made smaller again.
        candidates: (a, h, w) in [0, 1], masks to start from in place of fitted ones.
        areas: number of extremal masks, spaced geometrically over the config's range.
        config: of `fit_inr`, for candidates; `InrConfig()` by default.
        background: of `fit_inr`, for candidates.
        confidence: of the certificate's interval, in (0, 1]. An array argument.
        objective: in whose terms the class is kept, see `objectives.is_predicted`. The candidates
            are fitted for `config.objective`.
        chunk: images classified at once.

    Returns:
        The region with its certificate.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; a fresh background that is one of the
            search.

    Source: Disselhoff 2023, "Explainability using masks", for the question; the search is ours.

    Examples:
        >>> backgrounds, fresh = jax.random.uniform(key, (2, 20, 16, 16, 3))
        >>> few = extremal.InrConfig(steps=4, grid=8)
        >>> found = extremal.sufficient_region(
        ...     logits_fn, image, 1, backgrounds, fresh=fresh, key=key, patch=4, config=few
        ... )
        >>> found.region.shape
        (16, 16)
        >>> share, low, high = found.certificate  # of the fresh backgrounds
    """
    checks.check_key(key)
    config = InrConfig() if config is None else config
    _check_arguments(logits_fn, image, target, backgrounds, fresh, candidates, config, background)
    checks.check_objective(logits_fn, objective)
    check_predicts(objective)
    _check_numbers(required, confidence, rounds, areas, chunk)
    if patch is None:
        patch = -(-max(image.shape[:2]) // PATCHES)
    shape = (image.shape[0], image.shape[1])
    masks.patch_grid(shape, patch)
    split_key, fit_key, search_key = jax.random.split(key, 3)
    backgrounds = jnp.asarray(backgrounds)
    if fresh is None:
        backgrounds, fresh = _split(backgrounds, split_key)
    fresh = jnp.asarray(fresh)
    gradient_calls = jnp.zeros((), jnp.int32)
    if candidates is None:
        inr = fit_inr(logits_fn, image, target, config, key=fit_key, background=background)
        sizes = jnp.geomspace(config.smallest_area, config.largest_area, areas)
        candidates = inr_masks(inr, sizes, shape)
        sides = 2 if config.variant == "dual" else 1
        gradient_calls = config.prior_gradients + sides * inr.steps * config.areas_per_step

    count_kept = functools.partial(
        kept_count, logits_fn, image, target, objective=objective, chunk=chunk
    )

    def kept_fn(region: Region) -> Int[Array, ""]:
        mask = masks.from_patches(region, shape, patch)
        return count_kept(mask, backgrounds)

    searched = backgrounds.shape[0]
    # A share as a number of backgrounds, whatever the last digit of the share.
    needed = jnp.ceil(jnp.asarray(required, jnp.float32) * searched - 1e-3).astype(jnp.int32)
    needed = jnp.maximum(needed, 1)
    search = _search(kept_fn, candidates, needed, patch, rounds, key=search_key)
    best = search.best
    region = masks.from_patches(best.region, shape, patch)
    unconnected = masks.from_patches(search.unconnected, shape, patch)
    kept_fresh = count_kept(region, fresh)
    without = jnp.where(best.kept_without < 0, jnp.nan, best.kept_without / searched)
    is_found = best.kept >= needed
    certificate = clopper_pearson(kept_fresh, fresh.shape[0], confidence=confidence)
    return SufficientRegion(
        region=region,
        area=region.mean(),
        found=is_found,
        search_share=best.kept / searched,
        certificate=of_a_class(certificate, logits_fn, image, target),
        trials=jnp.asarray(fresh.shape[0], jnp.int32),
        minimal=is_found & (best.kept_without < needed).all(),
        share_without=masks.from_patches(without, shape, patch),
        unconnected=unconnected,
        # What is left of equal areas is rounding.
        connectivity_cost=jnp.maximum(region.mean() - unconnected.mean(), 0),
        calls=search.tests * searched + fresh.shape[0],
        gradient_calls=gradient_calls,
    )


def control_backgrounds(image: Image, *, blur: Number = BLUR) -> Float[Array, "3 h w c"]:
    """Backgrounds that serve as controls: the image blurred, its mean colour, and zero.

    Args:
        image: (h, w, c) in [0, 1].
        blur: standard deviation, as a share of the longer side. An array argument.

    Returns:
        (3, h, w, c), in the order of `CONTROLS`.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_image(image)
    checks.check_number("blur", blur, least=0)
    blurred = gaussian_blur(image, sigma=blur * max(image.shape[:2]))
    mean = jnp.broadcast_to(mean_colour(image), image.shape)
    return jnp.stack([blurred, mean, jnp.zeros_like(image)])


def _search(
    kept_fn: KeptFn,
    candidates: Float[Array, "a h w"],
    needed: Array,
    patch: int,
    rounds: int,
    *,
    key: Key,
) -> _Search:
    start_key, round_key = jax.random.split(key)
    regions = jax.vmap(lambda mask: largest_component(from_mask(mask, patch)))(candidates)
    regions = jnp.concatenate([regions, jnp.ones_like(regions[:1])])
    kept = jax.lax.map(kept_fn, regions)
    # The smallest of those that are enough, else the one that keeps the class most often.
    sizes = regions.sum((1, 2))
    start = jnp.argmin(jnp.where(kept >= needed, sizes, _MANY - kept))
    # Patches that few candidates show are the first to be tried.
    noise = jax.random.uniform(start_key, regions.shape[1:])
    importance = jax.vmap(lambda mask: patch_means(mask, patch))(candidates).sum(0)

    # The first search, the rounds, and the one that may fall apart are one loop: compiled at once,
    # they would be as many copies of the classifier.
    def stage(best: Pruned, given: tuple[Array, Key]) -> tuple[Pruned, tuple[Array, Array]]:
        at, key = given
        is_start, is_last = at == 0, at == rounds + 1
        is_round = ~is_start & ~is_last
        grow_key, order_key = jax.random.split(key)
        added = outer_border(best.region) & jax.random.bernoulli(grow_key, 0.5, noise.shape)
        order = jnp.where(is_round, jax.random.uniform(order_key, noise.shape), importance)
        order = order + jnp.where(is_start, 1e-3, 0) * noise
        grown = best.region | (added & is_round)
        trial = prune(kept_fn, grown, order, needed, connected=~is_last)
        is_smaller = (trial.kept >= needed) & (trial.region.sum() < best.region.sum())
        is_better = is_start | (is_round & is_smaller)
        chosen = jax.tree.map(lambda new, old: jnp.where(is_better, new, old), trial, best)
        return chosen, (trial.region, trial.tests)

    nothing = jnp.zeros((), jnp.int32)
    untried = jnp.full(regions.shape[1:], -1, jnp.int32)
    first = Pruned(regions[start], nothing, untried, nothing)
    stages = (jnp.arange(rounds + 2), jax.random.split(round_key, rounds + 2))
    best, (found, tests) = jax.lax.scan(stage, first, stages)
    return _Search(best, found[-1], (len(regions) + tests.sum()).astype(jnp.int32))


def _split(backgrounds: Array, key: Key) -> tuple[Array, Array]:
    order = jax.random.permutation(key, backgrounds.shape[0])
    half = backgrounds.shape[0] // 2
    return backgrounds[order[:half]], backgrounds[order[half:]]


def _check_arguments(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    backgrounds: Any,
    fresh: Any,
    candidates: Any,
    config: InrConfig,
    background: Any,
) -> None:
    checks.check_explained(logits_fn, image, target)
    check_backgrounds(backgrounds, image)
    if fresh is None and backgrounds.shape[0] < 2:
        raise ValueError("backgrounds must be at least 2 where no fresh ones are given, got 1")
    if fresh is not None:
        check_backgrounds(fresh, image, name="fresh")
        _check_fresh(fresh, backgrounds)
    if candidates is not None:
        checks.check_mask(candidates, image.shape[:2], name="candidates", axes=("a", "h", "w"))
    check_config(config)
    check_background(background, image.shape)


def _check_fresh(fresh: Any, backgrounds: Any) -> None:
    """A background that was searched with says nothing about others."""
    values = [checks.known(each) for each in (backgrounds, fresh)]
    if values[0] is None or values[1] is None:
        return
    # By value: in one precision, and with one zero.
    searched, asked = (np.asarray(each, np.float32) + 0 for each in values)
    seen = {one.tobytes() for one in searched}
    again = [place for place, one in enumerate(asked) if one.tobytes() in seen]
    if again:
        raise ValueError(f"fresh must hold no image of backgrounds, got some at {again[:8]}")


def _check_numbers(required: Any, confidence: Any, rounds: Any, areas: Any, chunk: Any) -> None:
    checks.check_number("required", required, least=0, most=1, open_least=True)
    check_confidence(confidence)
    checks.check_count("rounds", rounds, least=0)
    checks.check_count("areas", areas)
    checks.check_count("chunk", chunk)
