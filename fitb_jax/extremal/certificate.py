"""How often a region keeps the class, on other backgrounds or with more shown."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from fitb_jax import batching, checks, masks
from fitb_jax.evaluation.intervals import Interval, check_confidence, clopper_pearson
from fitb_jax.extremal.background import BackgroundName, make_blend
from fitb_jax.extremal.regions import PATCHES, patch_means
from fitb_jax.objectives import check_predicts, is_class, is_predicted, prob
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
    Target,
)


def kept_count(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    mask: Mask,
    backgrounds: Float[Array, "b h w c"],
    *,
    objective: Objective = prob,
    chunk: int,
) -> Int[Array, ""]:
    """Count the backgrounds on which the class is kept when they replace what the mask hides.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class, in [0, k).
        mask: (h, w), 1 = the image's pixel, 0 = the background's.
        backgrounds: (b, h, w, c).
        objective: in whose terms the class is kept, see `objectives.is_predicted`.
        chunk: backgrounds evaluated at once.

    Returns:
        The number of backgrounds, in [0, b]; where a logit is nan the class is not kept.
    """

    def is_kept(background: Image) -> Array:
        logits = logits_fn(masks.apply(image, mask, background))
        return is_predicted(logits, target, objective=objective) == 1

    return batching.chunked_vmap(is_kept, chunk=chunk)(backgrounds).sum(dtype=jnp.int32)


def certify(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    region: Mask,
    backgrounds: Float[Array, "b h w c"],
    *,
    confidence: Number = 0.95,
    objective: Objective = prob,
    chunk: int = 64,
) -> Interval:
    """Share of backgrounds on which the pixels of a region keep the class.

    The interval holds if the backgrounds are independent draws, and the region was chosen without
    them.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class, in [0, k).
        region: (h, w), 1 = the image's pixel is kept, 0 = it is the background's.
        backgrounds: (b, h, w, c), such as other images of the data set.
        confidence: of the interval, in (0, 1]. An array argument.
        objective: in whose terms the class is kept, see `objectives.is_predicted`.
        chunk: backgrounds evaluated at once.

    Returns:
        The share and its interval of Clopper and Pearson; nan where there is no such class.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or an objective by which no class is
            predicted; see `fitb_jax.checks`.

    Source: the interval of Clopper & Pearson 1934, see `evaluation.clopper_pearson`.

    Examples:
        >>> backgrounds = jax.random.uniform(key, (20, 16, 16, 3))
        >>> share, low, high = extremal.certify(logits_fn, image, 1, mask, backgrounds)
        >>> bool(low <= share <= high)
        True
    """
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_mask(region, image.shape[:2], name="region")
    check_backgrounds(backgrounds, image)
    checks.check_count("chunk", chunk)
    check_confidence(confidence)
    check_predicts(objective)
    kept = kept_count(
        logits_fn, image, target, region, backgrounds, objective=objective, chunk=chunk
    )
    found = clopper_pearson(kept, backgrounds.shape[0], confidence=confidence)
    return of_a_class(found, logits_fn, image, target)


def of_a_class(found: Interval, logits_fn: LogitsFn, image: Image, target: Target) -> Interval:
    """An interval about a class, unless there is no such class.

    Args:
        found: the interval.
        logits_fn: the classifier.
        image: (h, w, c), for its shape.
        target: the class that was asked for.

    Returns:
        The same; nan where the target is not in [0, k). Otherwise such a class would be one that is
        never kept.
    """
    (classes,) = jax.eval_shape(logits_fn, image).shape
    is_one = is_class(target, classes)
    return Interval(*(jnp.where(is_one, each, jnp.nan) for each in found))


def check_backgrounds(backgrounds: Any, image: Image, *, name: str = "backgrounds") -> None:
    """Refuse backgrounds that do not fit an image.

    Args:
        backgrounds: to check.
        image: (h, w, c).
        name: of the argument.

    Raises:
        TypeError, ValueError: not (b, h, w, c) of the image's size, or not in [0, 1].
    """
    checks.check_image(backgrounds, name=name, axes=("b", "h", "w", "c"))
    if backgrounds.shape[1:] != image.shape:
        raise ValueError(
            f"{name} must have the image's shape {image.shape}, got {backgrounds.shape}"
        )


def certify_stability(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    region: Mask,
    *,
    key: Key,
    radii: tuple[int, ...] = (1, 2, 4, 8, 16),
    patch: int | None = None,
    samples: int = 64,
    background: BackgroundName | Background = "blur",
    confidence: Number = 0.95,
    objective: Objective = prob,
    chunk: int = 64,
) -> Interval:
    """Share of random enlargements of a region that keep the class, for several sizes of them.

    An enlargement by r shows the region and a set of at most r patches of the rest, drawn uniformly
    from all such sets. A region that is enough should stay enough when more is shown.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class, in [0, k).
        region: (h, w), 1 = shown. A patch is in the region if more than half of it is shown.
        key: random key of the enlargements.
        radii: values of r, each at least 0; an r above the number of patches outside means all.
        patch: side of a patch in pixels; by default 14 patches lie along the longer side.
        samples: enlargements for each r.
        background: what the rest shows, as in `make_blend`.
        confidence: of the intervals, in (0, 1]. An array argument.
        objective: in whose terms the class is kept, see `objectives.is_predicted`.
        chunk: images classified at once.

    Returns:
        The shares and their intervals of Clopper and Pearson, one for each radius, (radii,);
        nan where there is no such class.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range, or an objective by which no class is
            predicted; see `fitb_jax.checks`.

    Source: Jin et al. 2025, "Probabilistic stability guarantees for feature attributions" (soft
    stability, equation 3), with this interval in place of Hoeffding's bound.
    """
    checks.check_key(key)
    checks.check_explained(logits_fn, image, target, objective)
    shape = image.shape[0], image.shape[1]
    checks.check_mask(region, shape, name="region")
    checks.check_count("samples", samples)
    checks.check_count("chunk", chunk)
    for radius in radii:
        checks.check_count("radii", radius, least=0)
    check_confidence(confidence)
    check_predicts(objective)
    patch = -(-max(shape) // PATCHES) if patch is None else patch
    masks.patch_grid(shape, patch)
    blend = make_blend(image, background)
    inside = patch_means(region, patch) > 0.5

    def is_kept(radius: Array, draw_key: Key) -> Array:
        added = random_enlargement(inside, radius, key=draw_key)
        mask = jnp.maximum(region, masks.from_patches(added.astype(region.dtype), shape, patch))
        return is_predicted(logits_fn(blend(mask)), target, objective=objective) == 1

    sizes = jnp.repeat(jnp.asarray(radii, jnp.int32), samples)
    kept = batching.chunked_vmap(is_kept, chunk=chunk)(sizes, jax.random.split(key, sizes.size))
    counts = kept.reshape(len(radii), samples).sum(1)
    found = jax.vmap(lambda count: clopper_pearson(count, samples, confidence=confidence))(counts)
    return of_a_class(found, logits_fn, image, target)


def random_enlargement(
    inside: Bool[Array, "rows columns"], radius: Int[Array, ""], *, key: Key
) -> Bool[Array, "rows columns"]:
    """Draw at most `radius` patches outside of a region, uniformly from all such sets.

    Args:
        inside: (rows, columns), True for the region.
        radius: largest number of patches, at least 0.
        key: random key of the draw.

    Returns:
        (rows, columns), True for the patches to add.
    """
    size_key, order_key = jax.random.split(key)
    outside = inside.size - inside.sum()
    # There are "outside over k" sets of k patches.
    k = jnp.arange(inside.size + 1)
    log_sets = gammaln(outside + 1.0) - gammaln(k + 1.0) - gammaln(outside - k + 1.0)
    is_allowed = (k <= radius) & (k <= outside)
    size = jax.random.categorical(size_key, jnp.where(is_allowed, log_sets, -jnp.inf))
    order = jnp.where(inside, 2.0, jax.random.uniform(order_key, inside.shape))
    places = jnp.argsort(jnp.argsort(order.ravel())).reshape(inside.shape)
    return (places < size) & ~inside
