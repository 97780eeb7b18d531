"""One search for a sufficient region: the points of the grids of `sufficient_regions`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import ablation, extremal
from fitb_jax.types import LogitsFn

_SMALL = extremal.NetworkConfig(bandwidth=0.5, width=32, depth=2)
"""Of digits, whose parts are larger than those of photographs."""


class Point(NamedTuple):
    """What is kept of a search; see `extremal.SufficientRegion` and `extremal.Neighbours`."""

    region: jax.Array
    area: jax.Array
    found: jax.Array
    minimal: jax.Array
    search_share: jax.Array
    share: jax.Array
    low: jax.Array
    high: jax.Array
    controls: jax.Array
    connectivity_cost: jax.Array
    calls: jax.Array
    gradient_calls: jax.Array
    nearest: jax.Array
    nearest_share: jax.Array
    base_share: jax.Array


FIELDS = {
    "region": ablation.Field(("row", "column"), meaning="1 inside of the region"),
    "area": ablation.Field(meaning="share of the image"),
    "found": ablation.Field(meaning="whether the required share was reached in the search"),
    "minimal": ablation.Field(meaning="whether no single patch can go, as confirmed"),
    "search_share": ablation.Field(meaning="of the search's backgrounds, with the class kept"),
    "share": ablation.Field(meaning="of fresh backgrounds, with the class kept"),
    "low": ablation.Field(meaning="lower end of the interval of Clopper and Pearson"),
    "high": ablation.Field(meaning="upper end"),
    "controls": ablation.Field(("control",), meaning="class kept on blur, mean, zero"),
    "connectivity_cost": ablation.Field(meaning="area that does nothing but connect, at least"),
    "calls": ablation.Field(units="images", meaning="classified"),
    "gradient_calls": ablation.Field(units="images", meaning="whose gradient was taken"),
    "nearest": ablation.Field(("neighbour",), meaning="training images nearest on the region"),
    "nearest_share": ablation.Field(meaning="of them, with the image's class"),
    "base_share": ablation.Field(meaning="of all training images, with the image's class"),
}


def images_point(
    *,
    setting: tuple[tuple[str, int], ...],
    network: LogitsFn,
    backgrounds: jax.Array,
    fresh: jax.Array,
    data: dict[str, jax.Array],
    required: jax.Array,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> Point:
    """The region found on other images.

    Args:
        setting: names and values of what changes the program.
        network: the classifier.
        backgrounds: of the search, for each class, (classes, b, h, w, c).
        fresh: of the certificate, likewise.
        data: `images` and `labels` that neighbours are looked for in.
        required: share of the backgrounds that must keep the class.
        image: `pixels` and `target`.
        key: random key.

    Returns:
        What is kept.
    """
    target = image["target"]
    return _search(dict(setting), network, backgrounds[target], fresh, data, required, image, key)


def blur_point(
    *,
    setting: tuple[tuple[str, int], ...],
    network: LogitsFn,
    fresh: jax.Array,
    data: dict[str, jax.Array],
    image: dict[str, jax.Array],
    key: jax.Array,
) -> Point:
    """The region found on the image's own blur alone.

    Args:
        setting: names and values of what changes the program.
        network: the classifier.
        fresh: of the certificate, for each class, (classes, f, h, w, c).
        data: `images` and `labels` that neighbours are looked for in.
        image: `pixels` and `target`.
        key: random key.

    Returns:
        What is kept.
    """
    blurred = extremal.control_backgrounds(image["pixels"])[:1]
    one = jnp.ones(())
    return _search(dict(setting), network, blurred, fresh, data, one, image, key)


def _search(
    setting: dict[str, Any],
    network: LogitsFn,
    backgrounds: jax.Array,
    fresh: jax.Array,
    data: dict[str, jax.Array],
    required: jax.Array,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> Point:
    pixels, target = image["pixels"], image["target"]
    config = extremal.InrConfig(network=_SMALL, grid=14, steps=setting["fit_steps"])
    found = extremal.sufficient_region(
        network,
        pixels,
        target,
        backgrounds,
        key=key,
        fresh=fresh[target],
        required=required,
        patch=setting["patch"],
        rounds=setting["rounds"],
        config=config,
    )
    near = extremal.nearest_neighbours(
        pixels, target, found.region, data["images"], data["labels"], count=setting["nearest"]
    )
    controls = [
        extremal.certify(network, pixels, target, found.region, one[None]).estimate
        for one in extremal.control_backgrounds(pixels)
    ]
    return Point(
        found.region,
        found.area,
        found.found.astype(jnp.float32),
        found.minimal.astype(jnp.float32),
        found.search_share,
        found.certificate.estimate,
        found.certificate.low,
        found.certificate.high,
        jnp.stack(controls),
        found.connectivity_cost,
        found.calls,
        found.gradient_calls,
        near.indices,
        near.share,
        near.base_share,
    )
