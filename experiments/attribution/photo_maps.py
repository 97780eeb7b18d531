"""Figure 29: The same photographs by several methods.

    python -m experiments photo_maps    # 15 min

Needs: nothing (photographs of scikit-image).
Expected: TODO.

Each method as in the tables (`experiments.methods`), beside free masks and two maps that ask no
network. Below a map stands p(class) of its most important tenth on a blur. It resumes.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.common.methods import OURS, controls, photo_methods
from experiments.common.photographs import AreaOptions, Explained, explained
from experiments.experiment import Experiment, Outcome, Table, unless_asked
from experiments.grids import GridRun, method_grid, plan_grid, run_grid
from fitb_jax import ablation, checks, evaluation, extremal, models, plotting
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.saliency import as_saliency, dense_saliency, extremal_saliency
from fitb_jax.types import Array, Float, LogitsFn, Saliency, SaliencyFn

DENSE = "dense masks"


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 28.

    Attributes:
        count: photographs; 0 means all.
        methods: columns of the figure, see `columns`.
        steps: of the coordinate network.
        dense_steps: of the free masks.
    """

    count: int = 3
    methods: tuple[str, ...] = (
        OURS[2], DENSE, "gradient", "Grad-CAM", "occlusion", "RISE", "centre", "Sobel edges",
    )  # fmt: skip
    steps: int = 100
    dense_steps: int = 800


class MapScores(NamedTuple):
    """One map of one photograph.

    Attributes:
        map: (h, w).
        probability: p(target) of its most important pixels on a blur, (a,).
    """

    map: Saliency
    probability: Float[Array, "a"]


FIELDS = {
    "map": ablation.Field(dims=("row", "column"), meaning="saliency"),
    "probability": ablation.Field(dims=("area",), meaning="p(target) of the best pixels on a blur"),
}


def columns(config: Config, pretrained: models.Pretrained) -> dict[str, SaliencyFn]:
    """The methods that are asked for.

    Args:
        config: options.
        pretrained: the network.

    Returns:
        By name.

    Raises:
        ValueError: an unknown name.
    """
    inr = extremal.InrConfig(steps=config.steps)
    dense = extremal.DenseConfig(steps=config.dense_steps)
    known = {**controls(), **photo_methods(pretrained)}
    known[OURS[2]] = as_saliency(extremal_saliency, config=inr)
    known[DENSE] = as_saliency(dense_saliency, config=dense)
    for name in config.methods:
        checks.check_choice("methods", name, known)
    return {name: known[name] for name in config.methods}


def point(
    *,
    logits_fn: LogitsFn,
    areas: Array,
    method: SaliencyFn,
    image: dict[str, Array],
    key: Array,
) -> MapScores:
    """Make one map of one photograph.

    Args:
        logits_fn: the classifier.
        areas: of the most important pixels.
        method: which map.
        image: `pixels` and `target`.
        key: of the method and of ties.

    Returns:
        The map, and what its best pixels are worth.
    """
    map_key, tie_key = jax.random.split(key)
    saliency = method(logits_fn, image["pixels"], image["target"], key=map_key)
    best = jax.vmap(lambda area: extremal.binarise(saliency, area, key=tie_key))(areas)
    return MapScores(
        saliency, extremal.probabilities_through(logits_fn, image["pixels"], image["target"], best)
    )


def grid(config: Config, net: Explained) -> GridRun:
    """The grid of methods and photographs.

    Args:
        config: options.
        net: the network and the photographs.

    Returns:
        The grid.
    """
    return method_grid(
        "photo_maps",
        point,
        columns(config, net.pretrained),
        net.cases,
        net.names,
        seed=config.seed,
        shared={
            "logits_fn": net.pretrained.logits_fn,
            "areas": jnp.asarray(config.areas, jnp.float32),
        },
        fields=FIELDS,
    )


def plan(config: Config) -> list[str]:
    """What the grid will do.

    Args:
        config: options.

    Returns:
        One line.
    """
    return [plan_grid(grid(config, explained(config)))]


def compute(config: Config) -> Outcome:
    """Make every map of every photograph."""
    net = explained(config)
    found = run_grid(config, grid(config, net)).transpose("method", "image", ...).load()
    arrays = {name: found[name].values for name in MapScores._fields}
    arrays |= {
        "images": net.images,
        "methods": np.array(found["method"].values.tolist()),
        "areas": np.asarray(config.areas),
        "class_names": np.array([net.class_name(target) for target in net.targets]),
    }
    names = ["method", *(f"p(class), area {area:g}" for area in config.areas)]
    rows = [
        [name, *(str(mean_interval(p)) for p in each.T)]
        for name, each in zip(arrays["methods"].tolist(), arrays["probability"], strict=True)
    ]
    notes = [f"{len(net.names)} photographs: {net.source}"]
    return Outcome(arrays, {}, {"maps": Table(names, rows)}, notes)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Photographs in rows, methods in columns."""
    arrays = outcome.arrays
    names, areas = arrays["methods"].tolist(), arrays["areas"]
    which = int(np.argmin(np.abs(areas - 0.1)))
    pictures, captions = [], []
    for i, image in enumerate(arrays["images"]):
        pictures.append([image, *(_shown(image, each[i]) for each in arrays["map"])])
        best = [f"p {each[i, which]:.2f}" for each in arrays["probability"]]
        captions.append([str(arrays["class_names"][i]), *best])
    titles = ["photograph", *names]
    return {"maps": plotting.image_grid(pictures, column_titles=titles, captions=captions)}


def _shown(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Colours by the order of the pixels, which maps of any scale share."""
    place = np.asarray(evaluation.ranking.ranks(jnp.asarray(saliency), key=jax.random.key(0)))
    share = 1 - place / (place.size - 1)
    return plotting.heat(share, largest=1.0, colours="magma", over=image)


def caption(config: Config, outcome: Outcome) -> str:
    """State what the most important pixels are worth, by method."""
    arrays = outcome.arrays
    which = int(np.argmin(np.abs(arrays["areas"] - 0.1)))
    means = zip(arrays["methods"].tolist(), arrays["probability"][..., which].mean(1), strict=True)
    worth = ", ".join(f"{name} {p:.2f}" for name, p in means)
    return (
        "The rank of each pixel in the map, from dark to bright, over the photograph. Below: "
        f"p(class) of the most important {arrays['areas'][which]:.0%} of the pixels on a blur. "
        f"Mean of {len(arrays['images'])} photographs: {worth}."
    )


EXPERIMENT = Experiment(
    name="photo_maps",
    title="The same photographs by several methods",
    regenerates="Figure 28",
    needs="nothing (photographs of scikit-image)",
    duration="15 min",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    plan=plan,
    left_out=unless_asked("its dense masks take minutes; run it by its name, or --full"),
    smoke={"count": 1, "methods": ("gradient", DENSE, OURS[2]), "steps": 2, "dense_steps": 2},
    full={"count": 0},
)
