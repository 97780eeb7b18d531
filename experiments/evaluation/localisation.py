"""Figure 25, Table 12: Localisation of every method, and of controls.

    python -m experiments localisation --photographs coco_polygons --photo-dir DIR    # 40 s a photograph

Needs: photographs with boxes or masks, `--photographs LAYOUT --photo-dir DIR`.
Expected: pointing game of extremal masks 0.829 [0.695, 0.963] (`--count 0 --held-out 16`, 32
photographs of COCO with outlines).

Any layout of `data.photographs` with boxes or masks (ImageNet validation, ImageNet-S, VOC, COCO)
whose classes the network knows. It resumes. Photographs that the network gets wrong are left out:
where it looks for a class that it does not see is no question of localisation.
"""  # noqa: E501 - a command is one line

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments.common.judges import Judged, JudgedOptions, judged
from experiments.common.photographs import Explained
from experiments.common.timing import median_seconds
from experiments.core.experiment import Sweep, Tables, method_sweep, unless_given
from experiments.core.labelled import with_notes
from fitb_jax import ablation, evaluation, extremal, models, plotting
from fitb_jax.evaluation.intervals import Interval, mean_interval
from fitb_jax.evaluation.tables import interval_table, intervals, paired_difference
from fitb_jax.saliency import as_saliency
from fitb_jax.types import Array, LogitsFn, SaliencyFn, Target

IOU_AREAS = np.linspace(0.05, 0.95, 19)

SMALL = (0.5, 0.25)
"""Objects that take less of the image: where they take all of it, every map points at them."""

# nan where the object's place is not known.
FIELDS = {
    "pointing": ablation.Field(meaning="the maximum hits the object", nan_is_answer=True),
    "mass": ablation.Field(meaning="share of the map on the object", nan_is_answer=True),
    "rank": ablation.Field(meaning="share of the top pixels on the object", nan_is_answer=True),
    "iou": ablation.Field(meaning="area under IoU against area", nan_is_answer=True),
    "precision": ablation.Field(
        dims=("area",), meaning="share of the region on the object", nan_is_answer=True
    ),
    "probability": ablation.Field(dims=("area",), meaning="p(target) of the region on a blur"),
    "p_judge": ablation.Field(dims=("area",), meaning="the same, by another network"),
    "kept": ablation.Field(dims=("area",), meaning="share of held-out backgrounds with the class"),
}


@dataclasses.dataclass(frozen=True)
class Config(JudgedOptions):
    """Options of Table 12.

    Attributes:
        tolerance: of the pointing game, in pixels.
        methods: names of the rows, see `rows`; none means all.
        keys: random keys, from `seed` on, of maps and of the untrained network; the scores of a
            photograph are means over them. One fit is not another.
    """

    tolerance: int = 15
    methods: tuple[str, ...] = ()
    keys: int = 1

    ZERO_ALLOWED = frozenset({"tolerance"})


class Row(NamedTuple):
    """A line of the table."""

    saliency_fn: SaliencyFn
    is_untrained: bool = False


def rows(pretrained: models.Pretrained) -> dict[str, Row]:
    """Methods, their maps of other networks and classes, and controls; cheap lines come first."""
    methods = listed.photo_methods(pretrained)
    judged = [
        name for name in ("gradient", "Grad-CAM", "occlusion", listed.EXTREMAL) if name in methods
    ]
    found = {name: Row(method) for name, method in {**listed.controls(), **_masks()}.items()}
    found[listed.BLURRED] = Row(listed.blurred(methods["gradient"]))
    found |= {name: Row(method) for name, method in methods.items()}
    found |= {f"{name}{listed.UNTRAINED}": Row(methods[name], True) for name in judged}
    return found | {
        f"{name}{listed.RANDOM_CLASS}": Row(listed.of_random_class(methods[name]))
        for name in judged
    }


def _masks() -> dict[str, SaliencyFn]:
    def disc(logits_fn: LogitsFn, image: Array, target: Target) -> Array:
        return evaluation.control_maps.centred_disc((image.shape[0], image.shape[1]), 0.25)

    def smooth(logits_fn: LogitsFn, image: Array, target: Target, *, key: Array) -> Array:
        return evaluation.control_maps.random_smooth((image.shape[0], image.shape[1]), key=key)

    return {"centred disc": as_saliency(disc), "random smooth map": as_saliency(smooth)}


def point(
    *,
    trained: LogitsFn,
    untrained: LogitsFn,
    judge: LogitsFn,
    held_out: jax.Array,
    areas: jax.Array,
    tolerance: jax.Array,
    method: Row,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> dict[str, jax.Array]:
    """Make one map of one photograph, and score it with the trained network."""
    pixels, target, truth = image["pixels"], image["target"], image["truth"]
    map_key, tie_key = jax.random.split(key)
    explained = untrained if method.is_untrained else trained
    saliency = method.saliency_fn(explained, pixels, target, key=map_key)
    regions = jax.vmap(lambda area: extremal.binarise(saliency, area, key=tie_key))(areas)
    decided = evaluation.localisation.leave_out(saliency, image["ignored"])
    found = extremal.judge_masks(
        trained, pixels, target, regions, other_logits_fn=judge, backgrounds=held_out
    )
    return {
        "pointing": evaluation.pointing_game(decided, truth, tolerance=tolerance),
        "mass": evaluation.relevance_mass(decided, truth),
        "rank": evaluation.relevance_rank(decided, truth),
        "iou": evaluation.iou_curve(decided, truth, jnp.asarray(IOU_AREAS)).area_under_curve,
        "precision": jax.vmap(
            lambda area: evaluation.precision(extremal.binarise(decided, area, key=tie_key), truth)
        )(areas),
        "probability": found.p,
        "p_judge": found.p_other,
        "kept": found.kept,
    }


def sweep(config: Config, net: Judged) -> Iterator[Sweep]:
    """Every line on every photograph, once for each random key."""
    for seed in range(config.seed, config.seed + config.keys):
        untrained = net.net.untrained
        if seed != config.seed:
            untrained = models.untrained(config.model, key=jax.random.key(seed)).logits_fn
        yield method_sweep(
            point,
            listed.chosen(rows(net.net.pretrained), config.methods),
            net.net.located,
            net.net.names,
            seed=seed,
            shared={
                **net.net._replace(untrained=untrained).networks,
                "judge": net.shared["judge"],
                "held_out": jnp.asarray(net.held_out),
                "areas": jnp.asarray(config.areas, jnp.float32),
                "tolerance": jnp.float32(config.tolerance),
            },
            fields=FIELDS,
            about={"area": ("area", [*config.areas])},
            chunk=config.chunk,
            chunks_a_block=8,
            # As if it were run alone, so that what was run alone is not run again.
            options=dataclasses.replace(config, seed=seed, keys=1),
        )


def compute(config: Config, net: Judged, *swept: xr.Dataset) -> xr.Dataset:
    """The mean scores of every map of every photograph, and how long one map of each kind takes."""
    timed = listed.chosen(rows(net.net.pretrained), config.methods)
    means = {
        name: (values.dims, np.mean([each[name].values for each in swept], 0))
        for name, values in swept[0][[*FIELDS]].items()
    }
    found = (
        swept[0]
        .assign(means)
        .assign(
            object_area=("image", net.net.truths.mean((1, 2))),
            object_class=("image", net.net.classes),
            difficult=("image", net.net.difficult),
            seconds=("method", [_seconds(net.net, row) for row in timed.values()]),
        )
    )
    notes = [
        f"{len(net.net.names)} photographs that {config.model} recognises: {net.net.source}",
        f"another network is {config.judge}, which took no part",
    ]
    if config.keys > 1:
        notes.append(f"scores of each photograph are means over {config.keys} random keys")
    if not net.net.truths.any():
        notes.append(
            "the objects' places are not known: only p(class) of the regions says anything"
        )
    return with_notes(found, *notes)


def _seconds(net: Explained, row: Row) -> float:
    explained = net.untrained if row.is_untrained else net.pretrained.logits_fn
    inputs = (explained, jnp.asarray(net.images[0]), jnp.asarray(net.targets[0]))
    make = jax.jit(lambda *inputs, key: row.saliency_fn(*inputs, key=key))
    return median_seconds(lambda: make(*inputs, key=jax.random.key(0)))


def tables(config: Config, found: xr.Dataset) -> Tables:
    """What is said of each map, and the pointing game where objects are small."""
    tables = {"localisation": _scores(found)}
    if listed.EXTREMAL in found["method"]:
        tables[f"p(class) of the regions: {listed.EXTREMAL} less each map"] = _differences(found)
    if found["object_area"].any():
        tables["pointing game by the size of the objects"] = _by_size(found)
    return tables


def _scores(found: xr.Dataset) -> pd.DataFrame:
    def mean(name: str, title: str, of: xr.Dataset = found) -> pd.DataFrame:
        return interval_table(of[name], rows="method", over="image", title=title)

    pointing = found["pointing"].transpose("method", "image").values
    of_classes = [evaluation.summarise(each, classes=found["object_class"]) for each in pointing]
    is_difficult = found["difficult"].values
    by_class = {"the same, mean over classes": [each.class_mean.estimate for each in of_classes]}
    columns = [mean("pointing", "pointing game").assign(**by_class)]
    if is_difficult.any():
        difficult = found.isel(image=is_difficult)
        columns.append(mean("pointing", "the same, difficult cases", difficult))
    columns += [mean("mass", "mass"), mean("rank", "rank"), mean("iou", "IoU, area")]
    columns.append(mean("precision", "precision, area {area:g}"))
    columns.append(mean("probability", "p(class), area {area:g}"))
    columns.append(mean("p_judge", "p(class) by another network, area {area:g}"))
    columns.append(mean("kept", "other backgrounds, area {area:g}"))
    return pd.concat([*columns, found["seconds"].to_series().rename("seconds a map")], axis=1)


def _differences(found: xr.Dataset) -> pd.DataFrame:
    """Paired by photograph: of all, and of those with small objects."""
    more = -paired_difference(found["probability"], method=listed.EXTREMAL)
    groups = {"all": more}
    if found["object_area"].any():
        is_small = found["object_area"].values < SMALL[0]
        groups[f"objects below {SMALL[0]:g}"] = more.isel(image=is_small)
    columns = [
        interval_table(of, rows="method", over="image", title=f"area {{area:g}}, {group}")
        for group, of in groups.items()
    ]
    return pd.concat(columns, axis=1)


def _by_size(found: xr.Dataset) -> pd.DataFrame:
    """Of all photographs, and of those whose objects leave room to miss them."""
    columns = []
    for limit in (np.inf, *SMALL):
        pointing = found["pointing"].isel(image=found["object_area"].values < limit)
        which = f"objects below {limit:g}" if np.isfinite(limit) else "all"
        title = f"{which} ({pointing.sizes['image']} photographs)"
        columns.append(interval_table(pointing, rows="method", over="image", title=title))
        if listed.EXTREMAL in found["method"]:
            more = -paired_difference(pointing, method=listed.EXTREMAL)
            title = f"{listed.EXTREMAL} less it, {which}"
            less = interval_table(more, rows="method", over="image", title=title)
            columns.append(less.reindex(columns[0].index, fill_value=""))
    return pd.concat(columns, axis=1)


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Pointing game and p(target) of the region, line by line, with their intervals."""
    figure = Figure(figsize=(10, 0.32 * found.sizes["method"] + 1.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    found = found.isel(method=np.argsort(-_middle(config, found).mean("image").values))
    groups = {"all photographs": intervals(found["pointing"], over="image")}
    is_small = found["object_area"].values < SMALL[0]
    if is_small.any() and found["object_area"].any():
        of_small = found["pointing"].isel(image=is_small)
        groups[f"objects below {SMALL[0]:g} of the image"] = intervals(of_small, over="image")
    plotting.interval_chart(
        left,
        xr.concat([*groups.values()], pd.Index([*groups], name="photographs")),
        groups="method",
        bars="photographs",
        title=f"pointing game, {config.tolerance} pixels",
        is_horizontal=True,
        spread=0.2,
    )
    if len(groups) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    plotting.interval_chart(
        right,
        intervals(_middle(config, found), over="image"),
        groups="method",
        title=f"p(class), the top {config.areas[len(config.areas) // 2]:.0%} on a blur",
        is_horizontal=True,
    )
    return {"localisation": figure}


def _middle(config: Config, found: xr.Dataset) -> xr.DataArray:
    """p(class) of the regions of the middle area."""
    return found["probability"].isel(area=len(config.areas) // 2)


def caption(config: Config, found: xr.Dataset) -> str:
    """State what the best regions have, where their maps point, and what the objects take."""
    probability = _middle(config, found)
    best = found["method"].values[int(probability.mean("image").argmax("method"))]
    area = config.areas[len(config.areas) // 2]
    size = pointing = ""
    if found["object_area"].any():
        size = f", whose objects take {float(found['object_area'].mean()):.0%} of the square"
        pointing = (
            f"; its pointing game, with a tolerance of {config.tolerance} pixels, is "
            f"{_mean(found['pointing'], best)}"
        )
    other = _mean(found["p_judge"].sel(area=area), best)
    return (
        f"{found.sizes['image']} photographs that {config.model} recognises{size}. The top "
        f"{area:.0%} of {best} has the most p(class), {_mean(probability, best)}, on the blur that "
        f"masks are fitted on; {config.judge}, which took no part, gives it {other}{pointing}. The "
        "centre is hard to beat where photographers centre their objects. Intervals are of 95 %."
    )


def _mean(values: xr.DataArray, method: str) -> Interval:
    return mean_interval(values.sel({"method": method}))


load = judged

left_out = unless_given(
    "nobody has marked the objects of the default photographs; give --photo-dir"
)

SMOKE = {
    "count": 2,
    "held_out": 2,
    "areas": (0.1, 0.3),
    "methods": ("random map", "Grad-CAM"),
    "keys": 2,
}
