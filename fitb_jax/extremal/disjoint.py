"""Several explanations of one image that do not overlap.

`disjoint_masks` finds them one after the other, each where the earlier ones are not, or jointly, as
the outputs of one network that share every pixel.
"""

import dataclasses
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from fitb_jax import checks
from fitb_jax.extremal.area import binarise, check_area, softness_penalty
from fitb_jax.extremal.ascent import ascend
from fitb_jax.extremal.background import (
    BackgroundName,
    check_background,
    hides_something,
    make_blend,
)
from fitb_jax.extremal.config import InrConfig, check_config
from fitb_jax.extremal.coordinates import Frequencies, build, grid
from fitb_jax.extremal.inr import boundary_cost, fit_inr, inr_masks
from fitb_jax.extremal.joint_areas import joint_exact_areas
from fitb_jax.extremal.perturbed import perturbed
from fitb_jax.extremal.prior import PRIOR_WEIGHT, own_prior, scores_of
from fitb_jax.extremal.reward import blank_and_whole, rewards, rewards_in_chunks
from fitb_jax.types import (
    Array,
    Background,
    Bool,
    Float,
    Image,
    Key,
    LogitsFn,
    Number,
    Saliency,
    Scalar,
    Target,
)

DisjointMethod: TypeAlias = Literal["iterative", "joint"]
"""Whether `disjoint_masks` finds its masks one after the other, or all at once."""


class Disjoint(NamedTuple):
    """Masks that do not overlap, and the objective of the image through each of them.

    Attributes:
        masks: (k, h, w) in [0, 1]; at each pixel they add up to at most 1.
        objective: the objective of the image seen through each mask, (k,).
        remaining: the objective of the image with all masks removed.
        overlap: share of mask i's area that mask j also has, `mean(min(m_i, m_j)) / mean(m_i)`,
            (k, k); 1 on the diagonal.
        converged: whether each fit has converged, (k,); a joint fit has one answer for all.
        p_blank: p(target) of the background alone, in the terms of
            `objectives.score_of(config.objective)`. Where it is as high as `p_whole`, the
            background has the class by itself, and masks prove nothing.
        p_whole: the same for the whole image.
    """

    masks: Float[Array, "k h w"]
    objective: Float[Array, "k"]
    remaining: Scalar
    overlap: Float[Array, "k k"]
    converged: Bool[Array, "k"]
    p_blank: Scalar
    p_whole: Scalar


def disjoint_masks(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    areas: Float[Array, "k"],
    config: InrConfig | None = None,
    *,
    key: Key,
    method: DisjointMethod = "iterative",
    background: BackgroundName | Background = "blur",
    prior: Saliency | None = None,
    prior_weight: Number = PRIOR_WEIGHT,
) -> Disjoint:
    """Several masks that each let the classifier see what it needs, and do not overlap.

    - "iterative": each mask is multiplied by what the earlier ones leave, `1 - sum(m_j)`, before
      blending and inside its area.
    - "joint": a softmax over k masks and "none" at each pixel, with the area of each exact, fitted
      at once for the mean of their rewards.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        areas: (k,), of each mask; they add up to less than 1.
        config: how the networks are fitted; its range of areas is not used. With the penalty form,
            which only "iterative" has, areas are about those asked.
        key: random key.
        method: "iterative" or "joint".
        background: as in `fit_inr`.
        prior: as in `fit_inr`. A given map is the same for all masks. By default each mask of
            "iterative" has its own, of what the earlier ones leave, and "joint" has one for all.
        prior_weight: as in `fit_inr`.

    Returns:
        The masks at the resolution of the image.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; areas of 1 or more together.

    Source: Byra & Skibbe 2025, arXiv 2501.11784, algorithm 1; the joint form is ours.

    Examples:
        >>> few = extremal.InrConfig(steps=4, grid=8)
        >>> areas = jnp.array([0.1, 0.1])
        >>> found = extremal.disjoint_masks(logits_fn, image, 1, areas, few, key=key)
        >>> bool(found.masks.sum(0).max() <= 1 + 1e-6)  # pixels are shared among them
        True
    """
    checks.check_key(key)
    config = InrConfig() if config is None else config
    checks.check_choice("method", method, get_args(DisjointMethod))
    if method == "joint" and config.area_form != "exact":
        raise ValueError(
            f'config.area_form must be "exact" with method="joint", got {config.area_form!r}'
        )
    _check_arguments(logits_fn, image, target, areas, config, background)
    find = _find_iteratively if method == "iterative" else _find_jointly
    # Areas of half precision would be off by more than masks are.
    areas = areas.astype(jnp.promote_types(image.dtype, jnp.float32))
    checks.check_number("prior_weight", prior_weight, least=0)
    blend = make_blend(image, background, blur=config.blur)
    if prior is not None:
        checks.check_saliency(prior, (image.shape[0], image.shape[1]), name="prior")
    masks, converged = find(
        logits_fn, image, target, areas, config, background, prior, prior_weight, key=key
    )
    seen = rewards(logits_fn, target, blend, "preserve", config.objective)
    p_blank, p_whole = blank_and_whole(logits_fn, image, target, blend, config.objective)
    return Disjoint(
        masks=masks,
        objective=jax.vmap(seen)(masks),
        remaining=seen(1 - jnp.minimum(masks.sum(0), 1)),
        overlap=pairwise_overlap(masks),
        converged=converged,
        p_blank=p_blank,
        p_whole=p_whole,
    )


def pairwise_overlap(masks: Float[Array, "k h w"]) -> Float[Array, "k k"]:
    """The share of each mask's area that each other mask also has.

    Args:
        masks: (k, h, w) in [0, 1], none of them empty.

    Returns:
        `mean(min(m_i, m_j)) / mean(m_i)` in row i and column j.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_mask(masks, jnp.shape(masks)[-2:], name="masks", axes=("k", "h", "w"))
    common = jnp.minimum(masks[:, None], masks[None]).mean((2, 3))
    return common / masks.mean((1, 2))[:, None]


def binarise_apart(masks: Float[Array, "k h w"], areas: Float[Array, "k"]) -> Float[Array, "k h w"]:
    """Make masks binary, with the exact areas and without overlap; earlier masks choose first.

    Args:
        masks: (k, h, w) in [0, 1].
        areas: (k,), shares of the image to show, whose sum is at most 1.

    Returns:
        Masks of zeros and ones, (k, h, w), that do not overlap. Each area is rounded to whole
        pixels; where there is no room for the last ones, the later masks lack them.

    Raises:
        ValueError: not an area for each mask, or areas that have no room beside each other.
    """
    if jnp.shape(areas) != (len(masks),):
        raise ValueError(
            f"areas must be one for each of the {len(masks)} masks, got {jnp.shape(areas)}"
        )
    checks.check_number("the sum of areas", jnp.sum(areas), least=0, most=1 + 1e-5)
    return _binarise_apart(masks, areas)


@jax.jit  # compiled once, even without a caller's jit
def _binarise_apart(masks: Array, areas: Array) -> Array:
    def take(taken: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        mask, area = inputs
        # Areas that are rounded up have no room for the last pixels.
        binary = binarise(jnp.where(taken > 0, -1.0, mask), area) * (1 - taken)
        return taken + binary, binary

    return jax.lax.scan(take, jnp.zeros(masks.shape[1:]), (masks, areas))[1]


def _find_iteratively(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    areas: Array,
    config: InrConfig,
    background: Any,
    prior: Array | None,
    prior_weight: Number,
    *,
    key: Key,
) -> tuple[Array, Array]:
    shape = image.shape[0], image.shape[1]

    def find(available: Array, inputs: tuple[Scalar, Key]) -> tuple[Array, Any]:
        area, key = inputs
        fixed = dataclasses.replace(config, smallest_area=area, largest_area=area, areas_per_step=1)
        inr = fit_inr(
            logits_fn,
            image,
            target,
            fixed,
            key=key,
            background=background,
            available=available,
            prior=prior,
            prior_weight=prior_weight,
        )
        mask = inr_masks(inr, area[None], shape, available=available)[0].astype(available.dtype)
        # The product of (1 - sigmoid) over the fits so far, rounding aside.
        return jnp.maximum(available - mask, 0), (mask, inr.converged)

    keys = jax.random.split(key, areas.shape[0])
    everything = jnp.ones(shape, areas.dtype)
    return jax.lax.scan(find, everything, (areas, keys))[1]


def _find_jointly(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    areas: Array,
    config: InrConfig,
    background: Any,
    prior: Array | None,
    prior_weight: Number,
    *,
    key: Key,
) -> tuple[Array, Array]:
    count, shape = areas.shape[0], (image.shape[0], image.shape[1])
    coarse = min(config.grid, shape[0]), min(config.grid, shape[1])
    wanted = dataclasses.replace(config.network, outputs=count)
    graph, state = nnx.split(build(wanted, key=key))
    blend = make_blend(image, background, blur=config.blur)
    is_seen = hides_something(blend, image)
    added = None
    if prior is None and config.prior_gradients:
        prior = own_prior(logits_fn, image, target, config, key=key)
    if prior is not None:
        # The last layer keeps its size: a prior is the same for all masks, and does not part them.
        added = jnp.where(is_seen, scores_of(prior, prior_weight), 0)
    parameters, fixed = nnx.split_state(state, nnx.Param, Frequencies)
    view_key = jax.random.fold_in(key, 2)

    def masks_of(parameters: Any, on: tuple[int, int]) -> Array:
        # One network for fixed areas: their mean is all there is to condition on.
        scores = nnx.merge(graph, parameters, fixed)(grid(on), areas.mean())
        fine = jax.image.resize(scores.T.reshape(count, *on), (count, *shape), "linear")
        scaled = config.score_scale * fine
        return joint_exact_areas(scaled if added is None else scaled + added[None], areas)

    def objective(parameters: Any, step: Array) -> tuple[Scalar, tuple[Scalar, None]]:
        masks = masks_of(parameters, coarse)
        view = perturbed(
            blend,
            image,
            key=jax.random.fold_in(view_key, step),
            shift=config.shift,
            noise=config.noise,
        )
        reward_of = rewards(logits_fn, target, view, config.variant, config.objective)
        reward = rewards_in_chunks(reward_of, masks, chunk=config.chunk).mean()
        penalty = jax.vmap(softness_penalty)(masks).mean()
        merit = reward - config.softness_weight * penalty - boundary_cost(masks, config)
        return merit, (merit, None)

    found = ascend(
        objective,
        parameters,
        steps=config.steps,
        learning_rate=config.learning_rate,
        patience=config.patience,
        tolerance=config.tolerance,
    )
    kept = jax.tree.map(lambda leaf: jnp.where(is_seen, leaf, 0), found.parameters)
    return masks_of(kept, shape), jnp.broadcast_to(found.converged, (count,))


def _check_arguments(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    areas: Array,
    config: InrConfig,
    background: Any,
) -> None:
    checks.check_explained(logits_fn, image, target, config.objective)
    checks.check_manual_axes(image)
    checks.check_floating("areas", areas, ("k",))
    check_area(areas, name="areas")
    known = checks.known(areas)
    if known is not None and known.sum() >= 1:
        raise ValueError(f"areas must add up to less than 1, got {known} of sum {known.sum():g}")
    check_config(config)
    check_background(background, image.shape)
