"""Do several networks explain an image alike, and what is left when their maps are averaged?

The networks differ by the seed of their training or by their architecture, and the maps are of one
image and one class. A score belongs to a set of maps. It says how far an explanation depends on the
image and the class, and how far on the network that happened to be trained.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import checks
from fitb_jax.evaluation.intervals import Interval, bootstrap_interval
from fitb_jax.evaluation.map_similarity import (
    WINDOW,
    centred_ranks,
    correlation,
    ssim,
    unit_range,
    weighted_iou,
)
from fitb_jax.evaluation.ranking import top_weights
from fitb_jax.types import (
    Array,
    Float,
    Key,
    LogitsFn,
    Number,
    Saliency,
    SaliencyFn,
    Scalar,
    Target,
)


class Agreement(NamedTuple):
    """How alike maps are, by several measures.

    Attributes:
        spearman: rank correlation, with sign.
        spearman_magnitude: rank correlation of the magnitudes.
        top_k_iou: intersection over union of the regions of largest values.
        ssim: structural similarity of the maps scaled to [0, 1].
    """

    spearman: Float[Array, "..."]
    spearman_magnitude: Float[Array, "..."]
    top_k_iou: Float[Array, "..."]
    ssim: Float[Array, "..."]


class MeanMap(NamedTuple):
    """The mean over networks of maps in common units, and how much of it is noise.

    Attributes:
        mean: (h, w), of the maps shifted and scaled to mean 0 and variance 1 each.
        error: standard error of `mean` at each pixel, (h, w).
        signal: variance over pixels of the map that all networks share, an unbiased estimate that
            may be below 0; it is the mean Pearson correlation of all pairs of maps.
        noise: variance of one network's map about the shared one; `1 - signal` where no map is
            constant.
        signal_to_noise: of `mean`, n signal / noise for n networks; infinite for equal maps, nan
            for constant ones.
    """

    mean: Float[Array, "h w"]
    error: Float[Array, "h w"]
    signal: Scalar
    noise: Scalar
    signal_to_noise: Scalar


class _Described(NamedTuple):
    """What the measures compare: of each map once, since every map is in many pairs."""

    ranks: Float[Array, "n p"]
    magnitude_ranks: Float[Array, "n p"]
    top: Float[Array, "n h w"]
    scaled: Float[Array, "n h w"]


def maps_of_networks(
    saliency_fn: SaliencyFn,
    networks: LogitsFn,
    images: Float[Array, "i h w c"],
    target: Target,
    *,
    key: Key,
) -> Float[Array, "m i h w"]:
    """Maps of every network, and of the first one again with other keys.

    Every map has a key of its own, so that the agreement of a random method includes its draws.

    Args:
        saliency_fn: the method.
        networks: n networks of one architecture, their leaves stacked.
        images: (i, h, w, c), all explained for one class.
        target: the class, in [0, k).
        key: random key of all maps.

    Returns:
        (m, i, h, w) with m = n + 1: the maps of the n networks, then the first one's again.
    """
    checks.check_key(key)
    again = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf[:1]]), networks)
    count = jax.tree.leaves(again)[0].shape[0]

    def of_network(case: tuple[LogitsFn, Array]) -> Array:
        network, keys = case
        return jax.vmap(lambda image, k: saliency_fn(network, image, target, key=k))(images, keys)

    # One network after the other: a product with one matrix for all images is the faster one.
    return jax.lax.map(of_network, (again, jax.random.split(key, (count, len(images)))))


def pairwise_agreement(
    first: Float[Array, "n h w"], second: Float[Array, "m h w"], *, area: Number = 0.1
) -> Agreement:
    """How alike every map of one set is to every map of another.

    Args:
        first: n maps of one shape, at least 11 x 11.
        second: m maps of the same shape.
        area: share of the image in the regions of `top_k_iou`, in (0, 1]. An array argument.

    Returns:
        (n, m) in every field; nan where a map is constant, for the rank correlations.

    Raises:
        TypeError, ValueError: maps that are not (n, h, w), of two shapes, too small, or not finite;
            an area out of range.
    """
    _check_maps("first", first, least=1)
    _check_maps("second", second, least=1)
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f"second must have maps of the shape of first's, {first.shape[1:]}, "
            f"got {second.shape[1:]}"
        )
    checks.check_number("area", area, least=0, most=1, open_least=True)
    described = _described(first, area), _described(second, area)

    def compare(a: _Described, b: _Described) -> Agreement:
        return Agreement(
            spearman=correlation(a.ranks, b.ranks),
            spearman_magnitude=correlation(a.magnitude_ranks, b.magnitude_ranks),
            top_k_iou=weighted_iou(a.top, b.top),
            ssim=ssim(a.scaled, b.scaled, value_range=1.0),
        )

    return jax.vmap(jax.vmap(compare, in_axes=(None, 0)), in_axes=(0, None))(*described)


def agreement(maps: Float[Array, "n h w"], *, area: Number = 0.1) -> Agreement:
    """Mean agreement over all pairs of different maps.

    Args:
        maps: of n >= 2 networks, for one image and one class.
        area: as in `pairwise_agreement`.

    Returns:
        Scalars, 1 for equal maps. The order of the maps does not matter. nan where one is constant,
        for the rank correlations.

    Raises:
        TypeError, ValueError: as `pairwise_agreement`, or a single map.
    """
    _check_maps("maps", maps, least=2)
    others = ~jnp.eye(len(maps), dtype=bool)
    every = pairwise_agreement(maps, maps, area=area)
    return Agreement(*(jnp.where(others, each, 0).sum() / others.sum() for each in every))


def agreement_between(
    first: Float[Array, "n h w"], second: Float[Array, "m h w"], *, area: Number = 0.1
) -> Agreement:
    """Mean agreement of the maps of one set with those of another, such as two architectures.

    Args:
        first: n maps.
        second: m maps.
        area: as in `pairwise_agreement`.

    Returns:
        Scalars.

    Raises:
        TypeError, ValueError: as `pairwise_agreement`.
    """
    every = pairwise_agreement(first, second, area=area)
    return Agreement(*(each.mean() for each in every))


def mean_map(maps: Float[Array, "n h w"]) -> MeanMap:
    """Average maps over networks, and estimate what they share and what each has for itself.

    Each map is shifted and scaled to mean 0 and variance 1 over its pixels. Networks of larger
    gradients then count no more than others, and a common offset is no signal. Let the maps of n
    networks be m_i = s + e_i, s shared and e_i independent. The variance of the mean over the
    pixels is `signal + noise / n`, and the mean variance over the networks estimates `noise`.

    Args:
        maps: of n >= 2 networks, for one image and one class; a constant map counts as zeros.

    Returns:
        The mean map with its error at each pixel and its ratio of signal to noise.

    Raises:
        TypeError, ValueError: maps that are not (n, h, w), a single one, or not finite.

    Source: analysis of variance with one random factor, Searle, Casella & McCulloch 1992,
    "Variance components", section 3.1.
    """
    _check_maps("maps", maps, least=2, least_side=1)
    count = len(maps)
    alike = jax.vmap(_standardised)(maps)
    mean = alike.mean(0)
    variances = ((alike - mean[None]) ** 2).sum(0) / (count - 1)
    noise = variances.mean()
    signal = (mean**2).mean() - noise / count
    ratio = jnp.where(noise > 0, count * signal / jnp.where(noise > 0, noise, 1), jnp.inf)
    is_nothing = (noise == 0) & (signal == 0)
    return MeanMap(
        mean=mean,
        error=jnp.sqrt(variances / count),
        signal=signal,
        noise=noise,
        signal_to_noise=jnp.where(is_nothing, jnp.nan, ratio),
    )


def pooled_signal_to_noise(
    signal: Float[np.ndarray, " n"], noise: Float[np.ndarray, " n"], *, networks: int
) -> Interval:
    """Ratio of signal to noise of mean maps, pooled over images before it is divided.

    Args:
        signal: (n,), of the mean map of each image, see `MeanMap`.
        noise: (n,), of the same mean maps.
        networks: number of networks whose maps are averaged.

    Returns:
        `networks` times mean signal over mean noise, with its bootstrap interval over images;
        infinite where the maps are equal.
    """

    def ratio(cases: np.ndarray) -> float:
        mean_signal, mean_noise = cases.mean(0)
        # Equal maps differ by rounding alone.
        return float(networks * mean_signal / mean_noise) if mean_noise > 1e-6 else float("inf")

    if noise.max() <= 1e-6:
        return Interval(*3 * (float("inf"),))
    return bootstrap_interval(np.stack([signal, noise], axis=1), ratio)


def _standardised(saliency: Saliency) -> Saliency:
    # Within [0, 1] first, so that no square leaves the range of float32.
    scaled = unit_range(saliency)
    centred = scaled - scaled.mean()
    is_constant = saliency.min() == saliency.max()
    return jnp.where(is_constant, 0, centred / jnp.where(is_constant, 1, centred.std()))


def _described(maps: Array, area: Number) -> _Described:
    return _Described(
        jax.vmap(centred_ranks)(maps),
        jax.vmap(centred_ranks)(jnp.abs(maps)),
        jax.vmap(lambda one: top_weights(one, area))(maps),
        jax.vmap(unit_range)(maps),
    )


def _check_maps(name: str, maps: Any, *, least: int, least_side: int = WINDOW) -> None:
    checks.check_floating(name, maps, ("n", "h", "w"))
    if len(maps) < least:
        raise ValueError(f"{name} must hold at least {least} maps, got {len(maps)}")
    if min(maps.shape[1:]) < least_side:
        raise ValueError(
            f"{name} must be of at least {least_side} x {least_side} pixels, got {maps.shape[1:]}"
        )
