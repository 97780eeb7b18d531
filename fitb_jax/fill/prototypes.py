"""Class prototypes: the expected update E[dx] over images and masks, with its standard error.

They take one pass and constant memory: the moments of each chunk of images are merged into those
of the chunks before it.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from fitb_jax import checks, derivatives
from fitb_jax.fill.updates import Order, resolve_order
from fitb_jax.masks import partition
from fitb_jax.moments import Moments as PlainMoments
from fitb_jax.moments import merge as merge_plain
from fitb_jax.moments import merge_products
from fitb_jax.types import Array, Float, Image, Int, Key, LogitsFn, Mask, Number, UpdateFn


class Prototype(NamedTuple):
    """The expected update of every pixel.

    Attributes:
        mean: over all (image, mask) pairs in which the pixel was hidden, (h, w, c); nan where it
            never was.
        standard_error: of `mean`, (h, w, c), where images are drawn independently; the updates of
            one image under several masks may depend on each other. nan below two images.
        count: pairs in which the pixel was hidden, (h, w).
    """

    mean: Float[Array, "h w c"]
    standard_error: Float[Array, "h w c"]
    count: Float[Array, "h w"]  # type: ignore[assignment]  # hides tuple.count, which none needs


class Moments(NamedTuple):
    """Moments, per pixel, of what each image contributes; those of two sets can be merged.

    Here s is the sum of an image's updates over the masks that hid the pixel, and m is the number
    of these masks.

    Attributes:
        images: number of images.
        hiding_images: images that hid the pixel at least once, (h, w).
        mean_sum: mean of s, (h, w, c).
        count: sum of m, (h, w); not the mean, since a sum of whole numbers is exact.
        sum_sum: sum of squared deviations of s, (h, w, c).
        sum_count: sum of products of deviations of s and m, (h, w, c).
        count_count: sum of squared deviations of m, (h, w).
    """

    images: Float[Array, ""]
    hiding_images: Float[Array, "h w"]
    mean_sum: Float[Array, "h w c"]
    count: Float[Array, "h w"]  # type: ignore[assignment]  # hides tuple.count, which none needs
    sum_sum: Float[Array, "h w c"]
    sum_count: Float[Array, "h w c"]
    count_count: Float[Array, "h w"]


def expected_update(
    logits_fn: LogitsFn,
    images: Float[Array, "n h w c"],
    targets: Int[Array, "n"],
    masks: Float[Array, "m h w"] | Float[Array, "n m h w"],
    *,
    order: Order | UpdateFn = "first",
    chunk: int = 64,
    tolerance: Number | None = None,
) -> Prototype:
    """Mean update over all pairs of an image and a mask, per pixel over the pairs that hide it.

    Args:
        logits_fn: the classifier.
        images: (n, h, w, c) in [0, 1], usually of one class.
        targets: (n,), class to fill in for in each image, in [0, k).
        masks: (m, h, w), the same for every image, or (n, m, h, w), its own for each; 1 = visible,
            0 = blank.
        order: "first", "second", or any function `(logits_fn, image, mask, target) -> update`.
        chunk: images evaluated at once, one mask at a time. It sets the memory, and the result does
            not depend on it unless `tolerance` is given.
        tolerance: stop as soon as the largest standard error is at most this, in units of the
            update. It is compared after each chunk. None goes through all images.

    Returns:
        The prototype; its `count` says how many pairs were used.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or order.

    Source: Deelaka et al. 2024, arXiv 2411.10273, E[dx]; standard error of a ratio of means:
    Cochran 1977, "Sampling techniques", section 6.4.

    Examples:
        >>> parts = masks.partition((16, 16), 4, 4, key=key)
        >>> prototype = fill.expected_update(logits_fn, images, targets, parts)
        >>> prototype.mean.shape, int(prototype.count.min())  # hidden once in each of 5 images
        ((16, 16, 3), 5)
    """
    update_fn = resolve_order(order)
    _check_arguments(logits_fn, images, targets, masks, chunk, tolerance)
    images, targets, masks = jnp.asarray(images), jnp.asarray(targets), jnp.asarray(masks)
    n, chunk = images.shape[0], min(chunk, images.shape[0])
    # Counts and sums leave what half precision can hold.
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    chunks = math.ceil(n / chunk)
    is_never_hidden = jnp.all(masks == 1, axis=tuple(range(masks.ndim - 2)))

    def contribution(index: Array) -> tuple[Image, Mask]:
        own_masks = masks[index] if masks.ndim == 4 else masks

        def add(carry: tuple[Image, Mask], mask: Mask) -> tuple[tuple[Image, Mask], None]:
            total, times = carry
            hidden = (1 - mask).astype(dtype)
            update = update_fn(logits_fn, images[index], mask, targets[index]).astype(dtype)
            return (total + hidden[:, :, None] * update, times + hidden), None

        nothing = jnp.zeros(images.shape[1:], dtype)
        return jax.lax.scan(add, (nothing, nothing[:, :, 0]), own_masks)[0]

    def step(state: tuple[Array, Moments]) -> tuple[Array, Moments]:
        at, moments = state
        indices = at * chunk + jnp.arange(chunk)
        sums, counts = jax.vmap(contribution)(jnp.minimum(indices, n - 1))
        weights = (indices < n).astype(dtype)
        return at + 1, merge(moments, measure(sums, counts, weights))

    def is_unfinished(state: tuple[Array, Moments]) -> Array:
        at, moments = state
        if tolerance is None:
            return at < chunks
        # A nan (no estimate yet) compares false, and goes on; one that no mask hides stays nan.
        is_precise = summarise(moments).standard_error <= tolerance
        converged = jnp.all(is_precise | is_never_hidden[:, :, None])
        return (at < chunks) & ~converged

    first = step((jnp.zeros((), jnp.int32), _no_moments(images.shape[1:], dtype)))
    return summarise(jax.lax.while_loop(is_unfinished, step, first)[1])


def class_prototypes(
    logits_fn: LogitsFn,
    images: Float[np.ndarray, "n h w c"],
    labels: Int[np.ndarray, "n"],
    classes: int,
    *,
    key: Key,
    images_per_class: int | None = None,
    parts: int = 4,
    patch: int = 7,
    order: Order | UpdateFn = "first",
    chunk: int = 64,
    tolerance: Number | None = None,
) -> Prototype:
    """The expected update E[dx] of every class, each image under masks that partition it.

    Every image has a random partition of its own, and each part is blank in one mask. The loop over
    the classes runs on the host, and compiles once for each number of images.

    Args:
        logits_fn: the classifier; two of one structure share what is compiled.
        images: (n, h, w, c) in [0, 1], on the host.
        labels: (n,), class of each image, in [0, classes).
        classes: number of classes; each needs an image.
        key: random key of the partitions. Those of a class do not depend on the other classes.
        images_per_class: how many images of each class to take, from the first; all by default.
        parts: number of parts of a partition.
        patch: side of its patches in pixels.
        order: as in `expected_update`.
        chunk: as in `expected_update`.
        tolerance: as in `expected_update`.

    Returns:
        The prototypes; every field has a leading axis of the classes, such as (k, h, w, c).

    Raises:
        TypeError, ValueError: as `expected_update`; a class without images.

    Source: Deelaka et al. 2024, arXiv 2411.10273, section 3.
    """
    checks.check_key(key)
    checks.check_count("classes", classes)
    if images_per_class is not None:
        checks.check_count("images_per_class", images_per_class)
    absent = sorted(set(range(classes)) - set(np.asarray(labels).tolist()))
    if absent:
        raise ValueError(f"labels must hold every class, got none of {absent}")
    classifier = logits_fn if isinstance(logits_fn, Partial) else Partial(logits_fn)
    found = []
    for label in range(classes):
        own = jnp.asarray(images[labels == label][:images_per_class])
        keys = jax.random.split(jax.random.fold_in(key, label), len(own))
        seen = jax.vmap(lambda key: partition(images.shape[1:3], parts, patch, key=key))(keys)
        targets = jnp.full(len(own), label, jnp.int32)
        found.append(
            _compiled_update(
                classifier, own, targets, seen, order=order, chunk=chunk, tolerance=tolerance
            )
        )
    return jax.tree.map(lambda *each: jnp.stack(each), *found)


_compiled_update = jax.jit(expected_update, static_argnames=("order", "chunk"))


def measure(
    sums: Float[Array, "n h w c"], counts: Float[Array, "n h w"], weights: Float[Array, "n"]
) -> Moments:
    """Moments of a chunk of images.

    Args:
        sums: (n, h, w, c), the updates of each image summed over the masks that hid the pixel.
        counts: (n, h, w), how many masks of each image hid the pixel.
        weights: (n,), 1 for an image that counts, 0 for padding.

    Returns:
        The moments of the images of weight 1.
    """
    images = weights.sum()
    per_pixel = weights[:, None, None]
    per_value = weights[:, None, None, None]
    mean_sum = (per_value * sums).sum(0) / images
    count = (per_pixel * counts).sum(0)
    sum_deviation = per_value * (sums - mean_sum[None])
    count_deviation = per_pixel * (counts - (count / images)[None])
    return Moments(
        images=images,
        hiding_images=(per_pixel * (counts > 0)).sum(0),
        mean_sum=mean_sum,
        count=count,
        sum_sum=(sum_deviation**2).sum(0),
        sum_count=(sum_deviation * count_deviation[:, :, :, None]).sum(0),
        count_count=(count_deviation**2).sum(0),
    )


def merge(a: Moments, b: Moments) -> Moments:
    """Moments of two disjoint sets of images together; the order does not matter.

    Args:
        a: moments of one set, which may be empty.
        b: moments of the other, of at least one image.

    Returns:
        The moments of their union.
    """
    sums = merge_plain(
        PlainMoments(a.images, a.mean_sum, a.sum_sum), PlainMoments(b.images, b.mean_sum, b.sum_sum)
    )
    mean_count, other_mean_count = a.count / jnp.maximum(a.images, 1), b.count / b.images
    counts = merge_plain(
        PlainMoments(a.images, mean_count, a.count_count),
        PlainMoments(b.images, other_mean_count, b.count_count),
    )
    return Moments(
        images=sums.count,
        hiding_images=a.hiding_images + b.hiding_images,
        mean_sum=sums.mean,
        count=a.count + b.count,
        sum_sum=sums.squares,
        sum_count=merge_products(
            a.sum_count,
            b.sum_count,
            (a.images, b.images),
            b.mean_sum - a.mean_sum,
            (other_mean_count - mean_count)[:, :, None],
        ),
        count_count=counts.squares,
    )


def summarise(moments: Moments) -> Prototype:
    """The prototype that moments describe: a ratio of means and its standard error.

    Args:
        moments: from `measure` and `merge`.

    Returns:
        Mean, standard error and count per pixel.
    """
    count = jnp.where(moments.count > 0, moments.count, jnp.nan)[:, :, None]
    mean = moments.images * moments.mean_sum / count
    squares = (
        moments.sum_sum - 2 * mean * moments.sum_count + mean**2 * moments.count_count[:, :, None]
    )
    hiding = moments.hiding_images[:, :, None]
    # Bessel's correction: of the images that hid the pixel, one is spent on the mean.
    corrected = jnp.maximum(squares, 0) * hiding / jnp.where(hiding > 1, hiding - 1, jnp.nan)
    return Prototype(mean, jnp.sqrt(corrected) / count, moments.count)


def pool(prototypes: Sequence[Prototype]) -> Prototype:
    """The prototype of several sets of images together, on the host.

    Args:
        prototypes: of sets that share no image.

    Returns:
        The means, weighted by how often each set hid a pixel, the standard error of this, and how
        often all sets together did.

    Raises:
        ValueError: there is none.
    """
    if not prototypes:
        raise ValueError("prototypes must be at least one")
    means, errors, counts = (np.stack(each) for each in zip(*prototypes, strict=True))
    weights = counts[..., None]
    # What a set never hid is nan there, and has no weight.
    means, errors = (np.where(weights > 0, each, 0) for each in (means, errors))
    total = np.where(weights.sum(0) > 0, weights.sum(0), np.nan)
    error = np.sqrt(((weights * errors) ** 2).sum(0)) / total
    return Prototype((weights * means).sum(0) / total, error, counts.sum(0))


def nearest_prototype(image: Image, prototypes: Float[Array, "k h w c"]) -> Int[Array, ""]:
    """Classify an image by the prototype that it correlates with best.

    Args:
        image: (h, w, c) in [0, 1].
        prototypes: (k, h, w, c), one per class, such as `Prototype.mean`; a value that is not
            finite counts as the mean of the others.

    Returns:
        The class index, in [0, k).

    Raises:
        TypeError, ValueError: shapes that do not fit.
    """
    checks.check_image(image)
    given = jnp.shape(prototypes)
    if given[1:] != image.shape or given[0] == 0:
        raise ValueError(
            f"prototypes must have shape (k, {', '.join(map(str, image.shape))}), k at least 1, "
            f"got {given}"
        )
    return jnp.argmax(jax.vmap(lambda prototype: _cosine(image, prototype))(prototypes))


def _cosine(image: Image, prototype: Image) -> Array:
    """Pearson correlation up to a factor that is the same for every prototype."""
    is_finite = jnp.isfinite(prototype)
    mean = jnp.where(is_finite, prototype, 0).sum() / jnp.maximum(is_finite.sum(), 1)
    centred = jnp.where(is_finite, prototype - mean, 0)
    return jnp.vdot(image, derivatives.unit_vector(centred))


def _no_moments(shape: tuple[int, ...], dtype: Any) -> Moments:
    per_value = jnp.zeros(shape, dtype)
    per_pixel = per_value[:, :, 0]
    return Moments(
        images=jnp.zeros((), dtype),
        hiding_images=per_pixel,
        mean_sum=per_value,
        count=per_pixel,
        sum_sum=per_value,
        sum_count=per_value,
        count_count=per_pixel,
    )


def _check_arguments(
    logits_fn: LogitsFn,
    images: Array,
    targets: Array,
    masks: Array,
    chunk: int,
    tolerance: Number | None,
) -> None:
    checks.check_image(images, name="images", axes=("n", "h", "w", "c"))
    n, shape = images.shape[0], images.shape[1:3]
    is_own = getattr(masks, "ndim", 3) == 4
    if is_own and masks.shape[0] != n:
        raise ValueError(f"masks must have one set for each of the {n} images, got {masks.shape}")
    axes = ("n", "m", "h", "w") if is_own else ("m", "h", "w")
    checks.check_mask(masks, shape, name="masks", axes=axes)
    checks.check_target(
        targets, checks.count_classes(logits_fn, images[0]), name="targets", shape=(n,)
    )
    checks.check_count("chunk", chunk)
    if tolerance is not None:
        checks.check_number("tolerance", tolerance, least=0)
