"""Figure 23, Table 10: Localisation of every method, and of controls.

    python -m experiments localisation --photographs manifest --photo-dir DIR --count 0    # 40 s a photograph

Needs: photographs with boxes or masks, `--photographs LAYOUT --photo-dir DIR`.
Expected: TODO.

Any layout of `data.photographs` with boxes or masks (ImageNet validation, ImageNet-S, VOC, COCO)
whose classes the network knows. It resumes. Photographs that the network gets wrong are left out:
where it looks for a class that it does not see is no question of localisation.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table
from experiments.grids import GridRun, method_grid, plan_grid, run_grid
from experiments.localised import FIELDS, Localised, Row, point, rows
from experiments.common.methods import OURS
from experiments.common.photographs import AreaOptions, Explained, recognised
from experiments.common.timing import median_seconds
from fitb_jax import checks, evaluation
from fitb_jax.evaluation.intervals import mean_interval

SMALL = (0.5, 0.25)
"""Objects that take less of the image: where they take all of it, every map points at them."""


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Table 5.

    Attributes:
        tolerance: of the pointing game, in pixels.
        methods: names of the rows, see `rows`; none means all.
        keys: random keys, from `seed` on, of maps and of the untrained network; the scores of a
            photograph are means over them. One fit is not another.
    """

    tolerance: int = 15
    methods: tuple[str, ...] = ()
    keys: int = 1
    chunk: int = 1

    ZERO_ALLOWED = frozenset({"tolerance"})


def grid(config: Config, net: Explained) -> GridRun:
    """The grid of methods and photographs for the key of `seed`.

    Args:
        config: options.
        net: the networks and the photographs.

    Returns:
        The grid.

    Raises:
        ValueError: an unknown method.
    """
    named = rows(net.pretrained)
    for name in config.methods:
        checks.check_choice("methods", name, named)
    named = {name: row for name, row in named.items() if name in (config.methods or named)}
    return method_grid(
        "localisation",
        point,
        named,
        net.located,
        net.names,
        seed=config.seed,
        shared={
            **net.networks,
            "areas": jnp.asarray(config.areas, jnp.float32),
            "tolerance": jnp.float32(config.tolerance),
        },
        fields=FIELDS,
        chunk=config.chunk,
        chunks_a_block=8,
    )


def plan(config: Config) -> list[str]:
    """What the grid of the first key will do.

    Args:
        config: options.

    Returns:
        Its plan, and how often it is done.
    """
    of_first = plan_grid(grid(config, recognised(config)))
    return [of_first, f"once for each random key, of which there are {config.keys}"]


def compute(config: Config) -> Outcome:
    """Score every map of every photograph, and time one map of each kind."""
    found = []
    for i in range(config.keys):
        # As if it were run alone, so that what was run alone is not run again.
        of_key = dataclasses.replace(config, seed=config.seed + i, keys=1)
        net = recognised(of_key)
        run = grid(of_key, net)
        found.append(run_grid(of_key, run).transpose("method", "image", ...).load())
    arrays = {name: np.mean([each[name] for each in found], 0) for name in Localised._fields}
    arrays |= {
        "areas": np.asarray(config.areas),
        "methods": np.array(found[0]["method"].values.tolist()),
        "object_area": net.truths.mean((1, 2)),
        "classes": net.classes,
        "difficult": net.difficult,
        "seconds": np.array([_seconds(net, row) for row in run.grid["method"].values]),
    }
    notes = [f"{len(net.names)} photographs that {config.model} recognises: {net.source}"]
    if config.keys > 1:
        notes.append(f"scores of each photograph are means over {config.keys} random keys")
    if not net.truths.any():
        notes.append(
            "the objects' places are not known: only p(class) of the regions says anything"
        )
    return Outcome(arrays, {}, tables(arrays), notes)


def tables(arrays: dict[str, np.ndarray]) -> dict[str, Table]:
    """What is said of each map, and the pointing game where objects are small.

    Args:
        arrays: of `compute`.

    Returns:
        By name.
    """
    found = {"localisation": _table(arrays)}
    if OURS[2] in arrays["methods"]:
        found[f"p(class) of the regions: {OURS[2]} less each map"] = _differences(arrays)
    if arrays["object_area"].any():
        found["pointing game by the size of the objects"] = _by_size(arrays)
    return found


def _seconds(net: Explained, row: Row) -> float:
    """One map of the first photograph."""
    explained = net.untrained if row.is_untrained else net.pretrained.logits_fn
    inputs = (explained, jnp.asarray(net.images[0]), jnp.asarray(net.targets[0]))
    make = jax.jit(lambda *inputs, key: row.saliency_fn(*inputs, key=key))
    key = jax.random.key(0)
    return median_seconds(lambda: make(*inputs, key=key))


def _table(arrays: dict[str, np.ndarray]) -> Table:
    has_difficult = bool(arrays["difficult"].any())
    columns = ["map", "pointing game", "the same, mean over classes"]
    columns += ["the same, difficult cases"] * has_difficult + ["mass", "rank", "IoU, area"]
    columns += [f"precision, area {area:g}" for area in arrays["areas"]]
    columns += [f"p(class), area {area:g}" for area in arrays["areas"]]
    table: list[list[object]] = []
    for i, name in enumerate(arrays["methods"].tolist()):
        of_class = evaluation.summarise(
            arrays["pointing"][i], classes=arrays["classes"]
        ).class_mean.estimate
        row: list[object] = [name, str(mean_interval(arrays["pointing"][i])), f"{of_class:.3f}"]
        if has_difficult:
            row.append(str(mean_interval(arrays["pointing"][i][arrays["difficult"]])))
        row += [str(mean_interval(arrays[measure][i])) for measure in ("mass", "rank", "iou")]
        row += [str(mean_interval(p)) for p in arrays["precision"][i].T]
        row += [str(mean_interval(p)) for p in arrays["probability"][i].T]
        table.append([*row, f"{arrays['seconds'][i]:.2f}"])
    return Table([*columns, "seconds a map"], table)


def _differences(arrays: dict[str, np.ndarray]) -> Table:
    """Paired by photograph: of all, and of those with small objects."""
    names = arrays["methods"].tolist()
    reference = arrays["probability"][names.index(OURS[2])]
    groups = {"all": np.full(len(arrays["object_area"]), True)}
    if arrays["object_area"].any():
        groups[f"objects below {SMALL[0]:g}"] = arrays["object_area"] < SMALL[0]
    columns = ["map"]
    columns += [f"area {area:g}, {group}" for group in groups for area in arrays["areas"]]
    lines: list[list[object]] = []
    for name, values in zip(names, arrays["probability"], strict=True):
        if name != OURS[2]:
            of_groups = [(reference - values)[chosen].T for chosen in groups.values()]
            lines.append([name, *(str(mean_interval(d)) for each in of_groups for d in each)])
    return Table(columns, lines)


def _by_size(arrays: dict[str, np.ndarray]) -> Table:
    """Of all photographs, and of those whose objects leave room to miss them."""
    names = arrays["methods"].tolist()
    reference = names.index(OURS[2]) if OURS[2] in names else None
    columns, lines = ["map"], [[name] for name in names]
    for limit in (np.inf, *SMALL):
        of_size = arrays["object_area"] < limit
        which = f"objects below {limit:g}" if np.isfinite(limit) else "all"
        columns.append(f"{which} ({of_size.sum()} photographs)")
        pointing = arrays["pointing"][:, of_size]
        for line, hits in zip(lines, pointing, strict=True):
            line.append(str(mean_interval(hits)))
        if reference is not None:
            columns.append(f"{OURS[2]} less it, {which}")
            for i, line in enumerate(lines):
                difference = pointing[reference] - pointing[i]
                line.append("" if i == reference else str(mean_interval(difference)))
    return Table(columns, lines)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Pointing game and p(target) of the region, line by line, with their intervals."""
    arrays = outcome.arrays
    names = arrays["methods"].tolist()
    middle = len(arrays["areas"]) // 2
    figure = Figure(figsize=(10, 0.32 * len(names) + 1.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    probability = arrays["probability"][:, :, middle]
    order = np.argsort([mean_interval(p).estimate for p in probability])
    small = arrays["object_area"] < SMALL[0]
    _line_by_line(left, arrays["pointing"][order], "all photographs", 0.1)
    if small.any() and arrays["object_area"].any():
        label = f"objects below {SMALL[0]:g} of the image"
        _line_by_line(left, arrays["pointing"][order][:, small], label, -0.1)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    _line_by_line(right, probability[order], "all photographs", 0.0)
    left.set_title(f"pointing game, {config.tolerance} pixels", fontsize=9)
    right.set_title(f"p(class), the top {arrays['areas'][middle]:.0%} on a blur", fontsize=9)
    left.set_yticks(range(len(names)), [names[i] for i in order], fontsize=8)
    return {"localisation": figure}


def _line_by_line(axis: Axes, values: np.ndarray, label: str, above: float) -> None:
    intervals = np.array([mean_interval(line) for line in values])
    reach = np.abs(intervals[:, 1:] - intervals[:, :1]).T
    places = np.arange(len(values)) + above
    axis.errorbar(
        intervals[:, 0], places, xerr=reach, fmt="o", markersize=4, capsize=2, label=label
    )
    axis.grid(alpha=0.3)


def caption(config: Config, outcome: Outcome) -> str:
    """State the pointing game of every line, and the chance of the object's area."""
    arrays = outcome.arrays
    names = arrays["methods"].tolist()
    scores = "; ".join(
        f"{name} {mean_interval(arrays['pointing'][i])}" for i, name in enumerate(names)
    )
    return (
        f"{arrays['pointing'].shape[1]} photographs that {config.model} recognises, whose objects "
        f"take {arrays['object_area'].mean():.0%} of the square. Pointing game with a tolerance of "
        f"{config.tolerance} pixels, mean over photographs with its 95 % interval: {scores}. The "
        "centre is hard to beat where photographers centre their objects; p(class) of the top "
        "region asks the network instead of the annotator."
    )


def left_out(config: Config) -> str | None:
    """Why `reproduce` leaves it out.

    Args:
        config: options.

    Returns:
        The reason, None if photographs were given.
    """
    return (
        None
        if config.photographs != "skimage"
        else "nobody has marked the objects of the default photographs; give --photo-dir"
    )


EXPERIMENT = Experiment(
    name="localisation",
    title="Localisation of every method, and of controls",
    regenerates="Table 5, Figure 15",
    needs="photographs with boxes or masks, `--photographs LAYOUT --photo-dir DIR`",
    duration="40 s a photograph",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    left_out=left_out,
    smoke={
        "count": 2,
        "areas": (0.1, 0.3),
        "methods": ("random map", "gradient", "Grad-CAM"),
        "keys": 2,
    },
    full={},
)
