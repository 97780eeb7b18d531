"""Ways to find the masks of several areas of an image, through one signature.

`MaskMethod = (logits_fn, image, target, areas, *, key) -> (a, h, w)`; `functools.partial` sets the
configuration of those that have one.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from fitb_jax.evaluation import control_maps
from fitb_jax.extremal import dense, inr
from fitb_jax.extremal.area import binarise, exact_area
from fitb_jax.extremal.config import InrConfig
from fitb_jax.extremal.prior import PRIOR_WEIGHT
from fitb_jax.types import Array, Float, Image, Key, LogitsFn, Number, SaliencyFn, Target

MaskMethod: TypeAlias = Callable[..., Float[Array, "a h w"]]


def fitted_masks(
    config: InrConfig,
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    areas: Float[Array, "a"],
    *,
    key: Key,
    prior_fn: SaliencyFn | None = None,
    prior_weight: Number = PRIOR_WEIGHT,
    backgrounds: Float[Array, "b h w c"] | None = None,
) -> Float[Array, "a h w"]:
    """Fit one coordinate network, and return its masks of these areas.

    Args:
        config: of the fit.
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class.
        areas: (a,), shares of the image to show, ascending.
        key: random key of the fit and of the prior.
        prior_fn: a method whose map is the prior; by default the fit makes its own.
        prior_weight: as in `fit_inr`.
        backgrounds: as in `fit_inr`.

    Returns:
        The masks, (a, h, w) in [0, 1].
    """
    prior = None
    if prior_fn is not None:
        prior = prior_fn(logits_fn, image, target, key=jax.random.fold_in(key, 4))
    fitted = inr.fit_inr(
        logits_fn,
        image,
        target,
        config,
        key=key,
        prior=prior,
        prior_weight=prior_weight,
        backgrounds=backgrounds,
    )
    return inr.inr_masks(fitted, areas, (image.shape[0], image.shape[1]))


def free_masks(
    config: dense.DenseConfig,
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    areas: Float[Array, "a"],
    *,
    key: Key,
) -> Float[Array, "a h w"]:
    """Fit one mask of free values for each area, see `fit_dense`.

    Args:
        config: of the fits.
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class.
        areas: (a,), shares of the image to show, ascending.
        key: not used, as nothing in it is random.

    Returns:
        The masks, (a, h, w) in [0, 1].
    """
    del key
    return dense.dense_masks(logits_fn, image, target, areas, config)


RANK_SCALE = 12.0
"""Scale of the scores of `map_masks`: small enough that no two ranks give the same value."""


def map_masks(
    saliency_fn: SaliencyFn,
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    areas: Float[Array, "a"],
    *,
    key: Key,
) -> Float[Array, "a h w"]:
    """Masks that show the largest values of a saliency map.

    Args:
        saliency_fn: the method.
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class.
        areas: (a,), shares of the image to show, ascending.
        key: of the map.

    Returns:
        Soft masks of these areas, (a, h, w) in (0, 1). Their pixels are in the order of the map's,
        ties in random order, so that `binarise` shows the largest values of the map.
    """
    saliency = saliency_fn(logits_fn, image, target, key=key)
    tie_breaks = jax.random.permutation(jax.random.fold_in(key, 1), saliency.size)
    ranks = jnp.argsort(jnp.lexsort((tie_breaks, saliency.ravel())))
    scores = RANK_SCALE * (ranks / saliency.size - 0.5).reshape(saliency.shape)
    return jax.vmap(lambda area: exact_area(scores, area))(areas)


def centred_discs(
    logits_fn: LogitsFn, image: Image, target: Target, areas: Float[Array, "a"], *, key: Key
) -> Float[Array, "a h w"]:
    """Control masks that ignore the classifier: centred discs, as photographers centre objects.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class.
        areas: (a,), shares of the image to show, ascending.
        key: not used.

    Returns:
        The masks, (a, h, w).
    """
    del logits_fn, target, key
    shape = image.shape[0], image.shape[1]
    return jax.vmap(lambda area: control_maps.centred_disc(shape, area))(areas)


def random_smooth_masks(
    logits_fn: LogitsFn, image: Image, target: Target, areas: Float[Array, "a"], *, key: Key
) -> Float[Array, "a h w"]:
    """Control masks that ignore the classifier: the largest values of one smooth random map.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: the class.
        areas: (a,), shares of the image to show, ascending.
        key: of the one map whose largest values are shown.

    Returns:
        The masks, (a, h, w), of zeros and ones.
    """
    del logits_fn, target
    drawn = control_maps.random_smooth((image.shape[0], image.shape[1]), key=key)
    return jax.vmap(lambda area: binarise(drawn, area))(areas)
