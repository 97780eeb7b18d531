"""Figure 23, Table 13: the smallest part of a photograph that keeps its class on other photographs.

    python -m experiments photo_regions --photographs manifest --photo-dir DIR

The first photographs are explained; the others are what is seen outside of their regions. It
resumes.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table, unless_asked
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.photo_backgrounds import Backgrounds, backgrounds
from experiments.photo_region_points import FIELDS, WAYS, Setting, point
from experiments.common.photographs import Explained, PhotographOptions, explained
from fitb_jax import ablation, plotting
from fitb_jax.evaluation.intervals import Interval


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 23.

    Attributes:
        count: photographs that are read; the first of them are explained, all are backgrounds.
        explained: photographs whose regions are searched for.
        required: share of the search's backgrounds that must keep the class.
        searched: backgrounds of the search.
        fresh: others, for the certificates.
        patch: side in pixels of the patches that come and go.
        rounds: of growing and making smaller.
        fit_steps: of the coordinate network that gives the candidates.
        areas: candidates.
        chunk: images evaluated at once.
    """

    count: int = 200
    explained: int = 5
    required: float = 0.9
    searched: int = 16
    fresh: int = 60
    patch: int = 32
    rounds: int = 1
    fit_steps: int = 60
    areas: int = 8
    chunk: int = 4

    ZERO_ALLOWED = frozenset({"rounds"})


def behind(config: Config, net: Explained) -> list[Backgrounds]:
    """What is put behind the regions of each photograph that is explained.

    Args:
        config: options.
        net: the network and the photographs.

    Returns:
        One for each.
    """
    return [
        backgrounds(
            net.images,
            net.predicted,
            int(target),
            searched=config.searched,
            fresh=config.fresh,
            seed=config.seed + i,
        )
        for i, target in enumerate(net.predicted[: config.explained])
    ]


def grid(config: Config, net: Explained, sets: list[Backgrounds]) -> GridRun:
    """The grid of ways and photographs.

    Args:
        config: options.
        net: the network and the photographs.
        sets: from `behind`.

    Returns:
        The grid.
    """
    images = {
        "pixels": net.images[: len(sets)],
        # As the network sees it: a class that the whole photograph does not have has no region.
        "target": net.predicted[: len(sets)],
        "searched": np.stack([each.searched for each in sets]),
        "fresh": np.stack([each.fresh for each in sets]),
    }
    setting = Setting(*(config.patch, config.rounds, config.fit_steps, config.areas, config.chunk))
    axes = {
        "way": ablation.static([*WAYS], labels=[*WAYS]),
        "setting": ablation.static([setting], labels=["default"]),
        "image": ablation.vmapped(images, labels=net.names[: len(sets)]),
    }
    arguments = {
        "key": jax.random.key(config.seed),
        "key_axes": ("image",),
        "shared": {
            "logits_fn": net.pretrained.logits_fn,
            "required": jnp.float32(config.required),
        },
        "fields": FIELDS,
        # Work of minutes: keep every photograph as soon as it is done.
        "chunk": 1,
        "lanes": 1,
        "block": 1,
    }
    return GridRun("photo_regions", point, axes, arguments)


def plan(config: Config) -> list[str]:
    """What the grid will do.

    Args:
        config: options.

    Returns:
        One line.
    """
    net = explained(config)
    return [plan_grid(grid(config, net, behind(config, net)))]


def compute(config: Config) -> Outcome:
    """Search each photograph's region, on other photographs and on its blur."""
    net = explained(config)
    sets = behind(config, net)
    found = run_grid(config, grid(config, net, sets)).isel(setting=0).load()
    arrays = {f"{way}/{name}": found[name].sel(way=way).values for way in WAYS for name in FIELDS}
    shown_names = [net.class_name(target) for target in net.predicted[: len(sets)]]
    arrays |= {"images": net.images[: len(sets)], "class_names": np.array(shown_names)}
    for way in WAYS:
        seen = [net.class_name(label) for label in arrays[f"{way}/seen"]]
        arrays[f"{way}/seen_names"] = np.array(seen)
    base = float(arrays["photographs/base"].mean())
    numbers = {"fresh backgrounds of the class by themselves": base}
    are_crops = any(each.are_crops for each in sets)
    return Outcome(
        arrays, numbers, {"regions": _table(net, arrays)}, _notes(config, net, are_crops)
    )


def _notes(config: Config, net: Explained, are_crops: bool) -> list[str]:
    notes = [
        f"{len(net.names)} photographs: {net.source}; regions are those of the predicted class"
    ]
    if are_crops:
        notes.append(
            "photographs are too few to be backgrounds themselves: backgrounds are crops and "
            "mirror images of the others, half of which serve the search and half the "
            "certificate. Crops of one photograph are alike, so that the intervals are too narrow"
        )
    else:
        notes.append(
            f"backgrounds are {config.searched} other photographs, and {config.fresh} more for the "
            "certificate, none of which the network gives the class"
        )
    return notes


def _table(net: Explained, arrays: dict[str, np.ndarray]) -> Table:
    columns = ["photograph", "class", "searched on", "found", "minimal", "area"]
    columns += ["share on the search's", "share on fresh photographs", "only connects", "calls"]
    rows: list[list[object]] = []
    for i, class_name in enumerate(arrays["class_names"].tolist()):
        for way in WAYS:
            found = {
                name.removeprefix(f"{way}/"): values[i]
                for name, values in arrays.items()
                if name.startswith(f"{way}/")
            }
            rows.append(
                [
                    net.names[i],
                    class_name,
                    "other photographs" if way == "photographs" else "its own blur",
                    "yes" if found["found"] else "no",
                    "yes" if found["minimal"] else "no",
                    f"{found['area']:.3f}",
                    f"{found['search_share']:.2f}",
                    str(Interval(*(float(found[name]) for name in ("share", "low", "high")))),
                    f"{max(found['connectivity_cost'], 0):.3f}",
                    int(found["calls"]),
                ]
            )
    return Table(columns, rows)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """For each photograph both regions, and what the network sees of each on a fresh one."""
    arrays = outcome.arrays
    pictures, captions = [], []
    for i, image in enumerate(arrays["images"]):
        row, words = [image], [str(arrays["class_names"][i])]
        for way in WAYS:
            region = arrays[f"{way}/region"][i]
            row += [plotting.masked(image, region), arrays[f"{way}/pasted"][i]]
            area, share, low, high = (
                arrays[f"{way}/{name}"][i] for name in ("area", "share", "low", "high")
            )
            words += [
                f"area {area:.2f}, kept {share:.2f} [{low:.2f}, {high:.2f}]",
                f"seen as {arrays[f'{way}/seen_names'][i]}",
            ]
        pictures.append(row)
        captions.append(words)
    titles = ["photograph", "found on other photographs", "it, on a fresh one"]
    titles += ["found on its own blur", "it, on a fresh one"]
    return {
        "regions": plotting.image_grid(pictures, column_titles=titles, captions=captions, size=2.0)
    }


def caption(config: Config, outcome: Outcome) -> str:
    """State areas and certificates, and what a blur misses."""
    arrays = outcome.arrays

    def mean(way: str, name: str) -> float:
        return float(arrays[f"{way}/{name}"].mean())

    ranges = ", ".join(
        f"{name} {share:.2f} [{low:.2f}, {high:.2f}]"
        for name, share, low, high in zip(
            arrays["class_names"].tolist(),
            *(arrays[f"photographs/{name}"] for name in ("share", "low", "high")),
            strict=True,
        )
    )
    return (
        f"The smallest connected regions found for {len(arrays['images'])} photographs such that "
        f"{config.required:g} of {config.searched} backgrounds keep the class, by patches of "
        f"{config.patch} pixels: mean area {mean('photographs', 'area'):.3f}. Of {config.fresh} "
        "fresh backgrounds, with the interval of Clopper and Pearson, the class is kept by: "
        f"{ranges} (without a region by {mean('photographs', 'base'):.2f}). Regions found on the "
        f"photograph's own blur have mean area {mean('blur', 'area'):.3f} and keep the class on "
        f"{mean('blur', 'share'):.2f}, the others on {mean('photographs', 'share'):.2f}."
    )


EXPERIMENT = Experiment(
    name="photo_regions",
    title="The smallest part of a photograph that keeps its class",
    regenerates="Figure 23, Table 13",
    needs="nothing (five photographs of scikit-image)",
    duration="10 min",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    left_out=unless_asked("it searches for minutes; run it by its name, or --full"),
    smoke={
        "count": 6,
        "explained": 1,
        "searched": 2,
        "fresh": 2,
        "patch": 112,
        "rounds": 0,
        "fit_steps": 2,
        "areas": 2,
    },
    full={"count": 0, "searched": 100, "fresh": 400, "patch": 16, "rounds": 4},
)
