"""One search for a sufficient region of a photograph: the points of the grid of `photo_regions`."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.region_points import FIELDS as OF_DIGITS
from fitb_jax import ablation, extremal
from fitb_jax.types import Key, LogitsFn

WAYS = ("photographs", "blur")
"""What is behind a region while it is searched for: other photographs, or its own blur alone."""


class Setting(NamedTuple):
    """What the program of a search depends on; see `Config`."""

    patch: int
    rounds: int
    fit_steps: int
    areas: int
    chunk: int


class Point(NamedTuple):
    """What is kept of a search; see `extremal.SufficientRegion`."""

    region: jax.Array
    area: jax.Array
    found: jax.Array
    minimal: jax.Array
    search_share: jax.Array
    connectivity_cost: jax.Array
    calls: jax.Array
    share: jax.Array
    low: jax.Array
    high: jax.Array
    pasted: jax.Array
    seen: jax.Array
    base: jax.Array


FIELDS = {
    **{name: field for name, field in OF_DIGITS.items() if name in Point._fields},
    "pasted": ablation.Field(("row", "column", "colour"), meaning="on the first fresh background"),
    "seen": ablation.Field(meaning="class of that"),
    "base": ablation.Field(meaning="of fresh backgrounds without a region, of the class"),
}


def point(
    *,
    way: str,
    setting: Setting,
    logits_fn: LogitsFn,
    required: jax.Array,
    image: dict[str, jax.Array],
    key: Key,
) -> Point:
    """Search one photograph's region, and certify it.

    Args:
        way: one of `WAYS`.
        setting: of the search.
        logits_fn: the classifier.
        required: share of the search's backgrounds that must keep the class.
        image: `pixels`, `target`, and the backgrounds `searched` and `fresh`.
        key: of the candidates and the search; both ways have the same.

    Returns:
        The region and its certificate.
    """
    pixels, target, fresh = image["pixels"], image["target"], image["fresh"]
    fit_key, search_key = jax.random.split(key)
    config = extremal.InrConfig(steps=setting.fit_steps)
    sizes = np.geomspace(config.smallest_area, config.largest_area, setting.areas)
    inr = extremal.fit_inr(logits_fn, pixels, target, config, key=fit_key)
    shape = (pixels.shape[0], pixels.shape[1])
    blurred = extremal.control_backgrounds(pixels)[:1]
    found = extremal.sufficient_region(
        logits_fn,
        pixels,
        target,
        image["searched"] if way == "photographs" else blurred,
        key=search_key,
        fresh=fresh,
        required=required,
        patch=setting.patch,
        rounds=setting.rounds,
        chunk=setting.chunk,
        candidates=extremal.inr_masks(inr, jnp.asarray(sizes, jnp.float32), shape),
    )
    nothing = jnp.zeros(shape)
    without = extremal.certify(logits_fn, pixels, target, nothing, fresh, chunk=setting.chunk)
    pasted = found.region[:, :, None] * (pixels - fresh[0]) + fresh[0]
    return Point(
        region=found.region,
        area=found.area,
        found=found.found,
        minimal=found.minimal,
        search_share=found.search_share,
        connectivity_cost=found.connectivity_cost,
        calls=found.calls,
        share=found.certificate.estimate,
        low=found.certificate.low,
        high=found.certificate.high,
        pasted=pasted,
        seen=jnp.argmax(logits_fn(pasted)),
        base=without.estimate,
    )
