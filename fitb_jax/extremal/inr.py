"""Extremal masks of every area from one coordinate network, fitted to one image."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from fitb_jax import checks
from fitb_jax.extremal.area import (
    area_penalty,
    boundary_penalty,
    check_area,
    check_room,
    exact_area,
    softness_penalty,
)
from fitb_jax.extremal.ascent import ascend
from fitb_jax.extremal.background import (
    BackgroundName,
    check_background,
    differs,
    hides_something,
    make_blend,
)
from fitb_jax.extremal.certificate import check_backgrounds
from fitb_jax.extremal.config import InrConfig, check_config, regulariser_weight
from fitb_jax.extremal.coordinates import Frequencies, build, grid
from fitb_jax.extremal.perturbed import perturbed
from fitb_jax.extremal.prior import (
    PRIOR_WEIGHT,
    own_prior,
    prior_scores,
    scores_of,
    with_small_end,
)
from fitb_jax.extremal.reward import blank_and_whole, rewards, rewards_in_chunks
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
    Saliency,
    Scalar,
    Target,
)

_GOLDEN = 0.618034
"""Multiples of it, modulo 1, are spread evenly at every length: every few steps see all areas."""


class History(NamedTuple):
    """What happened at each step; nan for steps that were not needed.

    Attributes:
        objective: mean reward less the penalties, weighted as at the last step, (steps,).
        reward: of each of the k masks of a step, (steps, k).
        area: the area asked of each mask, (steps, k).
        mask_area: the mean of each mask, (steps, k).
    """

    objective: Float[Array, "steps"]
    reward: Float[Array, "steps k"]
    area: Float[Array, "steps k"]
    mask_area: Float[Array, "steps k"]


class Inr(NamedTuple):
    """A fitted network: the masks of all areas at any resolution.

    Attributes:
        graph: structure of the network (static).
        state: its weights and frequencies, the best of the fit.
        config: how it was fitted.
        history: of the fit.
        steps: number of steps that were made.
        converged: whether the fit stopped because its objective did not grow any more.
        prior: what is added to the scores, (h, w); None without a prior.
        p_blank: p(target) of the background alone, in the terms of
            `objectives.score_of(config.objective)`. Where it is as high as `p_whole`, the
            background has the class by itself, and masks prove nothing.
        p_whole: the same for the whole image.
    """

    graph: Any
    state: Any
    config: InrConfig
    history: History
    steps: Int[Array, ""]
    converged: Bool[Array, ""]
    prior: Float[Array, "h w"] | None
    p_blank: Scalar
    p_whole: Scalar


def fit_inr(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    config: InrConfig | None = None,
    *,
    key: Key,
    background: BackgroundName | Background = "blur",
    backgrounds: Float[Array, "b h w c"] | None = None,
    available: Mask | None = None,
    initial: Any = None,
    prior: Saliency | None = None,
    prior_weight: Number = PRIOR_WEIGHT,
) -> Inr:
    """Fit one coordinate network to the extremal masks of all areas of an image.

    Pure: jit it as a whole, `vmap` it over images, targets, keys and the leaves of the config.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        config: how the network is fitted; `InrConfig()` by default.
        key: random key of the network, the areas, the prior and the views.
        background: what blanks show: "blur", "pyramid", "mean", a number, one value per channel, or
            an image.
        backgrounds: (b, h, w, c), further backgrounds, such as other photographs. Each step draws
            one of the b + 1, `background` included, with equal probabilities.
        available: (h, w) in [0, 1], multiplied into every mask: 0 keeps a pixel blank.
        initial: where to start: an `Inr`, or the `state` of one, of the same network. It brings its
            own frequencies, so that `config.network.bandwidth` has no effect.
        prior: (h, w), a saliency map of any method. It is blurred, and its ranks are added to the
            scores of all masks. By default the fit makes one of what is `available`, see
            `config.prior_gradients`; a constant map gives a fit without a prior.
        prior_weight: of the prior, at least 0; 0 gives a fit without a prior. An array argument.

    Returns:
        The network, with the history of its fit. Where the image equals its background no mask
        makes a difference, and each is constant.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.

    Source: Byra & Skibbe 2025, arXiv 2501.11784; the exact area is ours.

    Examples:
        >>> inr = jax.jit(extremal.fit_inr)(logits_fn, image, 1, key=key)
        >>> masks_of_areas = extremal.inr_masks(inr, jnp.array([0.1, 0.3]), (16, 16))
        >>> [round(float(mask.mean()), 2) for mask in masks_of_areas]
        [0.1, 0.3]
    """
    checks.check_key(key)
    config = InrConfig() if config is None else config
    _check_arguments(logits_fn, image, target, config, background, available)
    if backgrounds is not None:
        check_backgrounds(backgrounds, image)
        backgrounds = jnp.asarray(backgrounds)
    blend = make_blend(image, background, blur=config.blur)
    added = None
    if prior is not None:
        checks.check_saliency(prior, (image.shape[0], image.shape[1]), name="prior")
        added = prior_scores(prior, prior_weight)
    elif config.prior_gradients:
        checks.check_number("prior_weight", prior_weight, least=0)
        seen = image if available is None else blend(available)
        own = own_prior(logits_fn, seen, target, config, key=key)
        added = scores_of(own, prior_weight)
    if added is not None and (known := checks.known(added)) is not None and not known.any():
        added = None
    network_key, area_key = jax.random.split(key)
    graph, state = nnx.split(build(config.network, key=network_key))
    if initial is not None:
        if isinstance(initial, Inr) and initial.graph != graph:
            raise ValueError(
                f"initial must be of the network of config, {config.network}, "
                f"got one of {initial.config.network}"
            )
        given = initial.state if isinstance(initial, Inr) else initial
        _check_initial(given, state)
        state = given
    elif added is not None:
        state = with_small_end(state, added)
    parameters, fixed = nnx.split_state(state, nnx.Param, Frequencies)
    height, width, _ = image.shape
    coarse = min(config.grid, height), min(config.grid, width)
    positions = grid(coarse)
    area_offset, view_key = jax.random.uniform(area_key), jax.random.fold_in(key, 2)

    def objective(parameters: Any, step: Array) -> tuple[Scalar, tuple[Scalar, Any]]:
        areas = _stratified_areas(config, area_offset + step * _GOLDEN)
        network = nnx.merge(graph, parameters, fixed)

        def mask_of(area: Scalar) -> Mask:
            scores = network(positions, area).reshape(coarse)
            fine = jax.image.resize(scores, (height, width), "linear")
            return _mask(fine, area, config, available, added)

        masks = jax.vmap(mask_of)(areas)
        view = perturbed(
            blend,
            image,
            key=jax.random.fold_in(view_key, step),
            shift=config.shift,
            noise=config.noise,
            backgrounds=backgrounds,
        )
        reward_of = rewards(logits_fn, target, view, config.variant, config.objective)
        reward = rewards_in_chunks(reward_of, masks, chunk=config.chunk)
        penalty = jax.vmap(lambda mask, area: _penalty(mask, area, config))(masks, areas)
        now, at_last = (regulariser_weight(config, at) for at in (step, config.steps - 1))
        boundary = boundary_cost(masks, config)
        aim, merit = ((reward - weight * penalty).mean() - boundary for weight in (now, at_last))
        return aim, (merit, (reward, areas, masks.mean((1, 2))))

    found = ascend(
        objective,
        parameters,
        steps=config.steps,
        learning_rate=config.learning_rate,
        patience=config.patience,
        tolerance=config.tolerance,
    )
    # A network of zeros has masks without structure, of every area.
    is_seen = hides_something(blend, image)
    if backgrounds is not None:
        is_seen |= differs(backgrounds, image[None])
    kept = jax.tree.map(lambda leaf: jnp.where(is_seen, leaf, 0), found.parameters)
    best = nnx.merge_state(kept, fixed)
    history = History(found.merit, *found.records)
    if added is not None:
        added = jnp.where(is_seen, added, 0)
    p_blank, p_whole = blank_and_whole(logits_fn, image, target, blend, config.objective)
    return Inr(
        graph,
        best,
        config,
        history,
        found.steps,
        found.converged,
        prior=added,
        p_blank=p_blank,
        p_whole=p_whole,
    )


def boundary_cost(masks: Float[Array, "k h w"], config: InrConfig) -> Scalar | float:
    """Mean `boundary_penalty` of the masks of a step, times its weight.

    Args:
        masks: (k, h, w) in [0, 1].
        config: has the weight, `boundary_weight`.

    Returns:
        A scalar, at least 0.
    """
    known = checks.known(config.boundary_weight)
    if known is not None and known == 0:
        return 0.0
    return config.boundary_weight * jax.vmap(boundary_penalty)(masks).mean()


def inr_masks(
    inr: Inr,
    areas: Float[Array, "a"],
    shape: tuple[int, int],
    *,
    available: Mask | None = None,
) -> Float[Array, "a h w"]:
    """Masks of any areas at any resolution.

    Args:
        inr: from `fit_inr`.
        areas: (a,) in (0, 1). Outside of the range of the fit, by default 0.02 to 0.8, the network
            extrapolates.
        shape: (height, width) of the masks; with an exact area the threshold is solved for there.
        available: as in `fit_inr`, (height, width).

    Returns:
        (a, height, width) in [0, 1].

    Raises:
        TypeError, ValueError: areas outside (0, 1), no shape, another of `available`, or exact
            areas that are not available.
    """
    checks.check_floating("areas", areas, ("a",))
    check_area(areas, name="areas")
    checks.check_shape(shape)
    if available is not None:
        checks.check_mask(available, shape, name="available")
        if inr.config.area_form == "exact":
            # Not in `exact_area`: inside of `jax.lax.map` areas are tracers.
            check_room(areas, available, name="areas")
    return _masks(inr, areas, available, tuple(shape))


@functools.partial(jax.jit, static_argnums=3)  # compiled once, even without a caller's jit
def _masks(
    inr: Inr, areas: Float[Array, "a"], available: Mask | None, shape: tuple[int, int]
) -> Float[Array, "a h w"]:
    network, positions = nnx.merge(inr.graph, inr.state), grid(shape)
    added = None if inr.prior is None else jax.image.resize(inr.prior, shape, "linear")

    def mask_of(area: Scalar) -> Mask:
        scores = network(positions, area).reshape(shape)
        return _mask(scores, area, inr.config, available, added)

    # One after the other: at full resolution one mask fills the cores.
    return jax.lax.map(mask_of, areas)


def inr_saliency(
    inr: Inr, shape: tuple[int, int], *, areas: int = 16, available: Mask | None = None
) -> Mask:
    """The mean of the masks over the range of areas fitted: pixels of small masks come first.

    Args:
        inr: from `fit_inr`.
        shape: (height, width).
        areas: number of areas, evenly spaced over the range.
        available: as in `fit_inr`, (height, width).

    Returns:
        (height, width) in [0, 1], larger = more important.

    Raises:
        TypeError, ValueError: `areas` below 1, no shape, another of `available`, or areas of the
            range that are not available.
    """
    checks.check_count("areas", areas)
    low, high = inr.config.smallest_area, inr.config.largest_area
    places = (jnp.arange(areas) + 0.5) / areas
    return inr_masks(inr, low + (high - low) * places, shape, available=available).mean(0)


def _mask(
    scores: Array,
    area: Scalar,
    config: InrConfig,
    available: Mask | None,
    added: Array | None,
) -> Mask:
    scaled = config.score_scale * scores
    if added is not None:
        scaled = scaled + added
    if config.area_form == "exact":
        return exact_area(scaled, area, available=available)
    shown = jax.nn.sigmoid(scaled)
    return shown if available is None else shown * available


def _penalty(mask: Mask, area: Scalar, config: InrConfig) -> Scalar:
    return softness_penalty(mask) if config.area_form == "exact" else area_penalty(mask, area)


def _stratified_areas(config: InrConfig, offset: Scalar) -> Float[Array, "k"]:
    """One area in each of k equal parts of the range, all at the same place of their part."""
    places = (jnp.arange(config.areas_per_step) + offset % 1) / config.areas_per_step
    low, high = config.smallest_area, config.largest_area
    if config.area_spacing == "log":
        return low * (high / low) ** places
    return low + (high - low) * places


def _check_initial(given: Any, wanted: Any) -> None:
    shapes = [
        {
            jax.tree_util.keystr(path): jnp.shape(leaf)
            for path, leaf in jax.tree.leaves_with_path(state)
        }
        for state in (given, wanted)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(f"initial must be of the network of config: {shapes[1]}, got {shapes[0]}")


def _check_arguments(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    config: InrConfig,
    background: Any,
    available: Any,
) -> None:
    checks.check_explained(logits_fn, image, target, config.objective)
    checks.check_manual_axes(image)
    check_config(config)
    if config.network.outputs != 1:
        raise ValueError(f"config.network.outputs must be 1, got {config.network.outputs}")
    check_background(background, image.shape)
    if available is not None:
        checks.check_mask(available, image.shape[:2], name="available")
        if config.area_form == "exact":
            check_room(config.largest_area, available, name="config.largest_area")
