"""What had no part in a search, and judges what it found: networks, photographs, other draws."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.masks import MaskRow
from experiments.common.photographs import (
    AreaOptions,
    Explained,
    join,
    photographs,
    recognised,
    select,
)
from fitb_jax import ablation, evaluation, extremal, models
from fitb_jax.evaluation.complexity import count_components
from fitb_jax.evaluation.map_similarity import spearman, weighted_iou
from fitb_jax.types import Array, Float, Key, LogitsFn

MOVE = 8
"""Pixels by which a photograph is rolled to the lower right, and its map back."""

MAP_AREAS = 16
"""Of the map of a method's masks, which is their mean, evenly spaced over the range of a fit."""


BLANK_TELLS = "have more than half of p(class) where nothing is shown: masks prove nothing there"


@dataclasses.dataclass(frozen=True)
class JudgedOptions(AreaOptions):
    """Options of an experiment that is judged by what had no part in it.

    Attributes:
        judge: name of the network that takes no part.
        also: more photographs, as LAYOUT=DIR, such as some with boxes beside some with outlines.
        also_count: how many of them.
        part: of the photographs of each source: settings are chosen on one half of them, and
            confirmed on the other.
        held_out: photographs that no fit has seen, put behind masks; as many others are what fits
            with backgrounds see. They are the last ones of the folder, and not explained.
    """

    judge: str = "efficientnet_lite2"
    also: str = ""
    also_count: int = 60
    part: Literal["all", "even", "odd"] = "all"
    held_out: int = 32
    chunk: int = 1

    def __post_init__(self) -> None:
        """Refuse what names no folder, before anything is read."""
        super().__post_init__()
        if self.also and "=" not in self.also:
            raise ValueError(f"also must be LAYOUT=DIR, got {self.also!r}")


class Judged(NamedTuple):
    """Photographs, the network that is explained on them, and who judges it.

    Attributes:
        net: the photographs and the network.
        judge: the network that took no part.
        seen: (b, h, w, 3), what fits with backgrounds see.
        held_out: (b, h, w, 3), what none has seen.
        is_outline: (n,), whether the object's place is an outline, and not a box.
    """

    net: Explained
    judge: models.Pretrained
    seen: np.ndarray
    held_out: np.ndarray
    is_outline: np.ndarray

    @property
    def shared(self) -> dict[str, Any]:
        """What every point is given."""
        return {
            **self.net.networks,
            "judge": models.at_size(self.judge.logits_fn, self.judge.size),
            "seen": jnp.asarray(self.seen),
            "held_out": jnp.asarray(self.held_out),
        }


def judged(options: JudgedOptions) -> Judged:
    """Read the photographs, and set aside those that are put behind masks."""
    sources = [options]
    if options.also:
        layout, folder = options.also.split("=", 1)
        also: dict[str, Any] = {
            "photographs": layout,
            "photo_dir": Path(folder),
            "count": options.also_count,
        }
        sources.append(dataclasses.replace(options, **also))
    nets = [recognised(source) for source in sources]
    size = nets[0].pretrained.size
    every = photographs(dataclasses.replace(sources[-1], count=0), size)
    behind = every[max(len(every) - 2 * options.held_out, 0) :]
    images = np.stack([one.image for one in behind])
    start = {"all": 0, "even": 0, "odd": 1}[options.part]
    step = 1 if options.part == "all" else 2
    parts = []
    for net in nets:
        places = np.arange(len(net.names))[start::step]
        is_free = [net.names[i] not in behind.names for i in places]
        parts.append(select(net, places[is_free]))
    net = join(parts)
    is_outline = [
        np.full(len(part.names), not _has_boxes(source))
        for part, source in zip(parts, sources, strict=True)
    ]
    half = len(images) // 2
    return Judged(
        net=net,
        judge=models.load(options.judge),
        seen=images[:half],
        held_out=images[half:],
        is_outline=np.concatenate(is_outline),
    )


def _has_boxes(options: AreaOptions) -> bool:
    return options.photographs in ("manifest", "imagenet")


FIELDS = {
    "p": ablation.Field(dims=("area",), meaning="p(target) on the fit's blur"),
    "p_judge": ablation.Field(dims=("area",), meaning="the same, by another network"),
    "is_first": ablation.Field(dims=("area",), meaning="the class is that network's first"),
    "kept": ablation.Field(dims=("area",), meaning="share of held-out backgrounds with the class"),
    "precision": ablation.Field(("area",), meaning="share on the object", nan_is_answer=True),
    "parts": ablation.Field(dims=("area",), meaning="connected regions"),
    "pointing": ablation.Field(meaning="the maximum hits the object", nan_is_answer=True),
    "rank_accuracy": ablation.Field(
        meaning="share of the top pixels on the object", nan_is_answer=True
    ),
    "iou_keys": ablation.Field(("area",), meaning="overlap of two keys", nan_is_answer=True),
    "rank_keys": ablation.Field(meaning="Spearman of two keys", nan_is_answer=True),
    "iou_moved": ablation.Field(
        ("area",), meaning="overlap with that of the photograph moved", nan_is_answer=True
    ),
    "rank_moved": ablation.Field(meaning="Spearman of the same", nan_is_answer=True),
    "p_blank": ablation.Field(meaning="p(target) where nothing is shown"),
    "p_judge_blank": ablation.Field(meaning="the same, by another network"),
}


def judge_row(
    method: MaskRow,
    image: dict[str, Array],
    areas: Float[Array, "a"],
    *,
    trained: LogitsFn,
    untrained: LogitsFn,
    judge: LogitsFn,
    seen: Float[Array, "b h w c"],
    held_out: Float[Array, "b h w c"],
    tolerance: Array,
    key: Key,
) -> dict[str, Array]:
    """`FIELDS` of the masks of one photograph by one method."""
    pixels, target, truth = image["pixels"], image["target"], image["truth"]
    asked = method.asked(trained, image, key=key)
    swept = jnp.concatenate([areas, _map_areas()]) if method.is_swept else areas
    first_of_map = len(areas) if method.is_swept else 0

    def find(query: tuple[Array, Key]) -> tuple[Array, Array]:
        pixels, key = query
        masks = method.masks(
            trained, untrained, {**asked, "pixels": pixels}, swept, key=key, backgrounds=seen
        )
        return jax.vmap(extremal.binarise)(masks[: len(areas)], areas), masks[first_of_map:].mean(0)

    # One program for all: another key, and the photograph moved.
    queries = [(pixels, key)]
    queries += [(pixels, jax.random.fold_in(key, 2))] * method.is_random
    queries += [(jnp.roll(pixels, MOVE, (0, 1)), key)] * method.is_repeated
    every, maps = jax.lax.map(find, jax.tree.map(lambda *leaves: jnp.stack(leaves), *queries))
    binary, saliency = every[0], maps[0]
    target = asked["target"]
    decided = evaluation.localisation.leave_out(saliency, image["ignored"])
    judged = extremal.judge_masks(
        trained, pixels, target, binary, other_logits_fn=judge, backgrounds=held_out
    )
    keys = moved = (jnp.full(areas.shape, jnp.nan), jnp.asarray(jnp.nan))
    if method.is_random:
        keys = _agreement((binary, saliency), (every[1], maps[1]))
    if method.is_repeated:
        back = functools.partial(jnp.roll, shift=(-MOVE, -MOVE), axis=(-2, -1))
        moved = _agreement((binary, saliency), (back(every[-1]), back(maps[-1])))
    return {
        "p": judged.p,
        "p_judge": judged.p_other,
        "is_first": judged.is_first_of_other,
        "kept": judged.kept,
        "precision": jax.vmap(lambda mask: evaluation.precision(mask, truth))(binary),
        "parts": jax.vmap(count_components)(binary),
        "pointing": evaluation.pointing_game(decided, truth, tolerance=tolerance),
        "rank_accuracy": evaluation.relevance_rank(decided, truth),
        "iou_keys": keys[0],
        "rank_keys": keys[1],
        "iou_moved": moved[0],
        "rank_moved": moved[1],
        "p_blank": judged.p_blank,
        "p_judge_blank": judged.p_other_blank,
    }


def _agreement(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    """Overlap of binary masks, and rank correlation of maps."""
    return jax.vmap(weighted_iou)(first[0], second[0]), spearman(first[1], second[1])


def _map_areas() -> Array:
    config = extremal.InrConfig()
    places = (jnp.arange(MAP_AREAS) + 0.5) / MAP_AREAS
    return config.smallest_area + (config.largest_area - config.smallest_area) * places
